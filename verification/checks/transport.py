"""Checks of what a solver returns: plan, potentials, value, transport cost."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from refot.arrays import Array
from refot.objectives import semi_dual
from refot.verification.cases import Case
from refot.verification.check import Finding, Trial, check
from refot.verification.gibbs import double_differences


# ------------------------------------------------------------------ plan
def _plan(trial: Trial) -> Array:
    return trial.probe.array("plan", trial.case.C.shape, *trial.case.matrix)


@check("plan.marginals", "The rows of the plan sum to a and its columns to b")
def plan_marginals(trial: Trial) -> Finding:
    P, truth = _plan(trial), trial.truth
    rows, columns = abs(P.sum(axis=1) - truth.a).sum(), abs(P.sum(axis=0) - truth.b).sum()
    return trial.mass_error(float(rows + columns),
                            f"L1 errors: rows {rows:.2g}, columns {columns:.2g}")


@check("plan.nonnegative", "No entry of the plan is negative")
def plan_nonnegative(trial: Trial) -> Finding:
    return trial.mass_error(float(np.maximum(-_plan(trial), 0).sum()), "negative mass")


@check("plan.entries", "The plan is the certified one, in L1",
       lambda case: case.well_conditioned)
def plan_entries(trial: Trial) -> Finding:
    return trial.mass_error(float(abs(_plan(trial) - trial.truth.plan).sum()), "L1 distance", 10)


@check("plan.gibbs", "eps log(P / (a(x)b)) + C is a sum f_i + g_j, converged or not",
       lambda case: min(case.C.shape) > 1)
def plan_gibbs(trial: Trial) -> Finding:
    P, truth = _plan(trial), trial.truth
    if not np.isfinite(P).all():
        return Finding(np.nan, None, np.nan, trial.rate, "the plan is not finite")
    energy, cost = double_differences(P, truth.C, truth.a, truth.b, trial.case.eps)
    if not energy.size:  # the marginals judge such a plan
        return trial.mass_error(0.0, "no four entries above underflow to compare")
    return trial.value_equals(float(abs(energy - cost).max()), 0.0,
                              "largest double difference of f_i + g_j")


# ------------------------------------------------------------------ potentials
@check("potentials.marginals", "The plan of the potentials has marginals a and b")
def potentials_marginals(trial: Trial) -> Finding:
    P = _plan_of_potentials(trial)
    rows = abs(P.sum(axis=1) - trial.truth.a).sum()
    columns = abs(P.sum(axis=0) - trial.truth.b).sum()
    return trial.mass_error(float(rows + columns),
                            f"L1 errors: rows {rows:.2g}, columns {columns:.2g}")


@check("potentials.optimal", "The semi-dual at g lies in the certified interval of F")
def potentials_optimal(trial: Trial) -> Finding:
    _, g = trial.potentials(trial.case)
    truth = trial.truth
    g = np.where(truth.b > 0, g, 0)  # the potential of an atom without mass is nobody's business
    if not np.isfinite(g).all():
        return trial.value_within(float("nan"), truth.value, "g is not finite on the support")
    value = semi_dual(g, truth.C, truth.a, truth.b, trial.case.eps, backend="numpy")
    return trial.value_within(value, truth.value)


def _plan_of_potentials(trial: Trial) -> Array:
    f, g = trial.potentials(trial.case)
    truth = trial.truth
    mass = np.outer(truth.a, truth.b)
    with np.errstate(all="ignore"):  # what overflows is infinite, and fails
        density = np.exp((f[:, None] + g - truth.C) / trial.case.eps)
        return np.where(mass > 0, mass * density, 0)


# ------------------------------------------------------------------ value and transport cost
@check("value.certified", "The KL-inclusive value lies in its certified interval")
def value_certified(trial: Trial) -> Finding:
    return trial.value_within(trial.value("value", trial.case), trial.truth.value)


@check("transport_cost.certified", "The sharp value <C,P> lies in its certified interval")
def transport_cost_certified(trial: Trial) -> Finding:
    return trial.value_within(trial.value("transport_cost", trial.case),
                              trial.truth.transport_cost)


def _invariant(
    capability: str, what: str, sentence: str, derive: Callable[[Case], Case],
    expected: Callable[[float], float], applies: Callable[[Case], bool],
) -> None:
    """Register a check that compares the value of a derived case with that of the case."""

    @check(f"{capability}.{what}", sentence, applies)
    def run(trial: Trial) -> Finding:
        value, derived = trial.value(capability, trial.case), derive(trial.case)
        found = trial.value_equals(trial.value(capability, derived), expected(value))
        return replace(found, derived=derived)


for _capability in ("value", "transport_cost"):
    _invariant(_capability, "scaling", "Cost and eps doubled: the value doubles",
               lambda case: case.scaled(2.0), lambda v: 2 * v, lambda case: case.plain)
    _invariant(_capability, "offset", "A constant added to the cost adds to the value",
               lambda case: case.shifted(1.0), lambda v: v + 1, lambda case: case.plain)
    _invariant(_capability, "transposed", "The two measures exchanged: the same value",
               lambda case: case.transposed(), lambda v: v, lambda case: case.plain)
    _invariant(_capability, "split", "An atom split in two on each side: the same value",
               lambda case: case.split(), lambda v: v, lambda case: case.plain)
