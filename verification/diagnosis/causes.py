"""Causes in the numerics: underflow, a weight of 0, no convergence, a plan of the wrong form.

No formula gives the answer of such a call, so that it cannot be recognised by the catalogue of
mistakes. Instead the numbers of each failed call are examined, and the cause that is found is
reported for that call alone.
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
"""The largest C / eps for which exp(-C / eps) is a normal number, by bytes of the dtype: 4 is
float32, 8 is float64."""

GIVEN = ("softmin", "semidual", "semidual_gradient")
"""Capabilities that compute log-sum-exps of their arguments, without any iteration."""

EXPONENTS = 700
"""For exponents up to this size, exp is neither 0 nor infinite in float64."""

SHIFT = "shift each log-sum-exp by its own maximum (not by 0, nor from a maximum that starts at 0)"
"""What to do about a log-sum-exp that overflows or underflows."""


def not_finite(trial: Trial, call: Call, right: Right | None) -> str:
    """Why an answer may not be finite, or "".

    `right` is a function of the arguments that gives the right answer, for further calls to the
    subject; None if no further calls are to be made.
    """
    if CAPABILITIES[call.capability].is_unbalanced:
        return unbalanced.not_finite(call)
    case, ratio = trial.case, float(abs(trial.case.C).max()) / trial.case.eps
    if CAPABILITIES[call.capability].eps_at is None:  # no exp(-C / eps) that could underflow
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
    """A sentence if the largest exponent of a log-sum-exp is too small or too large for exp, else
    ""."""
    given = dict(zip(argument_names(call.capability), call.arguments, strict=True))
    h = given["h"] if "h" in given else given["g"]
    top = ((h.astype(np.float64) - given["C"]) / given["eps"]).max(axis=1)
    if top.min() < -EXPONENTS:
        return f"not finite: all exponents of a row are below {-EXPONENTS}: {SHIFT}"
    if top.max() > EXPONENTS:
        return f"not finite: exp of the exponents overflows: {SHIFT}"
    return ""


def cause(trial: Trial, call: Call, found: Finding, right: Right | None) -> str:
    """The cause that the numbers of one call show, or ""; `right` is as for `not_finite`."""
    if CAPABILITIES[call.capability].is_unbalanced:
        return _unbalanced_cause(trial, call, found, right)
    if call.capability in ("plan", "potentials", "informative_plan"):
        return _plan_cause(trial, call.capability, call.answer, call.arguments, right)
    if call.capability in ("value", "transport_cost"):
        truth, measured = solution(*call.arguments), float(call.answer)
        return (_stopped(call.capability, truth, measured, found)
                or _infeasible(call.capability, truth, measured, found.tolerance)
                or _own_plan(trial, asks=right is not None))
    return ""


def _unbalanced_cause(trial: Trial, call: Call, found: Finding, right: Right | None) -> str:
    """As `cause`, for unbalanced transport; "" for a divergence."""
    if len(call.arguments) != len(UNBALANCED):
        return ""
    C = call.arguments[0]
    spread = float(np.ptp(C)) or trial.case.eps
    return unbalanced.cause(
        call, found,
        lambda: right is None or right_where_easy(trial, call.capability, call.arguments, spread,
                                                  right),
        lambda: trial.array("unbalanced_plan", C.shape, *call.arguments)
        if trial.offers("unbalanced_plan") else None)


# ------------------------------------------------------------------ not converged
def _stopped(capability: str, truth: Truth, measured: float, found: Finding) -> str:
    """A sentence if the answer is that of an early iteration of Sinkhorn's algorithm, else "".

    The iterations are those from the usual starts (`Truth.trajectory`).
    """
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
    """A sentence if a sharp cost is below W0, so that its plan has other marginals; else ""."""
    W0 = truth.kantorovich
    if capability != "transport_cost" or measured >= W0 - tolerance:
        return ""
    return f"below W0 = {W0:.6g}, the least of all couplings: its plan has other marginals"


def _own_plan(trial: Trial, asks: bool) -> str:
    """What is wrong with the plan that the same part of the subject returns for the case, or "". If
    `asks` is False, no further calls are made to explain it."""
    if "plan" not in trial.probe.part.capabilities:
        return ""
    said = _plan_cause(trial, "plan", trial.plan(), trial.case.matrix,
                       (lambda *problem: solution(*problem).plan) if asks else None)
    return f"its own plan: {said}" if said else ""


# ------------------------------------------------------------------ plans
def _plan_cause(
    trial: Trial, capability: str, answer: Any, arguments: tuple[Any, ...], right: Right | None
) -> str:
    """What is wrong with a plan, or with the plan of potentials: its form, mass, or marginals."""
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
    with np.errstate(all="ignore"):  # `plan_form` says so if the plan is not finite
        density = np.exp((f[:, None] + g - truth.C) / truth.case.eps)
        return np.where(mass > 0, mass * density, 0)


def plan_form(P: Array, arguments: tuple[Any, ...]) -> str:
    """A sentence if a plan is not finite, is 0, or is the Gibbs plan of another eps; else ""."""
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
    """A sentence if the mass is n, or if a marginal is uniform although its weights are not."""
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
"""A marginal counts as exact if its error is at most this part of the error of the other one."""

SLOW = 100
"""A plan of which both marginals are wrong counts as an iterate only if this many iterations or
more can have led to it: solvers make as many by default before they stop."""


def may_be_an_iterate(P: Array, arguments: tuple[Any, ...]) -> bool:
    """Whether Sinkhorn's algorithm, on this cost and eps, may have stopped at this plan.

    It must be a Gibbs plan of this cost and eps. Then it is an iterate if one marginal is exact, as
    after every update. If both are wrong (a solver may balance or average its last updates), the
    error must fall so slowly that at least SLOW iterations can have led to it.

    The test of that last condition: near the end an iteration multiplies the error by a positive
    semidefinite matrix, so that each iteration removes a smaller part of it than the one before.
    Let the next one multiply the error by r. Then each of the k iterations before has multiplied it
    by r or less, so that from an error of 2, the largest possible, at most 2 r^k is left. Hence the
    error e of the plan allows k >= SLOW iterations if and only if r >= (e / 2)^(1 / SLOW).
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
    """The error of the rows after the columns were made exact, now and one iteration later."""
    errors = []
    for _ in range(2):
        P = P * _quotient(b, P.sum(axis=0))
        errors.append(_distance(P.sum(axis=1), a))
        P = P * _quotient(a, P.sum(axis=1))[:, None]
    return errors[0], errors[1]


def _quotient(p: Array, q: Array) -> Array:
    return np.where(q > 0, p / np.where(q > 0, q, 1), 0)
