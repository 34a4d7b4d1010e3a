"""method="auto": which method a problem gets, and when it changes hands."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace

import numpy as np

from refot.arrays import Array
from refot.costs.formed import formed
from refot.costs.operands import DenseCost
from refot.problem import Problem
from refot.solvers.memory import fits_matrix

from .newton import MATRICES, newton
from .newton_cg import newton_cg_iterates
from .overrelaxed import overrelaxed_iterates
from .schedule import Iterates, annealed
from .stabilised import Kernel

SMALL = 256 * 256
"""Up to this many entries Newton with a dense Hessian: milliseconds, to the rounding floor."""

SLOW, SLOW_PRODUCTS = 0.9, 0.98
"""A rate of the marginal error per iteration above this hands over to Newton-CG (the second where
an iteration is a pass over a kernel, which costs less)..."""

SEEN = 16
"""... once it is the mean over so many iterations."""


def auto(p: Problem, g: Array) -> Iterates:
    """Newton with a dense Hessian for a small matrix; else over-relaxation under an eps schedule,
    and Newton-CG from the moment on that it turns out slow.

    The sweeps of over-relaxation come from an absorbed kernel, where the matrices fit the budget:
    of a matrix, or of points on the processor, where these do not sweep faster by groups
    (`stabilised.by_series`); else from softmin.
    """
    on_processor = p.backend.xp is np
    small = math.prod(p.C.shape) <= SMALL and fits_matrix(p.C, copies=MATRICES)
    if small and on_processor and p.C.dtype == np.float64:
        return newton(p, g)
    if (p.backend.name == "numpy" or isinstance(p.C, DenseCost)) and fits_matrix(p.C, copies=2):
        p = replace(p, C=formed(p.C))  # NumPy would compute a cost again for each kernel
    elif not (on_processor and fits_matrix(p.C)):
        return annealed(p, g, Watched(overrelaxed_iterates, SLOW, only=p.eps).iterates)
    return annealed(p, g, Watched(Kernel(p).iterates, SLOW_PRODUCTS).iterates)


class Watched:
    """The stages of a schedule by `sweeps`, until their rate is above `slow`: from then on, at that
    eps and at all below, by Newton-CG. `only`: the one eps at which they may be given up, where
    a Newton step may take hundreds of passes over all pairs."""

    def __init__(self, sweeps: Callable[[Problem, Array], Iterates], slow: float,
                 only: float | None = None) -> None:
        self.sweeps, self.slow, self.only, self.turned = sweeps, slow, only, False

    def iterates(self, p: Problem, g: Array) -> Iterates:
        """Those of one stage."""
        if not self.turned:
            errors: list[float] = []
            for f, g_swept, error in self.sweeps(p, g):
                g = g_swept
                yield f, g, error
                errors.append(error)
                if self.only in (None, p.eps) and self.is_slow(errors):
                    break
            self.turned, self.sweeps = True, newton_cg_iterates  # a kernel's memory is let go
        yield from newton_cg_iterates(p, g)

    def is_slow(self, errors: list[float]) -> bool:
        """Whether the last SEEN sweeps were."""
        return len(errors) > SEEN and errors[-1] > self.slow**SEEN * errors[-1 - SEEN]
