"""What numerics alone explain: underflow, empty atoms, not converged, a plan of the wrong form.

No formula describes them, because they differ from case to case. So each failed call is looked at
by itself, and what is found is said of that call only.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from refot.arrays import Array
from refot.verification.checks.trial import Call, Finding, Trial
from refot.verification.subjects.capabilities import CAPABILITIES, UNBALANCED
from refot.verification.subjects.protocol import argument_names
from refot.verification.truth.gibbs import double_differences, slope
from refot.verification.truth.solution import Iterate, Truth, solution

from . import unbalanced
from .questions import Right, in_the_log_domain, right_where_easy

UNDERFLOW = {4: 87, 8: 708}
"""C / eps at which exp(-C / eps) leaves the normal numbers, by bytes of the dtype."""

GIVEN = ("softmin", "semidual", "semidual_gradient")
"""Capabilities whose answer is one log-sum-exp of the arguments, without any iteration."""

EXPONENTS = 700
"""The size of an exponent up to which exp is neither 0 nor infinite in float64."""

SHIFT = "shift each log-sum-exp by its own maximum (not by 0, nor from a maximum that starts at 0)"
"""The advice for a log-sum-exp that overflows or underflows."""


def not_finite(trial: Trial, call: Call, right: Right | None) -> str:
    """Why an answer may not be finite, or ""; `right` is None where nothing is to be asked."""
    if CAPABILITIES[call.capability].is_unbalanced:
        return unbalanced.not_finite(call)
    case, ratio = trial.case, float(abs(trial.case.C).max()) / trial.case.eps
    if CAPABILITIES[call.capability].eps_at is None:  # exp(-C / eps) stands nowhere in it
        return ""
    if bool((case.a == 0).any() or (case.b == 0).any()) and ratio < UNDERFLOW[8]:
        return "not finite: a weight is 0, and its logarithm or quotient is taken"
    if call.capability == "divergence_gradient" and case.cost == "euclidean":
        return "not finite: the gradient of |x - y| at x = y, as in the self term, is not set to 0"
    if call.capability in GIVEN:
        return _exponents(call)
    if call.capability == "dual":
        return "not finite: exp of the exponents overflows"
    if ratio <= UNDERFLOW[4]:
        return ""
    if right is not None and in_the_log_domain(trial, call.capability, right):
        return f"not finite: max C / eps = {ratio:.3g}, and exponents are not shifted: {SHIFT}"
    return (f"not finite: max C / eps = {ratio:.3g}, so exp(-C / eps) underflows; the scaling "
            f"form needs the log domain or absorption; in the log domain, {SHIFT}")


def _exponents(call: Call) -> str:
    """Whether the largest exponent of a log-sum-exp is too small or too large for exp."""
    given = dict(zip(argument_names(call.capability), call.arguments, strict=True))
    h = given["h"] if "h" in given else given["g"]
    top = ((h.astype(np.float64) - given["C"]) / given["eps"]).max(axis=1)
    if top.min() < -EXPONENTS:
        return f"not finite: all exponents of a row are below {-EXPONENTS}: {SHIFT}"
    if top.max() > EXPONENTS:
        return f"not finite: exp of the exponents overflows: {SHIFT}"
    return ""


def cause(trial: Trial, call: Call, found: Finding, right: Right | None) -> str:
    """What the numbers of one call show, or ""; `right` is None where nothing is to be asked."""
    if CAPABILITIES[call.capability].is_unbalanced:
        if len(call.arguments) != len(UNBALANCED):
            return ""
        spread = float(np.ptp(call.arguments[0]))
        return unbalanced.cause(
            call, found, lambda: right is None or right_where_easy(
                trial, call.capability, call.arguments, spread or trial.case.eps, right),
            lambda: trial.array("unbalanced_plan", call.arguments[0].shape, *call.arguments)
            if trial.offers("unbalanced_plan") else None)
    if call.capability in ("plan", "potentials", "informative_plan"):
        return _plan_cause(trial, call.capability, call.answer, call.arguments, right)
    if call.capability in ("value", "transport_cost"):
        truth, measured = solution(*call.arguments), float(call.answer)
        return (_stopped(call.capability, truth, measured, found)
                or _infeasible(call.capability, truth, measured, found.tolerance)
                or _own_plan(trial, asks=right is not None))
    return ""


# ------------------------------------------------------------------ not converged
def _stopped(capability: str, truth: Truth, measured: float, found: Finding) -> str:
    """Whether Sinkhorn's algorithm, from one of its usual starts, passes through the answer."""
    right = truth.F if capability == "value" else truth.s
    near = min(abs(measured - right) / 100, max(found.tolerance, 1e-9 * abs(measured)))
    for step in truth.trajectory:
        if abs(measured - _answer(step, capability)) <= near:
            return (f"not converged: the answer after {step.number} iterations, "
                    f"marginal error {step.marginal_error:.1g}")
    return ""


def _answer(step: Iterate, capability: str) -> float:
    return step.value if capability == "value" else step.transport_cost


def _infeasible(capability: str, truth: Truth, measured: float, tolerance: float) -> str:
    """No coupling costs less than W0: a sharp cost below it has a plan of other marginals."""
    W0 = truth.kantorovich
    if capability != "transport_cost" or measured >= W0 - tolerance:
        return ""
    return f"below W0 = {W0:.6g}, the least of all couplings: its plan has other marginals"


def _own_plan(trial: Trial, asks: bool) -> str:
    """What is wrong with the plan that the same part returns."""
    if "plan" not in trial.probe.part.capabilities:
        return ""
    said = _plan_cause(trial, "plan", trial.plan(), trial.case.matrix,
                       (lambda *problem: solution(*problem).plan) if asks else None)
    return f"its own plan: {said}" if said else ""


# ------------------------------------------------------------------ plans
def _plan_cause(
    trial: Trial, capability: str, answer: Any, arguments: tuple[Any, ...], right: Right | None
) -> str:
    """What is wrong with a plan, or with that of potentials: its form, its mass, its marginals."""
    problem = arguments
    if capability == "informative_plan":
        C, Q, lam, *rest = arguments
        problem = (C - lam * Q, *rest)
    truth = solution(*problem)
    P = _plan_of(answer, truth) if capability == "potentials" else answer
    said = plan_form(P, problem) or _marginals(P, truth.a, truth.b)
    if said or _marginal_error(P, truth.a, truth.b) <= trial.rate:
        return said
    rows, columns = _distance(P.sum(axis=1), truth.a), _distance(P.sum(axis=0), truth.b)
    if may_be_an_iterate(P, problem) and (right is None or right_where_easy(
            trial, capability, arguments, float(np.ptp(truth.C)) or problem[3], right)):
        return f"not converged: marginal errors {rows:.1g} (rows) and {columns:.1g} (columns)"
    mass = float(P.sum())
    if abs(mass - 1) > 0.1:
        return f"the plan has mass {mass:.4g}, not 1"
    return ""


def _plan_of(potentials: tuple[Array, Array], truth: Truth) -> Array:
    (f, g), mass = potentials, np.outer(truth.a, truth.b)
    with np.errstate(all="ignore"):  # what is not finite is told
        density = np.exp((f[:, None] + g - truth.C) / truth.case.eps)
        return np.where(mass > 0, mass * density, 0)


def plan_form(P: Array, arguments: tuple[Any, ...]) -> str:
    """Says so if a plan is not finite, is empty, or is the Gibbs plan of another eps."""
    truth, eps = solution(*arguments), arguments[3]
    C, a, b = truth.C, truth.a, truth.b
    if not np.isfinite(P).all():
        return "the plan of the potentials is not finite"
    if P.sum() == 0:
        return "the plan is empty" + _why_empty(float(abs(C).max()) / eps, a, b)
    exact = 1e-6 * float(np.ptp(C))
    t, misfit = slope(double_differences(P, C, a, b, eps, 0.0))
    if misfit < exact and abs(t - 1) > 1e-3:
        return f"a Gibbs plan, but of cost / eps times {t:.4g}: eps or the scale of the cost"
    return ""


def _why_empty(ratio: float, a: Array, b: Array) -> str:
    if bool((a == 0).any() or (b == 0).any()):
        return ": a weight is 0"
    if ratio > UNDERFLOW[4]:
        return f": exp(-C / eps) underflows at max C / eps = {ratio:.3g}"
    return ""


def _marginals(P: Array, a: Array, b: Array) -> str:
    """Says so if the mass is n, or if a marginal is uniform where its weights are not."""
    rows, columns, mass = P.sum(axis=1), P.sum(axis=0), float(P.sum())
    if abs(mass - len(a)) < 1e-3 and len(a) > 1:
        return f"the plan has mass {mass:.4g} = n: a_i is missing outside"
    off_a, off_b = _distance(rows, a), _distance(columns, b)
    ignored = [name for name, off, marginal in (("a", off_a, rows), ("b", off_b, columns))
               if off > 1e-3 and _distance(marginal, np.full_like(marginal, 1 / len(marginal)))
               < off / 100]
    if ignored:
        return f"the weights {' and '.join(ignored)} are ignored: the marginal is uniform"
    return ""


def _distance(p: Array, q: Array) -> float:
    return float(abs(p - q).sum())


def _marginal_error(P: Array, a: Array, b: Array) -> float:
    return _distance(P.sum(axis=1), a) + _distance(P.sum(axis=0), b)


# ------------------------------------------------------------------ an iterate
EXACT = 1e-4
"""The error of the marginal that an iteration made exact, in units of that of the other."""

SLOW = 100
"""Iterations that may have been made, at the least, for a plan of two wrong marginals: as many as
solvers make by default before they stop."""


def may_be_an_iterate(P: Array, arguments: tuple[Any, ...]) -> bool:
    """Whether Sinkhorn's algorithm, on this cost and eps, may have stopped at this plan.

    It is a Gibbs plan of them, and either one marginal is exact, as after every update, or the
    error falls so slowly that SLOW or more iterations may have led to it from an error of 2, the
    largest there is: near the end an iteration multiplies the error by a positive semidefinite
    matrix, so that each removes a smaller part than the one before, and after k of them, the next
    of which multiplies it by r, it is at most 2 r^k.
    """
    truth, eps = solution(*arguments), arguments[3]
    C, a, b = truth.C, truth.a, truth.b
    t, misfit = slope(double_differences(P, C, a, b, eps, 0.0))
    if np.isfinite(t) and misfit + abs(t - 1) * float(np.ptp(C)) > 1e-3 * float(np.ptp(C)):
        return False
    rows, columns = _distance(P.sum(axis=1), a), _distance(P.sum(axis=0), b)
    if min(rows, columns) <= EXACT * max(rows, columns):
        return True
    now, then = _errors_of_two_steps(P, a, b)
    return now > EXACT * max(rows, columns) and then >= now * (now / 2) ** (1 / SLOW)


def _errors_of_two_steps(P: Array, a: Array, b: Array) -> tuple[float, float]:
    """The error of the rows once the columns are exact, and again an iteration later."""
    errors = []
    for _ in range(2):
        P = P * _quotient(b, P.sum(axis=0))
        errors.append(_distance(P.sum(axis=1), a))
        P = P * _quotient(a, P.sum(axis=1))[:, None]
    return errors[0], errors[1]


def _quotient(p: Array, q: Array) -> Array:
    return np.where(q > 0, p / np.where(q > 0, q, 1), 0)
