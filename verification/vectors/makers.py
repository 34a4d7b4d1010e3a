"""How the vectors of each capability are made: arguments, enclosures, and the error allowed.

An enclosure has a ball (an interval mid +- rad) for each number of the right answer. An answer that
needs a solver may be off by 1e-6 of its scale, as in `refot verify`. An answer that is a function
of given arguments may be off by 64 roundings of the largest terms of its sums; one rounding is the
relative error 2^-53 of a float64 operation (UNIT).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np

from refot.costs.ground import GROUND_COSTS
from refot.verification.cases.case import Case
from refot.verification.certificates import rounding_bounds as bounds
from refot.verification.certificates.balls import UNIT
from refot.verification.certificates.roundings import roundings
from refot.verification.enclosures.enclose import Enclosure, enclose, enclose_divergence
from refot.verification.enclosures.functions import (
    enclose_dual,
    enclose_mmd,
    enclose_mutual_information,
    enclose_q_objective,
    enclose_q_optimum,
    enclose_scaling,
    enclose_scaling_loss,
    enclose_scaling_loss_gradient,
    enclose_semidual,
    enclose_semidual_gradient,
    enclose_softmin,
)
from refot.verification.enclosures.gradients import (
    enclose_divergence_gradient,
    enclose_divergence_weight_gradient,
    enclose_informative_plan,
    enclose_weight_gradient,
)
from refot.verification.enclosures.precision import leaves

from .cases import all_cases, joint, potentials, table

DIGITS = 32
"""The least number of digits of an enclosure: two more than docs/vectors.md promises."""

RATE = 1e-6
"""The error that a converged solve may have, relative to the scale of its answer: max C - min C, or
1 for a plan."""


@dataclass(frozen=True)
class Vector:
    """One case with its arguments, in the order of the signature, and its right answers.

    `outputs` maps a name to (nested lists of balls, error allowed). The first output is what the
    capability returns. `suffix` tells several vectors of one case apart in their ids.
    """

    case: Case
    inputs: Mapping[str, Any]
    outputs: Mapping[str, tuple[Any, float]]
    suffix: str = ""


Maker = Callable[[Case], Iterator[Vector]]
"""Makes the vectors of one capability from a problem."""


# ------------------------------------------------------------------ what is allowed
def solved(case: Case) -> float:
    """The error allowed in a value: 1e-6 (max C - min C), plus 64 roundings of max |C| + eps."""
    return RATE * case.spread + rounding(case)


def _potential(case: Case) -> float:
    """The error allowed in a potential: `solved` plus eps 1e-9 / (least weight > 0). A solve that
    stops at a marginal error of 1e-9 may leave the potential of the lightest atom that far off."""
    weights = np.concatenate([case.a, case.b])
    return solved(case) + case.eps * 1e-9 / float(weights[weights > 0].min())


def rounding(case: Case, *more: Any) -> float:
    """64 roundings of max |C| + eps, plus those of the largest entries of `more`: the error allowed
    in a sum of such terms, which all have the unit of the cost."""
    return roundings(case.C, *more, case.eps)


def _slopes(case: Case) -> float:
    """The error allowed in a gradient in the points. Its scale is the largest a_i |d1 c|, where
    d1 c is the derivative of c(x, y) in x: allowed are 1e-6 of that, and what 64 roundings of C /
    eps in an exponent do to it."""
    x, y = case.x, case.y
    assert x is not None
    assert y is not None
    assert case.cost is not None
    gradient = GROUND_COSTS[case.cost].gradient
    largest = max(float(abs(gradient(x, points)).max()) for points in (x, y))
    return (RATE + 64 * UNIT * case.spread / case.eps) * float(case.a.max()) * (largest or 1.0)


# ------------------------------------------------------------------ one maker per capability
@cache
def _solution(name: str) -> Enclosure:
    """The enclosures of the problem of that name, computed once for all capabilities."""
    (case,) = (case for case in all_cases() if case.name == name)
    return enclose(*case.matrix, digits=DIGITS)


def _matrix(case: Case) -> dict[str, Any]:
    return dict(zip(("C", "a", "b", "eps"), case.matrix, strict=True))


def _clouds(case: Case) -> dict[str, Any]:
    return dict(zip(("x", "a", "y", "b", "eps", "cost"), case.clouds, strict=True))


def plan(case: Case) -> Iterator[Vector]:
    yield Vector(case, _matrix(case), {"plan": (_solution(case.name).plan, RATE)})


def potentials_(case: Case) -> Iterator[Vector]:
    """f and g. At a point without mass no answer is asked for: no marginal determines one."""
    found = _solution(case.name)
    outputs = {name: ([x if w > 0 else None for x, w in zip(balls, weights, strict=True)],
                      _potential(case))
               for name, balls, weights in (("f", found.f, case.a), ("g", found.g, case.b))}
    yield Vector(case, _matrix(case), outputs)


def value(case: Case) -> Iterator[Vector]:
    outputs = {"value": (_solution(case.name).value, solved(case)), "gradient_in_a": (
        enclose_weight_gradient(*case.matrix, digits=DIGITS), _potential(case))}
    yield Vector(case, _matrix(case), outputs)


def transport_cost(case: Case) -> Iterator[Vector]:
    found = _solution(case.name).transport_cost
    yield Vector(case, _matrix(case), {"transport_cost": (found, solved(case))})


def softmin(case: Case) -> Iterator[Vector]:
    """At h, and at h plus at least 1024 eps, where exp(h / eps) overflows: exponents must be
    shifted before they are exponentiated."""
    _, h = potentials(case)
    for suffix, far in (("", h), ("+1000eps", h + 1024 * 2.0 ** np.ceil(np.log2(case.eps)))):
        given = {"C": case.C, "h": far, "eps": case.eps}
        balls = enclose_softmin(**given, digits=DIGITS)
        yield Vector(case, given, {"softmin": (balls, bounds.softmin(**given))}, suffix)


def dual(case: Case) -> Iterator[Vector]:
    f, g = potentials(case)
    given = {"f": f, "g": g, **_matrix(case)}
    balls = enclose_dual(**given, digits=DIGITS)
    yield Vector(case, given, {"dual": (balls, bounds.dual(**given))})


def semidual(case: Case) -> Iterator[Vector]:
    _, g = potentials(case)
    given = {"g": g, **_matrix(case)}
    balls = enclose_semidual(**given, digits=DIGITS)
    yield Vector(case, given, {"semidual": (balls, bounds.semidual(**given))})


def semidual_gradient(case: Case) -> Iterator[Vector]:
    _, g = potentials(case)
    given = {"g": g, **_matrix(case)}
    balls = enclose_semidual_gradient(**given, digits=DIGITS)
    yield Vector(case, given, {"semidual_gradient": (balls, bounds.semidual_gradient(**given))})


def scaling_loss(case: Case) -> Iterator[Vector]:
    """The loss after L = 1 and L = 4 steps, and the scalings u (L, n), v (L, m) after each step."""
    for L in (1, 4):
        given = {**_matrix(case), "L": L}
        allowed = bounds.unrolled(case.C, case.eps, L)
        loss = enclose_scaling_loss(**given, digits=DIGITS)
        u, v = enclose_scaling(**given, digits=DIGITS)
        yield Vector(case, given, {
            "scaling_loss": (loss, bounds.scaling_loss(**given)),
            "u": (u, allowed * _largest(u)), "v": (v, allowed * _largest(v))}, f"-L{L}")


def scaling_loss_gradient(case: Case) -> Iterator[Vector]:
    given = {**_matrix(case), "L": 3}
    balls = enclose_scaling_loss_gradient(**given, digits=DIGITS)
    allowed = bounds.scaling_loss_gradient(**given)
    yield Vector(case, given, {"scaling_loss_gradient": (balls, allowed)}, "-L3")


def divergence(case: Case) -> Iterator[Vector]:
    balls = enclose_divergence(*case.clouds, digits=DIGITS)
    yield Vector(case, _clouds(case), {"divergence": (balls, solved(case))})


def divergence_gradient(case: Case) -> Iterator[Vector]:
    balls = enclose_divergence_gradient(*case.clouds, digits=DIGITS)
    in_a = enclose_divergence_weight_gradient(*case.clouds, digits=DIGITS)
    yield Vector(case, _clouds(case), {"divergence_gradient": (balls, _slopes(case)),
                                       "gradient_in_a": (in_a, 2 * _potential(case))})


def mmd(case: Case) -> Iterator[Vector]:
    given = {key: value for key, value in _clouds(case).items() if key != "eps"}
    balls = enclose_mmd(**given, digits=DIGITS)
    yield Vector(case, given, {"mmd": (balls, bounds.mmd(**given))})


def q_objective(case: Case) -> Iterator[Vector]:
    Q, P = table(case), joint(case)
    given = {"Q": Q, "P": P, "a": case.a, "b": case.b}
    balls = enclose_q_objective(**given, digits=DIGITS)
    outputs = {"q_objective": (balls, bounds.q_objective(**given))}
    # where P has mass and a(x)b has none, Q can make the objective as low as it likes: no optimum
    if (P > 0)[np.outer(case.a, case.b) == 0].any():
        yield Vector(case, given, outputs)
        return
    largest = 1 + float(abs(np.log(P[P > 0] / np.outer(case.a, case.b)[P > 0])).max())
    optimum = enclose_q_optimum(P, case.a, case.b, digits=DIGITS)
    yield Vector(case, given, outputs | {"optimum": (optimum, 64 * UNIT * largest)})


def informative_plan(case: Case) -> Iterator[Vector]:
    """lam is the largest power of two that is at most min(eps, max(max C - min C, 1)). As it is a
    power of two, C - lam Q is computed without rounding."""
    lam = float(2.0 ** np.floor(np.log2(min(case.eps, max(case.spread, 1)))))
    given = {"C": case.C, "Q": table(case), "lam": lam, "a": case.a, "b": case.b, "eps": case.eps}
    balls = enclose_informative_plan(**given, digits=DIGITS).plan
    yield Vector(case, given, {"informative_plan": (balls, RATE)})


def mutual_information(case: Case) -> Iterator[Vector]:
    P = joint(case)
    balls = enclose_mutual_information(P, DIGITS)
    yield Vector(case, {"P": P}, {"mutual_information": (balls, bounds.mutual_information(P))})


# the names of problems: SOLVED for capabilities that need a solver, DIRECT for functions of given
# arguments, POINTS for capabilities of point clouds
SOLVED = ("gaussian euclidean l1 eps-ten huge-eps one-by-one one-row small-eps square-uniform "
          "duplicates zero-weights tiny-eps wide asymmetric offset negative iris iris-l1 "
          "digit-histograms")
DIRECT = ("gaussian huge-eps one-by-one square-uniform zero-weights tiny-eps wide asymmetric "
          "offset iris")
POINTS = ("gaussian euclidean l1 eps-ten huge-eps one-by-one one-row square-uniform duplicates "
          "zero-weights wide itself iris iris-l1")

MAKERS: dict[str, tuple[Maker, str]] = {
    "plan": (plan, SOLVED),
    "potentials": (potentials_, SOLVED),
    "value": (value, SOLVED),
    "transport_cost": (transport_cost, SOLVED),
    "softmin": (softmin, "gaussian eps-ten huge-eps one-by-one zero-weights tiny-eps wide "
                         "asymmetric offset iris"),
    "dual": (dual, DIRECT),
    "semidual": (semidual, DIRECT),
    "semidual_gradient": (semidual_gradient, DIRECT),
    "scaling_loss": (scaling_loss, "gaussian eps-ten one-by-one square-uniform zero-weights wide "
                                   "asymmetric negative iris"),
    "scaling_loss_gradient": (scaling_loss_gradient, "gaussian eps-ten one-by-one duplicates "
                                                     "zero-weights wide asymmetric negative"),
    "divergence": (divergence, f"{POINTS} small-eps tiny-eps digit-histograms"),
    "divergence_gradient": (divergence_gradient, POINTS),
    "mmd": (mmd, f"{POINTS} digit-histograms"),
    "q_objective": (q_objective, DIRECT),
    "informative_plan": (informative_plan, "gaussian l1 eps-ten one-by-one square-uniform "
                                           "zero-weights wide asymmetric negative"),
    "mutual_information": (mutual_information, "gaussian one-by-one one-row square-uniform "
                                               "zero-weights wide asymmetric negative iris"),
}
"""By capability: the function that makes its vectors, and the names of its problems."""


def _largest(balls: Any) -> float:
    return max(abs(float(x.mid())) for x in leaves(balls))
