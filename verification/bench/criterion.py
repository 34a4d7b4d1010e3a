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
from refot.problem import Problem, problem
from refot.solvers.gap import gap_of
from refot.solvers.unbalanced.gap import unbalanced_gap
from refot.unbalanced_problem import unbalanced_problem

from .problems import Instance, UnbalancedInstance

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
    backend = "numpy" if n <= READABLE else "numba"
    with np.errstate(all="ignore"):  # of an answer that is far off
        error, gap = (measures_free(instance, f, g, backend)
                      if isinstance(instance, UnbalancedInstance)
                      else measures(instance, f, g, backend))
    return Judgement(*(value if value >= 0 else math.inf for value in (error, gap)))


def measures(instance: Instance, f: Array, g: Array, backend: str) -> tuple[float, float]:
    """Both measures of a balanced problem."""
    p: Problem = problem(instance.C, instance.a, instance.a, instance.eps, backend)
    return p.marginal_error(f, g), gap_of(p, g).relative


def measures_free(
    instance: UnbalancedInstance, f: Array, g: Array, backend: str
) -> tuple[float, float]:
    """The residual of U-4 at the best shift, and the gap: the better one of (f, g) as they are, but
    for the best shift, and of the best f for g, for a peer may have stopped after either step."""
    p = unbalanced_problem(instance.C, instance.a, instance.b, instance.eps, instance.rho,
                           backend=backend)
    gaps = unbalanced_gap(p, f, g).relative, gap_of(p, g).relative
    return p.marginal_error(*p.shifted(f, g)), min(gaps)


@dataclass(frozen=True)
class Criterion:
    """One of the two measures, and the value that an answer must reach; the search begins at the
    accuracy `start`."""

    name: str
    target: float
    measure: Callable[[Judgement], float]
    start: float


UNBALANCED = Criterion("gap 1e-6", 1e-6, lambda judged: judged.gap, 0.1)
"""That of unbalanced problems, whose gap is of second order in the residual."""

CRITERIA = (
    Criterion("marginal error 1e-6", 1e-6, lambda judged: judged.marginal_error, 1e-6),
    Criterion("gap 1e-4", 1e-4, lambda judged: judged.gap, 1e-4),
)
