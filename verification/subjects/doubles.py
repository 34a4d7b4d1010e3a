"""The arguments of a call in float64, in which refot computes what is right."""

from __future__ import annotations

from typing import Any

import numpy as np

from refot.arrays import Array

from .protocol import argument_names

MASSES = ("a", "b", "P")
"""The arguments that are masses with the sum 1."""


def in_doubles(capability: str, arguments: tuple[Any, ...]) -> tuple[Any, ...]:
    """The same numbers in float64. Masses of float32 get the sum 1, which they have only up to
    roundings of float32: those would not be weights in float64."""
    names = argument_names(capability)
    return tuple(_double(name, value) for name, value in zip(names, arguments, strict=True))


def _double(name: str, value: Any) -> Any:
    if not isinstance(value, np.ndarray) or value.dtype != np.float32:
        return value
    array: Array = value.astype(np.float64)
    return array / array.sum() if name in MASSES else array
