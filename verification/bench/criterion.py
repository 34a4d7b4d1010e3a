"""The measures by which every peer is judged, computed here from the potentials that it returns.

|P1 - a|_1 + |P'1 - b|_1 of P = a b exp((f + g - C) / eps), and the certified relative gap of F at
g (`refot.solvers.gap`). Both in float64; what a peer itself says about its convergence is not used.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from refot.arrays import Array
from refot.problem import problem
from refot.solvers.gap import gap_of

from .problems import Instance

READABLE = 1_000
"""Points up to which the NumPy backend computes the measures; beyond, the Numba backend does."""


@dataclass(frozen=True)
class Answer:
    """Potentials f, g (n,) in cost units, in refot's convention; its iterations where it tells."""

    f: Array
    g: Array
    iterations: int | None = None


@dataclass(frozen=True)
class Judgement:
    """The L1 error of both marginals, and the certified relative gap; inf for an unusable
    answer."""

    marginal_error: float
    gap: float


def judge(instance: Instance, answer: Answer) -> Judgement:
    """Both measures of an answer. Potentials of a wrong shape or not finite: inf, inf."""
    n = len(instance.x)
    f, g = (np.asarray(potential, dtype=np.float64) for potential in (answer.f, answer.g))
    if f.shape != (n,) or g.shape != (n,) or not np.isfinite([f, g]).all():
        return Judgement(math.inf, math.inf)
    p = problem(instance.C, instance.a, instance.a, instance.eps,
                "numpy" if n <= READABLE else "numba")
    with np.errstate(over="ignore", invalid="ignore"):  # of an answer that is far off
        error, gap = p.marginal_error(f, g), gap_of(p, g).relative
    return Judgement(*(value if value >= 0 else math.inf for value in (error, gap)))


@dataclass(frozen=True)
class Criterion:
    """One of the two measures, and the value that an answer must reach."""

    name: str
    target: float
    measure: Callable[[Judgement], float]


CRITERIA = (
    Criterion("marginal error 1e-6", 1e-6, lambda judged: judged.marginal_error),
    Criterion("gap 1e-4", 1e-4, lambda judged: judged.gap),
)
