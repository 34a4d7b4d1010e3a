"""Cost operands inside the Numba kernels, and the loops that fill a block of c(x_i, y_j).

A kernel works on ROWS rows by TILE columns at a time: 8 x 1024 costs, held in the cache, never the
whole matrix. Squared Euclidean and l1 costs are sums over coordinates, four rows by four
coordinates in one pass, so that each y is loaded once for four rows; by differences, as in
`refot.costs`: no cancellation. A column operand is laid out by tiles, (tiles, d, TILE).
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple, TypeAlias

import numpy as np

from refot.arrays import Array, UnknownNameError
from refot.costs import GROUND_COSTS, Cost, GroundCost, PointCost

from .numba_vectors import elementwise, full_width, implements, variant

TILE = 1024
ROWS = 8

# Row starts in a flat block: unsigned and known to the compiler, which can then see that the rows
# do not overlap.
_1, _2, _3 = np.uintp(TILE), np.uintp(2 * TILE), np.uintp(3 * TILE)


class SquaredEuclidean(NamedTuple):
    """scale * |x_i - y_j|^2: x (n, d), y by tiles (tiles, d, TILE)."""

    x: Array
    y: Array
    scale: Any


class Euclidean(NamedTuple):
    """scale * |x_i - y_j|: x (n, d), y by tiles (tiles, d, TILE)."""

    x: Array
    y: Array
    scale: Any


class ManhattanL1(NamedTuple):
    """scale * |x_i - y_j|_1: x (n, d), y by tiles (tiles, d, TILE)."""

    x: Array
    y: Array
    scale: Any


class Rows(NamedTuple):
    """C_ij = matrix[i, j], row-major; scale is 1."""

    matrix: Array
    scale: Any


def by_tiles(columns: Array, dtype: Any) -> Array:
    """(m, k) as (tiles, k, TILE), zeros after column m."""
    m, k = columns.shape
    tiles = -(-m // TILE)
    padded = np.zeros((tiles * TILE, k), dtype)
    padded[:m] = columns
    return padded.reshape(tiles, TILE, k).transpose(0, 2, 1).copy()


def row_by_tiles(vector: Array) -> Array:
    """(m,) as (tiles, TILE)."""
    return by_tiles(vector[:, None], vector.dtype)[:, 0]


POINTS: dict[GroundCost, Any] = {
    GROUND_COSTS["sqeuclidean"]: SquaredEuclidean,
    GROUND_COSTS["euclidean"]: Euclidean,
    GROUND_COSTS["l1"]: ManhattanL1,
}
Operand: TypeAlias = SquaredEuclidean | Euclidean | ManhattanL1 | Rows


def operand(C: Cost) -> Operand:
    """`C` as the kernels take it: points are copied, a matrix only if it is not row-major.

    Raises UnknownNameError for a ground cost that is not in the table of `refot.costs`.
    """
    scalar = C.dtype.type
    if not isinstance(C, PointCost):
        return Rows(np.ascontiguousarray(C.matrix), scalar(1))
    if C.ground not in POINTS:
        known = ", ".join(cost.name for cost in POINTS)
        raise UnknownNameError("cost", f"{C.ground!r}",
                               f"refot's own {known} on the numba backend; any on numpy")
    points: Operand = POINTS[C.ground](np.array(C.x, order="C"), by_tiles(C.y, C.dtype),
                                       scalar(C.scale))
    return points


@elementwise
def _square(u: Any) -> Any:
    return u * u


@elementwise
def _absolute(u: Any) -> Any:
    return abs(u)


def _first_coordinates(term: Any, width: int) -> Any:
    """The loop t[r, j] = sum_k term(x[i + r, k] - y[j, k]) over coordinates 0 to width - 1."""

    @elementwise
    @variant(term, width)
    def loop(x: Any, y: Any, i: Any, rows: Any, tile: Any, columns: Any, t: Any) -> None:
        full_width()
        for r in range(rows):
            o = np.uintp(r) * _1
            for j in range(np.uintp(columns)):
                c = term(x[i + r, 0] - y[tile, 0, j])
                for k in range(1, width):
                    c += term(x[i + r, k] - y[tile, k, j])
                t[o + j] = c

    return loop


def _next_coordinates(term: Any, width: int) -> Any:
    """The loop t[r, j] += sum_k term(x[i + r, k] - y[j, k]) over `width` coordinates from `start`
    on, four rows at once so that y is loaded once; beyond the last row, that row again."""

    @elementwise
    @variant(term, width)
    def loop(x: Any, y: Any, start: Any, i: Any, rows: Any, tile: Any, columns: Any,
             t: Any) -> None:
        full_width()
        last = x.shape[0] - 1
        for r in range(0, rows, 4):
            a, b = min(i + r, last), min(i + r + 1, last)
            c, d = min(i + r + 2, last), min(i + r + 3, last)
            o = np.uintp(r) * _1
            for j in range(np.uintp(columns)):
                t_a, t_b, t_c, t_d = t[o + j], t[o + _1 + j], t[o + _2 + j], t[o + _3 + j]
                for k in range(start, start + width):
                    y_j = y[tile, k, j]
                    t_a += term(x[a, k] - y_j)
                    t_b += term(x[b, k] - y_j)
                    t_c += term(x[c, k] - y_j)
                    t_d += term(x[d, k] - y_j)
                t[o + j], t[o + _1 + j], t[o + _2 + j], t[o + _3 + j] = t_a, t_b, t_c, t_d

    return loop


def _distances(term: Any) -> Any:
    """The function that fills a block with sum_k term(x_ik - y_jk): the first 1 to 4 coordinates,
    then the others by fours."""
    first_1, first_2, first_3, first_4 = (
        _first_coordinates(term, width) for width in (1, 2, 3, 4)
    )
    next_4 = _next_coordinates(term, 4)

    @elementwise
    @variant(term)
    def fill(C: Any, i: Any, rows: Any, tile: Any, columns: Any, t: Any) -> None:
        x, y, d = C.x, C.y, C.x.shape[1]
        width = (d - 1) % 4 + 1
        if width == 1:
            first_1(x, y, i, rows, tile, columns, t)
        elif width == 2:
            first_2(x, y, i, rows, tile, columns, t)
        elif width == 3:
            first_3(x, y, i, rows, tile, columns, t)
        else:
            first_4(x, y, i, rows, tile, columns, t)
        for start in range(width, d, 4):
            next_4(x, y, start, i, rows, tile, columns, t)

    return fill


_squared_distances, _l1_distances = _distances(_square), _distances(_absolute)


@elementwise
def _roots(t: Any) -> None:
    full_width()
    for j in range(t.size):
        t[j] = math.sqrt(t[j])


@elementwise
def _euclidean_distances(C: Any, i: Any, rows: Any, tile: Any, columns: Any, t: Any) -> None:
    _squared_distances(C, i, rows, tile, columns, t)
    _roots(t)


@elementwise
def _copied_rows(C: Any, i: Any, rows: Any, tile: Any, columns: Any, t: Any) -> None:
    full_width()
    for r in range(rows):
        row, start = np.uintp(i + r), np.uintp(tile * TILE)
        for j in range(np.uintp(columns)):
            t[np.uintp(r) * _1 + j] = C.matrix[row, start + j]


FILL = {
    SquaredEuclidean: _squared_distances,
    Euclidean: _euclidean_distances,
    ManhattanL1: _l1_distances,
    Rows: _copied_rows,
}


def fill(C: Any, i: int, rows: int, tile: int, columns: int, t: Array) -> None:
    """t[r * TILE + j] = c(x_(i + r), y_(tile * TILE + j)), r < rows, j < columns; unscaled."""
    raise NotImplementedError("compiled code only")


@implements(fill)
def _fill(C: Any, i: Any, rows: Any, tile: Any, columns: Any, t: Any) -> Any:
    chosen = FILL[C.instance_class]
    return lambda C, i, rows, tile, columns, t: chosen(C, i, rows, tile, columns, t)


# ------------------------------------------------------------------ one cost at a time
DIRECT = (1, 2, 3)
"""Dimensions in which a kernel computes c_ij where it uses it, without a block."""


def _direct(term: Any, width: int, finish: Any) -> Any:
    """finish(sum_k term(x_ik - y_jk)) in `width` dimensions."""

    @elementwise
    @variant(term, width, finish)
    def cost(C: Any, t: Any, i: Any, r: Any, tile: Any, j: Any) -> Any:
        c = term(C.x[i, 0] - C.y[tile, 0, j])
        for k in range(1, width):
            c += term(C.x[i, k] - C.y[tile, k, j])
        return finish(c)

    return cost


@elementwise
def _itself(u: Any) -> Any:
    return u


@elementwise
def _root(u: Any) -> Any:
    return math.sqrt(u)


@elementwise
def _in_block(C: Any, t: Any, i: Any, r: Any, tile: Any, j: Any) -> Any:
    return t[np.uintp(r) * _1 + j]


@elementwise
def _in_matrix(C: Any, t: Any, i: Any, r: Any, tile: Any, j: Any) -> Any:
    return C.matrix[np.uintp(i), np.uintp(tile) * _1 + j]


POINT_TERMS = {SquaredEuclidean: (_square, _itself), Euclidean: (_square, _root),
               ManhattanL1: (_absolute, _itself)}

costs_at: dict[tuple[Any, int], Any] = {
    (Rows, 0): _in_matrix,
    **{(kind, 0): _in_block for kind in POINT_TERMS},
    **{(kind, d): _direct(term, d, finish)
       for kind, (term, finish) in POINT_TERMS.items() for d in DIRECT},
}
"""How c_ij, unscaled, is had: cost(C, t, i, r, tile, j), by operand and dimension; dimension 0 is
any other, from a block t that `prepare` has filled."""


def prepare(C: Any, i: int, rows: int, tile: int, columns: int, t: Array) -> None:
    """Fill the block t, where `costs_at` reads from it."""
    raise NotImplementedError("compiled code only")


@implements(prepare)
def _prepare(C: Any, i: Any, rows: Any, tile: Any, columns: Any, t: Any) -> Any:
    if C.instance_class is Rows:
        return lambda C, i, rows, tile, columns, t: None

    def points(C: Any, i: Any, rows: Any, tile: Any, columns: Any, t: Any) -> None:
        if C.x.shape[1] > DIRECT[-1]:
            fill(C, i, rows, tile, columns, t)

    return points


# ------------------------------------------------------------------ d1 c = weight along (x - y)
def gradient_weight(C: Any, entry: Any, c: Any) -> Any:
    """2 P_ij, P_ij / |x - y| (0 where x = y) or P_ij: squared Euclidean, Euclidean, l1."""
    raise NotImplementedError("compiled code only")


@implements(gradient_weight)
def _gradient_weight(C: Any, entry: Any, c: Any) -> Any:
    if C.instance_class is SquaredEuclidean:
        return lambda C, entry, c: entry + entry
    if C.instance_class is Euclidean:
        return lambda C, entry, c: entry / c if c > 0 else c
    return lambda C, entry, c: entry


def gradient_along(C: Any, weight: Any, u: Any) -> Any:
    """weight * u, and for l1 weight * sign(u), for the coordinate u of x - y."""
    raise NotImplementedError("compiled code only")


@implements(gradient_along)
def _gradient_along(C: Any, weight: Any, u: Any) -> Any:
    if C.instance_class is ManhattanL1:
        return lambda C, weight, u: weight * np.sign(u)
    return lambda C, weight, u: weight * u
