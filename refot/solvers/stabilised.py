"""Sinkhorn's algorithm as matrix-vector products, safe for every eps: the absorbed kernel.

K_ij = exp((f0_i + g0_j - C_ij) / eps) is formed once. With the scaling v = b e^{(g - g0) / eps} its
products give the transforms, g^(c,eps) = f0 - eps log K v, as long as f, g stay near f0, g0; when
they have moved too far they are absorbed into a new K (schmitzer2019stabilized in
docs/references.bib, section 3). A sweep, K v and K'u, reads K once (`sweep` of the contract), which
takes less time than the exponentials of a transform.

K is kept in float32 at first, half as large: its entries, right to 2^-24, move a marginal by no
more than that. Below SINGLE_ERROR, or where the range of float32 does not do, it is formed in the
precision of the problem; so it is from the start where a weight is 0, for no marginal tells how
right a potential is there, and on a device.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import replace
from functools import partial
from typing import Any, Generic, Protocol, TypeVar

import numpy as np

from refot.arrays import Array, InputError
from refot.backend_contract import prefers_softmin
from refot.costs.formed import formed
from refot.problem import Problem
from refot.solvers.memory import fits_matrix

from .overrelaxed import Swept, half_step, relax, swept
from .schedule import Iterates, P, annealed

SINGLE_ERROR = 2.0**-21
"""Marginal errors that K in float32 leaves room for: four times what its rounding can add to the
error of both sides."""

PATIENCE = 3
"""Kernels of float32, one after the other, that may be of no use."""

NONE = {8: 1e-200, 4: 2e-38}
"""By the size of a float: the smallest entry of K, to which smaller ones are raised (a product of
numbers below the normal ones takes ten times as long)."""

NEGLIGIBLE = 1e-17
"""What was raised may add up to so much of any sum."""


class WithPotential(Protocol):
    """What a sweep makes: a new f, and more."""

    @property
    def f(self) -> Array:
        """(n,)."""


S = TypeVar("S", bound=WithPotential)
"""A kind of sweep."""


class AbsorbedKernel(ABC, Generic[P, S]):
    """K at (f0, g0) with the sweeps it gives; where they fail, the backend's, absorbed anew.

    The potentials of one stage of a schedule serve the next: an exponent grows by no more than the
    factor by which eps falls. A stage in which the backend `prefers_softmin` does without K.
    """

    def __init__(self, p: P, dtype: Any | None = None) -> None:
        """For the costs, weights and backend of p, at any eps; K in `dtype`, by default float32 to
        begin with, where that is allowed."""
        roughly = p.backend.xp is np and bool(p.a.all() and p.b.all())
        self.p, self.dtype = p, np.dtype(dtype or (np.float32 if roughly else p.C.dtype))
        self.f: Array | None = None
        self.K: Array | None = None
        self.absorbed, self.failures = False, 0

    def iterates(self, p: P, g: Array) -> Iterates:
        """Over-relaxation of one stage, with the sweeps of the kernel."""
        self.p, self.absorbed = p, False
        for f, swept_g, error in self.relaxed(p, g):
            yield f, swept_g, error
            if error <= SINGLE_ERROR:
                self.refine()

    @abstractmethod
    def relaxed(self, p: P, g: Array) -> Iterates:
        """Over-relaxation with K, or by softmin where that is faster."""

    @abstractmethod
    def by_transforms(self, f: Array | None, g: Array, w: float) -> S:
        """The sweep without K."""

    @abstractmethod
    def _swept(self, f: Array | None, g: Array, w: float) -> S | None:
        """The sweep with K; None where floats cannot tell."""

    def refine(self) -> None:
        """From now on K in the precision of the problem."""
        if self.dtype != self.p.C.dtype:
            self.dtype, self.K, self.absorbed = self.p.C.dtype, None, False

    def sweep(self, f: Array | None, g: Array, w: float) -> S:
        """As `by_transforms`: with K, formed anew where floats cannot tell, and no longer in
        float32 where that has not helped PATIENCE times in a row."""
        found = self._swept(f, g, w) if self.absorbed else None
        if found is None:
            start = self.f if f is None else f
            self.absorb(self.p.transform(g) if start is None else start, g)
            found = self._swept(f, g, w)
        self.failures = 0 if found is not None else self.failures + 1
        if found is None:
            self.absorbed = False
            if self.failures == PATIENCE:
                self.refine()
            found = self.by_transforms(f, g, w)
        self.f = found.f
        return found

    def absorb(self, f: Array, g: Array) -> None:
        """Form K anew at (f, g)."""
        if self.K is None:
            self.K = self.p.backend.xp.empty(self.p.C.shape, dtype=self.dtype)
        self.f0, self.g0, self.absorbed = f, g, True
        self.p.backend.gibbs(self.p.C, f, g, self.p.eps, NONE[self.dtype.itemsize], self.K)

    def _sums(self, v: Array, s: Array, w: float) -> tuple[Array, Array]:
        with np.errstate(all="ignore"):  # what is not finite is found by `_tell`
            return self.p.backend.sweep(self.K, v, s, w)

    def _moved(self, weights: Array, h: Array, h0: Array) -> Array:
        """(h - h0) / eps on the support, else 0."""
        return self.p.backend.xp.where(weights > 0, (h - h0) / self.p.eps, 0)

    def _scaling(self, weights: Array, h: Array, h0: Array) -> Array:
        """The scaling of G-7 for a potential h: weights e^{(h - h0) / eps}."""
        with np.errstate(over="ignore"):
            return weights * self.p.backend.xp.exp(self._moved(weights, h, h0))

    def _tell(self, sums: Array, scaling: Array) -> bool:
        """Whether no sum is lost in what was raised, or beyond the floats."""
        raised = NONE[self.dtype.itemsize] * float(scaling.sum())
        return raised < NEGLIGIBLE * float(sums.min()) and float(sums.max()) < np.inf

    def _less_log(self, h0: Array, sums: Array) -> Array:
        """h0 - eps log(sums), in the dtype of the problem."""
        return (h0 - self.p.eps * self.p.backend.xp.log(sums)).astype(h0.dtype, copy=False)


class Kernel(AbsorbedKernel[Problem, Swept]):
    """The kernel for a balanced problem."""

    def relaxed(self, p: Problem, g: Array) -> Iterates:
        """Over-relaxation with K, or by softmin where that is faster."""
        return relax(p, g, partial(swept, p) if by_softmin(p) else self.sweep)

    def by_transforms(self, f: Array | None, g: Array, w: float) -> Swept:
        """The sweep without K."""
        return swept(self.p, f, g, w)

    def _swept(self, f: Array | None, g: Array, w: float) -> Swept | None:
        """The sweep with K; None where floats cannot tell."""
        p, xp = self.p, self.p.backend.xp
        v = self._scaling(p.b, g, self.g0)
        s = p.a if f is None else p.a * xp.exp((1 - w) * self._moved(p.a, f, self.f0))
        row_sums, column_sums = self._sums(v, s, w)
        if not self._tell(row_sums, v):
            return None
        transform = self._less_log(self.f0, row_sums)
        if f is None:
            f, row_error = transform, 0.0
        else:
            f, row_error = half_step(p.a, f, transform, p.eps, w)
            if f is transform and w != 1:
                _, column_sums = self._sums(v, p.a, 1.0)
        if not self._tell(column_sums, self._scaling(p.a, f, self.f0)):
            return None
        return Swept(f, row_error, self._less_log(self.g0, column_sums))


def stabilised(p: Problem, g: Array) -> Iterates:
    """Over-relaxation with an absorbed kernel, under an eps schedule."""
    require_kernel(p)
    p = replace(p, C=formed(p.C))
    return annealed(p, g, Kernel(p).iterates)


def require_kernel(p: Problem) -> None:
    """Raise InputError where two matrices do not fit the budget."""
    if not fits_matrix(p.C, copies=2):
        raise InputError("method", "'stabilised', which forms two matrices beyond the budget",
                         "more memory=, or 'overrelaxed'")


def by_softmin(p: Problem) -> bool:
    """Whether sweeps by two softmins are faster than those with K."""
    return prefers_softmin(p.backend, p.C, p.a, p.b, p.eps)
