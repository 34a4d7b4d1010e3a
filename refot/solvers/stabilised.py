"""Sinkhorn's algorithm as matrix-vector products, safe for every eps: the absorbed kernel.

K_ij = exp((f0_i + g0_j - C_ij) / eps) is formed once. Its products give the transforms,
f = f0 - eps log K (b e^{(g - g0) / eps}), as long as f, g stay near f0, g0; when they have moved
too far they are absorbed into a new K (schmitzer2019stabilized in docs/references.bib, section 3).
A product reads K once, which takes less time than the exponentials of a transform; K takes n m
floats of memory.
"""

from __future__ import annotations

import math
from dataclasses import replace
from functools import cached_property
from typing import NamedTuple

import numpy as np

from refot.arrays import Array, InputError, namespace
from refot.costs import Cost
from refot.memory import fits_matrix, formed
from refot.problem import Problem

from .overrelaxed import relax
from .schedule import Iterates, annealed

BLOCK_ELEMENTS = 1 << 15
"""Entries of K that are formed together: they stay in the cache."""

AFTER = 12
"""Compiled transforms that take about as long as to form one kernel (7 on one thread)."""


class Range(NamedTuple):
    """What a dtype allows: `far`, how far potentials may move from those absorbed, in eps; `none`,
    the smallest entry of K, to which smaller ones are raised (a product of numbers below the normal
    ones takes ten times as long); `least`, the smallest sum to which these, at most m none e^far
    together, do not matter."""

    far: float
    none: float
    least: float


RANGES = {8: Range(100.0, 1e-200, 1e-130), 4: Range(10.0, 1e-28, 1e-12)}
"""By the size of a float: m none e^far / least is m 3e-27, in float32 m 2e-12."""


class Kernel:
    """K at (f0, g0) with the transforms it gives; where they fail, the backend's, absorbed anew.

    `after` transforms of the backend come first at each eps: few iterations do not repay K. One
    matrix serves all the stages of a schedule, and the potentials of one stage serve the next: an
    exponent grows by no more than the factor by which eps falls.
    """

    def __init__(self, C: Cost, after: int = 0) -> None:
        self.C, self.after, self.allowed = C, after, RANGES[C.dtype.itemsize]
        self.f: Array | None = None

    @cached_property
    def K(self) -> Array:
        """The matrix (n, m), not yet filled."""
        return namespace(self.C.rows(slice(0, 1))).empty(self.C.shape, dtype=self.C.dtype)

    def iterates(self, p: Problem, g: Array) -> Iterates:
        """Over-relaxation of one stage, with the transforms of the kernel."""
        self.p, self.left = p, self.after
        if not self.left:
            self.absorb(p.transform(g) if self.f is None else self.f, g)
        return relax(p, g, self.rows, self.columns)

    def absorb(self, f: Array, g: Array) -> None:
        """Form K anew."""
        self.f, self.g = f, g
        xp, lowest, (n, m) = namespace(f), math.log(self.allowed.none), self.C.shape
        step = max(1, BLOCK_ELEMENTS // m)
        for start in range(0, n, step):
            rows = slice(start, start + step)
            K = self.K[rows]
            xp.subtract(g, self.C.rows(rows), out=K)
            K += f[rows, None]
            K *= 1 / self.p.eps
            xp.maximum(K, lowest, out=K)
            with np.errstate(over="ignore"):  # only off the support, where `_log_sums` finds it
                xp.exp(K, out=K)

    def rows(self, g: Array, f: Array | None) -> Array:
        """g^(c,eps)."""
        if not self.left:
            log_sums = self._log_sums(self.p.b, g - self.g, self.K)
            if log_sums is not None:
                return self.f - log_sums
        f = self.p.transform(g, f)
        self._transformed(f, g)
        return f

    def columns(self, f: Array, g: Array | None) -> Array:
        """f^(c,eps)."""
        if not self.left:
            log_sums = self._log_sums(self.p.a, f - self.f, self.K.T)
            if log_sums is not None:
                return self.g - log_sums
        g = self.p.T.transform(f, g)
        self._transformed(f, g)
        return g

    def _transformed(self, f: Array, g: Array) -> None:
        """Count a transform of the backend; absorb where it was the last one for now."""
        self.left = max(self.left - 1, 0)
        if not self.left:
            self.absorb(f, g)

    def _log_sums(self, weights: Array, moved: Array, K: Array) -> Array | None:
        """eps log K (weights e^{moved / eps}), or None where floats cannot tell."""
        xp = namespace(moved)
        exponent = xp.where(weights > 0, moved / self.p.eps, 0)
        if not float(abs(exponent).max()) <= self.allowed.far:
            return None
        with np.errstate(invalid="ignore"):
            sums = K @ (weights * xp.exp(exponent))
        if not self.allowed.least < float(sums.min()) <= float(sums.max()) < np.inf:
            return None
        return self.p.eps * xp.log(sums)


def stabilised(p: Problem, g: Array) -> Iterates:
    """Over-relaxation with an absorbed kernel, under an eps schedule."""
    if not fits_matrix(p.C, copies=2):
        raise InputError("method", "'stabilised', which forms two matrices beyond the budget",
                         "more memory=, or 'overrelaxed'")
    p = replace(p, C=formed(p.C))
    return annealed(p, g, Kernel(p.C).iterates)


def stabilised_later(p: Problem, g: Array) -> Iterates:
    """The same without a cost matrix, and with a kernel only where an eps takes more than AFTER
    transforms."""
    return annealed(p, g, Kernel(p.C, AFTER).iterates)
