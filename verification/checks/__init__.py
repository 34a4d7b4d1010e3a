"""The checks, a file a family, in the order in which they are made and told: what is answered, how
(honesty, behaviour, precision), and what is not to be answered (bad input).
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
