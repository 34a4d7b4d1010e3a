"""Checks of what a solver returns: plan, potentials, value, transport cost."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from refot.arrays import Array
from refot.objectives import semi_dual
from refot.verification.cases import Case
from refot.verification.check import Finding, Trial, check
from refot.verification.intervals import Interval

RELATIVE_FLOOR = 1e-200
"""Entries of a plan below this are left out where its logarithm is taken: they may underflow."""


def _well_conditioned(case: Case) -> bool:
    """Whether a small marginal error means a small error of the plan itself."""
    return case.spread <= 200 * case.eps


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


@check("plan.entries", "The plan is the certified one, in L1", _well_conditioned)
def plan_entries(trial: Trial) -> Finding:
    return trial.mass_error(float(abs(_plan(trial) - trial.truth.plan).sum()), "L1 distance", 10)


@check("plan.gibbs", "eps log(P / (a(x)b)) + C is a sum f_i + g_j, converged or not",
       lambda case: min(case.C.shape) > 1)
def plan_gibbs(trial: Trial) -> Finding:
    P, truth, eps = _plan(trial), trial.truth, trial.case.eps
    rows, columns = truth.a > 0, truth.b > 0
    density = (P / np.outer(np.where(rows, truth.a, 1), np.where(columns, truth.b, 1)))
    density, C = density[np.ix_(rows, columns)], truth.C[np.ix_(rows, columns)]
    kept = density > RELATIVE_FLOOR
    if not kept.any():
        return Finding(np.nan, Interval(0, 0), np.nan, trial.rate, "no entry above underflow")
    sums = np.where(kept, eps * np.log(np.where(kept, density, 1)) + C, 0)
    i, j = np.unravel_index(int(np.where(kept, density, 0).argmax()), density.shape)
    crossed = sums - sums[i] - sums[:, [j]] + sums[i, j]  # 0 where all four entries are kept
    complete = kept & kept[i] & kept[:, [j]]
    worst = float(abs(crossed[complete]).max())
    return trial.value_equals(worst, 0.0, "largest double difference of f_i + g_j")


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
    _, g = trial.probe.pair("potentials", *trial.case.matrix)
    truth = trial.truth
    g = np.where(truth.b > 0, g, 0)  # the potential of an atom without mass is nobody's business
    if not np.isfinite(g).all():
        return trial.value_within(float("nan"), truth.value, "g is not finite on the support")
    value = semi_dual(g, truth.C, truth.a, truth.b, trial.case.eps, backend="numpy")
    return trial.value_within(value, truth.value)


def _plan_of_potentials(trial: Trial) -> Array:
    f, g = trial.probe.pair("potentials", *trial.case.matrix)
    truth = trial.truth
    mass = np.outer(truth.a, truth.b)
    with np.errstate(all="ignore"):  # what overflows is infinite, and fails
        density = np.exp((f[:, None] + g - truth.C) / trial.case.eps)
        return np.where(mass > 0, mass * density, 0)


# ------------------------------------------------------------------ value and transport cost
@check("value.certified", "The KL-inclusive value lies in its certified interval")
def value_certified(trial: Trial) -> Finding:
    return trial.value_within(trial.probe.number("value", *trial.case.matrix), trial.truth.value)


@check("transport_cost.certified", "The sharp value <C,P> lies in its certified interval")
def transport_cost_certified(trial: Trial) -> Finding:
    measured = trial.probe.number("transport_cost", *trial.case.matrix)
    finding = trial.value_within(measured, trial.truth.transport_cost)
    below = measured < trial.truth.kantorovich - finding.tolerance
    return finding if not below else trial.value_within(
        measured, finding.expected, f"below W0 = {trial.truth.kantorovich:.6g}: no coupling of a "
        "and b costs so little")


def _invariant(
    capability: str, what: str, sentence: str, derive: Callable[[Case], Case],
    expected: Callable[[float], float], applies: Callable[[Case], bool],
) -> None:
    """Register a check that compares the value of a derived case with that of the case."""

    @check(f"{capability}.{what}", sentence, applies)
    def run(trial: Trial) -> Finding:
        value = trial.probe.number(capability, *trial.case.matrix)
        derived = trial.probe.number(capability, *derive(trial.case).matrix)
        return trial.value_equals(derived, expected(value))


for _capability in ("value", "transport_cost"):
    _invariant(_capability, "scaling", "Cost and eps doubled: the value doubles",
               lambda case: case.scaled(2.0), lambda v: 2 * v, _well_conditioned)
    _invariant(_capability, "offset", "A constant added to the cost adds to the value",
               lambda case: case.shifted(1.0), lambda v: v + 1, _well_conditioned)
    _invariant(_capability, "transposed", "The two measures exchanged: the same value",
               lambda case: case.transposed(), lambda v: v, _well_conditioned)
    _invariant(_capability, "split", "An atom split in two on each side: the same value",
               lambda case: case.split(), lambda v: v, _well_conditioned)
