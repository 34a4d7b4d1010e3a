"""Checks of what a solver returns: plan, potentials, value, transport cost."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from refot.arrays import largest
from refot.objectives import semi_dual
from refot.verification.cases.case import Case
from refot.verification.certificates.intervals import Interval
from refot.verification.truth.gibbs import double_differences

from .trial import Finding, Trial, check


# ------------------------------------------------------------------ plan
@check("plan.marginals", "The rows of the plan sum to a and its columns to b")
def plan_marginals(trial: Trial) -> Finding:
    return trial.marginals_right(trial.plan())


@check("plan.nonnegative", "No entry of the plan is negative")
def plan_nonnegative(trial: Trial) -> Finding:
    return trial.mass_error(float(np.maximum(-trial.plan(), 0).sum()), "negative mass")


@check("plan.entries", "The plan is the certified one, in L1",
       lambda case: case.well_conditioned)
def plan_entries(trial: Trial) -> Finding:
    return trial.mass_error(float(abs(trial.plan() - trial.truth.plan).sum()), "L1 distance", 10)


@check("plan.gibbs", "eps log(P / (a(x)b)) + C is a sum f_i + g_j, converged or not",
       lambda case: min(case.C.shape) > 1)
def plan_gibbs(trial: Trial) -> Finding:
    P, truth, eps = trial.plan(), trial.truth, trial.case.eps
    if not np.isfinite(P).all():
        return Finding(np.nan, None, np.nan, trial.rate, "the plan is not finite")
    noise = 10 * trial.rate  # the error that `plan.entries` allows, which may sit in one entry
    found = double_differences(P, truth.C, truth.a, truth.b, eps, noise)
    if not found.energy.size:  # such a plan is left to the check of the marginals
        return trial.mass_error(0.0, "no four entries far enough above the noise to compare")
    allowed = trial.rate * trial.case.unit + trial.rounding + found.noise
    off = abs(found.energy - found.cost)
    worst = int((off / allowed).argmax())
    return Finding(float(off[worst]), Interval(0.0, 0.0), float(off[worst]),
                   float(allowed[worst]), "double difference of f_i + g_j, the worst")


# ------------------------------------------------------------------ potentials
@check("potentials.marginals", "The plan of the potentials has marginals a and b")
def potentials_marginals(trial: Trial) -> Finding:
    return trial.marginals_right(trial.plan_of_potentials())


@check("potentials.optimal", "The semi-dual at g lies in the certified interval of F")
def potentials_optimal(trial: Trial) -> Finding:
    _, g = trial.pair("potentials", *trial.case.matrix)
    truth = trial.truth
    g = np.where(truth.b > 0, g, 0)  # the potential of an atom without mass may be anything
    # A NaN in g fails this comparison, too.
    if not (abs(g) <= largest(truth.C.dtype)).all():
        return trial.value_within(float("nan"), truth.value,
                                  "g is not finite on the support, or too large to compute with")
    value = semi_dual(g, truth.C, truth.a, truth.b, trial.case.eps, backend="numpy")
    return trial.value_within(value, truth.value)


# ------------------------------------------------------------------ value and transport cost
@check("value.certified", "The KL-inclusive value lies in its certified interval")
def value_certified(trial: Trial) -> Finding:
    return trial.value_within(trial.number("value", *trial.case.matrix), trial.truth.value)


@check("transport_cost.certified", "The sharp value <C,P> lies in its certified interval")
def transport_cost_certified(trial: Trial) -> Finding:
    return trial.value_within(trial.number("transport_cost", *trial.case.matrix),
                              trial.truth.transport_cost)


def _invariant(
    capability: str, what: str, sentence: str, derive: Callable[[Case], Case],
    expected: Callable[[float], float], applies: Callable[[Case], bool],
) -> None:
    """Register a check that compares the value of a derived case with that of the case."""

    @check(f"{capability}.{what}", sentence, applies)
    def run(trial: Trial) -> Finding:
        value = trial.number(capability, *trial.case.matrix)
        derived = trial.number(capability, *derive(trial.case).matrix)
        return trial.value_equals(derived, expected(value))


for _capability in ("value", "transport_cost"):
    _invariant(_capability, "scaling", "Cost and eps doubled: the value doubles",
               lambda case: case.scaled(2.0), lambda v: 2 * v, lambda case: case.plain)
    _invariant(_capability, "offset", "A constant added to the cost adds to the value",
               lambda case: case.shifted(1.0), lambda v: v + 1, lambda case: case.plain)
    _invariant(_capability, "transposed", "The two measures exchanged: the same value",
               lambda case: case.transposed(), lambda v: v, lambda case: case.plain)
    _invariant(_capability, "split", "An atom split in two on each side: the same value",
               lambda case: case.split(), lambda v: v, lambda case: case.plain)
