"""Calls of the kernels by rows: base 2, guesses and what to do where one fails; points in order."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any, TypeGuard

import numpy as np

from refot.arrays import Array
from refot.costs import Cost, DenseCost, PointCost
from refot.sorted_cost import CLUSTER, SortedCost, left_out

from .numba_costs import DIRECT, by_tiles, operand, row_by_tiles
from .numba_softmin import RANGES, softmin
from .numba_sorted import Groups, groups_of, plan_apply_sorted, softmin_sorted
from .numba_threads import Launcher
from .numpy_backend import NumpyBackend


def in_order(C: Cost, eps: float) -> TypeGuard[SortedCost]:
    """Whether far groups of points of C are left out: sorted, few dimensions, eps small enough."""
    return isinstance(C, SortedCost) and C.x.shape[1] in DIRECT and eps <= C.largest_eps


def operations(C: Cost) -> int:
    """Vector operations on numbers for one row, roughly: 20 for an exponential, 2 a coordinate."""
    d = C.x.shape[1] if isinstance(C, PointCost) else 0
    return C.shape[1] * (20 + 2 * d)


def softmin_by_rows(C: Cost, h: Array, eps: float, guess: Array | None, run: Launcher,
                    out: Array) -> None:
    """The softmin into `out` (n,): with the guess, without it where that was bad, and by NumPy in
    cost units where exponents are beyond the range of the kernel."""
    k, dtype = math.log2(math.e) / eps, out.dtype
    with np.errstate(over="ignore"):  # such a row becomes NaN
        ks = dtype.type(min(float(getattr(C, "scale", 1.0)) * k, np.finfo(dtype).max))
        h_2 = (h * k).astype(dtype)
        guesses = [] if guess is None else [np.rint(guess * -k).astype(dtype)]
    for whole in (*guesses, np.full(len(out), np.nan, dtype)):
        if in_order(C, eps):
            _in_order(C, h_2, ks, float(eps), whole, run, out)
        else:
            run(len(out), operations(C), softmin, operand(C), row_by_tiles(h_2), len(h), ks,
                float(eps), RANGES[dtype], whole, out)
        if not np.isnan(out).any():
            return
    far = np.isnan(out)
    some = DenseCost(C.matrix[far]) if isinstance(C, DenseCost) else replace(C, x=C.x[far])
    with np.errstate(over="ignore"):  # of an exponent, to -inf: its term is 0
        out[far] = NumpyBackend().softmin(some.with_arrays(np.float64), h.astype(float), eps)


def _in_order(C: SortedCost, h: Array, ks: Any, eps: float, guess: Array, run: Launcher,
              out: Array) -> None:
    """The softmin of points in order; h and guess in base 2."""
    points, h, rows = C.in_order(), h[C.y_order], np.empty_like(out)
    run(len(out), operations(C), softmin_sorted, operand(points), row_by_tiles(h), len(h), ks, eps,
        RANGES[out.dtype], guess[C.x_order], *_groups(points), _cut(C), rows, unit=CLUSTER)
    out[C.x_order] = rows


def plan_apply_in_order(C: SortedCost, F: Array, G: Array, k: Any, V: Array, run: Launcher,
                        out: Array) -> None:
    """P @ V into `out` (n, k), float64, for points in order."""
    points, G, rows = C.in_order(), G[C.y_order], np.zeros_like(out)
    run(len(out), operations(C), plan_apply_sorted, operand(points), F[C.x_order], row_by_tiles(G),
        len(G), k, by_tiles(V[C.y_order], F.dtype), *_groups(points), _cut(C), rows, unit=CLUSTER)
    out[C.x_order] = rows


def _groups(points: PointCost) -> tuple[Groups, Groups]:
    curved = points.ground.name == "sqeuclidean"
    return groups_of(points.x, curved), groups_of(points.y, curved)


def _cut(C: Cost) -> Any:
    """log2(m / left_out) + 1."""
    return C.dtype.type(math.log2(C.shape[1] / left_out(C.dtype)) + 1)
