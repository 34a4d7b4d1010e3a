"""softmin and P @ V over sorted points: each pair of groups by the method that is cheapest for it.

For the squared Euclidean cost, the exponent between a row of group A and a column of group B is a
number of the row, plus a number of the column, plus the coupling, a product of their offsets in the
groups (`groups`). A pair of groups is summed in one of three ways:
- Not at all, if every exponent is more than `cut` below one that its row has already. With
  cut = log2(m / share), all that is left out of a row is less than this share of its sum.
- By a series, if the cost is the squared Euclidean one and the coupling is small: its exponential
  is then a short sum of products, so that the terms of B enter through a few numbers, its moments
  (`series`).
- Else term by term, for each pair of points.

`softmin_sorted` and `plan_apply_sorted` go through the groups by the same loop, which is written
twice: all that they do in it differs, except `choose_way`. Numba could share the loop only through
functions to which all their work arrays are passed.

Exponents are F_i + h_j - ks c_ij, in base 2. Here c_ij is the cost without its factor `scale`, and
ks = log2(e) scale / eps. The levels are F_i, 0 in a softmin, and h_j: potentials times
log2(e) / eps. q is 1 for the squared Euclidean cost and 0 for the others (`curvature`).
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from refot.arrays import Array
from refot.backends.numba.compile import (
    Number,
    elementwise,
    full_width,
    implements,
    kernel,
    larger,
    reduction,
    variant,
)
from refot.backends.numba.costs import DIRECT, TILE, costs_at, unrolled
from refot.backends.numba.exponential import exp2_about, exp2_bounded
from refot.backends.numba.plan import entry
from refot.backends.numba.softmin import Range, add_columns, finish

from .groups import (
    LOG2_E,
    Groups,
    Pair,
    between,
    curvature,
    exponents,
    highest,
    likeliest_first,
    tangent,
)
from .series import AXES, CHUNK, TERMS, Series, moments, polynomial, terms


class GroupedProblem(NamedTuple):
    """The groups of a problem, and all that the kernels choose by."""

    rows: Groups
    columns: Groups
    series: Series

    most: int
    """The largest number of terms with which a series takes less time than the sum term by term."""

    cut: Number
    """How far, in base 2, an exponent must be below the largest of its row to be left out."""

    height: Array
    slope: Array
    """The tangent of each group of columns, a linear upper bound of the levels of its points
    (`groups.tangents`): a point at an offset from the centre of the box, in units of the box's
    half-widths, has at most the level height + slope . offset. (groups,) and (groups, AXES)."""


@elementwise
def choose_way(C: Any, grouped: GroupedProblem, A: int, B: int, ks: Number, pair: Pair, keep: bool,
               height_A: Number, slope_A: Array) -> tuple[int, Number, Number]:
    """(p, base, rho): p says how the groups A and B are summed. base is ks times the cost between
    the centres of their boxes, and rho a bound of the coupling of any two of their points, in base
    e; both are from `between`.

    p = 0: not at all, because B is far away; `keep` forbids that, and saves computing the bound.
    0 < p <= grouped.most: by a series of p terms. p > grouped.most: term by term."""
    base, rho, parts = between(C, grouped.rows, grouped.columns, A, B, ks, pair)
    if not keep and highest(pair, base, height_A, slope_A, grouped.height[B],
                            grouped.slope[B]) < -grouped.cut:
        return 0, base, rho
    return terms(grouped.series.reach, rho, parts), base, rho


@elementwise
def _part_in_tile(j: int, end: int) -> tuple[int, int, int]:
    """(tile, j0, j1): the tile in which column j lies, and the places j0 to j1 - 1 in this tile of
    the columns from j on that are before `end`. A group may reach over several tiles."""
    tile, j0 = j // TILE, j % TILE
    return tile, j0, min(j0 + end - j, TILE)


@elementwise
def _scratch(number: Array) -> Any:
    """(pair, y, M): work arrays that are filled anew for each pair of groups. `between` fills the
    Pair; `moments` fills M with the moments of the columns, and y with factors for them."""
    dtype = number.dtype
    pair = Pair(np.empty(AXES, dtype), np.empty(AXES, dtype), np.empty(AXES, dtype),
                np.empty(AXES, dtype))
    runs = TERMS * (TERMS + 1) // 2
    return pair, np.empty((AXES, TERMS + CHUNK), dtype), np.empty((runs, TERMS + CHUNK), dtype)


# ------------------------------------------------------------------ softmin
@elementwise
def _powers(v: Array, size: int, s: Number, t: Array) -> None:
    """t[0, l] = 2^(v_l - s)."""
    full_width()
    for l in range(np.uintp(size)):
        t[0, l] = exp2_about(v[l], s)


@elementwise
def _raise_shifts(v: Array, s: Number, span: float, shift: Array, total: Array) -> None:
    """Raise the shift of each row in which 2^(v_l + s), in units of 2^shift_l, would exceed 2^span;
    set it where it is NaN, that is not set yet."""
    for l in range(total.size):
        if not v[l] + s - shift[l] <= span:
            higher = np.rint(v[l] + s)
            if total[l] > 0:  # what has been summed so far is in units of the old shift
                total[l] *= 2.0 ** np.float64(shift[l] - higher)
            shift[l] = higher


@elementwise
def _add(S: Array, v: Array, s: Number, low: Number, shift: Array, top: Array, total: Array
         ) -> None:
    """total_l += S[0, l] 2^(v_l + s), in units of 2^shift_l, where S[0, l] is the sum of the series
    at row l.

    top_l is a lower bound of the largest exponent of the row so far. It is raised to v_l + low if
    that is larger. `low` is the largest number v_columns_j of a column in this group, less a bound
    of the coupling, so that the group has an exponent of at least v_l + low."""
    full_width()
    for l in range(total.size):
        total[l] += S[0, l] * exp2_about(v[l] + s, shift[l])
        top[l] = larger(top[l], v[l] + low)


@kernel
def softmin_sorted(C: Any, h: Array, m: int, ks: Number, eps: float, allowed: Range, guess: Array,
                   grouped: GroupedProblem, out: Array, i0: int, i1: int) -> None:
    """`softmin.softmin` over sorted points, with the same arguments and `grouped`. i0 is a multiple
    of the size of the groups."""
    rows, columns, size, dtype = grouped.rows, grouped.columns, grouped.rows.size, h.dtype
    # Costs are >= 0, so that a term of column j is at most 2^(v_columns_j + coupling), and `finish`
    # makes rows with a shift below -limit NaN. So to all other rows a column with v_columns_j <
    # -2 limit adds nothing; it counts as a column without mass.
    no_mass = 2 * allowed.limit
    pair, y, M = _scratch(h)
    t, S, slope_A = np.empty((3, size), dtype), np.empty((3, size), dtype), np.empty(AXES, dtype)
    v_rows, v_columns, zero = np.empty(size, dtype), np.empty(size, dtype), np.zeros(size, dtype)
    expected, order = np.empty(grouped.height.size, dtype), np.empty(grouped.height.size, np.intp)
    levels, q_ks, span, height_A = h.reshape(h.size), curvature(C) * ks, allowed.span, dtype.type(0)
    for start in range(i0, i1, size):
        A, n_A = start // size, min(size, i1 - start)
        shift, total, part = guess[start:start + n_A].copy(), np.zeros(n_A), np.empty(n_A, dtype)
        top = np.full(n_A, -np.finfo(dtype).max, dtype)
        first = likeliest_first(C, rows, columns, A, ks, grouped.height, pair, expected, order)
        for step in range(order.size):
            if step == first:  # every row has a large exponent by now: groups may be left out
                height_A = tangent(-top, rows, start, slope_A)
            B = order[step]
            j = B * size
            n_B = min(size, m - j)
            p, base, rho = choose_way(C, grouped, A, B, ks, pair, step < first, height_A, slope_A)
            if p == 0:
                continue
            if p > grouped.most:
                for j_tile in range(j, j + n_B, TILE):
                    tile, j0, j1 = _part_in_tile(j_tile, j + n_B)
                    add_columns(C, zero, start, tile, j0, j1, h, ks, span, shift, top, total, part)
                continue
            # By a series: e_ij = v_rows_i + v_columns_j + coupling, the coupling in the series.
            v = exponents(levels[j:j + n_B], dtype.type(0), columns, j, q_ks, pair.up, v_columns)
            if v < -no_mass:
                continue
            exponents(zero[:n_A], -base, rows, start, q_ks, pair.down, v_rows)
            # The columns are summed in units of 2^s, s near the largest v_columns: none overflows.
            # No coupling exceeds `bend`, which is rho in base 2.
            s, bend = np.rint(v), rho * dtype.type(LOG2_E)
            _raise_shifts(v_rows, s, span / 2, shift, total)
            _powers(v_columns, n_B, s, t)
            moments(columns.offset, j, n_B, p, pair.coupling, grouped.series.factors[p - 1], t, y,
                    M)
            polynomial(rows.offset, start, n_A, p, pair.coupling, M, S)
            _add(S, v_rows, s, v - bend, shift, top, total)
        finish(shift, total, eps, allowed, out[start:start + n_A])


# ------------------------------------------------------------------ the plan times a matrix
def _product_loop(cost: Any) -> Any:
    """The compiled loop of `add_product` for one of the functions in `costs_at`: `cost` computes
    c_ij from the points i and j."""

    @reduction
    @variant(cost)
    def loop(C: Any, F: Array, start: int, G: Array, k: Number, tile: int, j0: int, j1: int,
             V: Array, t: Array, largest: Array, out: Array) -> None:
        full_width()
        for r in range(largest.size):
            i, most = start + r, t.dtype.type(0)
            for l in range(np.uintp(j1 - j0)):
                j = np.uintp(j0) + l
                t[l] = entry(F[i], G[tile, j], cost(C, t, i, 0, tile, j), C.scale, k)
                most = larger(most, t[l])
            for c in range(V.shape[0]):
                total = t.dtype.type(0)
                for l in range(np.uintp(j1 - j0)):
                    total += t[l] * V[c, np.uintp(tile * TILE + j0) + l]
                out[i, c] += total
            largest[r] = most

    return loop


PRODUCT_LOOPS = {cost: _product_loop(cost) for (_, d), cost in costs_at.items() if d in DIRECT}


def add_product(C: Any, F: Array, start: int, G: Array, k: Number, tile: int, j0: int, j1: int,
                V: Array, t: Array, largest: Array, out: Array) -> None:
    """out_ic += sum_j P_ij V_jc and largest_r = max_j P_ij for the rows i = start + r and the
    columns in the places j0 to j1 - 1 of a tile (TILE consecutive columns, see `costs`). It is for
    points in one to three dimensions (DIRECT) only, since each c_ij is computed where it is used.
    V is stored transposed, as V[c, j]. t is a work array for a row of P."""
    raise NotImplementedError("compiled code only")


@implements(add_product)
def _add_product(C: Any, F: Any, start: Any, G: Any, k: Any, tile: Any, j0: Any, j1: Any, V: Any,
                 t: Any, largest: Any, out: Any) -> Any:
    loop = PRODUCT_LOOPS[costs_at[C.instance_class, unrolled(C)]]
    return lambda C, F, start, G, k, tile, j0, j1, V, t, largest, out: loop(
        C, F, start, G, k, tile, j0, j1, V, t, largest, out)


@elementwise
def _weighted(weights: Array, V: Array, c: int, at: int, size: int, t: Array) -> None:
    """t[0, l] = weights[l] V[c, at + l]."""
    full_width()
    for l in range(np.uintp(size)):
        t[0, l] = weights[l] * V[c, np.uintp(at) + l]


@elementwise
def _exponentiate(v: Array, size: int, s: Number) -> None:
    """v_l <- 2^(v_l + s); inf on overflow."""
    full_width()
    for l in range(np.uintp(size)):
        v[l] = exp2_bounded(v[l] + s, v.dtype.type(1))


@elementwise
def _add_scaled(S: Array, weights: Array, size: int, out: Array, start: int, c: int) -> None:
    """out[start + l, c] += weights[l] S[0, l]."""
    for l in range(size):
        out[start + l, c] += weights[l] * S[0, l]


@kernel
def plan_apply_sorted(C: Any, F: Array, G: Array, m: int, k: Number, allowed: Range, V: Array,
                      grouped: GroupedProblem, out: Array, i0: int, i1: int) -> None:
    """out += P @ V for the rows i0 to i1 - 1, with P_ij = 2^(k (F_i + G_j - C_ij)), k = log2(e) /
    eps. out (n, number of columns of V) is in float64.

    V is stored transposed, as V[c, j]. F = f + eps log a and G = g + eps log b are potentials with
    their weights, in cost units; F is (n,), G is laid out by tiles, (tiles, TILE). i0 is a multiple
    of the size of the groups."""
    rows, columns, size, dtype = grouped.rows, grouped.columns, grouped.rows.size, F.dtype
    no_mass, height_A = 2 * allowed.limit, dtype.type(0)
    pair, y, M = _scratch(F)
    t, S, slope_A = np.empty((3, size), dtype), np.empty((3, size), dtype), np.empty(AXES, dtype)
    v_rows, v_columns = np.empty(size, dtype), np.empty(size, dtype)
    row_of_P = np.empty(TILE, dtype)
    expected, order = np.empty(grouped.height.size, dtype), np.empty(grouped.height.size, np.intp)
    ks, f, g = C.scale * k, F * k, G.reshape(G.size) * k
    q_ks = curvature(C) * ks
    for start in range(i0, i1, size):
        A, n_A = start // size, min(size, i1 - start)
        top, largest = np.full(n_A, -np.finfo(dtype).max, dtype), np.empty(n_A, dtype)
        first = likeliest_first(C, rows, columns, A, ks, grouped.height, pair, expected, order)
        for step in range(order.size):
            if step == first:  # every row has a large entry by now: groups may be left out
                height_A = tangent(f[start:start + n_A] - top, rows, start, slope_A)
            B = order[step]
            j = B * size
            n_B = min(size, m - j)
            p, base, rho = choose_way(C, grouped, A, B, ks, pair, step < first, height_A, slope_A)
            if p == 0:
                continue
            if p > grouped.most:
                for j_tile in range(j, j + n_B, TILE):
                    tile, j0, j1 = _part_in_tile(j_tile, j + n_B)
                    add_product(C, F, start, G, k, tile, j0, j1, V, row_of_P, largest, out)
                    for r in range(n_A):
                        top[r] = max(top[r], np.log2(largest[r]))
                continue
            v = exponents(g[j:j + n_B], dtype.type(0), columns, j, q_ks, pair.up, v_columns)
            if v < -no_mass:
                continue
            exponents(f[start:start + n_A], -base, rows, start, q_ks, pair.down, v_rows)
            # A factor 2^s goes from the columns to the rows, so that neither overflows by itself.
            s, low = np.rint(v), v - rho * dtype.type(LOG2_E)
            for l in range(n_A):
                top[l] = max(top[l], v_rows[l] + low)
            _exponentiate(v_columns, n_B, -s)
            _exponentiate(v_rows, n_A, s)
            for c in range(V.shape[0]):
                _weighted(v_columns, V, c, j, n_B, t)
                moments(columns.offset, j, n_B, p, pair.coupling, grouped.series.factors[p - 1], t,
                        y, M)
                polynomial(rows.offset, start, n_A, p, pair.coupling, M, S)
                _add_scaled(S, v_rows, n_A, out, start, c)
