"""The checks, a file a family: transport, given potentials, divergences, information,
behaviour, training.
"""

from refot.verification.check import CHECKS
from refot.verification.checks import (
    behaviour,
    divergences,
    functions,
    information,
    training,
    transport,
)

__all__ = ["CHECKS", "behaviour", "divergences", "functions", "information", "training",
           "transport"]
