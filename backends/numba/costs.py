"""Costs inside the Numba kernels: the form in which kernels take a cost, and how they get one c_ij.

c_ij = c(x_i, y_j) is a cost between points without the factor `scale`, so that C_ij = scale c_ij.
The form in which kernels take a cost is called an operand; each kind of cost has a class for it. A
kernel works on a block of ROWS rows by TILE columns at a time: 8 x 1024 costs, which stay in the
cache. The whole matrix is never formed. A tile is a range of TILE columns. Arrays with one entry
for each column, such as the points y, are laid out by tiles, (tiles, d, TILE), so that the loop
over the columns of a tile reads memory in order.

In one to three dimensions (DIRECT) c_ij is computed where it is used; in more it is read from a
block that `blocks` has filled. Both compute differences x - y, as `refot.costs.operands` does, and
not |x|^2 - 2 x.y + |y|^2, which would cancel. In DIRECT dimensions the dimension is part of an
operand's type (`axes`), so that Numba compiles a kernel for it and LLVM unrolls the loops over
coordinates. d1 c is the derivative of c(x, y) in x.
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
"""Columns of a block, and of a tile."""

ROWS = 8
"""Rows of a block."""

DIRECT = (1, 2, 3)
"""Dimensions in which a kernel computes each c_ij where it is used, without a block in memory."""

_1 = np.uintp(TILE)  # entries from one row of a block to the next; unsigned: see `compile`


class SquaredEuclidean(NamedTuple):
    """scale * |x_i - y_j|^2: x (n, d), y by tiles (tiles, d, TILE). `axes` is (0, ..., d - 1) in
    DIRECT dimensions, else (). Only its length is used: it makes the dimension part of the type."""

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
    """`columns` (m, k), which has k numbers for each column of the cost, as (tiles, k, TILE); the
    last tile is padded by 0."""
    m, k = columns.shape
    tiles = -(-m // TILE)
    padded = np.zeros((tiles * TILE, k), dtype)
    padded[:m] = columns
    return padded.reshape(tiles, TILE, k).transpose(0, 2, 1).copy()


def row_by_tiles(vector: Array) -> Array:
    """`vector` (m,), which has one number for each column of the cost, as (tiles, TILE); the last
    tile is padded by 0."""
    return by_tiles(vector[:, None], vector.dtype)[:, 0]


POINTS: dict[PairCost, Any] = {
    SQEUCLIDEAN: SquaredEuclidean,
    EUCLIDEAN: Euclidean,
    MANHATTAN_L1: ManhattanL1,
    DOT: Dot,
}
"""The kind of operand for each cost between points that the kernels can compute."""

Operand: TypeAlias = SquaredEuclidean | Euclidean | ManhattanL1 | Dot | Rows
"""A cost in the form that kernels take."""


def operand(C: Cost, y_by_tiles: Array | None = None) -> Operand:
    """`C` in the form that the kernels take: points are copied, a matrix only if it is not
    row-major. `y_by_tiles` is `by_tiles` of the points y, if the caller has computed it.

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
    """The dimension that is part of the Numba type C of an operand: the length of its `axes`. It is
    0 for a matrix, and for points outside DIRECT dimensions."""
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
"""(term, finish) of a cost that depends on the difference alone: finish(sum_k term(x_k - y_k))."""


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
"""(term, finish) of any cost between points: finish(sum_k term(x_k, y_k))."""


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
    """c_ij, read from row r of the block t."""
    return t[np.uintp(r) * _1 + j]


@elementwise
def _in_matrix(C: Any, t: Array, i: int, r: int, tile: int, j: int) -> Number:
    """c_ij, read from the matrix of the caller."""
    return C.matrix[np.uintp(i), np.uintp(tile) * _1 + j]


costs_at: dict[tuple[Any, int], Any] = {
    (Rows, 0): _in_matrix,
    **{(kind, 0): _in_block for kind in PAIR_TERMS},
    **{(kind, d): _direct(term, d, finish)
       for kind, (term, finish) in PAIR_TERMS.items() for d in DIRECT},
}
"""For each (kind of operand, `unrolled` dimension) the function cost(C, t, i, r, tile, j). It gives
the cost of row i and of column j of a tile, without the factor `scale`. Some of these functions
read it from row r of a block t, which `blocks.prepare` has filled."""


# ------------------------------------------------------------------ the gradient d1 c of a cost
# The gradient in x_i has the coordinates weight_ij * (x_ik - y_jk); for l1 they are weight_ij *
# sign(x_ik - y_jk), for the product -weight_ij * y_jk. Each function below has one implementation
# for each kind of operand.
def gradient_weight(C: Any, entry: Number, c: Number) -> Number:
    """weight_ij = `entry` times the factor of the gradient of c_ij that all coordinates share;
    `entry` is P_ij, or another factor of the gradient. The weight is 2 `entry` for the squared
    Euclidean cost, `entry` / c (0 where the cost c = |x - y| is 0) for the Euclidean, and `entry`
    for the others."""
    raise NotImplementedError("compiled code only")


@implements(gradient_weight)
def _gradient_weight(C: Any, entry: Any, c: Any) -> Any:
    if C.instance_class is SquaredEuclidean:
        return lambda C, entry, c: entry + entry
    if C.instance_class is Euclidean:
        return lambda C, entry, c: entry / c if c > 0 else c
    return lambda C, entry, c: entry


def gradient_along(C: Any, weight: Number, u: Number) -> Number:
    """One coordinate of weight * d1 c, from the same coordinate u of x - y, for a cost that depends
    on x - y alone."""
    raise NotImplementedError("compiled code only")


@implements(gradient_along)
def _gradient_along(C: Any, weight: Any, u: Any) -> Any:
    if C.instance_class is ManhattanL1:
        return lambda C, weight, u: weight * np.sign(u)
    return lambda C, weight, u: weight * u


def gradient_term(C: Any, weight: Number, x: Number, y: Number) -> Number:
    """One coordinate of weight * d1 c, from the same coordinate x and y of the two points, for any
    cost."""
    raise NotImplementedError("compiled code only")


@implements(gradient_term)
def _gradient_term(C: Any, weight: Any, x: Any, y: Any) -> Any:
    if C.instance_class is Dot:
        return lambda C, weight, x, y: -weight * y
    return lambda C, weight, x, y: gradient_along(C, weight, x - y)
