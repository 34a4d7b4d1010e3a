"""Ordinary arguments of each capability on a case: the same for every subject, and every check;
and when two warnings are one.

What depends on a random draw (potentials, scores, tables) has a seed of its own.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import numpy as np

from refot.arrays import Array
from refot.verification.cases.case import Case

from .trial import Trial

Arguments = tuple[Any, ...]


def potentials(trial: Trial) -> tuple[Array, Array]:
    """Potentials of moderate size that are not optimal."""
    rng = np.random.default_rng(7)
    n, m = trial.case.C.shape
    unit = min(trial.case.eps, trial.case.spread) if trial.case.spread > 0 else 1.0
    f, g = rng.normal(size=n) * unit, rng.normal(size=m) * unit
    shift = float(np.median(trial.case.C))  # so that exp((f + g - C) / eps) does not just vanish
    return (f + shift).astype(trial.case.C.dtype), g.astype(trial.case.C.dtype)


def column_scores(trial: Trial) -> Array:
    """h = g + eps log b on the support, and -1e3 eps below where b = 0: finite everywhere."""
    _, g = potentials(trial)
    b = trial.truth.b
    log_b = np.where(b > 0, np.log(np.where(b > 0, b, 1)), -1e3)
    return (g + trial.case.eps * log_b).astype(trial.case.C.dtype)


def table(trial: Trial) -> Array:
    """A function Q (n, m) of moderate size."""
    return np.random.default_rng(11).normal(size=trial.case.C.shape)


# ------------------------------------------------------------------ by capability
def _matrix(trial: Trial) -> Arguments:
    return trial.case.matrix


def _clouds(trial: Trial) -> Arguments:
    return trial.case.clouds


def _given_g(trial: Trial) -> Arguments:
    return potentials(trial)[1], *trial.case.matrix


def _steps(trial: Trial) -> Arguments:
    return *trial.case.matrix, 3


def _informative(trial: Trial) -> Arguments:
    C, a, b, eps = trial.case.matrix
    return C, table(trial).astype(C.dtype), 0.5 * eps, a, b, eps


ORDINARY: dict[str, Callable[[Trial], Arguments]] = {
    **dict.fromkeys(("plan", "potentials", "value", "transport_cost"), _matrix),
    "softmin": lambda trial: (trial.case.C, column_scores(trial), trial.case.eps),
    "dual": lambda trial: (*potentials(trial), *trial.case.matrix),
    "semidual": _given_g,
    "semidual_gradient": _given_g,
    "scaling_loss": _steps,
    "scaling_loss_gradient": _steps,
    "divergence": _clouds,
    "divergence_gradient": _clouds,
    "mmd": lambda trial: (*trial.case.clouds[:4], trial.case.clouds[5]),
    "q_objective": lambda trial: (table(trial), trial.truth.plan, trial.truth.a, trial.truth.b),
    "informative_plan": _informative,
    "mutual_information": lambda trial: (trial.truth.plan,),
}
"""Arguments of each capability, in the order of its signature, on a case with points."""


def wording(warning: str) -> str:
    """A warning without its numbers: one that differs in them only is no other."""
    return re.sub(r"\d[\d.e+-]*", "#", warning)


def first(case: Case) -> bool:
    """One ordinary case is enough for what does not depend on the numbers."""
    return case.name.partition("#")[0] == "gaussian"
