"""Costs inside the Numba kernels: the operands that they take, and how a kernel gets one c_ij.

A kernel works on a block of ROWS rows by TILE columns at a time: 8 x 1024 costs, which stay in the
cache. The whole matrix is never formed. What belongs to the columns is laid out by tiles,
(tiles, d, TILE), so that the loop over the columns of a tile reads memory in order.

In one to three dimensions (DIRECT) c_ij is computed where it is used; in more it is read from a
block that `blocks` has filled. Both compute differences x - y, as `refot.costs.operands` does:
there is no cancellation. In DIRECT dimensions the dimension is part of an operand's type (`axes`),
so that Numba compiles a kernel for it and LLVM unrolls the loops over coordinates.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple, TypeAlias

import numpy as np

from refot.arrays import Array, UnknownNameError
from refot.costs.ground import DOT, EUCLIDEAN, MANHATTAN_L1, SQEUCLIDEAN, PairCost
from refot.costs.operands import Cost, PointCost

from .compile import Number, elementwise, implements, variant

TILE = 1024
"""Columns of a block."""

ROWS = 8
"""Rows of a block."""

DIRECT = (1, 2, 3)
"""Dimensions in which a kernel computes c_ij where it uses it, without a block."""

_1 = np.uintp(TILE)  # from one row of a block to the next; unsigned, as `compile` says


class SquaredEuclidean(NamedTuple):
    """scale * |x_i - y_j|^2: x (n, d), y by tiles (tiles, d, TILE). `axes` is (0, ..., d - 1) in
    DIRECT dimensions, else (): only its length counts, which is part of the type."""

    x: Array
    y: Array
    scale: Any
    axes: tuple[int, ...]


class Euclidean(NamedTuple):
    """scale * |x_i - y_j|, with the fields of `SquaredEuclidean`."""

    x: Array
    y: Array
    scale: Any
    axes: tuple[int, ...]


class ManhattanL1(NamedTuple):
    """scale * |x_i - y_j|_1, with the fields of `SquaredEuclidean`."""

    x: Array
    y: Array
    scale: Any
    axes: tuple[int, ...]


class Dot(NamedTuple):
    """-scale * <x_i, y_j>, with the fields of `SquaredEuclidean`."""

    x: Array
    y: Array
    scale: Any
    axes: tuple[int, ...]


class Rows(NamedTuple):
    """C_ij = matrix[i, j], row-major; scale is 1, and there are no axes."""

    matrix: Array
    scale: Any
    axes: tuple[()] = ()


def by_tiles(columns: Array, dtype: Any) -> Array:
    """`columns` (m, k), one row for each column of the cost, as (tiles, k, TILE), padded by 0."""
    m, k = columns.shape
    tiles = -(-m // TILE)
    padded = np.zeros((tiles * TILE, k), dtype)
    padded[:m] = columns
    return padded.reshape(tiles, TILE, k).transpose(0, 2, 1).copy()


def row_by_tiles(vector: Array) -> Array:
    """One number for each column of the cost, (m,), as (tiles, TILE), padded by 0."""
    return by_tiles(vector[:, None], vector.dtype)[:, 0]


POINTS: dict[PairCost, Any] = {
    SQEUCLIDEAN: SquaredEuclidean,
    EUCLIDEAN: Euclidean,
    MANHATTAN_L1: ManhattanL1,
    DOT: Dot,
}
"""The kind of operand for each cost of points that the kernels know."""

Operand: TypeAlias = SquaredEuclidean | Euclidean | ManhattanL1 | Dot | Rows


def operand(C: Cost, y_by_tiles: Array | None = None) -> Operand:
    """`C` as the kernels take it: points are copied, a matrix only if it is not row-major.
    `y_by_tiles` are the points y `by_tiles`, where the caller has them.

    Raises UnknownNameError for a cost that is not in POINTS.
    """
    scalar = C.dtype.type
    if not isinstance(C, PointCost):
        return Rows(np.ascontiguousarray(C.matrix), scalar(1))
    if C.ground not in POINTS:
        known = ", ".join(cost.name for cost in POINTS)
        raise UnknownNameError("cost", f"{C.ground!r}",
                               f"refot's own {known} on the numba backend; any on numpy")
    d = C.x.shape[1]
    axes = tuple(range(d)) if d in DIRECT else ()
    y = by_tiles(C.y, C.dtype) if y_by_tiles is None else y_by_tiles
    points: Operand = POINTS[C.ground](np.array(C.x, order="C"), y, scalar(C.scale), axes)
    return points


def unrolled(C: Any) -> int:
    """The dimension that a Numba type of an operand tells: the length of its `axes`. It is 0 for a
    matrix, and for points outside DIRECT dimensions."""
    return len(C[C.fields.index("axes")])


# ------------------------------------------------------------------ one coordinate
@elementwise
def _square(u: Number) -> Number:
    return u * u


@elementwise
def _absolute(u: Number) -> Number:
    return abs(u)


@elementwise
def _itself(u: Number) -> Number:
    return u


@elementwise
def _root(u: Number) -> Number:
    return math.sqrt(u)


POINT_TERMS = {SquaredEuclidean: (_square, _itself), Euclidean: (_square, _root),
               ManhattanL1: (_absolute, _itself)}
"""(term, finish) of a cost of the difference: finish(sum_k term(x_k - y_k))."""


def _of_difference(term: Any) -> Any:
    """The compiled function (x, y) -> term(x - y)."""

    @elementwise
    @variant(term)
    def of(x: Number, y: Number) -> Number:
        return term(x - y)

    return of


@elementwise
def minus_product(x: Number, y: Number) -> Number:
    """-x y."""
    return -(x * y)


squared_difference, absolute_difference = _of_difference(_square), _of_difference(_absolute)

PAIR_TERMS = {SquaredEuclidean: (squared_difference, _itself),
              Euclidean: (squared_difference, _root),
              ManhattanL1: (absolute_difference, _itself),
              Dot: (minus_product, _itself)}
"""(term, finish) of any cost of points: finish(sum_k term(x_k, y_k))."""


# ------------------------------------------------------------------ one cost at a time
def _direct(term: Any, width: int, finish: Any) -> Any:
    """The compiled function for finish(sum_k term(x_ik, y_jk)) in `width` dimensions."""

    @elementwise
    @variant(term, width, finish)
    def cost(C: Any, t: Array, i: int, r: int, tile: int, j: int) -> Number:
        c = term(C.x[i, 0], C.y[tile, 0, j])
        for k in range(1, width):
            c += term(C.x[i, k], C.y[tile, k, j])
        return finish(c)

    return cost


@elementwise
def _in_block(C: Any, t: Array, i: int, r: int, tile: int, j: int) -> Number:
    """c_ij from the block t."""
    return t[np.uintp(r) * _1 + j]


@elementwise
def _in_matrix(C: Any, t: Array, i: int, r: int, tile: int, j: int) -> Number:
    """c_ij from the matrix of the caller."""
    return C.matrix[np.uintp(i), np.uintp(tile) * _1 + j]


costs_at: dict[tuple[Any, int], Any] = {
    (Rows, 0): _in_matrix,
    **{(kind, 0): _in_block for kind in PAIR_TERMS},
    **{(kind, d): _direct(term, d, finish)
       for kind, (term, finish) in PAIR_TERMS.items() for d in DIRECT},
}
"""By kind of operand and `unrolled` dimension, the function cost(C, t, i, r, tile, j) that gives
c_ij, unscaled, for column j of a tile. Where it reads from a block t, `blocks.prepare` has filled
that, and i is row r of it."""


# ------------------------------------------------------------------ the gradient d1 c of a cost
# Its coordinate k is weight_ij * (x_ik - y_jk), for l1 weight_ij * sign(x_ik - y_jk), and for the
# product -weight_ij * y_jk. The three functions below choose by the type of the operand.
def gradient_weight(C: Any, entry: Number, c: Number) -> Number:
    """P_ij times the factor of the gradient of c_ij that is the same for all coordinates: 2 P_ij
    for the squared Euclidean cost, P_ij / |x - y| (0 where x = y) for the Euclidean, else P_ij."""
    raise NotImplementedError("compiled code only")


@implements(gradient_weight)
def _gradient_weight(C: Any, entry: Any, c: Any) -> Any:
    if C.instance_class is SquaredEuclidean:
        return lambda C, entry, c: entry + entry
    if C.instance_class is Euclidean:
        return lambda C, entry, c: entry / c if c > 0 else c
    return lambda C, entry, c: entry


def gradient_along(C: Any, weight: Number, u: Number) -> Number:
    """The coordinate of weight * d1 c where x - y has the coordinate u, for a cost of x - y."""
    raise NotImplementedError("compiled code only")


@implements(gradient_along)
def _gradient_along(C: Any, weight: Any, u: Any) -> Any:
    if C.instance_class is ManhattanL1:
        return lambda C, weight, u: weight * np.sign(u)
    return lambda C, weight, u: weight * u


def gradient_term(C: Any, weight: Number, x: Number, y: Number) -> Number:
    """The coordinate of weight * d1 c where the points have the coordinates x and y, for any
    cost."""
    raise NotImplementedError("compiled code only")


@implements(gradient_term)
def _gradient_term(C: Any, weight: Any, x: Any, y: Any) -> Any:
    if C.instance_class is Dot:
        return lambda C, weight, x, y: -weight * y
    return lambda C, weight, x, y: gradient_along(C, weight, x - y)
