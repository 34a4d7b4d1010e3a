"""How the softmin kernels are called for a whole cost, and what happens in rows where they fail.

Arguments are converted to base 2, in which the kernels compute. For a `SortedCost`, potentials are
put into the order of the sorted points, and results back into the caller's order.
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
"""If the guess failed in at most this share of the rows, only these are summed again; else all. A
row by itself takes longer: its points are not sorted, and its part of a matrix is copied."""

NUMPY_ELEMENTS = 1 << 22
"""Entries of the cost that NumPy computes with at a time, as a copy in float64."""


def operations(C: Cost) -> int:
    """About the number of arithmetic operations that one row takes: for each column 20 for the
    exponential, and 2 for each coordinate."""
    d = C.x.shape[1] if isinstance(C, PointCost) else 0
    return C.shape[1] * (20 + 2 * d)


def softmin_by_rows(C: Cost, h: Array, eps: float, guess: Array | None, run: Launcher,
                    out: Array) -> None:
    """The softmin of h (m,) into `out` (n,), in up to three attempts: by the kernel with the guess
    (n,); without it, in rows where it was bad; by NumPy, in rows whose exponents are beyond the
    range of the kernel. A row in which an attempt failed is NaN after it."""
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
        with np.errstate(over="ignore"):  # an exponent may overflow to -inf; its term is then 0
            out[rows[part]] = NumpyBackend().softmin(some, h.astype(float), eps)


def _rows_of(C: Cost, some: Array) -> Cost:
    """The cost of some of the rows. A PointCost, not a SortedCost, which would sort them anew."""
    if isinstance(C, PointCost):
        return PointCost(C.x[some], C.y, C.ground, C.scale)
    return DenseCost(C.matrix[some])


def _by_kernel(C: Cost, h: Array, eps: float, guess: Array | None, run: Launcher, out: Array
               ) -> None:
    """Write the softmin of h into `out`; NaN in rows where the guess was too high, or exponents are
    beyond the range of the kernel (`softmin`)."""
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
    """The softmin between sorted points, by groups. h, guess and `out` are in the caller's order; h
    is in cost units, the guess as in `softmin.softmin`."""
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
    """Write P @ V into `out` (n, columns of V), in float64, between sorted points, by groups. F, G,
    V and `out` are in the caller's order, F and G in cost units; k = log2(e) / eps.

    Each column of V is divided by its largest entry, and its product multiplied by it again,
    because the moments of a series might otherwise overflow or underflow."""
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
    """The cost between the sorted points in the form that the kernels take. The points y by tiles
    are kept for the next call."""
    ordered = C.in_order()
    return operand(ordered, C.columns_in_order.found(
        "tiles", (), lambda: by_tiles(ordered.y, ordered.dtype)))


def _tangents(groups: Grouping, level: Array, run: Launcher) -> tuple[Array, Array]:
    """`tangents` of all groups of columns for these levels, in base 2: height (groups,), slope
    (groups, AXES)."""
    number = len(groups.columns.centre)
    height, slope = np.empty(number, level.dtype), np.empty((number, AXES), level.dtype)
    run(number, 20 * groups.columns.size, tangents, level, groups.columns, height, slope)
    return height, slope


def _cut(C: Cost) -> Any:
    """`GroupedProblem.cut` = log2(m / (share / 2)). The error of a sum may be `left_out_share`; one
    half of it is for terms that are left out, the other half for series."""
    return C.dtype.type(math.log2(2 * C.shape[1] / left_out_share(C.dtype)))
