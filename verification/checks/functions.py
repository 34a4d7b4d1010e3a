"""Checks of functions that need no solver: softmin, dual, semi-dual, and the loss after L steps.

The right answers are those of refot's own NumPy equations, at the same arguments, in float64.
refot's tests compare these with ball arithmetic.

Papers: B = Bréchet et al. 2019, G = Genevay, Peyré, Cuturi 2018.
"""

from __future__ import annotations

import numpy as np

from refot import objectives
from refot.arrays import Array
from refot.solvers.scaling import scaling_loss
from refot.transforms import softmin
from refot.unrolled import scaling_loss_gradient
from refot.verification.cases.case import Case
from refot.verification.certificates.intervals import Interval

from .arguments import column_scores, potentials
from .trial import Finding, Trial, check


# ------------------------------------------------------------------ softmin
@check("softmin.value", "-eps log sum_j exp((h_j - C_ij) / eps), entry by entry")
def softmin_value(trial: Trial) -> Finding:
    case, h = trial.case, column_scores(trial)
    answer = trial.array("softmin", case.a.shape, case.C, h, case.eps)
    right = softmin(trial.truth.C, h.astype(np.float64), case.eps, backend="numpy")
    return trial.array_equals(answer, right)


@check("softmin.shift", "A constant added to h is subtracted from the softmin: no overflow")
def softmin_shift(trial: Trial) -> Finding:
    case, h = trial.case, column_scores(trial)
    far = h + h.dtype.type(1000 * case.eps)
    answer = trial.array("softmin", case.a.shape, case.C, far, case.eps)
    right = softmin(trial.truth.C, far.astype(np.float64), case.eps, backend="numpy")
    return trial.array_equals(answer, right, "h + 1000 eps")


@check("softmin.bound", "The softmin lies in [min - eps log m, min] of C - h")
def softmin_bound(trial: Trial) -> Finding:
    case, h = trial.case, column_scores(trial)
    answer = trial.array("softmin", case.a.shape, case.C, h, case.eps)
    least = (trial.truth.C - h).min(axis=1)
    excess = np.maximum(answer - least, least - case.eps * np.log(len(h)) - answer)
    return trial.array_equals(np.where(np.isnan(excess), excess, np.maximum(excess, 0)),
                              np.zeros_like(answer), "outside by")


# ------------------------------------------------------------------ dual
def _dual_arguments(trial: Trial) -> tuple[object, ...]:
    return (*potentials(trial), *trial.case.matrix)


@check("dual.value", "The dual B-13 (with +eps) at potentials that are not optimal",
       lambda case: case.well_conditioned)
def dual_value(trial: Trial) -> Finding:
    truth = trial.truth
    f, g = (v.astype(np.float64) for v in potentials(trial))
    right = objectives.dual(f, g, truth.C, truth.a, truth.b, trial.case.eps, backend="numpy")
    measured = trial.number("dual", *_dual_arguments(trial))
    tolerance = trial.rate * max(trial.case.unit, abs(right)) + trial.rounding
    return Finding(measured, Interval(right, right), abs(measured - right), tolerance)


@check("dual.optimum", "At the optimal potentials the dual is F")
def dual_optimum(trial: Trial) -> Finding:
    solved = trial.truth.solved
    f, g = (v.astype(trial.case.C.dtype) for v in (solved.f, solved.g))
    return trial.value_within(trial.number("dual", f, g, *trial.case.matrix),
                              trial.truth.value)


# ------------------------------------------------------------------ semi-dual
@check("semidual.value", "The semi-dual B-24 (without +eps) at a potential that is not optimal")
def semidual_value(trial: Trial) -> Finding:
    truth, (_, g) = trial.truth, potentials(trial)
    right = objectives.semi_dual(g.astype(np.float64), truth.C, truth.a, truth.b, trial.case.eps,
                                 backend="numpy")
    return trial.value_equals(trial.number("semidual", g, *trial.case.matrix), right)


@check("semidual.optimum", "At the optimal potential the semi-dual is F")
def semidual_optimum(trial: Trial) -> Finding:
    g = trial.truth.solved.g.astype(trial.case.C.dtype)
    return trial.value_within(trial.number("semidual", g, *trial.case.matrix),
                              trial.truth.value)


@check("semidual.shift", "A constant added to g changes nothing")
def semidual_shift(trial: Trial) -> Finding:
    _, g = potentials(trial)
    moved = g + g.dtype.type(trial.case.spread)
    return trial.value_equals(trial.number("semidual", moved, *trial.case.matrix),
                              trial.number("semidual", g, *trial.case.matrix))


@check("semidual_gradient.value", "The gradient of the semi-dual is b - a @ chi")
def semidual_gradient_value(trial: Trial) -> Finding:
    truth, (_, g) = trial.truth, potentials(trial)
    right = objectives.semi_dual_gradient(g.astype(np.float64), truth.C, truth.a, truth.b,
                                          trial.case.eps, backend="numpy")
    return trial.weights_equal(_semidual_gradient(trial, g), right)


@check("semidual_gradient.sum", "The gradient of the semi-dual sums to 0")
def semidual_gradient_sum(trial: Trial) -> Finding:
    _, g = potentials(trial)
    return trial.mass_error(abs(float(_semidual_gradient(trial, g).sum())))


@check("semidual_gradient.optimum", "The gradient of the semi-dual is 0 at the optimum",
       lambda case: not case.single)
def semidual_gradient_optimum(trial: Trial) -> Finding:
    gradient = _semidual_gradient(trial, trial.truth.solved.g)
    return trial.weights_equal(gradient, np.zeros_like(gradient))


def _semidual_gradient(trial: Trial, g: Array) -> Array:
    return trial.array("semidual_gradient", trial.case.b.shape, g, *trial.case.matrix)


# ------------------------------------------------------------------ scaling loss
def _scaling_is_finite(case: Case) -> bool:
    """Whether |C| <= 60 eps, so that exp(-C / eps) is a normal number in float32, and no a_i is 0.
    """
    return bool(abs(case.C).max() <= 60 * case.eps) and bool((case.a > 0).all())


def _scaling(steps: int) -> None:
    @check(f"scaling_loss.steps-{steps}", f"The sharp loss G-8 after exactly {steps} steps from "
           "v = b", _scaling_is_finite)
    def run(trial: Trial) -> Finding:
        truth = trial.truth
        right = scaling_loss(truth.C, truth.a, truth.b, trial.case.eps, steps)
        return trial.value_equals(
            trial.number("scaling_loss", *trial.case.matrix, steps), right)


for _steps in (1, 2, 10):
    _scaling(_steps)


def _scaling_gradient(trial: Trial, steps: int) -> Array:
    return trial.array("scaling_loss_gradient", trial.case.C.shape, *trial.case.matrix, steps)


@check("scaling_loss_gradient.value", "The gradient in C of the sharp loss G-8 after 3 steps",
       _scaling_is_finite)
def scaling_loss_gradient_value(trial: Trial) -> Finding:
    truth = trial.truth
    right = scaling_loss_gradient(truth.C, truth.a, truth.b, trial.case.eps, 3)
    condition = trial.case.spread / trial.case.eps
    return trial.slopes_equal(_scaling_gradient(trial, 3), right, condition)


@check("scaling_loss_gradient.sum", "It sums to 1: a constant added to the cost adds to the loss",
       _scaling_is_finite)
def scaling_loss_gradient_sum(trial: Trial) -> Finding:
    return trial.mass_error(abs(float(_scaling_gradient(trial, 3).sum()) - 1), "sum - 1", 10)
