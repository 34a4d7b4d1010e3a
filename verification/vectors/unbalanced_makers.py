"""How the vectors of unbalanced transport are made: enclosures, and the error allowed.

Each answer may be off by about 1e-6 of a scale of its own, and all but a plan also by 64 roundings
of the largest terms that it adds up. The scale of a plan is the mass m(P) that it moves, that of a
value (max C - min C) m(P); the functions below give the others. A rounding is the relative error
2^-53 of a float64 operation (UNIT). Roundings matter for the value U where rho, the strength of the
penalties, is large: the terms of U are then far larger than U, and nearly cancel. m_a and m_b are
the masses of a and b. U-1 to U-8 are equations of docs/equations.md.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from functools import cache
from typing import Any

from refot.costs.ground import GROUND_COSTS
from refot.verification.certificates.balls import UNIT
from refot.verification.enclosures.precision import leaves
from refot.verification.enclosures.unbalanced.divergences import (
    enclose_unbalanced_divergence,
    enclose_unbalanced_divergence_gradient,
    enclose_unbalanced_divergence_weights_gradient,
)
from refot.verification.enclosures.unbalanced.enclose import (
    UnbalancedEnclosure,
    enclose_unbalanced,
)
from refot.verification.enclosures.unbalanced.gradients import (
    enclose_unbalanced_rho_gradient,
    enclose_unbalanced_weights_gradient,
)

from .makers import DIGITS, RATE, Vector
from .unbalanced_cases import UnbalancedCase, unbalanced_cases

UnbalancedMaker = Callable[[UnbalancedCase], Iterator[Vector]]
"""Makes the vectors of one file from a problem."""

RESIDUAL = 1e-9
"""The residual of the optimality conditions U-4, relative to the mass, at which a solve may
stop."""


@cache
def solution(name: str) -> UnbalancedEnclosure:
    """The enclosures of the problem of that name, computed once for all capabilities."""
    (case,) = (case for case in unbalanced_cases() if case.name == name)
    return enclosed(case)


def enclosed(case: UnbalancedCase) -> UnbalancedEnclosure:
    """The enclosures of the value, plan and potentials of a case."""
    return enclose_unbalanced(*case.matrix, case.rhos, case.penalty, DIGITS)


# ------------------------------------------------------------------ what is allowed
def of_value(case: UnbalancedCase, found: UnbalancedEnclosure) -> float:
    """The error allowed in U: 1e-6 (max C - min C) m(P), plus 64 roundings of its largest terms.

    These are <C,P>; for each penalty, rho times the two masses that it compares; eps m_a m_b; and
    |U| itself, which may be larger than all of these, since it contains logarithms of ratios of
    masses.
    """
    mass = float(found.mass)
    paid = sum(rho * (weight + mass) for rho, weight in zip(case.rhos, case.masses, strict=True)
               if rho < math.inf)
    terms = float(abs(case.C).max()) * mass + paid + case.eps * math.prod(case.masses)
    return RATE * case.spread * mass + 64 * UNIT * (terms + abs(float(found.value)))


def of_potentials(case: UnbalancedCase, found: UnbalancedEnclosure, side: int) -> float:
    """The error allowed in f (side 0) or g (side 1): rho / (rho + eps) times the sum of

    - 1e-6 (max C - min C), the error of a converged solve;
    - RESIDUAL (eps m(P) / lightest marginal + larger finite rho): a solve that stops at RESIDUAL
      may be wrong by the first term in one potential, by the second in all potentials of a side;
    - 64 roundings of the largest terms.
    """
    marginals = [float(x) for x in (*found.rows, *found.columns) if x > 0]
    largest_rho = max(rho for rho in case.rhos if rho < math.inf)
    unsolved = RESIDUAL * (case.eps * float(found.mass) / min(marginals) + largest_rho)
    terms = _largest(found.potentials) + float(abs(case.C).max()) + case.eps
    return (RATE * case.spread + unsolved + 64 * UNIT * terms) / (1 + case.eps / case.rhos[side])


def of_mass_gradient(case: UnbalancedCase, found: UnbalancedEnclosure, side: int) -> float:
    """The error allowed in dU/da (side 0) or dU/db (side 1).

    It is that of a potential times the derivative (1 + eps / rho) exp(-f / rho) of the gradient U-7
    in the potential, plus 64 roundings of the terms of U-7. On an exact side the gradient is the
    potential plus a constant.
    """
    rho, f = case.rhos[side], found.potentials[side]
    other = case.eps * case.masses[1 - side]
    if math.isinf(rho):
        return of_potentials(case, found, side) + 64 * UNIT * (_largest(f) + other + case.eps)
    ratio = _largest([(-x / rho).exp() for x in f])
    terms = rho + other + (rho + case.eps) * ratio
    return (1 + case.eps / rho) * ratio * of_potentials(case, found, side) + 64 * UNIT * terms


def of_rho_gradient(case: UnbalancedCase, found: UnbalancedEnclosure) -> float:
    """The error allowed in dU/drho: 1e-6 m(P) times the larger of 1 and the largest
    |log(marginal / weight)|, plus 64 roundings of m(P) + m_a + m_b."""
    ratios = [abs(math.log(float(x) / w)) for x, w in zip(
        (*found.rows, *found.columns), (*case.a, *case.b), strict=True) if w > 0]
    mass = float(found.mass)
    return RATE * mass * max(1.0, *ratios) + 64 * UNIT * (mass + sum(case.masses))


def _slopes(case: UnbalancedCase, *heaviest: float) -> float:
    """The error allowed in a gradient in the points. Its scale is the mass of the heaviest row of a
    plan times the largest |d1 c|, where d1 c is the derivative of c(x, y) in x: allowed are 1e-6 of
    that, and what 64 roundings of C / eps in an exponent do to it."""
    assert case.x is not None
    assert case.y is not None
    assert case.cost is not None
    gradient = GROUND_COSTS[case.cost].gradient
    largest = max(float(abs(gradient(case.x, points)).max()) for points in (case.x, case.y))
    return (RATE + 64 * UNIT * case.spread / case.eps) * max(heaviest) * (largest or 1.0)


def _largest(balls: Any) -> float:
    return max(abs(float(x.mid())) for x in leaves(balls))


# ------------------------------------------------------------------ one maker per capability
def _matrix(case: UnbalancedCase) -> dict[str, Any]:
    return dict(zip(("C", "a", "b", "eps", "rho"), (*case.matrix, case.rho), strict=True))


def _clouds(case: UnbalancedCase) -> dict[str, Any]:
    return dict(zip(("x", "a", "y", "b", "eps", "rho", "cost"), case.with_rho, strict=True))


def unbalanced_plan(case: UnbalancedCase) -> Iterator[Vector]:
    """The plan, and beside it its mass m(P)."""
    found = solution(case.name)
    allowed = RATE * float(found.mass)
    outputs = {"plan": (found.plan, allowed), "mass": (found.mass, allowed)}
    yield Vector(case, _matrix(case), outputs)


def unbalanced_potentials(case: UnbalancedCase) -> Iterator[Vector]:
    """f and g. They are unique where there is mass: unlike in balanced transport, no constant can
    be added to f and subtracted from g."""
    found = solution(case.name)
    yield Vector(case, _matrix(case), {
        name: (_where_mass_is(case, found, k), of_potentials(case, found, k))
        for k, name in enumerate("fg")})


def _where_mass_is(case: UnbalancedCase, found: UnbalancedEnclosure, side: int) -> list[Any]:
    """The potentials of a side, None at a point without mass, where no marginal determines one."""
    weights = (case.a, case.b)[side]
    return [x if w > 0 else None for x, w in zip(found.potentials[side], weights, strict=True)]


def unbalanced_value(case: UnbalancedCase) -> Iterator[Vector]:
    """U, and beside it its derivatives in the rho of the rows and in that of the columns."""
    found = solution(case.name)
    in_rho = enclose_unbalanced_rho_gradient(*case.matrix, case.rho, digits=DIGITS)
    yield Vector(case, _matrix(case), {
        "value": (found.value, of_value(case, found)),
        "gradient_in_rho": (list(in_rho), of_rho_gradient(case, found))})


def unbalanced_mass_gradient(case: UnbalancedCase) -> Iterator[Vector]:
    """The gradient of U in a, and beside it that in b."""
    found = solution(case.name)
    in_a, in_b = enclose_unbalanced_weights_gradient(*case.matrix, case.rho, digits=DIGITS)
    yield Vector(case, _matrix(case), {
        "gradient": (in_a, of_mass_gradient(case, found, 0)),
        "gradient_in_b": (in_b, of_mass_gradient(case, found, 1))})


def _selves(case: UnbalancedCase) -> tuple[tuple[UnbalancedCase, UnbalancedEnclosure], ...]:
    """The problems (x, y), (x, x) and (y, y) of a divergence, each with its enclosures."""
    of_x, of_y = case.alone, case.exchanged.alone
    return (case, solution(case.name)), (of_x, enclosed(of_x)), (of_y, enclosed(of_y))


def unbalanced_divergence(case: UnbalancedCase) -> Iterator[Vector]:
    allowed = sum(of_value(*pair) for pair in _selves(case))
    balls = enclose_unbalanced_divergence(*case.with_rho, digits=DIGITS)
    yield Vector(case, _clouds(case), {"divergence": (balls, allowed)})


def unbalanced_divergence_gradient(case: UnbalancedCase) -> Iterator[Vector]:
    """The gradient of S in x, and beside it that in a, from which no mean is subtracted."""
    cross, own, _ = _selves(case)
    heaviest = [_largest(found.rows) for _, found in (cross, own)]
    in_x = enclose_unbalanced_divergence_gradient(*case.with_rho, digits=DIGITS)
    in_a = enclose_unbalanced_divergence_weights_gradient(*case.with_rho, digits=DIGITS)
    allowed = of_mass_gradient(*cross, 0) + of_mass_gradient(*own, 0)
    yield Vector(case, _clouds(case), {"divergence_gradient": (in_x, _slopes(case, *heaviest)),
                               "gradient_in_a": (in_a, allowed)})


def unbalanced_sides(case: UnbalancedCase) -> Iterator[Vector]:
    """U, and beside it all that is unique. Under TV the potentials are not unique, and are left
    out."""
    found = solution(case.name)
    mass = RATE * float(found.mass)
    given = dict(zip(("C", "a", "b", "eps", "rho", "penalty"),
                     (*case.matrix, case.rhos, case.penalty), strict=True))
    in_rho = enclose_unbalanced_rho_gradient(
        *case.matrix, case.rhos, case.penalty, digits=DIGITS)
    outputs: dict[str, tuple[Any, float]] = {
        "value": (found.value, of_value(case, found)),
        "plan": (found.plan, mass), "mass": (found.mass, mass),
        "gradient_in_rho": (list(in_rho), of_rho_gradient(case, found))}
    if case.penalty == "kl":
        in_weights = enclose_unbalanced_weights_gradient(*case.matrix, case.rhos, digits=DIGITS)
        for k, name in enumerate("ab"):
            outputs[f"potential_of_{name}"] = (
                _where_mass_is(case, found, k), of_potentials(case, found, k))
            outputs[f"gradient_in_{name}"] = in_weights[k], of_mass_gradient(case, found, k)
    yield Vector(case, given, outputs)


# the names of problems: ONE_RHO have the same rho on both sides, CLOUDS are those of them that are
# given by points, EACH_SIDE have a rho for each side
ONE_RHO = ("unequal euclidean-unequal l1-unequal tiny-rho huge-rho equal-huge-rho light heavy "
           "light-to-heavy heavy-to-light-stiff unequal-small-costs unequal-small-eps "
           "unequal-huge-eps one-atom-each one-row-unequal duplicates-unequal multiple "
           "zero-weights-unequal unequal-tiny-eps asymmetric-unequal negative-unequal "
           "iris-unequal")

CLOUDS = ("unequal euclidean-unequal l1-unequal tiny-rho huge-rho equal-huge-rho light heavy "
          "light-to-heavy unequal-small-costs unequal-huge-eps one-atom-each one-row-unequal "
          "duplicates-unequal multiple zero-weights-unequal iris-unequal")

EACH_SIDE = ("kl-pair kl-rows-exact kl-columns-exact kl-rows-exact-tiny-rho "
             "kl-columns-exact-huge-rho kl-rows-exact-equal kl-rows-exact-light "
             "kl-columns-exact-small-eps kl-tiny-and-huge kl-rows-exact-zero-weights tv tv-pair "
             "tv-small-eps tv-equal-left tv-equal-huge-rho tv-huge-rho tv-tiny-rho tv-rows-exact "
             "tv-columns-exact tv-light tv-heavy tv-zero-weights tv-one-atom-each")

UNBALANCED_MAKERS: dict[str, tuple[UnbalancedMaker, str]] = {
    "unbalanced_plan": (unbalanced_plan, ONE_RHO),
    "unbalanced_potentials": (unbalanced_potentials, ONE_RHO),
    "unbalanced_value": (unbalanced_value, ONE_RHO),
    "unbalanced_mass_gradient": (unbalanced_mass_gradient, ONE_RHO),
    "unbalanced_divergence": (unbalanced_divergence, CLOUDS),
    "unbalanced_divergence_gradient": (unbalanced_divergence_gradient, CLOUDS),
    "unbalanced_sides": (unbalanced_sides, EACH_SIDE),
}
"""By file: the function that makes its vectors, and the names of its problems."""
