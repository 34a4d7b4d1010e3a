"""The ordinary arguments with which the checks call a capability on a case.

A capability is a quantity that a subject computes ("plan", "softmin"). Its ordinary arguments are
the same for every subject and every check, because random ones (potentials, scores, tables) come
from a fixed seed.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import numpy as np

from refot.arrays import Array
from refot.verification.cases.case import Case
from refot.verification.cases.unbalanced import unbalanced
from refot.verification.subjects.capabilities import CAPABILITIES, JOINT

from .trial import Trial

Arguments = tuple[Any, ...]


def potentials(trial: Trial) -> tuple[Array, Array]:
    """Potentials f (n,), g (m,) in cost units that are not optimal: normal numbers times the
    smaller of eps and max C - min C, with the median cost added to f."""
    rng = np.random.default_rng(7)
    n, m = trial.case.C.shape
    unit = min(trial.case.eps, trial.case.spread) if trial.case.spread > 0 else 1.0
    f, g = rng.normal(size=n) * unit, rng.normal(size=m) * unit
    shift = float(np.median(trial.case.C))  # without it, exp((f + g - C) / eps) might underflow
    return (f + shift).astype(trial.case.C.dtype), g.astype(trial.case.C.dtype)


def column_scores(trial: Trial) -> Array:
    """h = g + eps log b, with -1e3 in place of log b where b = 0, so that h is finite. (m,)"""
    _, g = potentials(trial)
    b = trial.truth.b
    log_b = np.where(b > 0, np.log(np.where(b > 0, b, 1)), -1e3)
    return (g + trial.case.eps * log_b).astype(trial.case.C.dtype)


def table(trial: Trial) -> Array:
    """An informative function Q (n, m): standard normal numbers."""
    return np.random.default_rng(11).normal(size=trial.case.C.shape)


# ------------------------------------------------------------------ by the name of the argument
OF_A_CASE: dict[str, Callable[[Trial], Any]] = {
    "C": lambda trial: trial.case.C,
    "a": lambda trial: trial.case.a,
    "b": lambda trial: trial.case.b,
    "eps": lambda trial: trial.case.eps,
    "x": lambda trial: trial.case.x,
    "y": lambda trial: trial.case.y,
    "cost": lambda trial: trial.case.cost,
    "f": lambda trial: potentials(trial)[0],
    "g": lambda trial: potentials(trial)[1],
    "h": column_scores,
    "L": lambda trial: 3,
    "Q": lambda trial: table(trial).astype(trial.case.C.dtype),
    "lam": lambda trial: 0.5 * trial.case.eps,
}
"""By the name of an argument, how it is taken from the case, for capabilities on a problem."""

OF_A_JOINT: dict[str, Callable[[Trial], Any]] = {
    JOINT: lambda trial: trial.truth.plan,
    "a": lambda trial: trial.truth.a,
    "b": lambda trial: trial.truth.b,
    "Q": table,
}
"""The same for capabilities on a joint law: the law is the optimal plan of the case, in float64."""


OF_UNBALANCED: dict[str, Callable[[Trial], Any]] = OF_A_CASE | {
    "a": lambda trial: unbalanced(trial.case)[1],
    "b": lambda trial: unbalanced(trial.case)[2],
    "rho": lambda trial: unbalanced(trial.case)[4],
}
"""The same for capabilities of unbalanced transport: the masses of a and b do not match."""


def ordinary(trial: Trial, capability: str) -> Arguments:
    """The arguments of the capability on the case, in the order of its signature."""
    names = CAPABILITIES[capability].takes
    values = (OF_A_JOINT if JOINT in names else OF_UNBALANCED if "rho" in names else OF_A_CASE)
    return tuple(values[name](trial) for name in names)


def wording(warning: str) -> str:
    """A warning with its numbers replaced by "#". Two warnings with the same wording count as the
    same warning."""
    return re.sub(r"\d[\d.e+-]*", "#", warning)


def first(case: Case) -> bool:
    """Whether it is the case "gaussian" of a seed: for checks that need only one ordinary case,
    because their result does not depend on the numbers."""
    return case.name.partition("#")[0] == "gaussian"
