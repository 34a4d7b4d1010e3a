"""Adapters: other libraries as subjects. Each library has a file, or several whose names begin with
its name, such as the three of GeomLoss. Each of its functions that is verified is a part.

A part has the name by which a user calls the function. It uses the library's own tolerances and
iteration limits unless its name says otherwise, and offers what the documentation of the function
promises. Answers are converted to refot's convention with `refot.conventions.convert`, so that no
difference of convention is left; `Part.calls` names the convention that they were converted from.

A *twin* is a second part for the same function with tighter options. What misses with the defaults
and is right in the twin stopped too early; what misses in both is wrong.

This file has what the adapters share: the import of a library, one call for several capabilities,
and point clouds for functions that take points where a check has a cost matrix.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from types import ModuleType
from typing import Any, TypeAlias, TypeVar

import numpy as np

from refot.arrays import Array
from refot.verification.subjects.anew import called_anew

Answer = TypeVar("Answer")
"""What a function of a library returns."""

ROUNDED = 1e-5
"""The sum of float32 weights may differ from 1 by this much."""

KEPT = 16
"""Answers that `once` keeps: those of the problems of one case."""

Capabilities: TypeAlias = dict[str, Callable[..., Any]]
"""The capabilities of a part: functions by name."""


class MissingPackageError(ImportError, NotImplementedError):
    """A package is missing, and what needs it is not offered; the message says how to get it."""


def require(
    module: str, library: str, how: str = "pip install 'refot[peers]'"
) -> ModuleType:
    """The imported module. Raises MissingPackageError, which says `how` to install its library."""
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise MissingPackageError(f"{library} is not installed ({error}): {how}") from error


def once(solve: Callable[..., Answer]) -> Callable[..., Answer]:
    """`solve(C, a, b, eps)`, or with a rho behind, with its last answers kept: several capabilities
    share one call. Within `anew` it is made again."""
    answers: dict[object, Answer] = {}

    def remembered(C: Array, a: Array, b: Array, *numbers: float) -> Answer:
        arrays = ((each.shape, each.dtype.str, each.tobytes()) for each in (C, a, b))
        problem = (*arrays, *numbers)
        if problem in answers and not called_anew():
            return answers[problem]
        answer = solve(C, a, b, *numbers)
        answers.pop(problem, None)
        while len(answers) >= KEPT:
            del answers[next(iter(answers))]
        answers[problem] = answer
        return answer

    return remembered


def as_clouds(C: Array) -> tuple[Array, Array, Array]:
    """Points x (n, m), y (m, m) and numbers r (n,) with |x_i - y_j|^2 = C_ij + r_i.

    With these a function of points can be asked about any cost matrix. Adding r_i to row i of a
    cost changes neither plan nor KL: f becomes f + r, and every value grows by a.r. The points
    are x_i = -t (C_i - mean C) / 2 and y_j = e_j / t; any t > 0 will do, and this one keeps r
    small.

    It is for functions that work in the log domain only: larger costs make exp(-C / eps) underflow
    sooner.
    """
    m = C.shape[1]
    centred = C - C.mean()
    longest = float(np.linalg.norm(centred, axis=1).max())
    t = C.dtype.type(np.sqrt(2 / longest) if longest > 0 else 1.0)
    x, y = -t * centred / 2, np.eye(m, dtype=C.dtype) / t
    return x, y, (x**2).sum(axis=1) + 1 / t**2 - C.mean()


def in_double(weights: Array) -> Array:
    """Weights in float64, divided by their sum if that is 1 up to ROUNDED.

    Weights that were float32 miss the sum 1 by more than the tolerance 1e-8 of a solver. Any other
    sum is left as it is: how a library takes bad weights is for the checks to see.
    """
    exact: Array = weights.astype(np.float64)
    total = exact.sum()
    return exact / total if abs(total - 1) < ROUNDED else exact


def unsupported(function: str, cost: str, allowed: str) -> NotImplementedError:
    """The error that a capability raises for a ground cost that the function does not have."""
    return NotImplementedError(f"{function} has no cost {cost!r}; it has {allowed}")
