"""Other libraries as subjects, one a file, each of their functions a part of its own.

A part is named as a user calls the function. It runs at the library's own tolerances and iteration
limits unless its name says otherwise, and offers what the documentation of the function promises.
What comes back is converted to refot's definitions with `refot.conventions.convert`, so that no
difference of convention is left; `Part.calls` names the one it was converted from.

This file holds what the adapters share: the import of a library, one call for several
capabilities, and point clouds for functions that take points where a check has a cost matrix.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from types import ModuleType
from typing import Any, TypeAlias, TypeVar

import numpy as np

from refot.arrays import Array

Answer = TypeVar("Answer")

ROUNDED = 1e-5
"""How far the sum of float32 weights may be from 1."""

Capabilities: TypeAlias = dict[str, Callable[..., Any]]


class MissingPackageError(ImportError, NotImplementedError):
    """A package is not installed, so that what needs it is not offered: says how to get it."""


def require(
    module: str, library: str, how: str = "pip install 'refot[peers]'"
) -> ModuleType:
    """The imported module. Raises MissingPackageError, which says `how` to install its library."""
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise MissingPackageError(f"{library} is not installed ({error}): {how}") from error


def once(solve: Callable[..., Answer]) -> Callable[..., Answer]:
    """`solve(C, a, b, eps)` with its last answer kept: several capabilities share one call."""
    last: dict[object, Answer] = {}

    def remembered(C: Array, a: Array, b: Array, eps: float) -> Answer:
        problem = (*((each.shape, each.dtype.str, each.tobytes()) for each in (C, a, b)), eps)
        if problem not in last:
            answer = solve(C, a, b, eps)
            last.clear()
            last[problem] = answer
        return last[problem]

    return remembered


def as_clouds(C: Array) -> tuple[Array, Array, Array]:
    """Points x (n, m), y (m, m) and rows r (n,) with |x_i - y_j|^2 = C_ij + r_i.

    x_i = -t (C_i - mean C) / 2 and y_j = e_j / t, for any t > 0, here the one that keeps r small.
    Adding r_i to the rows of a cost changes neither plan nor KL: f becomes f + r, every value gains
    a.r. This is how a function of points is asked about any cost. Only functions that work in
    the log domain may be: in exp(-C/eps) the rows would make underflow worse than it is.
    """
    m = C.shape[1]
    centred = C - C.mean()
    longest = float(np.linalg.norm(centred, axis=1).max())
    t = C.dtype.type(np.sqrt(2 / longest) if longest > 0 else 1.0)
    x, y = -t * centred / 2, np.eye(m, dtype=C.dtype) / t
    return x, y, (x**2).sum(axis=1) + 1 / t**2 - C.mean()


def in_double(weights: Array) -> Array:
    """Weights in float64 that sum to 1 there: float32 ones are off by more than a solver's 1e-8.

    Those of another sum keep it: what a library says of them is its own matter.
    """
    exact: Array = weights.astype(np.float64)
    total = exact.sum()
    return exact / total if abs(total - 1) < ROUNDED else exact


def unsupported(function: str, cost: str, allowed: str) -> NotImplementedError:
    """What a capability raises for a ground cost that the function does not offer."""
    return NotImplementedError(f"{function} has no cost {cost!r}; it has {allowed}")
