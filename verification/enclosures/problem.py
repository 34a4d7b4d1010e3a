"""The problem whose answers are enclosed, without any rounding of its inputs.

Every float64 input stands for exactly the number (a dyadic rational) that it is. Weights are
divided by their exact sum. The cost of points is a ball around the exact ground cost."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from operator import sub
from typing import Any

from flint import arb, fmpq

from refot.arrays import CostLike, UnknownNameError, Weights, as_positive, as_weights
from refot.costs.forbidden import require_finite
from refot.costs.ground import EUCLIDEAN, MANHATTAN_L1, SQEUCLIDEAN, PairCost
from refot.costs.operands import Cost, DenseCost, as_cost

from .newton import ArbProblem, Matrix, Vector
from .precision import EnclosureError

LARGEST_SIZE = 256
"""The largest n and m; beyond, Newton's method in multiple precision takes minutes."""


@dataclass(frozen=True)
class ArbInputs:
    """The cost, rational weights a (n,), b (m,) that sum to 1, and eps in cost units.

    scale: about the largest |C_ij| between points that carry mass; eps where all costs are 0.
    `rows` and `columns` are the indices of the points that carry mass.
    """

    C: Cost
    a: list[fmpq]
    b: list[fmpq]
    eps: arb
    scale: arb

    @property
    def rows(self) -> list[int]:
        return [i for i, ai in enumerate(self.a) if ai > 0]

    @property
    def columns(self) -> list[int]:
        return [j for j, bj in enumerate(self.b) if bj > 0]


def exact_inputs(C: CostLike, a: Weights, b: Weights, eps: Any) -> ArbInputs:
    """The problem after the checks of all arguments, its inputs unrounded. Raises InputError, and
    EnclosureError beyond LARGEST_SIZE."""
    C, eps = as_cost(C), as_positive(eps, "eps")
    if max(C.shape) > LARGEST_SIZE:
        raise EnclosureError(f"C: shape {C.shape}; enclosures go up to {LARGEST_SIZE} a side")
    a, b = as_weights(a, C.shape[0], "a"), as_weights(b, C.shape[1], "b")
    require_finite(C, "for a forbidden pair one at which its mass is below the digits asked for")
    largest = max(abs(c).mid() for row in cost_matrix(C.among(a > 0, b > 0)) for c in row)
    scale = largest if largest > 0 else arb(eps)
    return ArbInputs(C, normalised(a), normalised(b), arb(eps), scale)


def normalised(weights: Any) -> list[fmpq]:
    """The floats over their exact sum."""
    exact = [rational(w) for w in weights]
    total = sum(exact, fmpq(0))
    return [w / total for w in exact]


def cost_matrix(C: Cost) -> Matrix:
    """C (n, m) in balls, at the working precision: as given, or the exact cost of the points."""
    if isinstance(C, DenseCost):
        return matrix(C.matrix)
    if C.ground not in GROUND_COSTS:  # the key is the object: two costs may share a name
        raise UnknownNameError("cost", f"{C.ground!r}",
                               "one of " + ", ".join(sorted(cost.name for cost in GROUND_COSTS)))
    ground = GROUND_COSTS[C.ground]
    x, y = matrix(C.x), matrix(C.y)
    return [[arb(C.scale) * ground(map(sub, u, v)) for v in y] for u in x]


GROUND_COSTS: dict[PairCost, Callable[[Iterable[arb]], arb]] = {
    SQEUCLIDEAN: lambda difference: sum((t * t for t in difference), arb(0)),
    EUCLIDEAN: lambda difference: sum((t * t for t in difference), arb(0)).sqrt(),
    MANHATTAN_L1: lambda difference: sum((abs(t) for t in difference), arb(0)),
}
"""The ground costs of `refot.costs.ground` as functions of x - y, in balls."""


def on_support(p: ArbInputs, C: Matrix) -> ArbProblem:
    """The problem of the points that carry mass."""
    return ArbProblem(
        [[C[i][j] for j in p.columns] for i in p.rows],
        [arb(p.a[i]) for i in p.rows],
        [arb(p.b[j]) for j in p.columns],
        p.eps,
    )


def vector(values: Any) -> Vector:
    """Floats as exact balls."""
    return [arb(float(x)) for x in values]


def matrix(values: Any) -> Matrix:
    """Rows of floats as exact balls."""
    return [vector(row) for row in values]


def rational(x: Any) -> fmpq:
    """The dyadic rational that a float is."""
    return fmpq(*float(x).as_integer_ratio())


def dot(x: Iterable[Any], y: Iterable[Any]) -> Any:
    """sum_i x_i y_i, of balls, rationals or power series."""
    return sum((s * t for s, t in zip(x, y, strict=True)), arb(0))


def columns_of(A: Iterable[Iterable[Any]]) -> list[tuple[Any, ...]]:
    """The columns of A: the rows of its transpose."""
    return list(zip(*A, strict=True))
