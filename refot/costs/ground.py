"""Ground costs c(x, y) between points. Each is an object, with methods for all that is needed of
it.

The rest of refot calls these methods and does not test the name of a cost. So to add a cost, write
one object, and register it with `add_cost` to let users call it by name: docs/contributing-cost.md.
Some backends and proofs need more of a cost than the object offers, compiled code or interval
arithmetic. They have tables of the costs that they support, and refuse others.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from refot.arrays import Array, InputError, TypeInputError, namespace


# ------------------------------------------------------------------ the costs themselves
def sqeuclidean(x: Array, y: Array) -> Array:
    """|x - y|^2, (n, m), from the differences: |x|^2 - 2x.y + |y|^2 would lose digits."""
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
    """d/dx |x - y|_1 = sign(x - y), and 0 (a subgradient) in coordinates that agree. (n, m, d)."""
    return namespace(x).sign(x[:, None, :] - y[None, :, :])


# ------------------------------------------------------------------ how the gradients change
def sqeuclidean_gradient_change(x: Array, y: Array, vx: Array, vy: Array) -> Array:
    """The derivative of 2 (x - y) as x moves along vx (n, d) and y along vy (m, d). (n, m, d)."""
    return 2 * (vx[:, None, :] - vy[None, :, :])


def euclidean_gradient_change(x: Array, y: Array, vx: Array, vy: Array) -> Array:
    """The derivative of u = (x - y) / |x - y| as x moves along vx and y along vy, (n, m, d):
    (w - u (u.w)) / |x - y| with w = vx - vy; 0 at x = y."""
    u, w = euclidean_gradient(x, y), vx[:, None, :] - vy[None, :, :]
    r = euclidean(x, y)[:, :, None]
    across = w - u * (u * w).sum(axis=2)[:, :, None]
    return namespace(x).where(r > 0, across / namespace(x).where(r > 0, r, 1), 0)


def l1_gradient_change(x: Array, y: Array, vx: Array, vy: Array) -> Array:
    """0, (n, m, d): the signs of x - y are constant except at kinks."""
    return namespace(x).zeros((x.shape[0], *y.shape), dtype=x.dtype)


# ------------------------------------------------------------------ what every cost offers
class PairCost(ABC):
    """A cost c(x, y) of two points: what computations and proofs need of it.

    Points are x (n, d) and y (m, d). Beside the rounding error, which `roundings` bounds, proofs
    allow for the error that underflow makes: it must be below d 2^-510 in float64, as it is for a
    sum of squares and for the root of one.
    """

    name: str
    """The name by which `point_cost` finds it; a subclass may make it a property."""

    is_difference: bool = False
    """Whether c is an even function of x - y that is 0 at 0 and grows with the absolute value of
    each coordinate (so that c >= 0 and c(x, x) = 0), and whose `sizes` are c itself."""

    is_quadratic: bool = False
    """Whether c(x, y) = |x - y|^2. Then its matrix can be had from a matrix product, and its mean
    under a product measure from means and variances."""

    @property
    def is_symmetric(self) -> bool:
        """Whether c(x, y) = c(y, x) is known to hold for all points."""
        return True

    @property
    def flip(self) -> PairCost:
        """The cost (y, x) -> c(x, y)."""
        return self

    @abstractmethod
    def matrix(self, x: Array, y: Array) -> Array:
        """c(x_i, y_j), (n, m), computed with the library that the points belong to
        (`namespace`)."""

    @abstractmethod
    def gradient(self, x: Array, y: Array) -> Array:
        """d/dx c(x_i, y_j), (n, m, d); at a kink a subgradient."""

    def gradient_change(self, x: Array, y: Array, vx: Array, vy: Array) -> Array:
        """The derivative of `gradient` as x moves along vx (n, d) and y along vy (m, d), (n, m, d);
        at a kink 0. Only second derivatives need it. A cost without it raises InputError."""
        raise InputError("cost", f"{self.name!r}, which has no second derivative",
                         "a cost with gradient_change")

    @abstractmethod
    def bound(self, x: Array, y: Array) -> float:
        """A number >= max |c| and >= the largest of `sizes`, in cost units, in O((n + m) d)."""

    @abstractmethod
    def spread(self, x: Array, y: Array) -> float:
        """A number >= max c - min c, in cost units, in O((n + m) d)."""

    @abstractmethod
    def roundings(self, d: int) -> int:
        """How large the error of `matrix` may be in d dimensions, in roundings of `sizes`. One
        rounding of a size s is u s, with u = 2^-53 in float64."""

    def sizes(self, x: Array, y: Array, C: Array) -> Array:
        """The numbers (n, m), in cost units, to which the rounding error of the computed costs C
        (n, m) is relative: |C|, unless c is a sum whose terms may cancel."""
        return abs(C)


def one_a_coordinate(d: int) -> int:
    """d + 3: the roundings of a cost that applies one operation, such as the square, to each
    coordinate x_k - y_k, adds up, and may apply one operation to the sum. The difference brings 1,
    or 2 if it is squared, the operation 1, the sum of d terms d - 1, and the last operation 1."""
    return d + 3


class DifferenceCost(PairCost):
    """A cost c(x - y): c is even, 0 at 0, and grows with the absolute value of each coordinate."""

    is_difference = True

    def bound(self, x: Array, y: Array) -> float:
        """A number >= max |c|: c between the two farthest corners of the boxes around x and y."""
        xp = namespace(x)
        farthest = xp.maximum(abs(x.max(axis=0) - y.min(axis=0)),
                              abs(y.max(axis=0) - x.min(axis=0)))
        if self.is_quadratic:
            return float(farthest @ farthest)
        return float(self.matrix(xp.zeros_like(farthest)[None], farthest[None])[0, 0])

    def spread(self, x: Array, y: Array) -> float:
        """A number >= max c - min c: the `bound`, since c >= 0."""
        return self.bound(x, y)


@dataclass(frozen=True)
class GroundCost(DifferenceCost):
    """A cost c(x - y) that is given by three functions. c must be even, 0 at 0, and grow with the
    absolute value of each coordinate of x - y."""

    name: str

    matrix_of: Callable[[Array, Array], Array]
    """(x, y) -> c, (n, m)."""

    gradient_of: Callable[[Array, Array], Array]
    """(x, y) -> the gradient of c in x, (n, m, d)."""

    roundings_in: Callable[[int], int]
    """d -> how large the error of `matrix_of` may be in d dimensions, in roundings of c."""

    is_quadratic: bool = False

    gradient_change_of: Callable[[Array, Array, Array, Array], Array] | None = None
    """(x, y, vx, vy) -> the derivative of the gradient, (n, m, d): for second derivatives only."""

    def matrix(self, x: Array, y: Array) -> Array:
        """c(x_i - y_j), (n, m)."""
        return self.matrix_of(x, y)

    def gradient(self, x: Array, y: Array) -> Array:
        """d/dx c(x_i - y_j), (n, m, d); at a kink a subgradient."""
        return self.gradient_of(x, y)

    def gradient_change(self, x: Array, y: Array, vx: Array, vy: Array) -> Array:
        """The derivative of `gradient`, (n, m, d), as x moves along vx (n, d), y along vy (m,
        d)."""
        if self.gradient_change_of is None:
            return super().gradient_change(x, y, vx, vy)
        return self.gradient_change_of(x, y, vx, vy)

    def roundings(self, d: int) -> int:
        """How large the error of `matrix` may be in d dimensions, in roundings of c."""
        return self.roundings_in(d)


@dataclass(frozen=True)
class DotProduct(PairCost):
    """c(x, y) = -<x, y>. It is not a function of x - y, and may be negative: c(x, x) = -|x|^2."""

    name: str = "dot"

    def matrix(self, x: Array, y: Array) -> Array:
        """-<x, y>, (n, m). Its rounding error is relative to sum_k |x_k y_k| (`sizes`), and not to
        the result, whose terms may cancel."""
        return -(x @ y.T)

    def gradient(self, x: Array, y: Array) -> Array:
        """d/dx -<x, y> = -y, for all x. (n, m, d)."""
        return namespace(x).broadcast_to(-y, (x.shape[0], *y.shape))

    def gradient_change(self, x: Array, y: Array, vx: Array, vy: Array) -> Array:
        """-vy, (n, m, d): the derivative of -y as y moves along vy (m, d)."""
        return namespace(x).broadcast_to(-vy, (x.shape[0], *y.shape))

    def bound(self, x: Array, y: Array) -> float:
        """sum_k max |x_k| max |y_k|, which is >= max |c| and >= the largest of `sizes`."""
        return float(abs(x).max(axis=0) @ abs(y).max(axis=0))

    def spread(self, x: Array, y: Array) -> float:
        """A number >= max c - min c: the sum over k of the range of x_k y_k. Each x_k y_k lies
        between its least and its largest value at the corners of the boxes around x and y."""
        xp, x_ends, y_ends = namespace(x), (x.min(axis=0), x.max(axis=0)), (y.min(0), y.max(0))
        corners = xp.stack([s * t for s in x_ends for t in y_ends])
        return float((corners.max(axis=0) - corners.min(axis=0)).sum())

    def roundings(self, d: int) -> int:
        """How large the error of `matrix` may be, in roundings of `sizes`: those of the d products
        and of their sum, with a margin."""
        return d + 3

    def sizes(self, x: Array, y: Array, C: Array) -> Array:
        """sum_k |x_ik y_jk|, (n, m)."""
        return abs(x) @ abs(y).T


# ------------------------------------------------------------------ the costs by name
GROUND_COSTS: dict[str, PairCost] = {}
"""By name, the costs that are a function of x - y (`is_difference`), for use where c >= 0 and
c(x, x) = 0 are needed."""

POINT_COSTS: dict[str, PairCost] = {}
"""By name, every cost that was registered by `add_cost`."""

AnyCost = TypeVar("AnyCost", bound=PairCost)


def add_cost(cost: AnyCost) -> AnyCost:
    """Register a cost, so that `point_cost` finds it by its name, and return it. Raises InputError
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
