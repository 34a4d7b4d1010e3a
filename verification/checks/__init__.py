"""The checks, one file for each family.

Importing a family registers its checks. The order of registration is that of the reports: first
whether answers are right, then how the subject gives them (behaviour, honesty, precision), last
whether it refuses bad input.
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
