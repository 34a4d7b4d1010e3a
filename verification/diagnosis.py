"""Diagnosis: where an answer misses, which known mistake gives exactly that answer.

A catalogue of alternatives (sharp for full, missing +eps, no weights, not converged, ...), each a
number computed for the case at hand. One is named only if it explains the error: it lies a hundred
times nearer to the measured value than the truth does, and within the check's own tolerance.
Where nothing explains it, the diagnosis is empty: we do not guess.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import TypeAlias

import numpy as np

from refot import objectives
from refot.divergences import mmd_squared_unbiased

from .cases import Case
from .check import Finding, Trial
from .intervals import Interval
from .plan_diagnosis import diagnose_plan
from .truth import Iterate, Truth

Alternatives: TypeAlias = Iterator[tuple[str, float]]

UNDERFLOW = {4: 87, 8: 708}
"""C / eps at which exp(-C / eps) leaves the normal numbers, by bytes of the dtype."""


SOLVED = ("plan", "potentials", "value", "transport_cost", "divergence", "semidual_gradient")
"""Capabilities in which exp(-C / eps) and the weights stand, so that either may not be finite."""


def diagnose(capability: str, trial: Trial, found: Finding) -> str:
    """A sentence that names the mistake, or "" where none is known to fit."""
    if not math.isfinite(found.measured) or found.expected is None:
        return _not_finite(capability, trial.case)
    if capability in ("plan", "potentials"):
        return diagnose_plan(capability, trial)
    if capability not in CATALOGUE:
        return ""
    for case in (trial.case, found.derived):  # an invariant fails on one of its two cases
        if case is None:
            continue
        here = trial if case is trial.case else Trial(trial.probe, case, Truth(case))
        measured, truth = _value(capability, here, found)
        if abs(measured - truth) > found.tolerance:
            return (_explanation(capability, here, measured, truth, found.tolerance)
                    or _infeasible(capability, here, measured, found.tolerance)
                    or _own_plan(here))
    return ""


def _explanation(
    capability: str, trial: Trial, measured: float, truth: float, tolerance: float
) -> str:
    """The first alternative that fits; 0 fits nothing, for too many mistakes end there."""
    near = min(abs(measured - truth) / 100, max(tolerance, 1e-9 * abs(measured)))
    for sentence, value in CATALOGUE[capability](trial):
        if abs(measured - value) <= near and abs(value) > tolerance:
            return sentence
    return ""


def _infeasible(capability: str, trial: Trial, measured: float, tolerance: float) -> str:
    """No coupling costs less than W0: a sharp cost below it has a plan of other marginals."""
    W0 = trial.truth.kantorovich
    if capability != "transport_cost" or measured >= W0 - tolerance:
        return ""
    return f"not converged: below W0 = {W0:.6g}, so the marginals of its plan are not a and b"


def _own_plan(trial: Trial) -> str:
    """What is wrong with the plan or the potentials that the same part returns."""
    for capability in ("plan", "potentials"):
        if capability in trial.probe.part.capabilities:
            sentence = diagnose_plan(capability, trial)
            return f"its own {capability}: {sentence}" if sentence else ""
    return ""


def _value(capability: str, trial: Trial, found: Finding) -> tuple[float, float]:
    """(measured, true) value on a case; what an invariant of it measured does not say as much."""
    if capability in ("value", "transport_cost"):
        true: Interval = getattr(trial.truth, capability)
        return trial.value(capability, trial.case), true.midpoint
    if capability == "divergence":
        return trial.divergence(trial.case), trial.truth.divergence.midpoint
    assert found.expected is not None
    return found.measured, found.expected.midpoint


def _not_finite(capability: str, case: Case) -> str:
    ratio = float(abs(case.C).max()) / case.eps
    if capability not in (*SOLVED, "divergence_gradient"):
        return ""
    if ratio > UNDERFLOW[case.C.dtype.itemsize]:
        return (f"not finite: max C / eps = {ratio:.3g}, so exp(-C / eps) underflows; the scaling "
                "form needs the log domain or absorption")
    if bool((case.a == 0).any() or (case.b == 0).any()):
        return "not finite: a weight is 0, and its logarithm or quotient is taken"
    if capability == "divergence_gradient" and case.cost == "euclidean":
        return "not finite: the gradient of |x - y| at x = y, as in the self term, is not set to 0"
    return ""


# ------------------------------------------------------------------ the catalogue
def _scaled(name: str, value: float) -> Alternatives:
    yield f"twice {name}", 2 * value
    yield f"half of {name}", value / 2
    yield f"minus {name}", -value


def _of_value(trial: Trial) -> Alternatives:
    truth, eps = trial.truth, trial.case.eps
    F, s = truth.F, truth.s
    entropies = objectives.entropy(truth.a) + objectives.entropy(truth.b)
    yield "the sharp cost <C,P>: eps KL(P | a(x)b) is missing", s
    yield "eps too much (erratum E2: + eps in a semi-dual)", F + eps
    yield "eps is missing (erratum E1: + eps in the dual B-13)", F - eps
    yield "entropy for KL: <C,P> - eps H(P), the value of L", F - eps * entropies
    yield "eps KL is subtracted", 2 * s - F
    yield from _scaled("the value", F)
    for mistake, other in truth.neighbours.items():
        yield mistake, other.F
        yield f"the sharp cost <C,P>, and {mistake}", other.s
    for step in truth.trajectory:
        yield _stopped(step), step.value
        yield _stopped(step), step.transport_cost


def _of_transport_cost(trial: Trial) -> Alternatives:
    truth = trial.truth
    entropies = objectives.entropy(truth.a) + objectives.entropy(truth.b)
    yield "the KL-inclusive value, not the sharp cost <C,P>", truth.F
    yield "the entropic value <C,P> - eps H(P), not <C,P>", truth.F - trial.case.eps * entropies
    yield "the unregularised W0", truth.kantorovich
    yield from _scaled("the sharp cost", truth.s)
    for mistake, other in truth.neighbours.items():
        yield mistake, other.s
    for step in truth.trajectory:
        yield _stopped(step), step.transport_cost


def _stopped(step: Iterate) -> str:
    return (f"not converged: the answer after {step.number} iterations, "
            f"marginal error {step.marginal_error:.1g}")


def _of_divergence(trial: Trial) -> Alternatives:
    eps, xy, (xx, yy) = trial.case.eps, trial.truth, trial.truth.selves
    F, F_self = xy.F, (xx.F + yy.F) / 2
    S, sharp = F - F_self, xy.s - (xx.s + yy.s) / 2
    yield "twice the divergence (2W - W - W)", 2 * S
    yield "half of the divergence", S / 2
    yield "sharp values <C,P> in all three terms: eps KL is missing", sharp
    yield "sharp values <C,P> in all three terms, clamped at 0", max(sharp, 0.0)
    yield "the loss G-4 (2W - W - W with sharp values): twice the scale, eps KL missing", 2 * sharp
    yield "the self terms are missing: F_xy", F
    yield "the factors 1/2 of the self terms are missing", F - 2 * F_self
    yield "one self term is missing", F - xx.F / 2
    yield "one self term is missing", F - yy.F / 2
    yield "eps / 2 too much (erratum E2 in one term)", S + eps / 2
    yield "eps is missing in the cross term (erratum E1)", S - eps
    if S > 0:
        yield "the square root of the divergence", math.sqrt(S)
    for mistake, other in xy.neighbours.items():
        if mistake in xx.neighbours and mistake in yy.neighbours:
            selves = xx.neighbours[mistake].F + yy.neighbours[mistake].F
            yield mistake, other.F - selves / 2


def _of_dual(trial: Trial) -> Alternatives:
    yield from _off_by_eps(trial, "of the dual B-13")


def _of_semidual(trial: Trial) -> Alternatives:
    yield from _off_by_eps(trial, "of the semi-dual B-24")


def _off_by_eps(trial: Trial, what: str) -> Alternatives:
    """The dual and semi-dual at the optimum, where F is what both should be."""
    F, eps = trial.truth.F, trial.case.eps
    yield f"eps is missing: + eps {what} (erratum E1)", F - eps
    yield f"eps too much: the printed + eps {what} (erratum E2)", F + eps


def _of_mmd(trial: Trial) -> Alternatives:
    x, a, y, b, _, cost = trial.case.clouds
    mmd = trial.truth.mmd
    yield "the square root: MMD, not MMD^2", math.sqrt(max(mmd, 0.0))
    yield "half of MMD^2 (the limit of B-9, erratum E13)", mmd / 2
    yield from _scaled("MMD^2", mmd)
    if min(len(a), len(b)) > 1:
        yield "the U-statistic, without the self pairs", mmd_squared_unbiased(x, a, y, b, cost)


def _of_mutual_information(trial: Trial) -> Alternatives:
    P = trial.truth.plan
    nats = objectives.kl(P, np.outer(P.sum(axis=1), P.sum(axis=0)))
    yield "in bits, not nats", nats / math.log(2)
    yield "the entropy of the plan", objectives.entropy(P)
    yield from _scaled("the information", nats)


CATALOGUE: dict[str, Callable[[Trial], Alternatives]] = {
    "value": _of_value,
    "transport_cost": _of_transport_cost,
    "divergence": _of_divergence,
    "dual": _of_dual,
    "semidual": _of_semidual,
    "mmd": _of_mmd,
    "mutual_information": _of_mutual_information,
}
