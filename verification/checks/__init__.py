"""The checks, one file for each family.

Importing a family registers its checks, and the order of registration is that of the reports:
first whether the answers are right, then how they are given (honesty, behaviour, precision), last
what should be refused (bad input).
"""

from refot.verification.checks import (
    divergences,
    functions,
    information,
    training,
    transport,
    unbalanced,
    unbalanced_divergences,
)

from .trial import CHECKS

# isort: split
from refot.verification.checks import behaviour, honesty, precision

# isort: split
from refot.verification.checks import bad_input

__all__ = ["CHECKS", "bad_input", "behaviour", "divergences", "functions", "honesty",
           "information", "precision", "training", "transport", "unbalanced",
           "unbalanced_divergences"]
