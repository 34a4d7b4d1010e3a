"""Sinkhorn's algorithm as matrix-vector products, safe for every eps: the absorbed kernel.

K_ij = exp((f0_i + g0_j - C_ij) / eps) is formed once. With the scaling v = b e^{(g - g0) / eps} its
products give the transforms, g^(c,eps) = f0 - eps log K v, as long as f, g stay near f0, g0; when
they have moved too far they are absorbed into a new K (schmitzer2019stabilized in
docs/references.bib, section 3). A sweep, K v and K'u, reads K once (`sweep` of the contract), which
takes less time than the exponentials of a transform.

K is kept in float32 at first, half as large: its entries, right to 2^-24, move a marginal by no
more than that. Below SINGLE_ERROR it is formed in the precision of the problem; so it is from the
start where a weight is 0, for no marginal tells how right a potential is there, and on a device.
"""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import Any, NamedTuple

import numpy as np

from refot.arrays import Array, InputError
from refot.costs import Cost
from refot.memory import fits_matrix, formed
from refot.problem import Problem
from refot.sorted_cost import SortedCost

from .overrelaxed import Swept, half_step, relax, swept
from .schedule import Iterates, annealed, cost_scale

SINGLE_ERROR = 2.0**-21
"""Marginal errors that K in float32 leaves room for: four times what its rounding can add to the
error of both sides."""

BY_SERIES = 0.03
"""At an eps above this part of the range of the cost, points in order sweep faster by groups."""


class Range(NamedTuple):
    """What a dtype of K allows: `far`, how far potentials may move from those absorbed, in eps;
    `none`, the smallest entry of K, to which smaller ones are raised (a product of numbers below
    the normal ones takes ten times as long); `least`, the smallest sum to which these, at most
    none e^far together, do not matter."""

    far: float
    none: float
    least: float


RANGES = {8: Range(100.0, 1e-200, 1e-130), 4: Range(20.0, 2e-38, 1e-12)}
"""By the size of a float: none e^far / least is 3e-27, in float32 1e-17."""


class Kernel:
    """K at (f0, g0) with the sweeps it gives; where they fail, the backend's, absorbed anew.

    The potentials of one stage of a schedule serve the next: an exponent grows by no more than the
    factor by which eps falls. A stage that `by_series` does without K.
    """

    def __init__(self, C: Cost) -> None:
        self.C = C
        self.K: Array | None = None
        self.dtype: Any = None
        self.f: Array | None = None

    def iterates(self, p: Problem, g: Array) -> Iterates:
        """Over-relaxation of one stage, with the sweeps of the kernel."""
        if self.dtype is None:
            roughly = p.backend.xp is np and p.a.all() and p.b.all()
            self.dtype = np.dtype(np.float32) if roughly else p.C.dtype
        self.p, self.absorbed = p, False
        for f, swept_g, error in relax(p, g, partial(swept, p) if by_series(p) else self.sweep):
            yield f, swept_g, error
            if error <= SINGLE_ERROR:
                self.refine()

    def refine(self) -> None:
        """From now on K in the precision of the problem."""
        if self.dtype != self.p.C.dtype:
            self.dtype, self.K, self.absorbed = self.p.C.dtype, None, False

    def sweep(self, f: Array | None, g: Array, w: float) -> Swept:
        """As `swept`: with K, where floats can tell."""
        found = self._by_kernel(f, g, w) or swept(self.p, f, g, w)
        self.f = found.f
        return found

    def absorb(self, f: Array, g: Array) -> None:
        """Form K anew at (f, g)."""
        if self.K is None:
            self.K = self.p.backend.xp.empty(self.C.shape, dtype=self.dtype)
        self.f0, self.g0, self.absorbed = f, g, True
        none = RANGES[self.dtype.itemsize].none
        self.p.backend.gibbs(self.C, f, g, self.p.eps, none, self.K)

    def _by_kernel(self, f: Array | None, g: Array, w: float) -> Swept | None:
        """The sweep with K, absorbed where (f, g) is far; None where floats cannot tell, after
        which K is formed anew, and no longer in float32."""
        p = self.p
        if not self.absorbed or self._far(p.b, g, self.g0) or self._far(p.a, f, self.f0):
            known = self.f if f is None else f
            self.absorb(p.transform(g) if known is None else known, g)
        found = self._swept(f, g, w)
        if found is None:
            self.absorbed = False
            self.refine()
        return found

    def _swept(self, f: Array | None, g: Array, w: float) -> Swept | None:
        p, xp = self.p, self.p.backend.xp
        v = p.b * xp.exp(self._moved(p.b, g, self.g0))
        s = p.a if f is None else p.a * xp.exp((1 - w) * self._moved(p.a, f, self.f0))
        row_sums, column_sums = self._sums(v, s, w)
        if not self._tell(row_sums):
            return None
        transform = self._less_log(self.f0, row_sums)
        if f is None:
            f, row_error = transform, 0.0
        else:
            f, row_error = half_step(p.a, f, transform, p.eps, w)
            if f is transform and w != 1:
                _, column_sums = self._sums(v, p.a, 1.0)
        if self._far(p.a, f, self.f0) or not self._tell(column_sums):
            return None
        return Swept(f, row_error, self._less_log(self.g0, column_sums))

    def _sums(self, v: Array, s: Array, w: float) -> tuple[Array, Array]:
        with np.errstate(all="ignore"):  # what is not finite is found by `_tell`
            return self.p.backend.sweep(self.K, v, s, w)

    def _moved(self, weights: Array, h: Array, h0: Array) -> Array:
        """(h - h0) / eps on the support, else 0."""
        return self.p.backend.xp.where(weights > 0, (h - h0) / self.p.eps, 0)

    def _far(self, weights: Array, h: Array | None, h0: Array) -> bool:
        """Whether h is too far from h0."""
        if h is None:
            return False
        allowed = RANGES[self.dtype.itemsize].far
        return not float(abs(self._moved(weights, h, h0)).max()) <= allowed

    def _tell(self, sums: Array) -> bool:
        """Whether no sum is lost in what was raised, or beyond the floats."""
        return RANGES[self.dtype.itemsize].least < float(sums.min()) <= float(sums.max()) < np.inf

    def _less_log(self, h0: Array, sums: Array) -> Array:
        """h0 - eps log(sums), in the dtype of the problem."""
        return (h0 - self.p.eps * self.p.backend.xp.log(sums)).astype(h0.dtype, copy=False)


def stabilised(p: Problem, g: Array) -> Iterates:
    """Over-relaxation with an absorbed kernel, under an eps schedule."""
    if not fits_matrix(p.C, copies=2):
        raise InputError("method", "'stabilised', which forms two matrices beyond the budget",
                         "more memory=, or 'overrelaxed'")
    p = replace(p, C=formed(p.C))
    return annealed(p, g, Kernel(p.C).iterates)


def by_series(p: Problem) -> bool:
    """Whether sweeps by groups of points are faster than those with K."""
    return isinstance(p.C, SortedCost) and p.eps > BY_SERIES * cost_scale(p)
