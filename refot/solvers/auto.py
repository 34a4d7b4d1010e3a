"""method="auto": which method a problem gets, and when it changes hands."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from refot.arrays import Array
from refot.backend_contract import recomputes
from refot.costs.formed import formed
from refot.costs.operands import DenseCost
from refot.problem import Problem
from refot.solvers.memory import fits_matrix

from .ascent import GAIN
from .newton import NEWTON_LIMIT, allows_newton, newton, newton_iterates
from .newton_cg import newton_cg_iterates
from .overrelaxed import overrelaxed_iterates
from .schedule import Iterates, Method, annealed
from .stabilised import Kernel

SMALL = 256 * 256
"""Up to this many entries Newton with a dense Hessian: milliseconds, to the rounding floor."""

SLOW, SLOW_PRODUCTS = 0.9, 0.98
"""A rate of the marginal error per iteration above this hands over to Newton-CG (the second where
an iteration is a pass over a kernel, which costs less)..."""

SEEN = 16
"""... once it is the mean over so many iterations."""

TURN = 30
"""A turn of one of several methods ends after so many iterations in which the error has not fallen
by half; twice as many in each round."""

ROUNDS = 3
"""So many rounds are tried before one that gains nothing is the last."""


def auto(p: Problem, g: Array) -> Iterates:
    """Newton with a dense Hessian for a small matrix; else over-relaxation under an eps schedule,
    and Newton-CG from the moment on that it turns out slow. Where a method stands still, others
    go on from there in turns.

    The sweeps of over-relaxation come from an absorbed kernel, where the matrices fit the budget:
    of a matrix, or of points on the processor, where two softmins are not faster
    (`stabilised.by_softmin`); else from softmin.
    """
    on_processor = p.backend.xp is np
    if math.prod(p.C.shape) <= SMALL and allows_newton(p):
        return newton_first(p, g)
    if (recomputes(p.backend) or isinstance(p.C, DenseCost)) and fits_matrix(p.C, copies=2):
        p = replace(p, C=formed(p.C))  # else computed again for each kernel
    elif not (on_processor and fits_matrix(p.C)):
        return annealed(p, g, Watched(overrelaxed_iterates, SLOW, overrelaxed_iterates,
                                      only=p.eps).iterates)
    return annealed(p, g, Watched(Kernel(p).iterates, SLOW_PRODUCTS, fresh_kernel).iterates)


def newton_first(p: Problem, g: Array) -> Iterates:
    """Newton's method, and where it ends or crawls the others in turns."""
    for f, g_newton, error in while_it_gains(newton(p, g), TURN):
        g = g_newton
        yield f, g, error
    yield from in_turns(p, g, overrelaxed_iterates)


def fresh_kernel(p: Problem, g: Array) -> Iterates:
    """Sweeps with a kernel of their own."""
    return Kernel(p).iterates(p, g)


class Watched:
    """The stages of a schedule by `sweeps`, until their rate is above `slow`: from then on, at that
    eps and at all below, by Newton-CG and `later` in turns. `only`: the one eps at which the sweeps
    may be given up, where a Newton step may take hundreds of passes over all pairs."""

    def __init__(self, sweeps: Method, slow: float, later: Method, only: float | None = None
                 ) -> None:
        self.sweeps: Method | None = sweeps
        self.slow, self.later, self.only = slow, later, only

    def iterates(self, p: Problem, g: Array) -> Iterates:
        """Those of one stage."""
        if self.sweeps is not None:
            errors: list[float] = []
            for f, g_swept, error in self.sweeps(p, g):
                g = g_swept
                yield f, g, error
                errors.append(error)
                if self.only in (None, p.eps) and self.is_slow(errors):
                    break
            self.sweeps = None  # a kernel's memory is let go
        yield from in_turns(p, g, self.later)

    def is_slow(self, errors: list[float]) -> bool:
        """Whether the last SEEN sweeps were."""
        return len(errors) > SEEN and errors[-1] > self.slow**SEEN * errors[-1 - SEEN]


def in_turns(p: Problem, g: Array, sweeps: Method) -> Iterates:
    """Newton-CG, Newton's method with a dense Hessian where that may be, and sweeps, each from
    where the one before came to, and again while a round takes the error down by half; the last
    iterate is the best."""
    best: tuple[Array, Array, float] | None = None
    smallest = math.inf
    dense = [newton_iterates] if min(p.C.shape) <= NEWTON_LIMIT and allows_newton(p) else []
    for turn in itertools.count():
        before = smallest
        for method in [newton_cg_iterates, *dense, sweeps]:
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
    """The iterates, until `patience` of them have not taken the error down by half."""
    gained_at, waited = math.inf, 0
    for iterate in iterates:
        yield iterate
        waited += 1
        if iterate[2] <= GAIN * gained_at:
            gained_at, waited = iterate[2], 0
        if waited >= patience:
            return
