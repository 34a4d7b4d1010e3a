"""method="auto": which method solves a problem, and when another one takes over.

A small problem gets Newton's method with a dense Hessian. Any other begins with sweeps
(over-relaxed Sinkhorn iterations) under an eps schedule. If their error falls slowly, the problem
is a hard one for sweeps, and Newton-CG takes over. A method that makes no more progress hands over
to the next one, in turns.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Generic

import numpy as np

from refot.arrays import Array
from refot.backend_contract import formed_by, recomputes
from refot.costs.operands import DenseCost
from refot.problem import Problem
from refot.solvers.memory import fits_matrix

from .ascent import GAIN
from .newton import NEWTON_LIMIT, allows_newton, newton, newton_of_smaller
from .newton_cg import newton_cg_iterates
from .overrelaxed import overrelaxed_iterates
from .scales.coarser import coarser_at_larger_eps, corrected_iterates
from .schedule import Iterates, P, Stage, annealed, is_warm
from .stabilised import AbsorbedKernel, Kernel

SMALL = 256 * 256
"""Up to this number of entries of C, Newton's method with a dense Hessian is used: it takes
milliseconds, and goes on until rounding allows no smaller error."""

SLOW = 0.9
"""Sweeps by the backend's softmin count as slow, and Newton-CG takes over, where an iteration
multiplies the marginal error by more than this, on average over RATE_WINDOW iterations."""

SLOW_PRODUCTS = 0.98
"""The same for sweeps with an absorbed kernel (`stabilised`). It is nearer to 1, because these take
less time."""

RATE_WINDOW = 16
"""The rate of the error is the mean over this number of iterations."""

TURN = 30
"""A turn of a method ends after this number of iterations in which the error did not fall by half;
in the second round after twice as many, and so on."""

PATIENCE = 4
"""Corrections by a coarser problem end after this number of sweeps in which the error did not fall
by half. Most often a single correction makes it ten times smaller."""

ROUNDS = 3
"""In a round each method has one turn. From the round of this number on, a round that does not
halve the smallest error is the last."""


def auto(p: Problem, g: Array) -> Iterates:
    """The iterates of the method, or methods, that suit the problem.

    Large clouds in few dimensions start from coarser ones, which then correct each sweep
    (`scales.coarser`); iterations of the coarser problem are not counted. Other sweeps use an
    absorbed kernel (`stabilised`) if it fits the memory budget, and if C is a matrix or its points
    are in the processor's memory; else they use the backend's softmin.
    """
    at = coarser_at_larger_eps(p)
    if at is None:
        yield from auto_with(BALANCED, p, g)
        return
    warm = is_warm(p, g)
    g = g if warm else at.start(auto)
    if at.fine.eps == p.eps:
        for f, g_corrected, error in while_it_gains(corrected_iterates(at, g, auto), PATIENCE):
            g = g_corrected
            yield f, g, error
    yield from auto_with(BALANCED, p, g, None if warm else at.fine.eps)


@dataclass(frozen=True)
class Sweeps(Generic[P]):
    """How a kind of problem, balanced or unbalanced, is swept: by transforms of the backend, or
    with an absorbed kernel."""

    by_transforms: Stage[P]
    """The sweeps by transforms."""

    kernel: Callable[[P], AbsorbedKernel[P, Any]]
    """From a problem to its absorbed kernel, whose `iterates` are the sweeps with it."""

    def fresh_kernel(self, p: P, g: Array) -> Iterates:
        """Sweeps with a new kernel, which is freed when they end."""
        return self.kernel(p).iterates(p, g)


BALANCED = Sweeps(overrelaxed_iterates, Kernel)
"""The sweeps of a balanced problem."""


def auto_with(sweeps: Sweeps[P], p: P, g: Array, good_at: float | None = None) -> Iterates:
    """`auto` with these sweeps, without coarser problems. With `good_at`, g is known to be good at
    that larger eps (`annealed`)."""
    on_processor = p.backend.xp is np
    if math.prod(p.C.shape) <= SMALL and allows_newton(p):
        return newton_first(sweeps, p, g)
    if (recomputes(p.backend) or isinstance(p.C, DenseCost)) and fits_matrix(p.C, copies=2):
        # The matrix is formed here, once, and not again for each kernel of the schedule.
        p = replace(p, C=formed_by(p.backend, p.C))
    elif not (on_processor and fits_matrix(p.C)):
        later = partial(newton_and, sweeps.by_transforms)
        by_softmin = UntilSlow(sweeps.by_transforms, SLOW, later, only=p.eps)
        return annealed(p, g, by_softmin.iterates, good_at)
    later = partial(newton_and, sweeps.fresh_kernel)
    with_kernel = UntilSlow(sweeps.kernel(p).iterates, SLOW_PRODUCTS, later)
    return annealed(p, g, with_kernel.iterates, good_at)


def newton_first(sweeps: Sweeps[P], p: P, g: Array) -> Iterates:
    """Newton's method; and all methods in turns from where it ends without convergence, or takes
    more than TURN iterations to halve its error."""
    for f, g_newton, error in while_it_gains(newton(p, g), TURN):
        g = g_newton
        yield f, g, error
    yield from in_turns(p, g, newton_and(sweeps.by_transforms, p))


class UntilSlow(Generic[P]):
    """Solves the stages of an eps schedule, one eps each: by `sweeps` until these turn out slow;
    from then on, at that eps and at all smaller ones, by the methods `later(p)` in turns.

    Sweeps are given up at the eps `only`, where one is given, and at no other: without a kernel in
    memory a Newton step may take hundreds of passes over all pairs, too many for a stage that is to
    be solved roughly.
    """

    def __init__(self, sweeps: Stage[P], slow: float, later: Callable[[P], Sequence[Stage[P]]],
                 only: float | None = None) -> None:
        self.sweeps: Stage[P] | None = sweeps
        self.slow, self.later, self.only = slow, later, only

    def iterates(self, p: P, g: Array) -> Iterates:
        """The iterates of one stage of the schedule."""
        if self.sweeps is not None:
            errors: list[float] = []
            for f, g_swept, error in self.sweeps(p, g):
                g = g_swept
                yield f, g, error
                errors.append(error)
                if self.only in (None, p.eps) and self.is_slow(errors):
                    break
            self.sweeps = None  # frees the kernel, for this was its last reference
        yield from in_turns(p, g, self.later(p))

    def is_slow(self, errors: list[float]) -> bool:
        """Whether the last RATE_WINDOW sweeps multiplied the error by more than `slow` each, in the
        mean."""
        return (len(errors) > RATE_WINDOW
                and errors[-1] > self.slow**RATE_WINDOW * errors[-1 - RATE_WINDOW])


def newton_and(sweeps: Stage[P], p: P) -> list[Stage[P]]:
    """Newton-CG, Newton's method with a dense Hessian where that is possible, and sweeps."""
    dense = [newton_of_smaller] if min(p.C.shape) <= NEWTON_LIMIT and allows_newton(p) else []
    return [newton_cg_iterates, *dense, sweeps]


def in_turns(p: P, g: Array, methods: Sequence[Stage[P]]) -> Iterates:
    """The methods in turns, each from where the one before ended. From round ROUNDS on, a round
    that does not halve the smallest error is the last. Then the iterate of the smallest error comes
    once more."""
    best: tuple[Array, Array, float] | None = None
    smallest = math.inf
    for turn in itertools.count():
        before = smallest
        for method in methods:
            for iterate in while_it_gains(method(p, g), TURN * 2**turn):
                g = iterate[1]
                yield iterate
                if best is None or iterate[2] < smallest:
                    best, smallest = iterate, iterate[2]
        if turn + 1 >= ROUNDS and not smallest <= GAIN * before:
            break
    if best is not None:
        yield best


def while_it_gains(iterates: Iterates, patience: int) -> Iterator[tuple[Array, Array, float]]:
    """The iterates, until the last `patience` of them have not halved the error."""
    gained_at, waited = math.inf, 0
    for iterate in iterates:
        yield iterate
        waited += 1
        if iterate[2] <= GAIN * gained_at:
            gained_at, waited = iterate[2], 0
        if waited >= patience:
            return
