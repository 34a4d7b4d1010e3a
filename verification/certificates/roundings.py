"""How far the rounding of a sum in float64 may go: what every stated bound is made of."""

from __future__ import annotations

from typing import Any

import numpy as np

from .balls import UNIT

ROUNDINGS = 64
"""By how many roundings of its largest terms a sum may be off: it has dozens of entries, a
logarithm and a product."""


def roundings(*terms: Any) -> float:
    """64 roundings of the largest entries of the terms, added up."""
    return ROUNDINGS * UNIT * sum(float(abs(np.asarray(x)).max()) for x in terms)
