"""The two measures of a peer's answer, computed here from the potentials that it returns.

They are the marginal error |P1 - a|_1 + |P'1 - b|_1 of P = a b exp((f + g - C) / eps), and the
certified relative gap of F at g (`refot.solvers.gap`), both in float64. What a peer itself says
about its convergence is not used. U-4 and U-5 are equations of docs/equations.md.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from refot.arrays import Array
from refot.backend_contract import BackendLike
from refot.problem import Problem, problem
from refot.solvers.gap import gap_of
from refot.solvers.unbalanced.gap import unbalanced_gap
from refot.unbalanced_problem import unbalanced_problem

from .problems import Instance, UnbalancedInstance

READABLE = 1_000
"""Up to this many points the readable backend, NumPy's, computes the measures; beyond, Numba's."""


@dataclass(frozen=True)
class Answer:
    """Potentials f, g (n,) in cost units, in refot's convention, and the number of iterations if
    the peer reports it."""

    f: Array
    g: Array
    iterations: int | None = None


@dataclass(frozen=True)
class Judgement:
    """The measures of an answer: the L1 error of both marginals together (in mass), and the
    certified relative gap. Both are inf for potentials of a wrong shape or not finite."""

    marginal_error: float
    gap: float


def judge(instance: Instance, answer: Answer) -> Judgement:
    """Both measures of an answer, on the backend that fits its size."""
    return judge_on("numpy" if len(instance.x) <= READABLE else "numba", instance, answer)


def judge_on(backend: BackendLike, instance: Instance, answer: Answer) -> Judgement:
    """Both measures of an answer, computed on this backend. Potentials of a wrong shape or not
    finite: inf, inf."""
    n = len(instance.x)
    f, g = (np.asarray(potential, dtype=np.float64) for potential in (answer.f, answer.g))
    if f.shape != (n,) or g.shape != (n,) or not np.isfinite([f, g]).all():
        return Judgement(math.inf, math.inf)
    with np.errstate(all="ignore"):  # exponents may overflow if the answer is far off
        error, gap = (measures_free(instance, f, g, backend)
                      if isinstance(instance, UnbalancedInstance)
                      else measures(instance, f, g, backend))
    return Judgement(*(value if value >= 0 else math.inf for value in (error, gap)))


def measures(instance: Instance, f: Array, g: Array, backend: BackendLike) -> tuple[float, float]:
    """Both measures of a balanced problem."""
    p: Problem = problem(instance.C, instance.a, instance.a, instance.eps, backend)
    return p.marginal_error(f, g), gap_of(p, g).relative


def measures_free(
    instance: UnbalancedInstance, f: Array, g: Array, backend: BackendLike
) -> tuple[float, float]:
    """Both measures of an unbalanced problem. The first is the L1 error of the marginals of U-4 at
    the best shift U-5 of (f, g). The gap is the smaller one of (f, g) and of g with the best f for
    it, because a peer may have stopped after updating either potential."""
    p = unbalanced_problem(instance.C, instance.a, instance.b, instance.eps, instance.rho,
                           backend=backend)
    gaps = unbalanced_gap(p, f, g).relative, gap_of(p, g).relative
    return p.marginal_error(*p.shifted(f, g)), min(gaps)


@dataclass(frozen=True)
class Criterion:
    """One of the two measures, and the value `target` that it may have at most. The search for a
    peer's accuracy begins at `start`."""

    name: str
    target: float
    measure: Callable[[Judgement], float]
    start: float


UNBALANCED = Criterion("gap 1e-6", 1e-6, lambda judged: judged.gap, 0.1)
"""The criterion for unbalanced problems. The gap is of second order in the marginal error, so that
the search begins at a rough accuracy."""

CRITERIA = (
    Criterion("marginal error 1e-6", 1e-6, lambda judged: judged.marginal_error, 1e-6),
    Criterion("gap 1e-4", 1e-4, lambda judged: judged.gap, 1e-4),
)
"""The two criteria for balanced problems."""
