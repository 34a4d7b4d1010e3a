"""Checks of divergences between point clouds: S of B-9, and MMD^2 with kernel -c.

B = Bréchet et al. 2019.
"""

from __future__ import annotations

import numpy as np

from refot.arrays import Array
from refot.gradients import sinkhorn_divergence_gradient
from refot.verification.cases.case import Case

from .trial import Finding, Trial, check


def _points(case: Case) -> bool:
    return case.has_points


def _plain_points(case: Case) -> bool:
    return case.has_points and case.plain


def _translatable(case: Case) -> bool:
    """Whether a translation by 8 leaves coordinates (and so the cost) exact enough."""
    return _plain_points(case) and not case.single


# ------------------------------------------------------------------ Sinkhorn divergence
def _divergence(trial: Trial, case: Case | None = None) -> float:
    return trial.number("divergence", *(case or trial.case).clouds)


@check("divergence.certified", "S = F_xy - F_xx/2 - F_yy/2 lies in its certified interval", _points)
def divergence_certified(trial: Trial) -> Finding:
    return trial.value_within(_divergence(trial), trial.truth.divergence)


@check("divergence.self", "A measure has divergence 0 from itself", _plain_points)
def divergence_self(trial: Trial) -> Finding:
    return trial.value_equals(_divergence(trial, trial.case.with_itself()), 0.0)


@check("divergence.symmetric", "The two measures exchanged: the same divergence",
       _plain_points)
def divergence_symmetric(trial: Trial) -> Finding:
    return trial.value_equals(_divergence(trial, trial.case.transposed()), _divergence(trial))


@check("divergence.translation", "Both clouds moved together: the same divergence", _translatable)
def divergence_translation(trial: Trial) -> Finding:
    return trial.value_equals(_divergence(trial, trial.case.translated(8.0)), _divergence(trial))


@check("divergence.split", "An atom split in two on each side: the same divergence",
       _plain_points)
def divergence_split(trial: Trial) -> Finding:
    return trial.value_equals(_divergence(trial, trial.case.split()), _divergence(trial))


def _gradient(trial: Trial, case: Case) -> Array:
    x, *rest = case.clouds
    return trial.array("divergence_gradient", x.shape, x, *rest)


@check("divergence_gradient.value", "The gradient of S in x, which is both arguments of F_xx",
       _plain_points)
def divergence_gradient_value(trial: Trial) -> Finding:
    truth, (x, _, y, _, eps, cost) = trial.truth, trial.case.clouds
    x, y = x.astype(np.float64), y.astype(np.float64)
    right = sinkhorn_divergence_gradient(x, truth.a, y, truth.b, eps, cost, backend="numpy")
    condition = trial.case.spread / trial.case.eps
    return trial.slopes_equal(_gradient(trial, trial.case), right, condition)


@check("divergence_gradient.self", "It is 0 where the two measures are the same", _plain_points)
def divergence_gradient_self(trial: Trial) -> Finding:
    gradient = _gradient(trial, trial.case.with_itself())
    return trial.array_equals(gradient, np.zeros_like(gradient))


@check("divergence_gradient.sum", "The gradients at all points of both clouds sum to 0, because "
       "S stays the same if both are moved together", _plain_points)
def divergence_gradient_sum(trial: Trial) -> Finding:
    gradient = _gradient(trial, trial.case)
    moved = _gradient(trial, trial.case.transposed())
    return trial.array_equals(gradient.sum(axis=0), -moved.sum(axis=0),
                              "sum over x against minus the sum over y")


# ------------------------------------------------------------------ MMD
def _mmd(trial: Trial, case: Case | None = None) -> float:
    x, a, y, b, _, cost = (case or trial.case).clouds
    return trial.number("mmd", x, a, y, b, cost)


@check("mmd.value", "MMD^2 = 2 a'C_xy b - a'C_xx a - b'C_yy b, with the self pairs", _points)
def mmd_value(trial: Trial) -> Finding:
    return trial.value_equals(_mmd(trial), trial.truth.mmd)


@check("mmd.self", "A measure has MMD 0 from itself", _points)
def mmd_self(trial: Trial) -> Finding:
    return trial.value_equals(_mmd(trial, trial.case.with_itself()), 0.0)


@check("mmd.split", "An atom split in two on each side: the same MMD", _points)
def mmd_split(trial: Trial) -> Finding:
    return trial.value_equals(_mmd(trial, trial.case.split()), _mmd(trial))


@check("mmd.nonnegative", "MMD^2 is not negative", _points)
def mmd_nonnegative(trial: Trial) -> Finding:
    return trial.value_equals(float(np.minimum(_mmd(trial), 0)), 0.0, "the part below 0")
