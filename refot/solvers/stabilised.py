"""Sinkhorn's algorithm as matrix-vector products, safe for every eps: the absorbed kernel.

K_ij = exp((f0_i + g0_j - C_ij) / eps) is formed once. Its products give the transforms,
f = f0 - eps log K (b e^{(g - g0) / eps}), as long as f, g stay near f0, g0; when they have moved
too far they are absorbed into a new K. (Schmitzer 2019, section 3.) For a backend whose exponential
is much dearer than a multiplication, and n m floats of memory.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from refot.arrays import Array, InputError, namespace
from refot.memory import fits_matrix, formed
from refot.problem import Problem

from .overrelaxed import relax
from .schedule import Iterates, annealed

FAR = 100.0
"""Potentials that moved by more than so many eps are absorbed; e^100 is far from overflow (float32:
40)."""

LEAST = 1e-200
"""A sum below this may have lost terms to underflow (float32: 1e-25): transform, and absorb."""


class Kernel:
    """K at (f0, g0) with the transforms it gives; both fall back on the backend's, and absorb."""

    def __init__(self, p: Problem, f: Array, g: Array) -> None:
        self.p = p
        single = p.C.dtype.itemsize == 4
        self.far, self.least = (40.0, 1e-25) if single else (FAR, LEAST)
        self.absorb(f, g)

    def absorb(self, f: Array, g: Array) -> None:
        """Form K anew."""
        xp, p = namespace(f), self.p
        self.f, self.g, C = f, g, p.C.dense()
        with np.errstate(over="ignore"):  # only off the support, where `_log_sums` finds it
            self.K = xp.exp((f[:, None] + g - C) / p.eps)

    def rows(self, g: Array, f: Array) -> Array:
        """g^(c,eps)."""
        log_sums = self._log_sums(self.p.b, g - self.g, self.K)
        if log_sums is not None:
            return self.f - log_sums
        f = self.p.transform(g, f)
        self.absorb(f, g)
        return f

    def columns(self, f: Array, g: Array) -> Array:
        """f^(c,eps)."""
        log_sums = self._log_sums(self.p.a, f - self.f, self.K.T)
        if log_sums is not None:
            return self.g - log_sums
        g = self.p.T.transform(f, g)
        self.absorb(f, g)
        return g

    def _log_sums(self, weights: Array, moved: Array, K: Array) -> Array | None:
        """eps log K (weights e^{moved / eps}), or None where floats cannot tell."""
        xp = namespace(moved)
        exponent = xp.where(weights > 0, moved / self.p.eps, 0)
        if not bool((abs(exponent) <= self.far).all()):
            return None
        with np.errstate(invalid="ignore"):
            sums = K @ (weights * xp.exp(exponent))
        if not bool(((sums > self.least) & (sums < xp.inf)).all()):
            return None
        return self.p.eps * xp.log(sums)


def stabilised(p: Problem, g: Array) -> Iterates:
    """Over-relaxation with an absorbed kernel, under an eps schedule."""
    if not fits_matrix(p.C, copies=2):
        raise InputError("method", "'stabilised', which forms two matrices beyond the budget",
                         "more memory=, or 'overrelaxed'")
    return annealed(replace(p, C=formed(p.C)), g, stabilised_iterates)


def stabilised_iterates(p: Problem, g: Array) -> Iterates:
    """Over-relaxation with the transforms of the absorbed kernel."""
    kernel = Kernel(p, p.transform(g), g)
    return relax(p, g, kernel.rows, kernel.columns)
