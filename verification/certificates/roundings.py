"""The allowance for the rounding of a sum in float64, which every rounding bound contains."""

from __future__ import annotations

from typing import Any

import numpy as np

from .balls import UNIT

ROUNDINGS = 64
"""A sum may be off by this many unit roundoffs (2^-53) of its largest term: it has dozens of
entries, and each a logarithm and a product."""


def roundings(*terms: Any) -> float:
    """64 unit roundoffs of sum max |x| over the terms x, which are numbers or arrays."""
    return ROUNDINGS * UNIT * sum(float(abs(np.asarray(x)).max()) for x in terms)
