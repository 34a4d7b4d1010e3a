"""The checks, a file a family: transport, given potentials, divergences, information."""

from refot.verification.check import CHECKS
from refot.verification.checks import divergences, functions, information, transport

__all__ = ["CHECKS", "divergences", "functions", "information", "transport"]
