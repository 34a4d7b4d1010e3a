"""softmin and P @ V over points in order: groups of columns too far to matter are left out.

Let A be a group of CLUSTER rows and B one of columns, x = x_A + u and y = y_B + w with the centres
of their boxes, D = x_A - y_B and p = c'(D). Costs are convex in x - y, |x - y|^2 is a parabola:
    c(x, y) >= c(D) + p.(u - w) + q (|u|^2 + |w|^2) - 2 q r_A.r_B,    q = 1 for it, otherwise 0,
with the half-widths r of the boxes. So the largest exponent between A and B is at most a maximum
over A plus one over B, and slopes of the potentials, which follow p, do no harm. The groups B with
the largest bounds go first, for each row of A; from then on a group is left out where its bound is
more than `cut` below what each row already has. With cut = log2(m / left_out) + 1, all of them
together are less than the share left_out / 2 of the row's sum; the other half is for the rounding
of the bounds.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from refot.arrays import Array
from refot.sorted_cost import CLUSTER, box_corners

from .numba_costs import (
    DIRECT,
    POINT_TERMS,
    TILE,
    SquaredEuclidean,
    costs_at,
    gradient_along,
    gradient_weight,
)
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

NEAREST = 4
"""Groups of columns that a group of rows takes before others are left out."""


class Groups(NamedTuple):
    """The groups of n points: centre and half-width r of each box, (groups, d); the points
    less their centre, (d, n), and q times the squared length of that, (n,)."""

    centre: Array
    half: Array
    offset: Array
    bent: Array


def groups_of(points: Array, curved: bool) -> Groups:
    """The groups of `points` (n, d) in order; q = 1 where `curved`."""
    low, high = box_corners(points)
    centre = (low + high) / 2
    near = points - np.repeat(centre, CLUSTER, axis=0)[:len(points)]
    half = np.maximum(high - centre, centre - low)
    return Groups(centre, half, near.T.copy(), float(curved) * (near**2).sum(axis=1))


# ------------------------------------------------------------------ bounds, and what they leave
def cost_of(C: Any, D: Any) -> Any:
    """c(D), unscaled, for a difference D of points."""
    raise NotImplementedError("compiled code only")


@implements(cost_of)
def _cost_of(C: Any, D: Any) -> Any:
    term, finish_cost = POINT_TERMS[C.instance_class]

    def implementation(C: Any, D: Any) -> Any:
        total = D.dtype.type(0)
        for k in range(D.size):
            total += term(D[k])
        return finish_cost(total)

    return implementation


def curvature(C: Any) -> Any:
    """q: 1 for the squared Euclidean cost, 0 for the others."""
    raise NotImplementedError("compiled code only")


@implements(curvature)
def _curvature(C: Any) -> Any:
    q = int(C.instance_class is SquaredEuclidean)
    return lambda C: q


@reduction
def _largest(level: Any, start: Any, points: Any, first: Any, stop: Any, scale: Any, slope: Any,
             v: Any) -> Any:
    """max_l level[start + l] + scale (slope.offset_l - bent_l) over the points first to stop."""
    full_width()
    offset, bent, size = points.offset, points.bent, np.uintp(stop - first)
    for l in range(size):
        v[l] = level[np.uintp(start) + l] - scale * bent[np.uintp(first) + l]
    for k in range(slope.size):
        step = scale * slope[k]
        for l in range(size):
            v[l] += step * offset[k, np.uintp(first) + l]
    largest = v.dtype.type(-np.inf)
    for l in range(size):
        largest = larger(largest, v[l])
    return largest


@elementwise
def _bound(C: Any, rows: Any, columns: Any, A: Any, level: Any, h: Any, scale: Any, v: Any, D: Any,
           p: Any, bounds: Any) -> None:
    """bounds[B] >= level_i + h_j - scale c_ij for i in A, j in B; level (rows of A,)."""
    n, m = rows.bent.size, columns.bent.size
    one = D.dtype.type(1)
    for B in range(bounds.size):
        slack = D.dtype.type(0)
        for k in range(D.size):
            D[k] = rows.centre[A, k] - columns.centre[B, k]
            slack += rows.half[A, k] * columns.half[B, k]
        c = cost_of(C, D)
        weight = gradient_weight(C, one, c)
        for k in range(D.size):
            p[k] = gradient_along(C, weight, D[k])
        i, j = A * CLUSTER, B * CLUSTER
        highest = _largest(h[j // TILE], j % TILE, columns, j, min(j + CLUSTER, m), scale, p, v)
        for k in range(D.size):
            p[k] = -p[k]
        highest += _largest(level, 0, rows, i, min(i + CLUSTER, n), scale, p, v)
        bounds[B] = highest - scale * (c - 2 * curvature(C) * slack)


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
@elementwise
def _best(bounds: Any) -> Any:
    """The group with the largest bound that is not NaN; bounds.size where there is none."""
    best = bounds.size
    for B in range(bounds.size):
        if not np.isnan(bounds[B]) and (best == bounds.size or bounds[B] > bounds[best]):
            best = B
    return best


@elementwise
def _take_groups(C: Any, t: Any, start: Any, B: Any, B1: Any, m: Any, h: Any, ks: Any, span: Any,
                 shift: Any, top: Any, total: Any) -> None:
    """The groups B to B1, of one tile, added to the sums of the rows from `start` on."""
    tile = B * CLUSTER // TILE
    j0, j1 = B * CLUSTER - tile * TILE, min(B1 * CLUSTER, m) - tile * TILE
    for r in range(top.size):
        take(C, t, start + r, 0, tile, j0, j1, h, ks, span, r, shift, top, total)


@kernel
def softmin_sorted(C: Any, h: Array, m: int, ks: Any, eps: float, allowed: Range, guess: Array,
                   rows: Groups, columns: Groups, cut: Any, out: Array, i0: int, i1: int) -> None:
    """As `numba_softmin.softmin`; i0 is a multiple of CLUSTER."""
    t, span, (groups, d) = np.empty(1, h.dtype), allowed.span, columns.centre.shape
    bounds, v, taken = np.empty(groups, h.dtype), np.empty(CLUSTER, h.dtype), np.empty(groups)
    D, p = np.empty(d, h.dtype), np.empty(d, h.dtype)
    for start in range(i0, i1, CLUSTER):
        stop, A = min(start + CLUSTER, i1), start // CLUSTER
        shift, total = guess[start:stop].copy(), np.zeros(stop - start)
        top = np.full(stop - start, -np.finfo(h.dtype).max, h.dtype)
        level = np.where(np.isfinite(shift), -shift, h.dtype.type(0))
        _bound(C, rows, columns, A, level, h, ks, v, D, p, bounds)
        taken[:] = 0
        for _ in range(NEAREST):
            B = _best(bounds)
            if groups > B:
                _take_groups(C, t, start, B, B + 1, m, h, ks, span, shift, top, total)
                bounds[B], taken[B] = np.nan, 1
        level = -top
        _bound(C, rows, columns, A, level, h, ks, v, D, p, bounds)
        bounds[taken > 0] = np.nan
        B, B1 = _next_run(bounds, 0, -cut)
        while groups > B:
            _take_groups(C, t, start, B, B1, m, h, ks, span, shift, top, total)
            B, B1 = _next_run(bounds, B1, (top + level).min() - cut)
        finish(shift, total, eps, allowed, out[start:stop])


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
def plan_apply_sorted(C: Any, F: Array, G: Array, m: int, k: Any, V: Array, rows: Groups,
                      columns: Groups, cut: Any, out: Array, i0: int, i1: int) -> None:
    """out += P @ V, (n, k) in float64; i0 is a multiple of CLUSTER."""
    t, top = np.empty(TILE, F.dtype), np.zeros(i1 - i0, F.dtype)
    bounds, v = np.empty(columns.centre.shape[0], F.dtype), np.empty(CLUSTER, F.dtype)
    D, p = np.empty(C.x.shape[1], F.dtype), np.empty(C.x.shape[1], F.dtype)
    for start in range(i0, i1, CLUSTER):
        stop = min(start + CLUSTER, i1)
        _bound(C, rows, columns, start // CLUSTER, F[start:stop], G, C.scale, v, D, p, bounds)
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
                    floor = min(floor, (np.log2(top[i - i0]) - cut) / k)
            B, B1 = _next_run(bounds, after, floor)
            after = B1
