"""Enclosures of an unbalanced problem: value, plan, mass, marginals, potentials, as flint balls.

The working precision is doubled until the requested digits are proven. Every float64 input stands
for exactly the number that it is. U-3 is an equation of docs/equations.md."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from flint import arb

from refot.arrays import CostLike, Masses, Points, as_count
from refot.costs.operands import point_cost
from refot.verification.enclosures.newton import Matrix, Vector, transform
from refot.verification.enclosures.pickled import reduced
from refot.verification.enclosures.precision import (
    EnclosureError,
    Found,
    bits_for,
    first_found,
    is_sharp,
    leaves,
)
from refot.verification.enclosures.problem import columns_of, cost_matrix

from .newton import HalfStep, annealed, half_step
from .penalties import KL, Exact, Penalty
from .problem import UnbalancedInputs, UnbalancedProblem, on_support, unbalanced_inputs
from .proofs import plan, potential, value


@dataclass(frozen=True)
class UnbalancedEnclosure:
    """Balls that contain the true quantities of an unbalanced problem, in units of cost and mass.

    value: U. transport_cost: <C,P>. mass: that of the plan. rows (n,), columns (m,): its marginals.
    plan (n, m). f (n,), g (m,): the potentials, which are unique under KL, without a free constant;
    where a weight is 0, the prox of the softmin of the other potential (U-3). Under TV f and g are
    None, since more than one pair may be optimal.
    """

    value: arb
    transport_cost: arb
    mass: arb
    rows: tuple[arb, ...]
    columns: tuple[arb, ...]
    plan: tuple[tuple[arb, ...], ...]
    f: tuple[arb, ...] | None
    g: tuple[arb, ...] | None

    def __reduce__(self) -> Any:
        return reduced(self)

    @property
    def potentials(self) -> tuple[tuple[arb, ...], tuple[arb, ...]]:
        """f and g. Raises EnclosureError under TV."""
        if self.f is None or self.g is None:
            raise EnclosureError("potentials: under the penalty tv more than one pair is optimal")
        return self.f, self.g


def enclose_unbalanced(
    C: CostLike, a: Masses, b: Masses, eps: Any, rho: Any, penalty: str = "kl", digits: int = 30
) -> UnbalancedEnclosure:
    """Everything about the problem of the matrix C (n, m), to `digits` digits.

    C is an array, a `PointCost` or a `DenseCost`; a (n,), b (m,) of any total; eps, rho > 0 in cost
    units. Digits are relative: to each value; to the largest entry of f and g; under KL to each
    entry of the plan, under TV to its largest. A value that is smaller than 10^-digits of the
    largest cost times the smaller mass is only known to within 10^-digits of that product. Raises
    InputError, and EnclosureError where the digits cannot be proven.
    """
    p = unbalanced_inputs(C, a, b, eps, rho, penalty)
    digits = as_count(digits, "digits")
    return _with_enough_bits(p, digits, lambda: _enclosed(p, digits))


def enclose_unbalanced_points(
    x: Points, a: Masses, y: Points, b: Masses, eps: Any, rho: Any, cost: str = "sqeuclidean",
    penalty: str = "kl", digits: int = 30
) -> UnbalancedEnclosure:
    """As `enclose_unbalanced`, for points x (n, d), y (m, d) and a name of GROUND_COSTS."""
    return enclose_unbalanced(point_cost(x, y, cost), a, b, eps, rho, penalty, digits)


def enclose_unbalanced_value(
    C: CostLike, a: Masses, b: Masses, eps: Any, rho: Any, penalty: str = "kl", digits: int = 30
) -> arb:
    """U alone, arguments as for `enclose_unbalanced`."""
    p = unbalanced_inputs(C, a, b, eps, rho, penalty)
    digits = as_count(digits, "digits")

    def attempt() -> arb | None:
        core = _oriented(on_support(p, cost_matrix(p.C)))
        U = value(core, half_step(core, annealed(core)))
        return U if _values_sharp(p, digits, U) else None

    return _with_enough_bits(p, digits, attempt)


# ------------------------------------------------------------------ precision
def _with_enough_bits(
    p: UnbalancedInputs, digits: int, attempt: Callable[[], Found | None]
) -> Found:
    """The first result of `attempt` that is not None, with twice the working precision at each try.

    An exponent (f_i + g_j - C_ij) / eps is about as large as p.scale / eps, and its exponential
    loses as many digits as that number has. The bound of the potentials (`proofs.potential`) loses
    those of rho / eps. The first try has both in addition. Under TV it has twice the digits: the
    gap between primal and dual is of first order in the error of the potentials, and the radius of
    the plan is proportional to the square root of the gap.
    """
    lost = abs(float((p.scale / p.eps).log())) + max(math.log(p.stiffest / float(p.eps)), 0)
    digits *= 1 if all(isinstance(side, KL | Exact) for side in p.penalties) else 2
    return first_found(bits_for(digits) + math.ceil(lost / math.log(2)), attempt, (
        f"at eps = {p.eps.str(5, radius=False)}, rho = {p.stiffest:g} and costs up to "
        f"{p.scale.str(5, radius=False)}; allowed: larger eps, smaller rho, or fewer digits"))


def _values_sharp(p: UnbalancedInputs, digits: int, *values: arb) -> bool:
    least = arb(10) ** -digits * p.scale * min(sum(p.a), sum(p.b))
    return all(is_sharp(x, digits, abs(x.mid()).max(least)) for x in values)


# ------------------------------------------------------------------ one attempt
def _oriented(p: UnbalancedProblem) -> UnbalancedProblem:
    """The problem, or its transpose, such that an exact side is that of the rows."""
    return p.transposed if isinstance(p.columns, Exact) else p


def _enclosed(p: UnbalancedInputs, digits: int) -> UnbalancedEnclosure | None:
    """Everything, or None if the working precision does not prove its digits."""
    C = cost_matrix(p.C)
    problem = on_support(p, C)
    core = _oriented(problem)
    h = half_step(core, annealed(core))
    turned = core is not problem
    f, g, P_core = _solution(core, h)
    if turned:
        f, g, P_core = g, f, [list(row) for row in columns_of(P_core)]
    P = _everywhere(p, P_core)
    U, s = value(core, h), sum((c * x for pair in zip(C, P, strict=True)
                                for c, x in zip(*pair, strict=True)), arb(0))
    rows, columns = ([sum(line, arb(0)) for line in lines] for lines in (P, columns_of(P)))
    mass = sum(rows, arb(0))
    largest = max(x.mid() for x in leaves(P))
    each = isinstance(core.columns, KL)
    if not (_values_sharp(p, digits, U, s) and is_sharp(mass, digits, mass.mid()) and all(
            is_sharp(x, digits, x.mid() if each else largest) for x in leaves(P))):
        return None
    found = UnbalancedEnclosure(
        U, s, mass, tuple(rows), tuple(columns), tuple(map(tuple, P)), None, None)
    if f is None or g is None:
        return found
    f_all, g_all = _potentials_everywhere(p, C, f, g)
    size = max(abs(t.mid()) for t in f_all + g_all).max(arb(10) ** -digits * p.scale)
    sharp = all(is_sharp(t, digits, size) for t in f_all + g_all)
    return replace(found, f=f_all, g=g_all) if sharp else None


def _solution(p: UnbalancedProblem, h: HalfStep) -> tuple[Vector | None, Vector | None, Matrix]:
    """(f, g, plan). f and g are None unless the penalty of the columns is KL."""
    if not isinstance(p.columns, KL):
        return None, None, plan(p, h)
    best = half_step(p, potential(p, h))
    return best.f, best.g, best.P


def _everywhere(p: UnbalancedInputs, P: Matrix) -> Matrix:
    """The plan (n, m), with rows and columns of 0 added for the points without mass."""
    found = [[arb(0)] * len(p.b) for _ in p.a]
    for i, row in zip(p.rows, P, strict=True):
        for j, x in zip(p.columns, row, strict=True):
            found[i][j] = x
    return found


def _potentials_everywhere(
    p: UnbalancedInputs, C: Matrix, f: Vector, g: Vector
) -> tuple[tuple[arb, ...], tuple[arb, ...]]:
    """f (n,) and g (m,): also at points without mass."""
    rows, columns = p.penalties
    return (_on_all(C, p.rows, f, p.columns, g, [arb(w) for w in p.b], rows, p.eps),
            _on_all(columns_of(C), p.columns, g, p.rows, f, [arb(w) for w in p.a], columns, p.eps))


def _on_all(
    C: Any, known: list[int], f: Vector, support: list[int], g: Vector, b: Vector, side: Penalty,
    eps: arb
) -> tuple[arb, ...]:
    """f at the points `known`, which carry mass; at all others prox(softmin(g)). U-3."""
    of = dict(zip(known, f, strict=True))
    weights = [b[j] for j in support]
    return tuple(
        of[i] if i in of
        else side.prox(transform([[row[j] for j in support]], g, weights, eps)[0], eps)
        for i, row in enumerate(C))
