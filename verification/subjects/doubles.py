"""The arguments of a call in float64, in which refot computes the right answer."""

from __future__ import annotations

from typing import Any

import numpy as np

from refot.arrays import Array

from .protocol import argument_names

MASSES = ("a", "b", "P")
"""The arguments that are masses with the sum 1, where no rho stands beside them."""


def in_doubles(capability: str, arguments: tuple[Any, ...]) -> tuple[Any, ...]:
    """The same arguments in float64.

    Masses that were float32 are divided by their sum. It is 1 only up to roundings of float32, with
    which refot refuses them as float64 weights. Unbalanced masses may have any sum, and keep it.
    """
    names = argument_names(capability)
    ones = () if "rho" in names else MASSES
    return tuple(_double(value, name in ones) for name, value in zip(names, arguments, strict=True))


def _double(value: Any, sums_to_one: bool) -> Any:
    if not isinstance(value, np.ndarray) or value.dtype != np.float32:
        return value
    array: Array = value.astype(np.float64)
    return array / array.sum() if sums_to_one else array
