"""Sinkhorn's algorithm as matrix-vector products, safe for every eps: the absorbed kernel.

K_ij = exp((f0_i + g0_j - C_ij) / eps) is formed once, at potentials (f0, g0). With the scaling
v = b e^{(g - g0) / eps}, products with K give the transforms: g^(c,eps) = f0 - eps log K v. That
works as long as f and g stay near f0 and g0; when they have moved too far, they are absorbed into a
new K (schmitzer2019stabilized in docs/references.bib, section 3). A sweep needs K v and K'u, reads
K once for both (`sweep` of the contract), and takes less time than the exponentials of a transform.

At first K is in float32, which takes half the time to read. Its entries are right to 2^-24 and move
a marginal by no more than that. Once the marginal error is at FLOAT32_ERROR, or where the range of
float32 is too small, K is formed in the precision of the problem. It is formed so from the start on
a device; and also where a weight is 0, because no marginal error shows how accurate the potential
of such an atom is. G = Genevay, Peyré, Cuturi 2018.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import replace
from functools import partial
from typing import Any, Generic, Protocol, TypeVar

import numpy as np

from refot.arrays import Array, InputError
from refot.backend_contract import formed_by, prefers_softmin
from refot.problem import Problem
from refot.solvers.memory import fits_matrix

from .overrelaxed import Swept, half_step, relax, swept
from .schedule import Iterates, P, annealed

FLOAT32_ERROR = 2.0**-21
"""K in float32 is used down to this marginal error: four times what its rounding can add to the
error of both sides."""

FLOAT32_FAILURES = 3
"""float32 is given up after this number of kernels in a row with which not even one sweep was
reliable."""

LEAST_ENTRY = {8: 1e-200, 4: 2e-38}
"""The smallest entry of K, by the bytes of a float; smaller ones are raised to it. (With numbers
below the normal range, a product takes ten times as long.)"""

NEGLIGIBLE = 1e-17
"""A sum of entries of K times scalings is reliable if raised entries make up at most this part of
it."""


DIRECT = 40.0
"""The largest |C| / eps with which the first kernel is exp(-C / eps) as it is: e^-40 = 4e-18 is far
above the LEAST_ENTRY of float32."""


class WithPotential(Protocol):
    """The result of a sweep: a new f, and what else that kind of sweep computes."""

    @property
    def f(self) -> Array:
        """(n,)."""


S = TypeVar("S", bound=WithPotential)
"""The result of a kind of sweep."""


class AbsorbedKernel(ABC, Generic[P, S]):
    """The absorbed kernel K at (f0, g0), and sweeps with it.

    Where a sweep leaves the range of floats, K is formed anew, and if that fails too the sweep is
    made by the backend's transforms. A new stage of a schedule absorbs the potentials of the stage
    before, so that exponents grow by no more than the factor by which eps falls. A stage at an eps
    at which the backend `prefers_softmin` does not use K.
    """

    def __init__(self, p: P, dtype: Any | None = None) -> None:
        """A kernel for the costs, weights and backend of p, at any eps. K is in `dtype`; without
        one, it begins in float32 where that is possible."""
        float32_first = p.backend.xp is np and bool(p.a.all() and p.b.all())
        self.p, self.dtype = p, np.dtype(dtype or (np.float32 if float32_first else p.C.dtype))
        self.f: Array | None = None  # the f of the last sweep
        self.K: Array | None = None
        self.absorbed, self.failures = False, 0  # whether K is of this eps; failures in a row

    def iterates(self, p: P, g: Array) -> Iterates:
        """The iterates of one stage of a schedule: over-relaxation, with the sweeps of the
        kernel."""
        self.p, self.absorbed = p, False
        self.f = self.f if bool((g != 0).any()) else None  # a start from 0 has no f of before
        for f, swept_g, error in self.relaxed(p, g):
            yield f, swept_g, error
            if error <= FLOAT32_ERROR:
                self.refine()

    @abstractmethod
    def relaxed(self, p: P, g: Array) -> Iterates:
        """Over-relaxation with K, or by softmin where that is faster."""

    @abstractmethod
    def by_transforms(self, f: Array | None, g: Array, w: float) -> S:
        """The sweep without K."""

    @abstractmethod
    def _swept(self, f: Array | None, g: Array, w: float) -> S | None:
        """The sweep with K as it is; None where a sum is not `_reliable`."""

    def refine(self) -> None:
        """Keep K in the precision of the problem from now on."""
        if self.dtype != self.p.C.dtype:
            self.dtype, self.K, self.absorbed = self.p.C.dtype, None, False

    def sweep(self, f: Array | None, g: Array, w: float) -> S:
        """One sweep from (f, g) with the relaxation w. It is made with K as it is; if sums are then
        not reliable, with K formed anew at (f, g); else by transforms. After FLOAT32_FAILURES new
        kernels in a row that failed, K is no longer in float32."""
        found = self._swept(f, g, w) if self.absorbed else None
        if found is None:
            self.absorb(self._start(g) if f is None else f, g)
            found = self._swept(f, g, w)
        self.failures = 0 if found is not None else self.failures + 1
        if found is None:
            self.absorbed = False
            if self.failures == FLOAT32_FAILURES:
                self.refine()
            found = self.by_transforms(f, g, w)
        self.f = found.f
        return found

    def _start(self, g: Array) -> Array:
        """The f to absorb with g before a first sweep: that of the stage before; 0 where g is 0 and
        the costs of the first point are within DIRECT eps, which spares a pass; else the transform
        of g. If the costs of other points are larger, sums that are not reliable will show it."""
        if self.f is not None:
            return self.f
        if not bool((g != 0).any()) and float(
                abs(self.p.C.rows(slice(0, 1))).max()) <= DIRECT * self.p.eps:
            return self.p.backend.xp.zeros_like(self.p.a)
        return self.p.transform(g)

    def absorb(self, f: Array, g: Array) -> None:
        """Form K anew, with f0 = f and g0 = g."""
        if self.K is None:
            self.K = self.p.backend.xp.empty(self.p.C.shape, dtype=self.dtype)
        self.f0, self.g0, self.absorbed = f, g, True
        self.p.backend.gibbs(self.p.C, f, g, self.p.eps, LEAST_ENTRY[self.dtype.itemsize], self.K)

    def _sums(self, v: Array, s: Array, w: float) -> tuple[Array, Array]:
        """(K v, K'u), u = s / (K v)^w."""
        with np.errstate(all="ignore"):  # `_reliable` finds sums that are infinite or NaN
            return self.p.backend.sweep(self.K, v, s, w)

    def _moved(self, weights: Array, h: Array, h0: Array) -> Array:
        """(h - h0) / eps where there is mass, else 0."""
        return self.p.backend.xp.where(weights > 0, (h - h0) / self.p.eps, 0)

    def _scaling(self, weights: Array, h: Array, h0: Array) -> Array:
        """The scaling of G-7 for a potential h: weights e^{(h - h0) / eps}."""
        with np.errstate(over="ignore"):
            return weights * self.p.backend.xp.exp(self._moved(weights, h, h0))

    def _reliable(self, sums: Array, scaling: Array) -> bool:
        """Whether all sums are finite, and raised entries make up a negligible part of each."""
        raised = LEAST_ENTRY[self.dtype.itemsize] * float(scaling.sum())
        return raised < NEGLIGIBLE * float(sums.min()) and float(sums.max()) < np.inf

    def _transform(self, h0: Array, sums: Array) -> Array:
        """The transform h0 - eps log(sums), in the dtype of the problem."""
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
        """The sweep with K as it is; None where a sum is not reliable."""
        p, xp = self.p, self.p.backend.xp
        v = self._scaling(p.b, g, self.g0)
        s = p.a if f is None else p.a * xp.exp((1 - w) * self._moved(p.a, f, self.f0))
        row_sums, column_sums = self._sums(v, s, w)
        if not self._reliable(row_sums, v):
            return None
        transform = self._transform(self.f0, row_sums)
        if f is None:
            f, row_error = transform, 0.0
        else:
            f, row_error = half_step(p.a, f, transform, p.eps, w)
            # Where the safeguard took the plain step, K'u is not that of this f: compute it again.
            if f is transform and w != 1:
                _, column_sums = self._sums(v, p.a, 1.0)
        if not self._reliable(column_sums, self._scaling(p.a, f, self.f0)):
            return None
        return Swept(f, row_error, self._transform(self.g0, column_sums))


def stabilised(p: Problem, g: Array) -> Iterates:
    """Over-relaxation with an absorbed kernel, under an eps schedule."""
    require_kernel(p)
    p = replace(p, C=formed_by(p.backend, p.C))
    return annealed(p, g, Kernel(p).iterates)


def require_kernel(p: Problem) -> None:
    """Raise InputError where two matrices do not fit the budget."""
    if not fits_matrix(p.C, copies=2):
        raise InputError("method", "'stabilised', which forms two matrices beyond the budget",
                         "more memory=, or 'overrelaxed'")


def by_softmin(p: Problem) -> bool:
    """Whether a sweep by two softmins is faster than one with K."""
    return prefers_softmin(p.backend, p.C, p.a, p.b, p.eps)
