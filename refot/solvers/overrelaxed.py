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
from typing import TypeAlias

import numpy as np

from refot.arrays import Array, namespace
from refot.problem import Problem
from refot.sinkhorn import on_support

from .schedule import Iterates, annealed

Transform: TypeAlias = Callable[[Array, Array | None], Array]
"""(g, previous f if there is one) -> g^(c,eps)."""

WINDOW = 4
"""The rate is read off the errors of so many steps, once as many have passed since w changed."""

LARGEST = 1.995
"""w stays below this: beyond it one more digit takes 1,000 steps, and Newton's method is due."""


def overrelaxed(p: Problem, g: Array) -> Iterates:
    """Over-relaxation under an eps schedule."""
    return annealed(p, g, overrelaxed_iterates)


def overrelaxed_iterates(p: Problem, g: Array) -> Iterates:
    """Over-relaxation with the transforms of the backend."""
    return relax(p, g, p.transform, p.T.transform)


def relax(p: Problem, g: Array, rows: Transform, columns: Transform) -> Iterates:
    """(f, g, marginal error) for any way to compute g^(c,eps) and f^(c,eps).

    The error is exact and free: a half-step leaves the sums b exp((w - 1) (g^ - g) / eps) on its
    own side, and the next transform tells those of the other side.
    """
    xp, w, errors = namespace(g), 1.0, [math.inf]
    f = f_next = rows(g, None)
    while True:
        f, _ = half_step(p.a, f, f_next, p.eps, w)
        g, column_error = half_step(p.b, g, columns(f, g), p.eps, w)
        f_next = rows(g, f)
        f = on_support(p, f, f_next)
        with np.errstate(over="ignore"):
            row_error = float(abs(p.a * xp.exp((f - f_next) / p.eps) - p.a).sum())
        errors.append(row_error + column_error)
        yield f, g, errors[-1]
        faster = next_relaxation(errors, w)
        if faster > w:
            w, errors = faster, errors[-1:]


def half_step(
    weights: Array, f: Array, transform: Array, eps: float, w: float
) -> tuple[Array, float]:
    """(f + w (transform - f), the L1 error of the sums of its side); w = 1 where the dual falls.

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
