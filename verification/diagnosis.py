"""Diagnosis: where an answer misses, which known mistake gives exactly that answer.

A catalogue of alternatives (sharp for full, missing +eps, no weights, not converged, ...), each a
number computed for the case at hand. One is named only if it explains the error: it lies a hundred
times nearer to the measured value than the truth does, and within the check's own tolerance.
Where nothing explains it, the diagnosis is empty: we do not guess.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator
from typing import TypeAlias

import numpy as np

from refot import objectives
from refot.arrays import Array
from refot.divergences import mmd_squared_unbiased
from refot.problem import Problem, problem
from refot.sinkhorn import log_iterates

from .cases import Case
from .check import Finding, Trial
from .intervals import Interval
from .plan_diagnosis import diagnose_plan
from .truth import Truth

Alternatives: TypeAlias = Iterator[tuple[str, float]]

UNDERFLOW = {4: 87, 8: 708}
"""C / eps at which exp(-C / eps) leaves the normal numbers, by bytes of the dtype."""

ITERATIONS = 1_000
"""How many iterations of Sinkhorn's algorithm are compared with a value that misses."""


def diagnose(capability: str, trial: Trial, found: Finding) -> str:
    """A sentence that names the mistake, or "" where none is known to fit."""
    if not math.isfinite(found.measured) or found.expected is None:
        return _not_finite(trial.case)
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
            return _explanation(capability, here, measured, truth, found.tolerance)
    return ""


def _explanation(
    capability: str, trial: Trial, measured: float, truth: float, tolerance: float
) -> str:
    miss = abs(measured - truth)
    for sentence, value in CATALOGUE[capability](trial):
        if abs(measured - value) <= min(miss / 100, max(tolerance, 1e-9 * abs(measured))):
            return sentence
    return ""


def _value(capability: str, trial: Trial, found: Finding) -> tuple[float, float]:
    """(measured, true) value on a case; what an invariant of it measured does not say as much."""
    if capability in ("value", "transport_cost"):
        truth: Interval = getattr(trial.truth, capability)
        return trial.value(capability, trial.case), truth.midpoint
    if capability == "divergence":
        return trial.divergence(trial.case), trial.truth.divergence.midpoint
    assert found.expected is not None
    return found.measured, found.expected.midpoint


def _not_finite(case: Case) -> str:
    ratio = float(abs(case.C).max()) / case.eps
    if ratio > UNDERFLOW[case.C.dtype.itemsize]:
        return (f"not finite: max C / eps = {ratio:.3g}, so exp(-C / eps) underflows; the scaling "
                "form needs the log domain or absorption")
    if bool((case.a == 0).any() or (case.b == 0).any()):
        return "not finite: a weight is 0, and its logarithm or quotient is taken"
    return ""


# ------------------------------------------------------------------ the catalogue
def _entropic(C: Array, a: Array, b: Array, eps: float) -> Truth:
    return Truth(Case("alternative", "", C, a, b, eps))


def _other_problems(truth: Truth) -> Iterator[tuple[str, Truth]]:
    """Neighbouring problems that a mistake solves in place of the one that was asked."""
    C, a, b, eps = truth.C, truth.a, truth.b, truth.case.eps
    yield "eps is halved", _entropic(C, a, b, eps / 2)
    yield "eps is doubled", _entropic(C, a, b, 2 * eps)
    yield "the cost is halved (c / 2)", _entropic(C / 2, a, b, eps)
    yield "the cost is doubled", _entropic(2 * C, a, b, eps)
    if C.shape[0] == C.shape[1]:
        yield "the cost is transposed", _entropic(np.ascontiguousarray(C.T), a, b, eps)
    uniform_a, uniform_b = np.full_like(a, 1 / len(a)), np.full_like(b, 1 / len(b))
    if bool((a != uniform_a).any()) and bool((b != uniform_b).any()):
        yield "the weights a and b are ignored (uniform ones used)", _entropic(
            C, uniform_a, uniform_b, eps)
    if bool((a != uniform_a).any()):
        yield "the weights a are ignored (uniform ones used)", _entropic(C, uniform_a, b, eps)
    if bool((b != uniform_b).any()):
        yield "the weights b are ignored (uniform ones used)", _entropic(C, a, uniform_b, eps)
    if truth.case.cost == "euclidean":
        yield "the norm is squared", _entropic(C**2, a, b, eps)
    if truth.case.cost == "sqeuclidean":
        yield "the plain norm stands for the squared one", _entropic(np.sqrt(C), a, b, eps)


def _scaled(name: str, value: float) -> Alternatives:
    yield f"twice {name}", 2 * value
    yield f"half of {name}", value / 2
    yield f"minus {name}", -value


def _of_value(trial: Trial) -> Alternatives:
    truth, eps = trial.truth, trial.case.eps
    F, s = truth.value.midpoint, _sharp(truth)
    entropies = objectives.entropy(truth.a) + objectives.entropy(truth.b)
    yield "the sharp cost <C,P>: eps KL(P | a(x)b) is missing", s
    yield "eps too much (erratum E2: + eps in a semi-dual)", F + eps
    yield "eps is missing (erratum E1: + eps in the dual B-13)", F - eps
    yield "entropy for KL: <C,P> - eps H(P), the value of L", F - eps * entropies
    yield "eps KL is subtracted", 2 * s - F
    yield from _scaled("the value", F)
    for mistake, other in _other_problems(truth):
        yield mistake, other.value.midpoint
        yield f"the sharp cost <C,P>, and {mistake}", _sharp(other)
    yield from _not_converged(truth)


def _of_transport_cost(trial: Trial) -> Alternatives:
    truth = trial.truth
    F, s = truth.value.midpoint, _sharp(truth)
    entropies = objectives.entropy(truth.a) + objectives.entropy(truth.b)
    yield "the KL-inclusive value, not the sharp cost <C,P>", F
    yield "the entropic value <C,P> - eps H(P), not <C,P>", F - trial.case.eps * entropies
    yield "the unregularised W0", truth.kantorovich
    yield from _scaled("the sharp cost", s)
    for mistake, other in _other_problems(truth):
        yield mistake, _sharp(other)
    yield from _not_converged(truth)


def _of_divergence(trial: Trial) -> Alternatives:
    eps, xy, (xx, yy) = trial.case.eps, trial.truth, trial.truth.selves
    F, Fx, Fy = (truth.value.midpoint for truth in (xy, xx, yy))
    s, sx, sy = map(_sharp, (xy, xx, yy))
    sharp = s - (sx + sy) / 2
    yield "twice the divergence (2W - W - W)", 2 * F - Fx - Fy
    yield "sharp values <C,P> in all three terms: eps KL is missing", sharp
    yield "sharp values <C,P> in all three terms, clamped at 0", max(sharp, 0.0)
    yield "the loss 2W - W - W of G-4 with sharp values: twice the scale, and eps KL missing", (
        2 * sharp)
    yield "the self terms are missing: F_xy", F
    yield "the factors 1/2 of the self terms are missing", F - Fx - Fy
    yield "one self term is missing", F - Fx / 2
    yield "one self term is missing", F - Fy / 2
    yield "eps / 2 too much (erratum E2 in one term)", F - (Fx + Fy) / 2 + eps / 2
    yield "eps is missing in the cross term (erratum E1)", F - (Fx + Fy) / 2 - eps
    if F - (Fx + Fy) / 2 > 0:
        yield "the square root of the divergence", math.sqrt(F - (Fx + Fy) / 2)
    for mistake, xy_, xx_, yy_ in _other_divergences(xy, xx, yy):
        yield mistake, xy_.value.midpoint - (xx_.value.midpoint + yy_.value.midpoint) / 2


def _of_dual(trial: Trial) -> Alternatives:
    yield from _off_by_eps(trial, "of the dual B-13")


def _of_semidual(trial: Trial) -> Alternatives:
    yield from _off_by_eps(trial, "of the semi-dual B-24")


def _off_by_eps(trial: Trial, what: str) -> Alternatives:
    """The dual and semi-dual at the optimum, where F is what both should be."""
    F, eps = trial.truth.value.midpoint, trial.case.eps
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


# ------------------------------------------------------------------ parts
def _sharp(truth: Truth) -> float:
    return objectives.transport_cost(truth.plan, truth.C)


def _other_divergences(*terms: Truth) -> Iterator[tuple[str, Truth, Truth, Truth]]:
    """The same mistake made in all three terms."""
    by_name = [dict(_other_problems(term)) for term in terms]
    for mistake in by_name[0]:
        if all(mistake in others for others in by_name):
            yield mistake, by_name[0][mistake], by_name[1][mistake], by_name[2][mistake]


def _not_converged(truth: Truth) -> Alternatives:
    """The value and the cost after k iterations of Sinkhorn's algorithm, from its usual starts."""
    p = problem(truth.C, truth.a, truth.b, truth.case.eps, "numpy")
    log_b = np.log(np.where(p.b > 0, p.b, 1))
    for start in (np.zeros_like(p.b), -p.eps * log_b):
        for k, (f, g, error) in enumerate(itertools.islice(log_iterates(p, start), ITERATIONS), 1):
            sentence = f"not converged: the answer after {k} iterations, marginal error {error:.1g}"
            yield sentence, float(p.a @ f + p.b @ g)
            yield sentence, _half_step_cost(p, f, g)
            if error < 1e-9:
                break


def _half_step_cost(p: Problem, f: Array, g: Array) -> float:
    return p.backend.plan_cost(p.C, p.F(f), p.G(g), p.eps)
