"""Checks of the unbalanced Sinkhorn divergence U-8 between point clouds, and of its gradient.

U-8 is an equation of docs/equations.md.
"""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np

from refot.arrays import Array
from refot.verification.cases.case import Case, Difficulty
from refot.verification.cases.unbalanced import (
    BALANCED_RHO,
    LARGE_RHO,
    MASSES,
    SMALL_RHO,
    Clouds,
    unbalanced_clouds,
)
from refot.verification.certificates.intervals import Interval
from refot.verification.truth.unbalanced import ROUNDINGS, unbalanced_terms
from refot.verification.truth.unbalanced_right import (
    divergence_interval,
    right_unbalanced_gradient,
)

from .trial import Finding, Trial, check
from .unbalanced import AS_MANY

EQUAL = (1.5, 1.5)
"""Equal masses that are not 1."""

SINGLE_AND_DOUBLE = (0.625, 1.25)
"""The masses of a measure mu and of 2 mu."""


def _points(case: Case) -> bool:
    return case.has_points and case.difficulty is not Difficulty.EXTREME


def _plain(case: Case) -> bool:
    return case.has_points and case.plain


def _translatable(case: Case) -> bool:
    """Whether a translation by 8 leaves coordinates (and so the cost) exact enough."""
    return _plain(case) and not case.single


def _near(trial: Trial, measured: float, expected: Interval, clouds: Clouds,
          message: str = "", factor: float = 1.0) -> Finding:
    """A divergence compared with its interval. The tolerance is `rate` times the terms of its three
    values U, and their rounding."""
    unit = float(np.finfo(trial.case.C.dtype).eps) / 2
    largest = sum(t.largest_term for t in unbalanced_terms(*clouds))
    tolerance = (factor * trial.rate + ROUNDINGS * unit) * largest
    return Finding(measured, expected, expected.distance(measured), tolerance, message)


def _equal(trial: Trial, measured: float, expected: float, clouds: Clouds,
           message: str = "", factor: float = 1.0) -> Finding:
    if not math.isfinite(expected):
        return Finding(measured, None, math.nan, 0.0, f"{message} ({expected})".strip())
    return _near(trial, measured, Interval(expected, expected), clouds, message, factor)


def _divergence(trial: Trial, clouds: Clouds) -> float:
    return trial.number("unbalanced_divergence", *clouds)


# ------------------------------------------------------------------ S
@check("unbalanced_divergence.certified", "S = U_ab - U_aa/2 - U_bb/2 + eps/2 (m_a - m_b)^2 lies "
       "in its certified interval", _points)
def certified(trial: Trial) -> Finding:
    clouds = unbalanced_clouds(trial.case)
    return _near(trial, _divergence(trial, clouds), divergence_interval(*clouds), clouds)


@check("unbalanced_divergence.self", "A measure has divergence 0 from itself", _plain)
def of_itself(trial: Trial) -> Finding:
    clouds = unbalanced_clouds(trial.case.with_itself(), masses=EQUAL)
    return _equal(trial, _divergence(trial, clouds), 0.0, clouds)


@check("unbalanced_divergence.doubled", "S(mu, 2 mu) is in its certified interval, above 0", _plain)
def of_its_double(trial: Trial) -> Finding:
    clouds = unbalanced_clouds(trial.case.with_itself(), masses=SINGLE_AND_DOUBLE)
    found = _near(trial, _divergence(trial, clouds), divergence_interval(*clouds), clouds)
    return found if found.measured > 0 else replace(found, tolerance=0.0, message="not above 0")


@check("unbalanced_divergence.symmetric", "The two measures exchanged: the same divergence",
       _plain)
def symmetric(trial: Trial) -> Finding:
    clouds = unbalanced_clouds(trial.case)
    turned = unbalanced_clouds(trial.case.transposed(), masses=MASSES[::-1])
    return _equal(trial, _divergence(trial, turned), _divergence(trial, clouds), clouds)


@check("unbalanced_divergence.split", "An atom split in two on each side: the same divergence",
       _plain)
def split(trial: Trial) -> Finding:
    clouds, parts = (unbalanced_clouds(case) for case in (trial.case, trial.case.split()))
    return _equal(trial, _divergence(trial, parts), _divergence(trial, clouds), clouds)


@check("unbalanced_divergence.translation", "Both clouds moved together: the same divergence",
       _translatable)
def translation(trial: Trial) -> Finding:
    clouds, moved = (unbalanced_clouds(case) for case in (trial.case, trial.case.translated(8.0)))
    return _equal(trial, _divergence(trial, moved), _divergence(trial, clouds), clouds)


for _what, _rho, _sentence in (
    ("small-rho", SMALL_RHO, "rho = eps / 1000: S lies in its certified interval"),
    ("large-rho", LARGE_RHO, "rho = 1000 eps: S lies in its certified interval"),
):
    def _at(what: str, rho: float, sentence: str) -> None:
        @check(f"unbalanced_divergence.{what}", sentence, _plain)
        def run(trial: Trial) -> Finding:
            clouds = unbalanced_clouds(trial.case, rho * trial.case.eps)
            return _near(trial, _divergence(trial, clouds), divergence_interval(*clouds), clouds)

    _at(_what, _rho, _sentence)


@check("unbalanced_divergence.balanced", "Equal masses 1 and rho = 100 (max C - min C): near the "
       "balanced divergence, by O(1 / rho)", _plain)
def balanced(trial: Trial) -> Finding:
    case, truth = trial.case, trial.truth
    rho = BALANCED_RHO * case.unit
    clouds = unbalanced_clouds(case, rho, (1.0, 1.0))
    xx, yy = truth.selves
    S = truth.F - xx.F / 2 - yy.F / 2
    squares = sum(_square(t) for t in (truth, xx, yy))
    found = _equal(trial, _divergence(trial, clouds), S, clouds)
    # Each value F is above its U by about half of its squares, divided by rho.
    return replace(found, tolerance=found.tolerance + AS_MANY * squares / (2 * rho))


def _square(truth: object) -> float:
    """<a, f^2> + <b, g^2> of the balanced potentials, with the constant moved from f to g for which
    <a, f> = <b, g>."""
    f, g, a, b = truth.solved.f, truth.solved.g, truth.a, truth.b  # type: ignore[attr-defined]
    shift = (float(b @ g) - float(a @ f)) / 2
    return float(a @ (f + shift) ** 2) + float(b @ (g - shift) ** 2)


# ------------------------------------------------------------------ its gradient
def _gradient(trial: Trial, clouds: Clouds) -> Array:
    return trial.array("unbalanced_divergence_gradient", clouds[0].shape, *clouds)


@check("unbalanced_divergence_gradient.value", "The gradient of S in x, which is both "
       "arguments of U_xx", _plain)
def gradient_value(trial: Trial) -> Finding:
    clouds = unbalanced_clouds(trial.case)
    condition = trial.case.spread / trial.case.eps
    return trial.slopes_equal(_gradient(trial, clouds), right_unbalanced_gradient(*clouds),
                              condition)


@check("unbalanced_divergence_gradient.self", "It is 0 where the two measures are the same",
       _plain)
def gradient_self(trial: Trial) -> Finding:
    gradient = _gradient(trial, unbalanced_clouds(trial.case.with_itself(), masses=EQUAL))
    return trial.array_equals(gradient, np.zeros_like(gradient))


@check("unbalanced_divergence_gradient.sum", "The gradients at all points of both clouds sum "
       "to 0, because S stays the same if both are moved together", _plain)
def gradient_sum(trial: Trial) -> Finding:
    gradient = _gradient(trial, unbalanced_clouds(trial.case))
    moved = _gradient(trial, unbalanced_clouds(trial.case.transposed(), masses=MASSES[::-1]))
    return trial.array_equals(gradient.sum(axis=0), -moved.sum(axis=0),
                              "sum over x against minus the sum over y")
