"""Calls of the kernels by rows: base 2, guesses and what to do where one fails; points in order."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from refot.arrays import Array
from refot.backends.numpy.backend import NumpyBackend
from refot.backends.numpy.blocks import blocks
from refot.costs.operands import Cost, DenseCost, PointCost

from .costs import operand, row_by_tiles
from .groups.choose import Grouping, grouping
from .groups.groups import tangents
from .groups.ordered import SortedCost, left_out_share
from .groups.passes import Pass, plan_apply_sorted, softmin_sorted
from .groups.series import AXES
from .launch import Launcher
from .softmin import RANGES, softmin

FEW = 0.2
"""Rows without a good guess, as a share, up to which these alone are summed again: term by term,
and from a copy where the cost is a matrix."""


MANY = 1 << 22
"""Entries that are handed to NumPy at a time, as a copy in float64 where the cost is a matrix."""


def operations(C: Cost) -> int:
    """Vector operations on numbers for one row, roughly: 20 for an exponential, 2 a coordinate."""
    d = C.x.shape[1] if isinstance(C, PointCost) else 0
    return C.shape[1] * (20 + 2 * d)


def softmin_by_rows(C: Cost, h: Array, eps: float, guess: Array | None, run: Launcher,
                    out: Array) -> None:
    """The softmin into `out` (n,): with the guess; without it the rows for which that was bad; and
    by NumPy in cost units those whose exponents are beyond the range of the kernel."""
    _by_kernel(C, h, eps, guess, run, out)
    far = np.isnan(out)
    if guess is not None and far.any():
        if far.mean() > FEW:
            _by_kernel(C, h, eps, None, run, out)
        else:
            rows = out[far]
            _by_kernel(_rows_of(C, far), h, eps, None, run, rows)
            out[far] = rows
        far = np.isnan(out)
    rows = np.flatnonzero(far)
    for part in blocks((len(rows), len(h)), MANY):
        some = _rows_of(C, rows[part]).with_arrays(np.float64)
        with np.errstate(over="ignore"):  # of an exponent, to -inf: its term is 0
            out[rows[part]] = NumpyBackend().softmin(some, h.astype(float), eps)


def _rows_of(C: Cost, some: Array) -> Cost:
    """The cost of some of the rows; their points in no order."""
    if isinstance(C, PointCost):
        return PointCost(C.x[some], C.y, C.ground, C.scale)
    return DenseCost(C.matrix[some])


def _by_kernel(C: Cost, h: Array, eps: float, guess: Array | None, run: Launcher, out: Array
               ) -> None:
    """The softmin into `out`; NaN where the guess or the range failed."""
    k, dtype = math.log2(math.e) / eps, out.dtype
    with np.errstate(over="ignore"):  # such a row becomes NaN
        ks = dtype.type(min(float(getattr(C, "scale", 1.0)) * k, np.finfo(dtype).max))
        h = (h * k).astype(dtype)
        whole = (np.full(len(out), np.nan, dtype) if guess is None
                 else np.rint(guess * -k).astype(dtype))
    if isinstance(C, SortedCost) and (groups := grouping(C, eps)):
        _in_order(C, groups, h, ks, float(eps), whole, run, out)
    else:
        run(len(out), operations(C), softmin, operand(C), row_by_tiles(h), len(h), ks, float(eps),
            RANGES[dtype], whole, out)


def _in_order(C: SortedCost, groups: Grouping, h: Array, ks: Any, eps: float, guess: Array,
              run: Launcher, out: Array) -> None:
    """The softmin of points in order; h and guess in base 2."""
    order, h = C.rows_in_order.order, h[C.columns_in_order.order]
    rows = np.empty_like(out)
    run(len(out), operations(C), softmin_sorted, operand(C.in_order()), row_by_tiles(h), len(h), ks,
        eps, RANGES[out.dtype], guess[order], _pass(C, groups, h, run), rows,
        unit=groups.rows.size)
    out[order] = rows


def plan_apply_in_order(C: SortedCost, groups: Grouping, F: Array, G: Array, k: Any, V: Array,
                        run: Launcher, out: Array) -> None:
    """P @ V into `out` (n, k), float64, for points in order; V in units of its largest entries,
    which moments of a series might otherwise carry beyond the floats."""
    order, columns = C.rows_in_order.order, C.columns_in_order.order
    G, rows, largest = G[columns], np.zeros_like(out), abs(V).max(axis=0)
    largest[largest == 0] = 1
    V = (V[columns] / largest).T.copy()
    run(len(out), operations(C), plan_apply_sorted, operand(C.in_order()), F[order],
        row_by_tiles(G), len(G), k, RANGES[F.dtype], V, _pass(C, groups, G * k, run), rows,
        unit=groups.rows.size)
    out[order] = largest * rows


def _pass(C: SortedCost, groups: Grouping, level: Array, run: Launcher) -> Pass:
    """What the kernels go by, for the levels of the columns in base 2."""
    number = len(groups.columns.centre)
    height, slope = np.empty(number, level.dtype), np.empty((number, AXES), level.dtype)
    run(number, 20 * groups.columns.size, tangents, level, groups.columns, height, slope)
    return Pass(*groups, _cut(C), height, slope)


def _cut(C: Cost) -> Any:
    """log2(m / (share / 2)): half of the share that a sum may be off by is left out."""
    return C.dtype.type(math.log2(2 * C.shape[1] / left_out_share(C.dtype)))
