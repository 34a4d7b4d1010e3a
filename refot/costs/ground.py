"""Ground costs c(x, y) between points: one object a cost, which knows all that is asked about it.

The rest of refot asks a cost and never for its name, so that a new cost is one object, and
`add_cost` to be found by name: docs/contributing-cost.md. What a backend or a proof needs besides
(compiled terms, balls) is in a table there, by cost; a cost that a table lacks is refused there.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from refot.arrays import Array, InputError, TypeInputError, namespace


# ------------------------------------------------------------------ the costs themselves
def sqeuclidean(x: Array, y: Array) -> Array:
    """|x - y|^2, by differences and not by |x|^2 - 2x.y + |y|^2: no cancellation. (n, m)."""
    xp = namespace(x)
    return sum((xp.subtract.outer(x[:, k], y[:, k]) ** 2 for k in range(1, x.shape[1])),
               start=xp.subtract.outer(x[:, 0], y[:, 0]) ** 2)


def euclidean(x: Array, y: Array) -> Array:
    """|x - y|. (n, m)."""
    return namespace(x).sqrt(sqeuclidean(x, y))


def l1(x: Array, y: Array) -> Array:
    """|x - y|_1, the sum of absolute differences. (n, m)."""
    xp = namespace(x)
    return sum((abs(xp.subtract.outer(x[:, k], y[:, k])) for k in range(1, x.shape[1])),
               start=abs(xp.subtract.outer(x[:, 0], y[:, 0])))


def sqeuclidean_gradient(x: Array, y: Array) -> Array:
    """d/dx |x - y|^2 = 2 (x - y). (n, m, d)."""
    return 2 * (x[:, None, :] - y[None, :, :])


def euclidean_gradient(x: Array, y: Array) -> Array:
    """d/dx |x - y| = (x - y) / |x - y|, and 0 (a subgradient) where x = y. (n, m, d)."""
    xp = namespace(x)
    difference = x[:, None, :] - y[None, :, :]
    r = euclidean(x, y)[:, :, None]
    return difference / xp.where(r > 0, r, 1)


def l1_gradient(x: Array, y: Array) -> Array:
    """d/dx |x - y|_1 = sign(x - y), and 0 (a subgradient) along coordinates that agree."""
    return namespace(x).sign(x[:, None, :] - y[None, :, :])


# ------------------------------------------------------------------ how the gradients change
def sqeuclidean_gradient_change(x: Array, y: Array, vx: Array, vy: Array) -> Array:
    """The change of 2 (x - y) as x moves along vx (n, d) and y along vy (m, d). (n, m, d)."""
    return 2 * (vx[:, None, :] - vy[None, :, :])


def euclidean_gradient_change(x: Array, y: Array, vx: Array, vy: Array) -> Array:
    """The change of u = (x - y) / |x - y|: (w - u (u.w)) / |x - y| for w = vx - vy, 0 at x = y."""
    u, w = euclidean_gradient(x, y), vx[:, None, :] - vy[None, :, :]
    r = euclidean(x, y)[:, :, None]
    across = w - u * (u * w).sum(axis=2)[:, :, None]
    return namespace(x).where(r > 0, across / namespace(x).where(r > 0, r, 1), 0)


def l1_gradient_change(x: Array, y: Array, vx: Array, vy: Array) -> Array:
    """The signs of x - y do not change but at a kink: 0. (n, m, d)."""
    return namespace(x).zeros((x.shape[0], *y.shape), dtype=x.dtype)


# ------------------------------------------------------------------ what a cost knows about itself
class PairCost(ABC):
    """A cost of two points, c(x, y) = c(y, x), as the computations and the proofs need it.

    Points are x (n, d) and y (m, d). Whatever underflow takes from a computed cost must be below
    d 2^-510 (in float64): a sum of squares, or the root of one, meets that.
    """

    name: str
    """The name by which `point_cost` finds it."""

    is_difference: bool = False
    """Whether c is an even function of x - y that is 0 at 0 and grows with the absolute value of
    each coordinate; computed to a share of itself. So c >= 0, and c(x, x) = 0."""

    is_quadratic: bool = False
    """Whether c(x, y) = |x - y|^2: its matrix can be had by a product of matrices, and its mean
    under a product measure from means and variances."""

    @abstractmethod
    def matrix(self, x: Array, y: Array) -> Array:
        """c(x_i, y_j), (n, m), in array operations of any library that `namespace` knows."""

    @abstractmethod
    def gradient(self, x: Array, y: Array) -> Array:
        """d/dx c(x_i, y_j), (n, m, d); at a kink a subgradient."""

    def gradient_change(self, x: Array, y: Array, vx: Array, vy: Array) -> Array:
        """How `gradient` changes as x moves along vx (n, d) and y along vy (m, d), (n, m, d); at a
        kink 0. Only second derivatives ask for it: a cost may do without, and raises InputError."""
        raise InputError("cost", f"{self.name!r}, which knows no second derivative",
                         "a cost with gradient_change")

    @abstractmethod
    def bound(self, x: Array, y: Array) -> float:
        """At least max |c|, and at least the largest of `sizes`, in O((n + m) d)."""

    @abstractmethod
    def spread(self, x: Array, y: Array) -> float:
        """At least max c - min c, in O((n + m) d)."""

    @abstractmethod
    def roundings(self, d: int) -> int:
        """How many units of rounding `matrix` may be off in d dimensions, relative to `sizes`."""

    def sizes(self, x: Array, y: Array, C: Array) -> Array:
        """What the rounding of the computed costs C (n, m) is relative to: their absolute values,
        unless c is a sum whose terms cancel."""
        return abs(C)


def one_a_coordinate(d: int) -> int:
    """d + 3 roundings: those of x_k - y_k, of one operation on it (relative to its result at most
    twice), of a sum of d terms, and of one operation on the sum."""
    return d + 3


@dataclass(frozen=True)
class GroundCost(PairCost):
    """A cost c(x - y), from three functions: `matrix_of` (x, y) gives c (n, m), `gradient_of`
    (x, y) its gradient in x (n, m, d), `roundings_in` (d) how many roundings the first may be off.
    `gradient_change_of` (x, y, vx, vy), the change of the gradient, is for second derivatives only.

    c is even, and grows with the absolute value of each coordinate of x - y, from 0.
    """

    name: str
    matrix_of: Callable[[Array, Array], Array]
    gradient_of: Callable[[Array, Array], Array]
    roundings_in: Callable[[int], int]
    is_quadratic: bool = False
    gradient_change_of: Callable[[Array, Array, Array, Array], Array] | None = None
    is_difference = True

    def matrix(self, x: Array, y: Array) -> Array:
        """c(x_i - y_j), (n, m)."""
        return self.matrix_of(x, y)

    def gradient(self, x: Array, y: Array) -> Array:
        """d/dx c(x_i - y_j), (n, m, d); at a kink a subgradient."""
        return self.gradient_of(x, y)

    def gradient_change(self, x: Array, y: Array, vx: Array, vy: Array) -> Array:
        """How `gradient` changes as x moves along vx (n, d) and y along vy (m, d), (n, m, d)."""
        if self.gradient_change_of is None:
            return super().gradient_change(x, y, vx, vy)
        return self.gradient_change_of(x, y, vx, vy)

    def bound(self, x: Array, y: Array) -> float:
        """At least max |c|, from the boxes around x (n, d) and y (m, d): c at their far corners."""
        xp = namespace(x)
        farthest = xp.maximum(abs(x.max(axis=0) - y.min(axis=0)),
                              abs(y.max(axis=0) - x.min(axis=0)))
        return float(self.matrix(xp.zeros_like(farthest)[None], farthest[None])[0, 0])

    def spread(self, x: Array, y: Array) -> float:
        """At least max c - min c, from the boxes: `bound`, for min c >= 0."""
        return self.bound(x, y)

    def roundings(self, d: int) -> int:
        """Of `matrix`, relative to itself."""
        return self.roundings_in(d)


@dataclass(frozen=True)
class DotProduct(PairCost):
    """c(x, y) = -<x, y>: near where it is negative, at no distance from itself but -|x|^2."""

    name: str = "dot"

    def matrix(self, x: Array, y: Array) -> Array:
        """-<x, y>, (n, m): right to a share of sum_k |x_k y_k|, not to a share of itself."""
        return -(x @ y.T)

    def gradient(self, x: Array, y: Array) -> Array:
        """d/dx -<x, y> = -y, whatever x is. (n, m, d)."""
        return namespace(x).broadcast_to(-y, (x.shape[0], *y.shape))

    def gradient_change(self, x: Array, y: Array, vx: Array, vy: Array) -> Array:
        """The change of -y: -vy, whatever vx is. (n, m, d)."""
        return namespace(x).broadcast_to(-vy, (x.shape[0], *y.shape))

    def bound(self, x: Array, y: Array) -> float:
        """At least max |c|: sum_k max |x_k| max |y_k|, which its rounding is relative to."""
        return float(abs(x).max(axis=0) @ abs(y).max(axis=0))

    def spread(self, x: Array, y: Array) -> float:
        """At least max c - min c, from the boxes: each x_k y_k is between those of its corners."""
        xp, x_ends, y_ends = namespace(x), (x.min(axis=0), x.max(axis=0)), (y.min(0), y.max(0))
        corners = xp.stack([s * t for s in x_ends for t in y_ends])
        return float((corners.max(axis=0) - corners.min(axis=0)).sum())

    def roundings(self, d: int) -> int:
        """Of products and their sum, relative to the sizes of its terms."""
        return d + 3

    def sizes(self, x: Array, y: Array, C: Array) -> Array:
        """sum_k |x_ik y_jk|, the sum of the sizes of the terms, (n, m)."""
        return abs(x) @ abs(y).T


# ------------------------------------------------------------------ the costs by name
GROUND_COSTS: dict[str, PairCost] = {}
"""The costs of a difference: where a distance is meant, only these will do."""

POINT_COSTS: dict[str, PairCost] = {}
"""Every cost that `point_cost` takes."""

AnyCost = TypeVar("AnyCost", bound=PairCost)


def add_cost(cost: AnyCost) -> AnyCost:
    """The cost, which `point_cost` from now on finds by its name. Raises InputError where the name
    is taken by another cost."""
    if not isinstance(cost, PairCost):
        raise TypeInputError("cost", repr(cost), "a PairCost: a GroundCost, for example")
    if POINT_COSTS.get(cost.name, cost) != cost:
        raise InputError("cost", f"the name {cost.name!r}, which another cost has", "a free name")
    POINT_COSTS[cost.name] = cost
    if cost.is_difference:
        GROUND_COSTS[cost.name] = cost
    return cost


SQEUCLIDEAN = add_cost(GroundCost(
    "sqeuclidean", sqeuclidean, sqeuclidean_gradient, one_a_coordinate, is_quadratic=True,
    gradient_change_of=sqeuclidean_gradient_change))
EUCLIDEAN = add_cost(GroundCost(
    "euclidean", euclidean, euclidean_gradient, one_a_coordinate,
    gradient_change_of=euclidean_gradient_change))
MANHATTAN_L1 = add_cost(GroundCost(
    "l1", l1, l1_gradient, one_a_coordinate, gradient_change_of=l1_gradient_change))
DOT = add_cost(DotProduct())
