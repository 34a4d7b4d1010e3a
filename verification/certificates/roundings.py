"""The allowance for the rounding of a sum in float64, which every rounding bound contains."""

from __future__ import annotations

from typing import Any

import numpy as np

from .balls import UNIT

ROUNDINGS = 64
"""A result may be off by this many unit roundoffs (2^-53) of the largest term of its sum: dozens of
terms are added, and a logarithm and a product follow."""


def roundings(*terms: Any) -> float:
    """64 unit roundoffs times the sum, over the terms (numbers or arrays), of the largest absolute
    value in each."""
    return ROUNDINGS * UNIT * sum(float(abs(np.asarray(x)).max()) for x in terms)
