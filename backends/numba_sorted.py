"""softmin and P @ V over points in order: groups of columns too far to matter are left out.

A group of CLUSTER rows A and one of columns B lie in boxes with least cost c(A, B). In base 2 every
exponent between them is at most (max_B h - c(A, B)) log2(e) / eps. The group B with the largest
bound goes first, for each row of A; from then on a group is left out where its bound is more than
`cut` below what each row already has. With cut = log2(m / left_out) + 1, all of them together are
less than the share left_out / 2 of the row's sum; the other half is for the rounding of the bounds.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from refot.arrays import Array
from refot.sorted_cost import CLUSTER

from .numba_costs import DIRECT, POINT_TERMS, TILE, costs_at
from .numba_kernels import entry
from .numba_softmin import Range, finish, take
from .numba_vectors import (
    elementwise,
    full_width,
    implements,
    kernel,
    larger,
    reduction,
    variant,
)


class Boxes(NamedTuple):
    """Corners (groups, d) of the groups of rows and of columns."""

    x_low: Array
    x_high: Array
    y_low: Array
    y_high: Array


# ------------------------------------------------------------------ bounds, and what they leave
def least_cost(C: Any, boxes: Any, A: Any, B: Any) -> Any:
    """The least cost c(A, B), unscaled, between the boxes of two groups."""
    raise NotImplementedError("compiled code only")


@implements(least_cost)
def _least_cost(C: Any, boxes: Any, A: Any, B: Any) -> Any:
    term, finish_cost = POINT_TERMS[C.instance_class]

    def implementation(C: Any, boxes: Any, A: Any, B: Any) -> Any:
        total = C.x.dtype.type(0)
        for k in range(C.x.shape[1]):
            gap = max(boxes.y_low[B, k] - boxes.x_high[A, k],
                      boxes.x_low[A, k] - boxes.y_high[B, k])
            total += term(max(gap, C.x.dtype.type(0)))
        return finish_cost(total)

    return implementation


@elementwise
def _bound(C: Any, boxes: Any, A: Any, highest: Any, scale: Any, bounds: Any) -> None:
    """bounds[B] = max_B h - scale c(A, B)."""
    for B in range(bounds.size):
        bounds[B] = highest[B] - scale * least_cost(C, boxes, A, B)


@elementwise
def _next_run(bounds: Any, B: Any, floor: Any) -> Any:
    """The next groups B to B1, in one tile and one after the other, whose bounds reach the floor;
    they are marked as done by NaN, which reaches no floor."""
    while bounds.size > B and not bounds[B] >= floor:
        B += 1
    B1 = B
    while bounds.size > B1 and bounds[B1] >= floor and (B1 == B or B1 * CLUSTER % TILE != 0):
        bounds[B1] = np.nan
        B1 += 1
    return B, B1


# ------------------------------------------------------------------ softmin
@kernel
def softmin_sorted(C: Any, h: Array, m: int, ks: Any, eps: float, allowed: Range, guess: Array,
                   boxes: Boxes, highest: Array, cut: Any, out: Array, i0: int, i1: int) -> None:
    """As `numba_softmin.softmin`; i0 is a multiple of CLUSTER, `highest` (groups,) = max_B h."""
    t, shift = np.empty(1, h.dtype), guess[i0:i1].copy()
    top, total = np.full(i1 - i0, -np.finfo(h.dtype).max, h.dtype), np.zeros(i1 - i0)
    bounds = np.empty_like(highest)
    for start in range(i0, i1, CLUSTER):
        stop = min(start + CLUSTER, i1)
        _bound(C, boxes, start // CLUSTER, highest, ks, bounds)
        B, after = int(np.argmax(bounds)), 0
        bounds[B], B1 = np.nan, B + 1
        while bounds.size > B:
            tile = B * CLUSTER // TILE
            j0, j1 = B * CLUSTER - tile * TILE, min(B1 * CLUSTER, m) - tile * TILE
            for i in range(start, stop):
                take(C, t, i, 0, tile, j0, j1, h, ks, allowed.span, i - i0, shift, top, total)
            B, B1 = _next_run(bounds, after, top[start - i0:stop - i0].min() - cut)
            after = B1
    finish(shift, total, eps, allowed, out[i0:i1])


# ------------------------------------------------------------------ the plan times a matrix
def _entry_loop(cost: Any) -> Any:
    """The loop t[j - j0] = P_ij for columns j0 to j1 of a tile."""

    @elementwise
    @variant(cost)
    def loop(C: Any, F_i: Any, G: Any, k: Any, i: Any, tile: Any, j0: Any, j1: Any,
             t: Any) -> None:
        full_width()
        for j in range(np.uintp(j1 - j0)):
            c = cost(C, t, i, 0, tile, np.uintp(j0) + j)
            t[j] = entry(F_i, G[tile, np.uintp(j0) + j], c, C.scale, k)

    return loop


def entries(C: Any, F_i: Any, G: Any, k: Any, i: Any, tile: Any, j0: Any, j1: Any, t: Any) -> None:
    """t[j - j0] = P_ij for columns j0 to j1 of a tile, in DIRECT dimensions."""
    raise NotImplementedError("compiled code only")


ENTRY_LOOPS = {found: _entry_loop(cost) for found, cost in costs_at.items() if found[1] in DIRECT}


@implements(entries)
def _entries(C: Any, F_i: Any, G: Any, k: Any, i: Any, tile: Any, j0: Any, j1: Any, t: Any) -> Any:
    one, two, three = (ENTRY_LOOPS[C.instance_class, d] for d in DIRECT)

    def chosen(C: Any, F_i: Any, G: Any, k: Any, i: Any, tile: Any, j0: Any, j1: Any,
               t: Any) -> None:
        if C.x.shape[1] == 1:
            one(C, F_i, G, k, i, tile, j0, j1, t)
        elif C.x.shape[1] == 2:
            two(C, F_i, G, k, i, tile, j0, j1, t)
        else:
            three(C, F_i, G, k, i, tile, j0, j1, t)

    return chosen


@reduction
def _add_product(t: Any, V: Any, tile: Any, j0: Any, width: Any, out_i: Any) -> Any:
    """out_i[c] += sum_j t[j] V_jc; the largest t[j]."""
    full_width()
    for c in range(V.shape[1]):
        total = t.dtype.type(0)
        for j in range(np.uintp(width)):
            total += t[j] * V[tile, c, np.uintp(j0) + j]
        out_i[c] += total
    largest = t.dtype.type(0)
    for j in range(np.uintp(width)):
        largest = larger(largest, t[j])
    return largest


@kernel
def plan_apply_sorted(C: Any, F: Array, G: Array, m: int, k: Any, V: Array, boxes: Boxes,
                      highest: Array, cut: Any, out: Array, i0: int, i1: int) -> None:
    """out += P @ V, (n, k) in float64; i0 is a multiple of CLUSTER, `highest` = max_B G."""
    t, bounds, top = np.empty(TILE, F.dtype), np.empty_like(highest), np.zeros(i1 - i0, F.dtype)
    for start in range(i0, i1, CLUSTER):
        stop = min(start + CLUSTER, i1)
        _bound(C, boxes, start // CLUSTER, highest, C.scale, bounds)
        B, after = int(np.argmax(bounds)), 0
        bounds[B], B1 = np.nan, B + 1
        while bounds.size > B:
            tile = B * CLUSTER // TILE
            j0, j1 = B * CLUSTER - tile * TILE, min(B1 * CLUSTER, m) - tile * TILE
            floor = np.inf
            for i in range(start, stop):
                if F[i] > -np.inf:
                    entries(C, F[i], G, k, i, tile, j0, j1, t)
                    top[i - i0] = max(top[i - i0], _add_product(t, V, tile, j0, j1 - j0, out[i]))
                    floor = min(floor, (np.log2(top[i - i0]) - cut) / k - F[i])
            B, B1 = _next_run(bounds, after, floor)
            after = B1
