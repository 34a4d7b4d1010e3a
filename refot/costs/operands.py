"""Cost operands: what every equation takes as `C`.

An operand is either a matrix, or two point clouds with a ground cost, whose matrix is formed block
by block and never as a whole. Both kinds have `shape`, `T`, `rows(slice)`. An entry inf of a matrix
forbids the pair (costs/forbidden.py).

B = Bréchet et al. 2019, G = Genevay, Peyré, Cuturi 2018, H = Houdard et al. 2023, L = Liu et al.
Their costs are any matrix (B-5) and, between points, |x - y|^2 (B section 4, G section 4, L),
|x - y| (G, learned cost) and |x - y|_1 (B, Table 1), times a positive scale (H: |x - y|^2 / alpha).
refot adds others (`costs.named`). One is -<x, y> = |x - y|^2 / 2 - |x|^2 / 2 - |y|^2 / 2. It has
the same plans as |x - y|^2 / 2; its potentials f and g are smaller by |x|^2 / 2 and by |y|^2 / 2.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from typing import Any, TypeAlias

import numpy as np

from refot.arrays import (
    Array,
    CostLike,
    InputError,
    Points,
    ShapeError,
    TypeInputError,
    UnknownNameError,
    as_floating,
    as_points,
    as_positive,
    first_failure,
    is_masked,
    largest,
    namespace,
)
from refot.costs.ground import PairCost
from refot.costs.named import CostName, as_difference, as_ground
from refot.costs.rows import Rows, ends, is_read
from refot.foreign import Origin, first_origin

BLOCK_ELEMENTS = 1 << 22
"""The most entries of a block of rows that is in memory at once: 32 MiB in float64."""


# ------------------------------------------------------------------ operands
@dataclass(frozen=True)
class DenseCost:
    """A cost given by its matrix (n, m), in cost units; inf forbids a pair."""

    matrix: Array

    @property
    def shape(self) -> tuple[int, int]:
        return self.matrix.shape[0], self.matrix.shape[1]

    @property
    def dtype(self) -> Any:
        return self.matrix.dtype

    @property
    def T(self) -> DenseCost:
        return DenseCost(self.matrix.T)

    def rows(self, block: slice) -> Array:
        """C[block, :]."""
        return self.matrix[block]

    def pairs(self, i: Array, j: Array) -> Array:
        """C_ij of some pairs: rows i (k,) and columns j (k,). (k,)."""
        return self.matrix[i, j]

    def dense(self) -> Array:
        """The whole matrix (n, m)."""
        return self.matrix

    def among(self, rows: Array, columns: Array) -> DenseCost:
        """The part of C between selected rows and columns; `rows` (n,) and `columns` (m,) are
        boolean."""
        if bool(rows.all() and columns.all()):
            return self
        part = self.matrix[rows][:, columns]
        return DenseCost(namespace(part).ascontiguousarray(part))

    def scaled(self, factor: float) -> DenseCost:
        """The cost `factor * C`."""
        return DenseCost(factor * self.matrix)

    def with_arrays(self, convert: Callable[[Array], Array]) -> DenseCost:
        """The same operand with its arrays converted (to a device, to float32)."""
        return DenseCost(convert(self.matrix))


@dataclass(frozen=True)
class PointCost:
    """The cost `scale * c(x_i, y_j)` between points x (n, d) and y (m, d), whose matrix is formed
    block by block where it is needed. The points are arrays, or `Rows`, which are read by parts."""

    x: Array
    y: Array
    ground: PairCost
    scale: float = 1.0
    origin: Origin | None = field(default=None, compare=False, repr=False)
    """The library and device that the points came from, if not NumPy: results go back there."""

    @property
    def shape(self) -> tuple[int, int]:
        return self.x.shape[0], self.y.shape[0]

    @property
    def dtype(self) -> Any:
        return self.x.dtype

    @property
    def T(self) -> PointCost:
        return replace(self, x=self.y, y=self.x, ground=self.ground.flip)

    def rows(self, block: slice) -> Array:
        """C[block, :], computed at each call."""
        C = self.ground.matrix(self.x[block], self.y)
        return C if self.scale == 1.0 else self.scale * C

    def gradient_rows(self, block: slice) -> Array:
        """d c(x_i, y_j) / d x_i for i in block, (rows, m, d)."""
        return self.scale * self.ground.gradient(self.x[block], self.y)

    def gradient_change(self, vx: Array, vy: Array) -> Array:
        """The derivative of all `gradient_rows` as x moves along vx (n, d) and y along vy (m, d).
        (n, m, d)."""
        return self.scale * self.ground.gradient_change(self.x, self.y, vx, vy)

    def pairs(self, i: Array, j: Array) -> Array:
        """C_ij of some pairs, rows i (k,) and columns j (k,), computed at each call. (k,)."""
        xp, d = namespace(self.x), self.x.shape[1]
        found = xp.empty(len(i), dtype=self.dtype)
        if self.ground.is_difference:  # then c(x, y) = c(x - y, 0)
            step = max(1, BLOCK_ELEMENTS // d)
            parts = [slice(start, start + step) for start in range(0, len(i), step)]
            origin = xp.zeros((1, d), dtype=self.dtype)
            for part in parts:
                moved = self.x[i[part]] - self.y[j[part]]
                found[part] = self.ground.matrix(moved, origin)[:, 0]
        else:
            for row in xp.unique(i):
                part = i == row
                found[part] = self.ground.matrix(self.x[row][None], self.y[j[part]])[0]
        return found if self.scale == 1.0 else self.scale * found

    def dense(self) -> Array:
        """The whole matrix (n, m)."""
        return self.rows(slice(None))

    def sized_rows(self, block: slice) -> tuple[Array, Array]:
        """(C[block, :], the sizes to which its rounding error is relative, `PairCost.sizes`), both
        (rows, m)."""
        x, y = self.x[block], self.y
        C = self.ground.matrix(x, y)
        return self.scale * C, self.scale * self.ground.sizes(x, y, C)

    def bound(self) -> float:
        """A number >= max |C|, in cost units, in O((n + m) d)."""
        return self.scale * self.ground.bound(ends(self.x), ends(self.y))

    def spread(self) -> float:
        """A number >= max C - min C, in cost units, in O((n + m) d)."""
        return self.scale * self.ground.spread(ends(self.x), ends(self.y))

    def among(self, rows: Array, columns: Array) -> PointCost:
        """The part of C between selected rows and columns; `rows` (n,) and `columns` (m,) are
        boolean. The result is a plain PointCost, even of a subclass that holds its points
        sorted."""
        if bool(rows.all() and columns.all()):
            return self
        if is_read(self):
            raise InputError("a", "weights of 0 with points in parts",
                             "weights > 0: leave out the points without mass")
        return PointCost(self.x[rows], self.y[columns], self.ground, self.scale)

    def scaled(self, factor: float) -> PointCost:
        """The cost `factor * c`."""
        return replace(self, scale=self.scale * factor)

    def with_arrays(self, convert: Callable[[Array], Array]) -> PointCost:
        """The same operand with its arrays converted (to a device, to float32)."""
        return replace(self, x=convert(self.x), y=convert(self.y))


Cost: TypeAlias = DenseCost | PointCost


def point_cost(
    x: Points, y: Points, cost: CostName = "sqeuclidean", scale: float = 1.0
) -> PointCost:
    """The cost operand `scale * c(x_i, y_j)`, (n, m), for points x (n, d) and y (m, d).

    `cost` is "sqeuclidean" |x - y|^2, "euclidean" |x - y|, "l1" |x - y|_1, "lp(3)" |x - y|_3,
    "cosine" 1 - <x, y> / (|x| |y|), "gaussian(0.5)" the squared distance in the space of a Gaussian
    kernel of that width, "dot" -<x, y> (with the minus: to minimise it aligns the points); or a
    function of x (r, d) and y (m, d), which is called with blocks of rows of x, and returns (r, m);
    or a `PairCost` (docs/contributing-cost.md). Raises InputError for points that are not finite or
    do not share d, unknown cost, scale <= 0.

        C = refot.point_cost(x, y, lambda x, y: abs(x[:, None, 0] - y[:, 0]) ** 1.5)
    """
    return _checked(PointCost(x, y, as_ground(cost), scale))


def as_cost(C: CostLike) -> Cost:
    """`C` as a checked operand. If it is not an operand it is taken as a matrix (n, m), in which
    inf forbids a pair. A NumPy masked array forbids the pairs that it masks."""
    if isinstance(C, PointCost):
        return _checked(C)
    return DenseCost(cost_matrix(C.matrix if isinstance(C, DenseCost) else C))


def cost_matrix(C: Any, ndim: int | tuple[int, ...] = 2) -> Array:
    """`C` as an array with `ndim` axes, (n, m) by default, of finite numbers or inf. Raises
    InputError for NaN, -inf, and numbers so large that a sum of a few of them would overflow
    (`largest`)."""
    return sized_matrix(C, ndim)[0]


def sized_matrix(C: Any, ndim: int | tuple[int, ...] = 2) -> tuple[Array, float]:
    """(the array that `cost_matrix` returns, its `size_bound`). The check computes that bound
    anyhow, and callers can use it again."""
    if is_masked(C):
        floating = C if C.dtype.kind == "f" else C.astype(np.float64)
        C = floating.filled(np.inf)
    matrix = as_floating(C, "C", ndim)
    bound, size = largest(matrix.dtype), size_bound(matrix)
    if size <= bound:
        return matrix, size
    with np.errstate(invalid="ignore"):
        # Both are NaN if an entry is, so that then the comparisons are false.
        if -bound <= float(matrix.min()) and float(matrix.max()) <= bound:
            return matrix, size
    known = matrix > -np.inf  # False for NaN too
    if not bool(known.all()):
        raise InputError("C", first_failure(matrix, known),
                         "finite costs, or inf (a masked entry) for a forbidden pair")
    in_range = (abs(matrix) <= bound) | (matrix == np.inf)
    if not bool(in_range.all()):
        raise InputError("C", first_failure(matrix, in_range),
                         f"costs of at most {bound:.1g} in size, for {matrix.dtype}, or inf")
    return matrix, size


def size_bound(costs: Array) -> float:
    """The L2 norm of all entries: a bound of each |entry| that takes a single pass. It is inf or
    NaN if an entry is, or if the squares overflow; then it says nothing about the entries."""
    flat = costs.ravel()
    return math.sqrt(float(namespace(costs).vdot(flat, flat)))


def ground_point_cost(x: Points, y: Points, cost: CostName = "sqeuclidean") -> PointCost:
    """`point_cost`, for use where c(x, x) = 0 and c >= 0 are needed. Raises UnknownNameError for a
    cost that is not a function of x - y."""
    return point_cost(x, y, as_difference(cost))


def require_difference(C: PointCost) -> None:
    """Raise UnknownNameError unless the cost of C is a function of x - y, with c >= 0 and
    c(x, x) = 0."""
    as_difference(C.ground)


def as_point_cost(C: CostLike) -> PointCost:
    """`C` as a checked cost between points, for derivatives in the points. Raises InputError for a
    matrix, which has none."""
    return _checked(require_points(C))


def require_points(C: CostLike) -> PointCost:
    """`C`, an operand that is checked already. Raises InputError for a matrix."""
    if not isinstance(C, PointCost):
        raise TypeInputError("C", f"{type(C).__name__}", "a point cost: point_cost(x, y, cost)")
    return C


def _checked(C: PointCost) -> PointCost:
    """`C` with finite points of one dimension and dtype, and a scale > 0. Raises InputError."""
    x, y = (points if isinstance(points, Rows) else as_points(points, name)
            for name, points in (("x", C.x), ("y", C.y)))
    origin = C.origin or first_origin((C.x, C.y))
    if x.shape[1] != y.shape[1]:
        raise ShapeError("y", f"dimension {y.shape[1]}", f"dimension {x.shape[1]}, that of x")
    if x.dtype != y.dtype:
        raise TypeInputError("y", f"dtype {y.dtype}", f"{x.dtype}, that of x")
    if not isinstance(C.ground, PairCost):
        raise TypeInputError("ground", f"{C.ground!r}", "a PairCost: a cost of POINT_COSTS, say")
    if is_read(C) and not C.ground.is_difference:  # its bound needs all points, not their box
        raise UnknownNameError("cost", f"{C.ground.name!r} with points in parts",
                               "a cost that is a function of x - y")
    C = replace(C, x=x, y=y, scale=as_positive(C.scale, "scale"), origin=origin)
    with np.errstate(over="ignore", invalid="ignore"):  # a bound of inf or NaN is refused below
        bound = C.bound()
    if not bound <= largest(C.dtype):
        raise InputError("x", f"costs up to {bound:.1g} between x and y",
                         f"points whose costs are at most {largest(C.dtype):.1g}, for {C.dtype}")
    return C


def as_eps(eps: Any, C: Cost, name: str = "eps") -> float:
    """eps > 0, in cost units. Raises InputError unless eps and C / eps are in the range of the
    dtype of C."""
    number, dtype = as_positive(eps, name), np.finfo(C.dtype)
    least, most = max(float(dtype.tiny), 8 * _magnitude(C) / float(dtype.max)), largest(C.dtype)
    if not least <= number <= most:
        raise InputError(name, f"{number:g}", f"{least:.1g} to {most:.1g}, for a cost of {C.dtype} "
                         f"with entries up to {_magnitude(C):.1g}: eps and C / eps in its range")
    return number


def _magnitude(C: Cost) -> float:
    """max |C| over the allowed pairs of a matrix; an upper bound of it for a cost between
    points."""
    if not isinstance(C, DenseCost):
        return C.bound()
    least, most = float(C.matrix.min()), float(C.matrix.max())
    if most == np.inf:
        most = float(C.matrix.max(where=C.matrix < np.inf, initial=least, axis=None))
    return max(most, -least)


def row_blocks(C: Cost, depth: int = 1) -> Iterator[slice]:
    """Slices that cover the rows of C. Each block is so small that `depth` arrays of its size have
    at most BLOCK_ELEMENTS entries together."""
    n, m = C.shape
    step = max(1, BLOCK_ELEMENTS // (m * depth))
    return (slice(start, min(start + step, n)) for start in range(0, n, step))


def is_symmetric(C: Cost) -> bool:
    """Whether C = C', exactly: the cost of a measure with itself."""
    if C.shape[0] != C.shape[1]:
        return False
    return all(bool((C.rows(rows) == C.T.rows(rows)).all()) for rows in row_blocks(C))


def require_symmetric(C: Cost, n: int, name: str, dtype: Any) -> Cost:
    """C, the cost of n points among themselves. Raises InputError unless it is (n, n), symmetric,
    and of this dtype, that of the cost between the two measures."""
    if C.shape != (n, n):
        raise ShapeError(name, f"shape {C.shape}", f"({n}, {n}), to fit C")
    if C.dtype != dtype:
        raise TypeInputError(name, f"dtype {C.dtype}", f"{dtype}, that of C")
    if not is_symmetric(C):
        raise InputError(name, "not symmetric", "c(x, x): a measure with itself")
    return C


def normalised(C: PointCost, alpha: float | None = None) -> PointCost:
    """The cost c / alpha of H, with alpha = mean |y|^2 unless given. To divide the cost by alpha
    has the same effect on the plan as to multiply eps by alpha (erratum H4 of docs/errata.md)."""
    C = as_point_cost(C)
    if alpha is None:
        with np.errstate(over="ignore"):  # an infinite mean is refused below
            alpha = float((C.y**2).sum(axis=1).mean())
    return _checked(C.scaled(1.0 / as_positive(alpha, "alpha")))
