"""method="auto": which method a problem gets, and when it changes hands."""

from __future__ import annotations

import math

import numpy as np

from refot.arrays import Array
from refot.costs import DenseCost
from refot.memory import fits_matrix
from refot.problem import Problem

from .newton import MATRICES, newton
from .newton_cg import newton_cg_iterates
from .overrelaxed import overrelaxed
from .schedule import Iterates
from .stabilised import stabilised, stabilised_later

SMALL = 256
"""Up to this many points on the smaller side Newton with a dense Hessian: to the rounding floor."""

SLOW, SLOW_PRODUCTS = 0.9, 0.98
"""A rate of the marginal error per iteration above this hands over to Newton-CG (the second where
an iteration is two matrix-vector products, which cost less)..."""

SEEN = 16
"""... once it is the mean over so many iterations."""

MANY = 1 << 22
"""Costs of points from which on a kernel of them is not formed: it leaves the processor's cache."""


def auto(p: Problem, g: Array) -> Iterates:
    """Newton with a dense Hessian for a small side; else over-relaxation under an eps schedule, and
    Newton-CG from the moment on that it turns out slow.

    The transforms of over-relaxation come from an absorbed kernel, where the matrices fit the
    budget: from the start where the cost is a matrix, or the backend "numpy", whose exponential is
    dear; on the processor, for up to MANY costs of points, once a few have come from softmin; else
    all come from softmin.
    """
    on_processor = p.backend.xp is np
    small = min(p.C.shape) <= SMALL and fits_matrix(p.C, copies=MATRICES)
    if small and on_processor and p.C.dtype == np.float64:
        return newton(p, g)
    if (p.backend.name == "numpy" or isinstance(p.C, DenseCost)) and fits_matrix(p.C, copies=2):
        return watched(p, stabilised(p, g), SLOW_PRODUCTS)
    if on_processor and math.prod(p.C.shape) <= MANY and fits_matrix(p.C):
        return watched(p, stabilised_later(p, g), SLOW_PRODUCTS)
    return watched(p, overrelaxed(p, g), SLOW)


def watched(p: Problem, iterates: Iterates, slow: float) -> Iterates:
    """`iterates` while their rate is below `slow`, then Newton-CG from where they came to."""
    errors: list[float] = []
    for f, g, error in iterates:
        yield f, g, error
        errors.append(error)
        if len(errors) > SEEN and error > slow**SEEN * errors[-1 - SEEN]:
            break
    yield from newton_cg_iterates(p, g)
