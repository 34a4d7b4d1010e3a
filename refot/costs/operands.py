"""Costs of two points c(x, y), their gradients in x, and the cost operands built from them.

A cost operand is what every equation takes as `C`: a dense matrix, or two point clouds with a
cost by name, whose matrix is never formed as a whole. Both offer `shape`, `T`, `rows(slice)`.

Ground costs, of the difference x - y and 0 where x = y: |x - y|^2 (B section 4, G section 4, L),
|x - y| (G learned cost), |x - y|_1 (B Table 1). Beside them -<x, y>, |x - y|^2 / 2 less what
depends on one point alone: the same plans, potentials less |x|^2 / 2 and |y|^2 / 2. Any of them
times a positive scale (H: |x - y|^2 / alpha), or any finite matrix (B-5).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

from refot.arrays import (
    Array,
    ShapeError,
    TypeInputError,
    as_matrix,
    as_points,
    as_positive,
    lookup,
)
from refot.costs.ground import GROUND_COSTS, POINT_COSTS, PairCost

BLOCK_ELEMENTS = 1 << 22
"""Entries of a cost block that are in memory at once (32 MiB in float64)."""


# ------------------------------------------------------------------ operands
@dataclass(frozen=True)
class DenseCost:
    """A cost matrix (n, m) as it stands, in cost units."""

    matrix: Array

    @property
    def shape(self) -> tuple[int, int]:
        return self.matrix.shape[0], self.matrix.shape[1]

    @property
    def dtype(self) -> Any:
        return self.matrix.dtype

    @property
    def T(self) -> DenseCost:  # the name NumPy gives it
        return DenseCost(self.matrix.T)

    def rows(self, block: slice) -> Array:
        """C[block, :]."""
        return self.matrix[block]

    def dense(self) -> Array:
        """The whole matrix (n, m)."""
        return self.matrix

    def scaled(self, factor: float) -> DenseCost:
        """The cost `factor * C`."""
        return DenseCost(factor * self.matrix)

    def with_arrays(self, convert: Callable[[Array], Array]) -> DenseCost:
        """The same operand with its arrays converted (to a device, to float32)."""
        return DenseCost(convert(self.matrix))


@dataclass(frozen=True)
class PointCost:
    """The cost `scale * c(x_i, y_j)` between points x (n, d) and y (m, d), formed by blocks."""

    x: Array
    y: Array
    ground: PairCost
    scale: float = 1.0

    @property
    def shape(self) -> tuple[int, int]:
        return self.x.shape[0], self.y.shape[0]

    @property
    def dtype(self) -> Any:
        return self.x.dtype

    @property
    def T(self) -> PointCost:  # c(x, y) = c(y, x) for every cost of the table
        return replace(self, x=self.y, y=self.x)

    def rows(self, block: slice) -> Array:
        """C[block, :], computed now."""
        C = self.ground.matrix(self.x[block], self.y)
        return C if self.scale == 1.0 else self.scale * C

    def gradient_rows(self, block: slice) -> Array:
        """d c(x_i, y_j) / d x_i for i in block, (rows, m, d)."""
        return self.scale * self.ground.gradient(self.x[block], self.y)

    def dense(self) -> Array:
        """The whole matrix (n, m)."""
        return self.rows(slice(None))

    def bound(self) -> float:
        """At least max |C|, in O((n + m) d)."""
        return self.scale * self.ground.bound(self.x, self.y)

    def spread(self) -> float:
        """At least max C - min C, in O((n + m) d)."""
        return self.scale * self.ground.spread(self.x, self.y)

    def scaled(self, factor: float) -> PointCost:
        """The cost `factor * c`."""
        return replace(self, scale=self.scale * factor)

    def with_arrays(self, convert: Callable[[Array], Array]) -> PointCost:
        """The same operand with its arrays converted (to a device, to float32)."""
        return replace(self, x=convert(self.x), y=convert(self.y))


Cost: TypeAlias = DenseCost | PointCost


def point_cost(x: Any, y: Any, cost: str = "sqeuclidean", scale: float = 1.0) -> PointCost:
    """The operand `scale * c(x, y)`; x (n, d), y (m, d), `cost` a name of POINT_COSTS.

    "sqeuclidean" |x - y|^2, "euclidean" |x - y|, "l1" |x - y|_1, "dot" -<x, y> (with the minus:
    to minimise it aligns the points). Raises InputError for points that are not finite or do not
    share d, unknown cost, scale <= 0.
    """
    return _checked(PointCost(x, y, lookup(POINT_COSTS, cost, "cost"), scale))


def as_cost(C: Any) -> Cost:
    """`C` as a checked operand: anything that is not one is taken as a matrix (n, m), finite."""
    if isinstance(C, PointCost):
        return _checked(C)
    return DenseCost(as_matrix(C.matrix if isinstance(C, DenseCost) else C, "C"))


def ground_point_cost(x: Any, y: Any, cost: str = "sqeuclidean") -> PointCost:
    """`point_cost` where c(x, x) = 0 and c >= 0 are needed: a name of GROUND_COSTS, else
    UnknownNameError."""
    return point_cost(x, y, lookup(GROUND_COSTS, cost, "cost").name)


def as_point_cost(C: Any) -> PointCost:
    """`C` as a cost between points: a matrix has none to differentiate in. Raises InputError."""
    if not isinstance(C, PointCost):
        raise TypeInputError("C", f"{type(C).__name__}", "a point cost: point_cost(x, y, cost)")
    return C


def _checked(C: PointCost) -> PointCost:
    """`C` with finite points of one dimension and dtype, and a scale > 0. Raises InputError."""
    x, y = as_points(C.x, "x"), as_points(C.y, "y")
    if x.shape[1] != y.shape[1]:
        raise ShapeError("y", f"dimension {y.shape[1]}", f"dimension {x.shape[1]}, that of x")
    if x.dtype != y.dtype:
        raise TypeInputError("y", f"dtype {y.dtype}", f"{x.dtype}, that of x")
    return replace(C, x=x, y=y, scale=as_positive(C.scale, "scale"))


def row_blocks(C: Cost, depth: int = 1) -> Iterator[slice]:
    """Slices that cover the rows of C, so that `depth` arrays of a block stay within bounds."""
    n, m = C.shape
    step = max(1, BLOCK_ELEMENTS // (m * depth))
    return (slice(start, min(start + step, n)) for start in range(0, n, step))


def is_symmetric(C: Cost) -> bool:
    """Whether C = C', exactly: the cost of a measure with itself."""
    if C.shape[0] != C.shape[1]:
        return False
    return all(bool((C.rows(rows) == C.T.rows(rows)).all()) for rows in row_blocks(C))


def normalised(C: PointCost, alpha: float | None = None) -> PointCost:
    """H's cost c / alpha, alpha = mean |y|^2 unless given; it rescales eps (erratum H4)."""
    C = as_point_cost(C)
    alpha = float((C.y**2).sum(axis=1).mean()) if alpha is None else alpha
    return C.scaled(1.0 / as_positive(alpha, "alpha"))
