"""Ground costs c(x, y) between points: each is one object that answers all questions about it.

The rest of refot asks the object, and never looks at its name. So a new cost is one object, and a
call of `add_cost` lets users name it: docs/contributing-cost.md. A backend or a proof may need more
(compiled terms, balls): it has a table of its own, by cost, and refuses a cost that is not in it.
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

    Points are x (n, d) and y (m, d). What a computed cost loses to underflow must be below d 2^-510
    (in float64). A sum of squares meets that, and so does the root of one.
    """

    name: str
    """The name by which `point_cost` finds it."""

    is_difference: bool = False
    """Whether c is an even function of x - y, 0 at 0, that grows with the absolute value of each
    coordinate (so that c >= 0 and c(x, x) = 0), and whose rounding is relative to itself."""

    is_quadratic: bool = False
    """Whether c(x, y) = |x - y|^2. Then its matrix follows from a product of matrices, and its mean
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
        """By how many units of rounding, relative to `sizes`, `matrix` may be off in d
        dimensions."""

    def sizes(self, x: Array, y: Array, C: Array) -> Array:
        """The sizes to which the rounding of computed costs C (n, m) is relative: the absolute
        values of C, unless c is a sum whose terms may cancel."""
        return abs(C)


def one_a_coordinate(d: int) -> int:
    """d + 3 roundings, for a cost with one operation on each coordinate x_k - y_k. The difference
    counts up to twice (if it is squared), the operation once, the sum of d terms d - 1 times, and
    an operation on the sum once."""
    return d + 3


@dataclass(frozen=True)
class GroundCost(PairCost):
    """A cost c(x - y) that is made of three functions. c is even, 0 at 0, and grows with the
    absolute value of each coordinate of x - y."""

    name: str

    matrix_of: Callable[[Array, Array], Array]
    """(x, y) -> c, (n, m)."""

    gradient_of: Callable[[Array, Array], Array]
    """(x, y) -> the gradient of c in x, (n, m, d)."""

    roundings_in: Callable[[int], int]
    """d -> by how many units of rounding, relative to c, `matrix_of` may be off."""

    is_quadratic: bool = False

    gradient_change_of: Callable[[Array, Array, Array, Array], Array] | None = None
    """(x, y, vx, vy) -> the change of the gradient: for second derivatives only."""

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
        """At least max |c|: c between the two farthest corners of the boxes around x and y."""
        xp = namespace(x)
        farthest = xp.maximum(abs(x.max(axis=0) - y.min(axis=0)),
                              abs(y.max(axis=0) - x.min(axis=0)))
        if self.is_quadratic:
            return float(farthest @ farthest)
        return float(self.matrix(xp.zeros_like(farthest)[None], farthest[None])[0, 0])

    def spread(self, x: Array, y: Array) -> float:
        """At least max c - min c: the `bound`, since c >= 0."""
        return self.bound(x, y)

    def roundings(self, d: int) -> int:
        """By how many units of rounding, relative to itself, `matrix` may be off."""
        return self.roundings_in(d)


@dataclass(frozen=True)
class DotProduct(PairCost):
    """c(x, y) = -<x, y>. It is no function of x - y, and may be negative: c(x, x) = -|x|^2."""

    name: str = "dot"

    def matrix(self, x: Array, y: Array) -> Array:
        """-<x, y>, (n, m). Its rounding is relative to sum_k |x_k y_k|, not to itself."""
        return -(x @ y.T)

    def gradient(self, x: Array, y: Array) -> Array:
        """d/dx -<x, y> = -y, whatever x is. (n, m, d)."""
        return namespace(x).broadcast_to(-y, (x.shape[0], *y.shape))

    def gradient_change(self, x: Array, y: Array, vx: Array, vy: Array) -> Array:
        """The change of -y: -vy, whatever vx is. (n, m, d)."""
        return namespace(x).broadcast_to(-vy, (x.shape[0], *y.shape))

    def bound(self, x: Array, y: Array) -> float:
        """At least max |c| and max `sizes`: sum_k max |x_k| max |y_k|."""
        return float(abs(x).max(axis=0) @ abs(y).max(axis=0))

    def spread(self, x: Array, y: Array) -> float:
        """At least max c - min c. Each x_k y_k lies between its values at the corners of the
        boxes."""
        xp, x_ends, y_ends = namespace(x), (x.min(axis=0), x.max(axis=0)), (y.min(0), y.max(0))
        corners = xp.stack([s * t for s in x_ends for t in y_ends])
        return float((corners.max(axis=0) - corners.min(axis=0)).sum())

    def roundings(self, d: int) -> int:
        """By how many units of rounding, relative to `sizes`, `matrix` may be off: those of the
        products, and of their sum."""
        return d + 3

    def sizes(self, x: Array, y: Array, C: Array) -> Array:
        """sum_k |x_ik y_jk|, (n, m)."""
        return abs(x) @ abs(y).T


# ------------------------------------------------------------------ the costs by name
GROUND_COSTS: dict[str, PairCost] = {}
"""The costs that are a function of x - y, by name: where a distance is needed, only these will
do."""

POINT_COSTS: dict[str, PairCost] = {}
"""Every cost that `point_cost` takes, by name."""

AnyCost = TypeVar("AnyCost", bound=PairCost)


def add_cost(cost: AnyCost) -> AnyCost:
    """Makes `point_cost` find the cost by its name from now on, and returns it. Raises InputError
    if another cost has that name."""
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
