"""Newton's ascent of the semi-dual (B-24) in g: the iteration that `newton` and `newton_cg` share.

B = Bréchet et al. 2019. f is always the transform of g, so that the row sums of the plan P are
exact, and what remains is to move g until the column sums c = P'1 are b. Each method gives the
direction of a step, and a line search its length.

The Hessian of the semi-dual, -(diag c - P' diag(1/a) P) / eps, predicts c only near the g where it
was computed: not where a column sum is wrong by more than a factor e. In that case a Sinkhorn
iteration comes first, which corrects every column by the factor that it needs; so weights may
differ by any factor.

For an unbalanced problem f is the best potential for the given g, the one with the largest dual.
The column sums should then be those that g "asks for": the sums for which g is optimal
(`Problem.asked`). A light column is one of weight at most `lightest`, a heavy one any other.
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
"""(p, f, g, b - c, caution) -> the direction in which g is to move, (m,), in units of eps. The
caution, a number like the marginal error (`Gains.caution`), sets the damping: a large one gives a
step along a scaled gradient, a small one Newton's step."""

FAR = 1.0
"""Where some |log(c_j / b_j)| is larger than this, a Sinkhorn iteration comes first."""

STALL = 30
"""The ascent ends after this number of iterations without any progress: no new smallest error, and
no rise of the semi-dual."""

RISE = 10.0
"""The semi-dual counts as risen where it rose by more than this multiple of what its rounding may
be (`value_rounding`)."""

GAIN = 0.5
"""A gain is an iteration whose error is at most this part of the error at the gain before it."""

BOLDER = 0.1
"""Each iteration without a gain multiplies the caution by this factor. A plan at small eps may fall
into parts that exchange almost no mass. Then the error falls only after the potentials of a part
have moved together, perhaps by thousands of eps, which damping would prevent."""

BOLDEST = 3
"""The caution is lowered at most this number of times."""


def ascend(p: Problem, g: Array, direction: Direction) -> Iterates:
    """(f, g, marginal error) of each iteration, until there is no more progress (`Gains.ended`); at
    the end the iterate of the smallest error once more.

    The column sums come from the transform f^ of f, c_j = b_j exp((g_j - f^_j) / eps): nothing on
    the way to c_j can overflow before c_j itself does. The g_j of a light column is set to its
    transform, because Newton's equations give nothing but rounding for it.
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
        step = p.levelled(step)  # a constant changes nothing but would grow by rounding
        f, g = line_search(p, f, g, step, residual)
    yield gains.best


def lightest(p: Problem) -> float:
    """The weight up to which an atom is light: u^(3/2), u the machine epsilon.

    Newton's equations are solved for sqrt(weight) times the step, and the other atoms bring a
    rounding of size u into them. For such an atom sqrt(weight) is at most u^(3/4), so that at most
    a quarter of the digits of its step would be right."""
    return math.pow(np.finfo(p.C.dtype).eps, 1.5)


class Gains:
    """The progress of an ascent, from which follow the caution of the next step and the end."""

    def __init__(self, p: Problem) -> None:
        self.p, self.value, self.error = p, -math.inf, math.inf
        self.best: tuple[Array, Array, float]
        self.smallest, self.gained_at = math.inf, math.inf  # errors: the smallest, at the last gain
        self.stalled, self.waited = 0, 0  # iterations without progress, and since the last gain

    def note(self, f: Array, g: Array, error: float) -> None:
        """Take account of an iterate (f, g) and its marginal error."""
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
        """Whether there was no progress for STALL iterations."""
        return self.stalled >= STALL

    @property
    def caution(self) -> float:
        """The last error, times BOLDER for each iteration since the last gain, at most BOLDEST
        times."""
        return self.error * BOLDER ** min(self.waited, BOLDEST)


def line_search(
    p: Problem, f: Array, g: Array, step: Array, residual: Array
) -> tuple[Array, Array]:
    """(f, g) at the first of g + step, g + step/2, ... that raises the semi-dual enough (Armijo's
    rule), or the given (f, g) if none does.

    A fall by no more than the rounding of the value is allowed: near the optimum, rounding hides
    which of two g is better.
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
