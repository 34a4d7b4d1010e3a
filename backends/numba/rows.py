"""How `softmin` is called for whole cost operands, and what is done where its fast path fails.

Arguments are converted to base 2, which is what the kernels compute in, and points that are in
order are sorted on the way in and put back on the way out.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from refot.arrays import Array
from refot.backends.numpy.backend import NumpyBackend
from refot.backends.numpy.blocks import blocks
from refot.costs.operands import Cost, DenseCost, PointCost

from .costs import Operand, by_tiles, operand, row_by_tiles
from .groups.choose import Grouping, grouping
from .groups.groups import tangents
from .groups.ordered import SortedCost, left_out_share
from .groups.passes import GroupedProblem, plan_apply_sorted, softmin_sorted
from .groups.series import AXES
from .launch import Launcher
from .softmin import RANGES, softmin

FEW = 0.2
"""Where the guess failed in at most this share of the rows, these alone are summed again. That
takes longer for each row: their points are in no order, and their part of a matrix is copied."""

NUMPY_ELEMENTS = 1 << 22
"""Entries of the cost that are handed to NumPy at a time: as float64, and copied from a matrix."""


def operations(C: Cost) -> int:
    """Roughly the number of operations that one row takes: 20 for an exponential, 2 a
    coordinate."""
    d = C.x.shape[1] if isinstance(C, PointCost) else 0
    return C.shape[1] * (20 + 2 * d)


def softmin_by_rows(C: Cost, h: Array, eps: float, guess: Array | None, run: Launcher,
                    out: Array) -> None:
    """The softmin into `out` (n,), in up to three attempts: by the kernel from the guess; without
    the guess, where it was bad; by NumPy, where exponents are beyond the range of the kernel. A row
    that an attempt could not finish is NaN after it."""
    _by_kernel(C, h, eps, guess, run, out)
    failed = np.isnan(out)
    if guess is not None and failed.any():
        if failed.mean() > FEW:
            _by_kernel(C, h, eps, None, run, out)
        else:
            rows = out[failed]
            _by_kernel(_rows_of(C, failed), h, eps, None, run, rows)
            out[failed] = rows
        failed = np.isnan(out)
    rows = np.flatnonzero(failed)
    for part in blocks((len(rows), len(h)), NUMPY_ELEMENTS):
        some = _rows_of(C, rows[part]).with_arrays(np.float64)
        with np.errstate(over="ignore"):  # of an exponent, to -inf: its term is 0
            out[rows[part]] = NumpyBackend().softmin(some, h.astype(float), eps)


def _rows_of(C: Cost, some: Array) -> Cost:
    """The cost of some of the rows, as an ordinary operand: a SortedCost would sort them anew."""
    if isinstance(C, PointCost):
        return PointCost(C.x[some], C.y, C.ground, C.scale)
    return DenseCost(C.matrix[some])


def _by_kernel(C: Cost, h: Array, eps: float, guess: Array | None, run: Launcher, out: Array
               ) -> None:
    """The softmin into `out`; NaN where the guess or the range failed."""
    k, dtype = math.log2(math.e) / eps, out.dtype
    with np.errstate(over="ignore"):  # a row with an infinite exponent becomes NaN
        ks = dtype.type(min(float(getattr(C, "scale", 1.0)) * k, np.finfo(dtype).max))
        whole = (np.full(len(out), np.nan, dtype) if guess is None
                 else np.rint(guess * -k).astype(dtype))
        if isinstance(C, SortedCost) and (groups := grouping(C, eps)):
            _in_order(C, groups, h, ks, eps, whole, run, out)
        else:
            run(len(out), operations(C), softmin, operand(C), row_by_tiles((h * k).astype(dtype)),
                len(h), ks, float(eps), RANGES[dtype], whole, out)


def _in_order(C: SortedCost, groups: Grouping, h: Array, ks: Any, eps: float, guess: Array,
              run: Launcher, out: Array) -> None:
    """The softmin of points in order into `out`, in the caller's order; h in cost units, the guess
    in base 2."""
    order, rows, k = C.rows_in_order.order, np.empty_like(out), math.log2(math.e) / eps

    def columns() -> tuple[Array, Array, Array]:
        level = (h * k).astype(out.dtype)[C.columns_in_order.order]
        return row_by_tiles(level), *_tangents(groups, level, run)

    level, height, slope = C.columns_in_order.found("softmin", (h, k, groups.columns.size), columns)
    run(len(out), operations(C), softmin_sorted, _operand(C), level, len(h), ks, float(eps),
        RANGES[out.dtype], guess[order], GroupedProblem(*groups, _cut(C), height, slope), rows,
        unit=groups.rows.size)
    out[order] = rows


def plan_apply_in_order(C: SortedCost, groups: Grouping, F: Array, G: Array, k: Any, V: Array,
                        run: Launcher, out: Array) -> None:
    """P @ V into `out` (n, c), float64, for points in order, F and G in cost units.

    Each column of V is divided by its largest entry before, and the result multiplied by it after:
    else the moments of a series might leave the range of floats."""
    order, places, rows = C.rows_in_order.order, C.columns_in_order.order, np.zeros_like(out)

    def columns() -> tuple[Array, ...]:
        largest, level = abs(V).max(axis=0), G[places]
        largest[largest == 0] = 1
        divided = (V[places] / largest).T.copy()
        return largest, divided, row_by_tiles(level), *_tangents(groups, level * k, run)

    largest, divided, level, height, slope = C.columns_in_order.found(
        "plan_apply", (G, V, k, groups.columns.size), columns)
    run(len(out), operations(C), plan_apply_sorted, _operand(C), F[order], level, len(G), k,
        RANGES[C.dtype], divided, GroupedProblem(*groups, _cut(C), height, slope), rows,
        unit=groups.rows.size)
    out[order] = largest * rows


def _operand(C: SortedCost) -> Operand:
    """The points in order as the kernels take them; those of the columns are kept."""
    ordered = C.in_order()
    return operand(ordered, C.columns_in_order.found(
        "tiles", (), lambda: by_tiles(ordered.y, ordered.dtype)))


def _tangents(groups: Grouping, level: Array, run: Launcher) -> tuple[Array, Array]:
    """The height and the slope of each group of columns, for their levels in base 2."""
    number = len(groups.columns.centre)
    height, slope = np.empty(number, level.dtype), np.empty((number, AXES), level.dtype)
    run(number, 20 * groups.columns.size, tangents, level, groups.columns, height, slope)
    return height, slope


def _cut(C: Cost) -> Any:
    """log2(m / (share / 2)): what is left out of a sum may be half of the share by which it may be
    wrong; the other half is for the series."""
    return C.dtype.type(math.log2(2 * C.shape[1] / left_out_share(C.dtype)))
