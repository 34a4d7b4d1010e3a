"""Sinkhorn's algorithm over-relaxed: f <- f + w (g^(c,eps) - f), the same for g, with 1 <= w < 2.

Near the optimum Sinkhorn's iteration is a linear block Gauss-Seidel iteration of some rate theta;
the best w, 2 / (1 + sqrt(1 - theta)), turns that rate into w - 1: N steps become about sqrt(N).
(thibault2021overrelaxed, lehmann2022note in docs/references.bib.) theta is not known: it is read
off the errors by the formula of successive over-relaxation (young1971iterative),
(l + w - 1)^2 = l w^2 theta for an observed rate l. Safeguard (Thibault et al.): the dual rises.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from typing import NamedTuple, TypeAlias

import numpy as np

from refot.arrays import Array, namespace
from refot.problem import Problem
from refot.solvers.sinkhorn import on_support

from .schedule import Iterates, scheduled


class Swept(NamedTuple):
    """What a sweep makes of (f, g): f moved towards g^(c,eps), the L1 error of the sums of its
    side, and f^(c,eps) at the new f, towards which g is to move."""

    f: Array
    row_error: float
    transform: Array


Sweep: TypeAlias = Callable[[Array | None, Array, float], Swept]
"""(f, or None before the first, g, w) -> Swept."""

WINDOW = 4
"""The rate is read off the errors of so many steps, once as many have passed since w changed."""

LARGEST = 1.995
"""w stays below this: beyond it one more digit takes 1,000 steps, and Newton's method is due."""


def overrelaxed_iterates(p: Problem, g: Array) -> Iterates:
    """Over-relaxation with the transforms of the backend."""
    return relax(p, g, partial(swept, p))


overrelaxed = scheduled(overrelaxed_iterates)
"""Over-relaxation under an eps schedule."""


def swept(p: Problem, f: Array | None, g: Array, w: float) -> Swept:
    """A sweep by two transforms of the backend."""
    transform = p.transform(g, f)
    f, row_error = (transform, 0.0) if f is None else half_step(p.a, f, transform, p.eps, w)
    return Swept(f, row_error, p.T.transform(f, g))


def relax(p: Problem, g: Array, sweep: Sweep) -> Iterates:
    """(f, g, marginal error) for any way to sweep; g is half a step behind f.

    The error is exact and free: a half-step leaves the sums b exp((w - 1) (g^ - g) / eps) on its
    own side, and the transform g^ = f^(c,eps) tells those of the other, b exp((g - g^) / eps).
    """
    f, w, errors = None, 1.0, [math.inf]
    while True:
        f, row_error, transform = sweep(f, g, w)
        g = on_support(p.T, g, transform)
        with np.errstate(over="ignore"):
            columns = p.b * namespace(g).exp((g - transform) / p.eps)
        errors.append(row_error + float(abs(columns - p.b).sum()))
        yield f, g, errors[-1]
        g, _ = half_step(p.b, g, transform, p.eps, w)
        faster = next_relaxation(errors, w)
        if faster > w:
            w, errors = faster, errors[-1:]


def half_step(
    weights: Array, f: Array, transform: Array, eps: float, w: float
) -> tuple[Array, float]:
    """(f + w (transform - f), the L1 error of the sums of its side); `transform` itself, as with
    w = 1, where the dual would fall.

    With d = (transform - f) / eps the dual rises by eps weights.(w d - exp((w - 1) d) + exp(-d)).
    """
    if w == 1.0:
        return transform, 0.0
    xp = namespace(f)
    d = xp.where(weights > 0, (transform - f) / eps, 0)
    with np.errstate(over="ignore", invalid="ignore"):
        rise = float(weights @ (w * d - (xp.exp((w - 1) * d) - xp.exp(-d))))
    if not rise >= 0:  # not NaN either
        return transform, 0.0
    error = float(abs(weights * xp.expm1((w - 1) * d)).sum())
    return xp.where(weights > 0, f + w * (transform - f), transform), error


def next_relaxation(errors: list[float], w: float) -> float:
    """The best w for the rate that the last errors show, or w where they show nothing new."""
    if len(errors) <= 2 * WINDOW or len(errors) % WINDOW:
        return w
    before, now = errors[-1 - WINDOW], errors[-1]
    if not 0 < now < before < math.inf:
        return w
    rate = (now / before) ** (1 / WINDOW)
    if rate <= w - 1:  # complex eigenvalues: w is beyond the best
        return w
    theta = ((rate + w - 1) / w) ** 2 / rate
    return min(2 / (1 + math.sqrt(1 - theta)), LARGEST) if theta < 1 else w
