"""Sinkhorn's algorithm over-relaxed: f <- f + w (g^(c,eps) - f), the same for g, with 1 <= w < 2.

g^(c,eps) is the (c,eps)-transform of g, the f of Sinkhorn's algorithm. Near the optimum a Sinkhorn
iteration is a linear one, block Gauss-Seidel, which multiplies the error by some rate theta. Longer
steps, by the factor w = 2 / (1 + sqrt(1 - theta)), turn that rate into w - 1, so that about sqrt(N)
steps do what N did (thibault2021overrelaxed, lehmann2022note
in docs/references.bib).

theta is not known in advance. It is computed from the rate r by which each iteration with the
present w multiplies the error, by a formula of successive over-relaxation, (r + w - 1)^2 = r w^2
theta (young1971iterative). As a safeguard (thibault2021overrelaxed), a longer step is taken only
where it raises the dual.
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
    """The result of a sweep, an over-relaxed Sinkhorn iteration, from (f, g)."""

    f: Array
    """f, moved towards g^(c,eps)."""

    row_error: float
    """The L1 error of the row sums that this move leaves; 0 for a plain step, w = 1."""

    transform: Array
    """f^(c,eps) at the new f, towards which g is to move."""


Sweep: TypeAlias = Callable[[Array | None, Array, float], Swept]
"""(f, or None before the first sweep; g; w) -> Swept."""

WINDOW = 4
"""The rate is measured over this number of steps, once twice as many have been made since w last
changed."""

LARGEST = 1.995
"""The largest w. Where the best w is larger, a further digit of the error takes some 460 steps or
more, because the rate is at least w - 1, and Newton's method is the better choice."""


def overrelaxed_iterates(p: Problem, g: Array) -> Iterates:
    """Over-relaxation, each sweep by two transforms of the backend."""
    return relax(p, g, partial(swept, p))


overrelaxed = scheduled(overrelaxed_iterates)
"""Over-relaxation under an eps schedule."""


def swept(p: Problem, f: Array | None, g: Array, w: float) -> Swept:
    """One sweep from (f, g) with the relaxation w, by two transforms of the backend."""
    transform = p.transform(g, f)
    f, row_error = (transform, 0.0) if f is None else half_step(p.a, f, transform, p.eps, w)
    return Swept(f, row_error, p.T.transform(f, g))


def relax(p: Problem, g: Array, sweep: Sweep) -> Iterates:
    """(f, g, marginal error) of each iteration, with any `Sweep`. In each pair f has moved once
    more than g.

    The error takes no extra pass. With the transform g^ = f^(c,eps) the column sums of the plan are
    b exp((g - g^) / eps); and the error of the row sums comes from `half_step`, which moved f.
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
    """(f + w (transform - f), the L1 error of the row sums after that); or the plain step
    (transform, 0.0) where w = 1 or the dual would fall. For g the same with columns.

    With d = (transform - f) / eps, the sums after the longer step are weights exp((w - 1) d), and
    the dual rises by eps weights.(w d - exp((w - 1) d) + exp(-d)).
    """
    if w == 1.0:
        return transform, 0.0
    xp = namespace(f)
    d = xp.where(weights > 0, (transform - f) / eps, 0)
    with np.errstate(over="ignore", invalid="ignore"):
        rise = float(weights @ (w * d - (xp.exp((w - 1) * d) - xp.exp(-d))))
    if not rise >= 0:  # negative, or NaN
        return transform, 0.0
    error = float(abs(weights * xp.expm1((w - 1) * d)).sum())
    return xp.where(weights > 0, f + w * (transform - f), transform), error


def next_relaxation(errors: list[float], w: float) -> float:
    """The best w by the rate of the last errors; the present w where it is too early to measure
    that rate, or the formula does not hold."""
    if len(errors) <= 2 * WINDOW or len(errors) % WINDOW:
        return w
    before, now = errors[-1 - WINDOW], errors[-1]
    if not 0 < now < before < math.inf:
        return w
    rate = (now / before) ** (1 / WINDOW)
    if rate <= w - 1:  # then w is at least the best one, and the formula does not hold
        return w
    theta = ((rate + w - 1) / w) ** 2 / rate
    return min(2 / (1 + math.sqrt(1 - theta)), LARGEST) if theta < 1 else w
