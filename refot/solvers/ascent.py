"""Newton's ascent of the semi-dual B-24 in g: the iteration that both of Newton's methods share.

f is always the transform of g, so that rows are exact; a method says in which direction g is to
move, and a line search how far. The Hessian -(diag c - P' diag(1/a) P) / eps knows c = P'1 only
near where it was taken: a column that misses its mass by more than a factor e is beyond its reach,
and one of Sinkhorn's sweeps, which is exact for it, comes first. So the weights may differ by any
factor.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TypeAlias

import numpy as np

from refot.arrays import Array, namespace
from refot.problem import Problem
from refot.solvers.stopping import out_of_time

from .schedule import Iterates

Direction: TypeAlias = Callable[[Problem, Array, Array, Array, float], Array]
"""(p, f, g, b - c, caution) -> the direction of g in units of eps, (m,): a scaled gradient where
the caution is large, Newton's where it is small."""

FAR = 1.0
"""|log(c_j / b_j)| beyond which a sweep comes first."""

STALL = 30
"""The ascent ends after this number of iterations in which nothing was gained: no new smallest
error, and no rise of the semi-dual."""

RISE = 10.0
"""The semi-dual counts as risen where it rose by more than this multiple of its rounding."""

GAIN = 0.5
"""An iteration gains where it takes the error below this part of what it was at the last gain."""

BOLDER = 0.1
"""Each iteration without a gain lowers the caution by this factor. For between parts of a plan that
have come apart, mass moves only once their potentials have, perhaps by thousands of eps."""

BOLDEST = 3
"""The caution is lowered at most this number of times."""


def ascend(p: Problem, g: Array, direction: Direction) -> Iterates:
    """(f, g, marginal error) until nothing is gained any more; the last is the best.

    c comes from the transform of f, c_j = b_j exp((g_j - f^_j) / eps): never an overflow within. A
    light column takes the transform as it is: Newton's equations would give it noise.
    """
    xp, gains = namespace(g), Gains(p)
    f, g = p.best_pair(p.transform(g), g)
    while not gains.ended:
        transform, heavy = p.T.transform(f, g), p.T.carried(g) > lightest(p)
        if bool((heavy & (abs(p.T.excess(g, transform)) > FAR)).any()):
            _, g = p.shifted(f, p.T.answer(transform, f))
            f, g = p.best_pair(p.transform(g, f), g)
            transform, heavy = p.T.transform(f, g), p.T.carried(g) > lightest(p)
        g = xp.where(heavy, g, p.T.prox(transform))
        with np.errstate(over="ignore"):
            columns = p.b * xp.exp((g - transform) / p.eps)
        residual, error = p.T.asked(g, columns) - columns, p.T.row_residual(g, columns)
        gains.note(f, g, error)
        yield f, g, error
        step = p.eps * direction(p, f, g, residual, gains.caution)
        step = p.levelled(step)  # a constant changes nothing, and grows by rounding alone
        f, g = line_search(p, f, g, step, residual)
    yield gains.best


def lightest(p: Problem) -> float:
    """The weight up to which an atom is light, u^(3/2): what u of the step of others is to it, in
    the scale of sqrt(weight) in which a step is solved for, is more than its own."""
    return math.pow(np.finfo(p.C.dtype).eps, 1.5)


class Gains:
    """What the iterations have gained so far, and so how boldly to go on, and whether to."""

    def __init__(self, p: Problem) -> None:
        self.p, self.value, self.error = p, -math.inf, math.inf
        self.best: tuple[Array, Array, float]
        self.smallest, self.gained_at = math.inf, math.inf
        self.stalled, self.waited = 0, 0

    def note(self, f: Array, g: Array, error: float) -> None:
        """Take note of an iterate."""
        value, before = self.p.semi_dual(f, g), self.value
        rises = value > before + RISE * value_rounding(self.p, f, g)
        falls = error < self.smallest
        self.value, self.error = value, error
        self.stalled = 0 if rises or falls else self.stalled + 1
        self.waited += 1
        if falls or self.smallest == math.inf:
            self.best, self.smallest = (f, g, error), error
        if error <= GAIN * self.gained_at:
            self.gained_at, self.waited = error, 0

    @property
    def ended(self) -> bool:
        """Whether there has been nothing for too long."""
        return self.stalled >= STALL

    @property
    def caution(self) -> float:
        """The error, less by a factor for each iteration without a gain."""
        return self.error * BOLDER ** min(self.waited, BOLDEST)


def line_search(
    p: Problem, f: Array, g: Array, step: Array, residual: Array
) -> tuple[Array, Array]:
    """(f, g) at the first of g + step, g + step/2, ... that raises the semi-dual enough (Armijo).

    A rise below the rounding of the value counts: near the optimum that is all there is.
    """
    value, slope = p.semi_dual(f, g), float(step @ residual)
    rounding = value_rounding(p, f, g)
    for k in range(40):
        t = 0.5**k
        g_next = g + t * step
        f_next, g_next = p.best_pair(p.transform(g_next, f), g_next)
        if p.semi_dual(f_next, g_next) >= value + 1e-4 * t * slope - rounding:
            return f_next, g_next
        if out_of_time():
            break
    return f, g


def value_rounding(p: Problem, f: Array, g: Array) -> float:
    """How far the rounding of potentials may move the value of the semi-dual."""
    return 4 * float(np.finfo(p.C.dtype).eps) * p.value_size(f, g)
