"""Checks of unbalanced transport on a cost matrix: plan, potentials, value, gradient in the masses.

Mass is moved where that costs less than missing the marginals. rho is one number, and both
penalties are KL. U-1 to U-8 are equations of docs/equations.md.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace

import numpy as np

from refot.arrays import Array
from refot.verification.cases.case import Case, Difficulty
from refot.verification.cases.unbalanced import (
    BALANCED_RHO,
    FAR,
    LARGE_RHO,
    MASSES,
    SMALL_RHO,
    Matrix,
    unbalanced,
)
from refot.verification.certificates.balls import UNIT
from refot.verification.certificates.intervals import Interval
from refot.verification.subjects.probe import NotOfferedError
from refot.verification.truth.unbalanced import (
    ROUNDINGS,
    Unbalanced,
    dual,
    gibbs,
    unbalanced_solution,
)

from .trial import Finding, Trial, check

FREE_CONSTANT = ("f + g is right and f is not: a constant was added to f and taken from g, which "
                 "nothing leaves free where masses do not match (U-5 says the best one)")
"""The diagnosis of potentials f + t and g - t with some constant t, which only in balanced
transport are as good as f and g."""

AS_MANY = 4.0
"""Between equal masses F - U = A / rho + O(1 / rho^2), with A half of <a, f^2> + <b, g^2> for the
balanced potentials f and g. For the second term `unbalanced_value.balanced` allows this many times
A / rho^2 * (the range of the costs, or the largest |f_i| if that is larger), and for both terms
`unbalanced_divergence.balanced` allows this many times A / rho."""


def solvable(case: Case) -> bool:
    """Whether a solver has to converge on this case."""
    return case.difficulty is not Difficulty.EXTREME


def plain(case: Case) -> bool:
    """Whether invariants are checked on this case: it is small and well conditioned, and some mass
    is moved."""
    return case.plain and not _nothing_moves(case)


def _nothing_moves(case: Case) -> bool:
    """Whether all costs are so large that exp(-C / eps) is 0."""
    return bool(case.C.min() > 700 * case.eps)


# ------------------------------------------------------------------ the problems of a case
def _small(case: Case) -> Matrix:
    return unbalanced(case, SMALL_RHO * case.eps)


def _large(case: Case) -> Matrix:
    return unbalanced(case, LARGE_RHO * case.eps)


def _far(case: Case) -> Matrix:
    """A constant added to the cost, so large that nothing is moved, at a small rho."""
    return unbalanced(case.shifted(FAR * case.eps), SMALL_RHO * case.eps)


# ------------------------------------------------------------------ findings
def value_near(trial: Trial, measured: float, expected: Interval, t: Unbalanced,
               message: str = "", factor: float = 1.0) -> Finding:
    """A value compared with its interval. The tolerance is `rate` times the terms of which U is the
    sum, and their rounding."""
    unit = float(np.finfo(trial.case.C.dtype).eps) / 2
    tolerance = (factor * trial.rate + ROUNDINGS * unit) * t.largest_term
    return Finding(measured, expected, expected.distance(measured), tolerance, message)


def value_equal(trial: Trial, measured: float, expected: float, t: Unbalanced,
                message: str = "", factor: float = 1.0) -> Finding:
    """Two values that should agree."""
    if not math.isfinite(expected):
        return Finding(measured, None, math.nan, 0.0, f"{message} ({expected})".strip())
    return value_near(trial, measured, Interval(expected, expected), t, message, factor)


def _mass_near(trial: Trial, off: float, t: Unbalanced, message: str, factor: float = 10.0
               ) -> Finding:
    """The L1 error `off` of a mass, relative to the largest of the masses m_a, m_b and m(P)."""
    return trial.mass_error(off / max(*t.masses, t.mass), message, factor)


def _value(trial: Trial, problem: Matrix) -> float:
    return trial.number("unbalanced_value", *problem)


def _plan(trial: Trial, problem: Matrix) -> Array:
    return trial.array("unbalanced_plan", problem[0].shape, *problem)


def _potentials(trial: Trial, problem: Matrix) -> tuple[Array, Array]:
    f, g = trial.pair("unbalanced_potentials", *problem)
    return f.copy(), g.copy()


def _at(capability: str, what: str, sentence: str, applies: Callable[[Case], bool],
        find: Callable[[Trial, Matrix], Finding], derive: Callable[[Case], Matrix]) -> None:
    """Register a check that measures an answer to one of the problems of a case."""

    @check(f"{capability}.{what}", sentence, applies)
    def run(trial: Trial) -> Finding:
        return find(trial, derive(trial.case))


# ------------------------------------------------------------------ plan
def _plan_right(trial: Trial, problem: Matrix) -> Finding:
    t = unbalanced_solution(*problem)
    off = float(abs(_plan(trial, problem) - t.plan).sum())
    return _mass_near(trial, off, t, "L1 distance")


for _what, _sentence, _derive, _applies in (
    ("entries", "The plan is the right one, in L1", unbalanced, lambda case: case.well_conditioned),
    ("small-rho", "rho = eps / 1000: the plan is the right one", _small, plain),
    ("large-rho", "rho = 1000 eps: the plan is the right one", _large, plain),
    ("far", "Clouds so far apart that exp(-C / eps) is 0: nothing is moved", _far, plain),
):
    _at("unbalanced_plan", _what, _sentence, _applies, _plan_right, _derive)


@check("unbalanced_plan.nonnegative", "No entry of the plan is negative", solvable)
def plan_nonnegative(trial: Trial) -> Finding:
    P = _plan(trial, unbalanced(trial.case))
    return trial.mass_error(float(np.maximum(-P, 0).sum()), "negative mass")


@check("unbalanced_plan.marginals", "P follows from its own marginals: P_ij = a_i b_j exp((f_i + "
       "g_j - C_ij) / eps) with f = -rho log(P1 / a), g = -rho log(P'1 / b), U-4", plain)
def plan_marginals(trial: Trial) -> Finding:
    problem = *_, eps, rho = unbalanced(trial.case)
    P, t = _plan(trial, problem), unbalanced_solution(*problem)
    with np.errstate(all="ignore"):
        f, g = (np.where(w > 0, -rho * np.log(np.where(w > 0, p / w, 1)), 0)
                for p, w in ((P.sum(axis=1), t.a), (P.sum(axis=0), t.b)))
        off = float(abs(gibbs(f, g, t.C, t.a, t.b, eps) - P).sum())
    return _mass_near(trial, off, t, "L1 distance of P from what follows", 10 * (1 + rho / eps))


@check("unbalanced_plan.transposed", "The two sides exchanged: the plan transposed", plain)
def plan_transposed(trial: Trial) -> Finding:
    problem = unbalanced(trial.case)
    turned = unbalanced(trial.case.transposed(), masses=MASSES[::-1])
    off = float(abs(_plan(trial, turned).T - _plan(trial, problem)).sum())
    return _mass_near(trial, off, unbalanced_solution(*problem), "L1 distance")


# ------------------------------------------------------------------ potentials
@check("unbalanced_potentials.marginals", "The plan of the potentials has the marginals "
       "a exp(-f / rho) and b exp(-g / rho), U-4", lambda case: case.well_conditioned)
def potentials_marginals(trial: Trial) -> Finding:
    problem = *_, eps, rho = unbalanced(trial.case)
    t, (f, g) = unbalanced_solution(*problem), _potentials(trial, problem)
    # At an atom without mass any value is right, so that the right one is put there.
    f[t.a == 0], g[t.b == 0] = t.f[t.a == 0], t.g[t.b == 0]
    with np.errstate(all="ignore"):
        P = gibbs(f, g, t.C, t.a, t.b, eps)
        off = float(abs(P.sum(axis=1) - t.a * np.exp(-f / rho)).sum()
                    + abs(P.sum(axis=0) - t.b * np.exp(-g / rho)).sum())
        sums = float((t.independent * abs(f[:, None] + g - t.f[:, None] - t.g)).sum())
    found = _mass_near(trial, off, t, "L1 errors of rows and columns", 1 + trial.case.spread / eps)
    free = not found.passed and sums <= trial.rate * trial.case.unit
    return replace(found, cause=FREE_CONSTANT) if free else found


def _potentials_optimal(trial: Trial, problem: Matrix) -> Finding:
    t, (f, g) = unbalanced_solution(*problem), _potentials(trial, problem)
    f[t.a == 0], g[t.b == 0] = 0, 0
    with np.errstate(all="ignore"):
        return value_near(trial, dual(f, g, t.C, t.a, t.b, t.eps, t.rhos), t.value, t)


for _what, _sentence, _derive, _applies in (
    ("optimal", "The dual U-2 at (f, g) lies in the certified interval of U", unbalanced, solvable),
    ("small-rho", "rho = eps / 1000: the dual U-2 at (f, g) is U", _small, plain),
    ("large-rho", "rho = 1000 eps: the dual U-2 at (f, g) is U", _large, plain),
):
    _at("unbalanced_potentials", _what, _sentence, _applies, _potentials_optimal, _derive)


# ------------------------------------------------------------------ value
def _value_right(trial: Trial, problem: Matrix) -> Finding:
    t = unbalanced_solution(*problem)
    return value_near(trial, _value(trial, problem), t.value, t)


for _what, _sentence, _derive, _applies in (
    ("certified", "U of U-1 lies in its certified interval", unbalanced, solvable),
    ("small-rho", "rho = eps / 1000: U lies in its certified interval", _small, plain),
    ("large-rho", "rho = 1000 eps: U lies in its certified interval", _large, plain),
    ("far", "Clouds so far apart that exp(-C / eps) is 0: U = (m_a + m_b) rho + m_a m_b eps",
     _far, plain),
):
    _at("unbalanced_value", _what, _sentence, _applies, _value_right, _derive)


def _invariant(what: str, sentence: str, derive: Callable[[Case], Matrix],
               expected: Callable[[float, Matrix], float]) -> None:
    """Register a check that compares the value of a derived problem with that of the case."""

    @check(f"unbalanced_value.{what}", sentence, plain)
    def run(trial: Trial) -> Finding:
        problem = unbalanced(trial.case)
        derived = derive(trial.case)
        value = expected(_value(trial, problem), problem)
        return value_equal(trial, _value(trial, derived), value, unbalanced_solution(*derived),
                           factor=4)


def _heavier(case: Case) -> Matrix:
    """Both masses doubled, and eps log 2 added to the cost."""
    C, a, b, eps, rho = unbalanced(case)
    return C + C.dtype.type(eps * math.log(2)), 2 * a, 2 * b, eps, rho


def _of_doubled_masses(U: float, problem: Matrix) -> float:
    """2 U + 2 eps m_a m_b. With both masses and the plan doubled all terms of U double, except for
    eps m_a m_b, the mass of a(x)b in KL(P | a(x)b), which is multiplied by 4."""
    _, a, b, eps, _ = problem
    return 2 * U + 2 * eps * float(a.sum()) * float(b.sum())


_invariant("scaling", "Cost, eps and rho doubled: U doubles",
           lambda case: unbalanced(case.scaled(2.0)), lambda U, _: 2 * U)
_invariant("masses", "Both masses doubled and eps log 2 added to the cost: 2 U + 2 eps m_a m_b",
           _heavier, _of_doubled_masses)
_invariant("transposed", "The two sides exchanged: the same U",
           lambda case: unbalanced(case.transposed(), masses=MASSES[::-1]), lambda U, _: U)
_invariant("split", "An atom split in two on each side: the same U",
           lambda case: unbalanced(case.split()), lambda U, _: U)


@check("unbalanced_value.mass", "U is what the mass of the plan says, U-4: (m_a + m_b) rho + "
       "m_a m_b eps - (2 rho + eps) m(P)", plain)
def value_mass(trial: Trial) -> Finding:
    if not trial.offers("unbalanced_plan"):
        raise NotOfferedError("the part offers no plan whose mass could be asked")
    problem = *_, eps, rho = unbalanced(trial.case)
    t, mass = unbalanced_solution(*problem), float(_plan(trial, problem).sum())
    m_a, m_b = t.masses
    expected = rho * (m_a + m_b) + eps * m_a * m_b - (2 * rho + eps) * mass
    return value_equal(trial, _value(trial, problem), expected, t, factor=1 + 2 * rho / eps)


@check("unbalanced_value.balanced", "Equal masses and rho = 100 (max C - min C): below F by "
       "A / rho, with A half of <a, f^2> + <b, g^2> of the balanced potentials", plain)
def value_balanced(trial: Trial) -> Finding:
    case, truth = trial.case, trial.truth
    problem = unbalanced(case, BALANCED_RHO * case.unit, (1.0, 1.0))
    rho, f, g = problem[4], truth.solved.f, truth.solved.g
    # As rho grows, the unbalanced potentials tend to those balanced ones with <a, f> = <b, g>.
    shift = (float(truth.b @ g) - float(truth.a @ f)) / 2
    first = (float(truth.a @ (f + shift) ** 2) + float(truth.b @ (g - shift) ** 2)) / (2 * rho)
    found = value_equal(trial, _value(trial, problem), truth.F - first,
                        unbalanced_solution(*problem))
    next_term = AS_MANY * first * max(case.unit, float(abs(f + shift).max())) / rho
    return replace(found, tolerance=found.tolerance + next_term)


# ------------------------------------------------------------------ gradient in the masses
@check("unbalanced_mass_gradient.value", "dU/da_i = rho + eps m_b - (rho + eps) exp(-f_i / rho), "
       "U-7: not centred, for mass is free", lambda case: case.well_conditioned)
def mass_gradient_value(trial: Trial) -> Finding:
    problem = unbalanced(trial.case)
    t = unbalanced_solution(*problem)
    answer, there = trial.array("unbalanced_mass_gradient", t.a.shape, *problem), t.a > 0
    right = t.mass_gradient
    unit = ROUNDINGS * float(np.finfo(trial.case.C.dtype).eps) / 2
    allowed = (10 * trial.rate + unit) * (t.rhos[0] + t.eps + float(abs(right).max()))
    return trial.worst(np.where(there, answer, right), right, allowed, "")


@check("unbalanced_mass_gradient.total", "<a, dU/da> is the slope of U in the mass of a, not 0",
       plain)
def mass_gradient_total(trial: Trial) -> Finding:
    problem = C, _, _, eps, rho = unbalanced(trial.case)
    t = unbalanced_solution(*problem)
    answer = trial.array("unbalanced_mass_gradient", t.a.shape, *problem)
    more, less = (unbalanced_solution(C, (1 + h) * t.a, t.b, eps, rho).U for h in (STEP, -STEP))
    slope, total = (more - less) / (2 * STEP), float(t.a @ np.where(t.a > 0, answer, 0))
    # A central difference is off by STEP^2 times a third derivative of U, which is of the size of
    # the terms of U, and by their rounding divided by STEP.
    allowed = (10 * trial.rate + STEP**2 + ROUNDINGS * UNIT / STEP) * t.largest_term
    return Finding(total, Interval(slope, slope), abs(total - slope), allowed)


STEP = 2.0**-13
"""The relative change of the mass, up and down, of which a central difference is taken."""
