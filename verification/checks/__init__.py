"""The checks, a file a family: transport, given potentials, divergences, information."""

from refot.verification.checks import divergences, functions, information, transport

__all__ = ["divergences", "functions", "information", "transport"]
