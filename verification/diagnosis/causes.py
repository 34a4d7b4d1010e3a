"""What numerics alone explain: underflow, empty atoms, not converged, a plan of the wrong form.

These are no mistakes in a formula: they differ from case to case, and are said where they are seen.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from refot.arrays import Array
from refot.verification.cases.case import Case
from refot.verification.checks.trial import Call, Finding, Trial
from refot.verification.truth.gibbs import double_differences, slope
from refot.verification.truth.solution import Iterate, Truth, solution

UNDERFLOW = {4: 87, 8: 708}
"""C / eps at which exp(-C / eps) leaves the normal numbers, by bytes of the dtype."""

SOLVED = ("plan", "potentials", "value", "transport_cost", "divergence", "divergence_gradient",
          "semidual", "semidual_gradient", "softmin", "dual", "scaling_loss", "informative_plan")
"""Capabilities in which exp(-C / eps) stands."""


def not_finite(call: Call, case: Case) -> str:
    """Why an answer may not be finite, or ""."""
    ratio = float(abs(case.C).max()) / case.eps
    if call.capability not in SOLVED:
        return ""
    if bool((case.a == 0).any() or (case.b == 0).any()) and ratio < UNDERFLOW[8]:
        return "not finite: a weight is 0, and its logarithm or quotient is taken"
    if call.capability == "divergence_gradient" and case.cost == "euclidean":
        return "not finite: the gradient of |x - y| at x = y, as in the self term, is not set to 0"
    if ratio > UNDERFLOW[4]:
        return (f"not finite: max C / eps = {ratio:.3g}, so exp(-C / eps) underflows; the scaling "
                "form needs the log domain or absorption")
    if call.capability in ("softmin", "semidual", "semidual_gradient", "dual"):
        return "not finite: exp of the exponents overflows; shift them by their maximum"
    return ""


def cause(trial: Trial, call: Call, found: Finding) -> str:
    """What the numbers of one call show, or ""."""
    if call.capability in ("plan", "potentials"):
        return plan_cause(_plan(call), trial.rate, call.arguments)
    if call.capability in ("value", "transport_cost"):
        truth, measured = solution(*call.arguments), float(call.answer)
        return (_stopped(call.capability, truth, measured, found)
                or _infeasible(call.capability, truth, measured, found.tolerance)
                or _own_plan(trial))
    if call.capability == "informative_plan":
        C, Q, lam, a, b, eps = call.arguments
        return plan_cause(call.answer, trial.rate, (C - lam * Q, a, b, eps))
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
    return f"not converged: below W0 = {W0:.6g}, so the marginals of its plan are not a and b"


def _own_plan(trial: Trial) -> str:
    """What is wrong with the plan that the same part returns."""
    if "plan" not in trial.probe.part.capabilities:
        return ""
    said = plan_cause(trial.plan(), trial.rate, trial.case.matrix)
    return f"its own plan: {said}" if said else ""


# ------------------------------------------------------------------ plans
def _plan(call: Call) -> Array:
    if call.capability == "plan":
        return call.answer
    (f, g), truth = call.answer, solution(*call.arguments)
    mass = np.outer(truth.a, truth.b)
    with np.errstate(all="ignore"):  # what is not finite is told
        density = np.exp((f[:, None] + g - truth.C) / truth.case.eps)
        return np.where(mass > 0, mass * density, 0)


def plan_cause(P: Array, rate: float, arguments: tuple[Any, ...]) -> str:
    """Is it a Gibbs plan of this cost and eps, and are its marginals right?"""
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
    return _marginals(P, a, b, rate)


def _why_empty(ratio: float, a: Array, b: Array) -> str:
    if bool((a == 0).any() or (b == 0).any()):
        return ": a weight is 0"
    if ratio > UNDERFLOW[4]:
        return f": exp(-C / eps) underflows at max C / eps = {ratio:.3g}"
    return ""


def _marginals(P: Array, a: Array, b: Array, rate: float) -> str:
    rows, columns, mass = P.sum(axis=1), P.sum(axis=0), float(P.sum())
    if abs(mass - len(a)) < 1e-3:
        return f"the plan has mass {mass:.4g} = n: a_i is missing outside"
    if abs(mass - 1) > 0.1:
        return f"the plan has mass {mass:.4g}, not 1"
    off_a, off_b = _distance(rows, a), _distance(columns, b)
    ignored = [name for name, off, marginal in (("a", off_a, rows), ("b", off_b, columns))
               if off > 1e-3 and _distance(marginal, np.full_like(marginal, 1 / len(marginal)))
               < off / 100]
    if ignored:
        return f"the weights {' and '.join(ignored)} are ignored: the marginal is uniform"
    if off_a + off_b > rate:
        return f"not converged: marginal errors {off_a:.1g} (rows) and {off_b:.1g} (columns)"
    return ""


def _distance(p: Array, q: Array) -> float:
    return float(abs(p - q).sum())
