"""Checks of the informative regularisation: Q objective, informative plan, mutual information.

B = Bréchet et al. 2019; an erratum such as "E3" is a heading of docs/errata.md.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from refot import information
from refot.arrays import Array
from refot.objectives import kl
from refot.verification.certificates.intervals import Interval
from refot.verification.truth.solution import Truth

from .arguments import table
from .trial import Finding, Trial, check


def _nats(trial: Trial, measured: float, expected: float, message: str = "") -> Finding:
    """Two numbers in nats that should agree, with the tolerance rate * (1 + |expected|)."""
    tolerance = trial.rate * (1 + abs(expected))
    return Finding(measured, Interval(expected, expected), abs(measured - expected), tolerance,
                   message)


# ------------------------------------------------------------------ mutual information
@check("mutual_information.plan", "KL of the plan to the product of its own marginals")
def mutual_information_plan(trial: Trial) -> Finding:
    P = trial.truth.plan
    return _nats(trial, trial.number("mutual_information", P),
                 kl(P, np.outer(P.sum(axis=1), P.sum(axis=0))))


@check("mutual_information.independent", "Independent variables share no information")
def mutual_information_independent(trial: Trial) -> Finding:
    product = np.outer(trial.truth.a, trial.truth.b)
    return _nats(trial, trial.number("mutual_information", product), 0.0)


# ------------------------------------------------------------------ Q objective
@check("q_objective.value", "sum(-Q P + a b exp Q), B-31")
def q_objective_value(trial: Trial) -> Finding:
    truth, Q = trial.truth, table(trial)
    right = information.q_objective(Q, truth.plan, truth.a, truth.b)
    return _nats(trial, trial.number("q_objective", Q, truth.plan, truth.a, truth.b), right)


@check("q_objective.minimum", "At Q = log(P / (a(x)b)) the Q objective is 1 - KL(P | a(x)b)",
       lambda case: case.well_conditioned)
def q_objective_minimum(trial: Trial) -> Finding:
    truth = trial.truth
    mass, P = np.outer(truth.a, truth.b), truth.plan
    Q = np.where(P > 0, np.log(np.where(P > 0, P, 1) / np.where(mass > 0, mass, 1)), 0.0)
    empty = float(mass[P == 0].sum())  # Q = 0 stands there for -infinity: exp(Q) a b is a b, not 0
    return _nats(trial, trial.number("q_objective", Q, P, truth.a, truth.b),
                 1 - kl(P, mass) + empty)


# ------------------------------------------------------------------ informative plan
def _informative(trial: Trial, lam: float) -> tuple[Array, Truth]:
    C, a, b, eps = trial.case.matrix
    Q = table(trial).astype(C.dtype)
    P = trial.array("informative_plan", C.shape, C, Q, lam, a, b, eps)
    return P, trial.truth


@check("informative_plan.marginals", "The plan of the cost C - lam Q has marginals a and b (E3)")
def informative_plan_marginals(trial: Trial) -> Finding:
    P, truth = _informative(trial, 0.5 * trial.case.eps)
    error = abs(P.sum(axis=1) - truth.a).sum() + abs(P.sum(axis=0) - truth.b).sum()
    return trial.mass_error(float(error), "L1 error of both")


@check("informative_plan.zero", "With lam = 0 it is the plan of the cost C",
       lambda case: case.well_conditioned)
def informative_plan_zero(trial: Trial) -> Finding:
    P, truth = _informative(trial, 0.0)
    return trial.mass_error(float(abs(P - truth.plan).sum()), "L1 distance", 10)


@check("informative_plan.entries", "The plan is the certified one of the cost C - lam Q, in L1",
       lambda case: case.plain)
def informative_plan_entries(trial: Trial) -> Finding:
    lam = 0.5 * trial.case.eps
    P, truth = _informative(trial, lam)
    perturbed = Truth(replace(trial.case, C=truth.C - lam * table(trial), x=None, y=None))
    return trial.mass_error(float(abs(P - perturbed.plan).sum()), "L1 distance", 10)


@check("informative_plan.direction", "The mean of Q under the plan rises with lam")
def informative_plan_direction(trial: Trial) -> Finding:
    P, _ = _informative(trial, 0.5 * trial.case.eps)
    P0, Q = trial.truth.plan, table(trial)
    fall = max(0.0, float((Q * (P0 - P)).sum()))
    return _nats(trial, fall, 0.0, "the mean of Q fell by")
