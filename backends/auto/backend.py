"""The default backend: NumPy for small problems, Numba for large ones.

It computes nothing itself. Whoever opens a problem asks `chosen` once, by the contract's
`backend_for`, and the whole solve is then on the backend that was chosen. An operation that is
called by itself is handed on in the same way.

Between small and large NumPy takes 5 to 50 ms and Numba less, but loading the compiled kernels
takes most of a second in each process, and compiling them many seconds on each machine. So such a
problem is NumPy's until a process has had enough of them. What decides are numbers of pairs, never
times: a program that runs again makes the same choices, and has the same digits.
"""

from __future__ import annotations

import logging
from functools import cached_property
from math import prod

from refot.arrays import Array
from refot.backend_contract import Backend, BackendUnavailableError, Entries, get_backend
from refot.backends.numpy.backend import NumpyArrays
from refot.costs.operands import Cost, PointCost

SMALL = 256 * 256
"""Problems of at most this number of pairs (x_i, y_j) are NumPy's always: there the two are equally
fast."""

LARGE = 1_000_000
"""Problems of at least this number of pairs are Numba's always: NumPy takes 50 ms and more."""

ENOUGH = 20_000_000
"""Problems between are Numba's after NumPy has had this number of pairs of them, about a second's
work, or after a large one."""

_log = logging.getLogger(__name__)


class AutoBackend(NumpyArrays):
    """A choice between `numpy` and `numba`."""

    name = "auto"
    rule = f"numpy up to {SMALL:,} pairs of points, numba from {LARGE:,}; between: numpy first"

    def __init__(self) -> None:
        self.served = 0
        """The pairs of problems between SMALL and LARGE so far."""

    def chosen(self, pairs: int) -> Backend:
        """The backend for a problem of this number of pairs."""
        if pairs <= SMALL:
            return get_backend("numpy")
        self.served += pairs if pairs < LARGE else ENOUGH
        return get_backend("numpy") if self.served <= ENOUGH and pairs < LARGE else self._compiled

    @cached_property
    def _compiled(self) -> Backend:
        """Numba, or NumPy where Numba cannot be had: `refot backends` says why."""
        try:
            return get_backend("numba")
        except BackendUnavailableError as error:
            _log.warning("refot: %s; numpy takes its place", error)
            return get_backend("numpy")

    def _for(self, C: Cost) -> Backend:
        return self.chosen(prod(C.shape))

    def softmin(self, C: Cost, h: Array, eps: float, shift: Array | None = None) -> Array:
        """-eps log sum_j exp((h_j - C_ij) / eps)."""
        return self._for(C).softmin(C, h, eps, shift)

    def plan_apply(self, C: Cost, F: Array, G: Array, eps: float, V: Array) -> Array:
        """P @ V."""
        return self._for(C).plan_apply(C, F, G, eps, V)

    def marginals(self, C: Cost, F: Array, G: Array, eps: float) -> tuple[Array, Array]:
        """(P 1, P'1)."""
        return self._for(C).marginals(C, F, G, eps)

    def plan_cost(self, C: Cost, F: Array, G: Array, eps: float) -> float:
        """<P, C>."""
        return self._for(C).plan_cost(C, F, G, eps)

    def plan_cost_gradient(self, C: PointCost, F: Array, G: Array, eps: float) -> Array:
        """sum_j P_ij d1 c(x_i, y_j)."""
        return self._for(C).plan_cost_gradient(C, F, G, eps)

    def plan_entries(self, C: Cost, F: Array, G: Array, eps: float, least: float,
                     most: int) -> Entries | None:
        """The entries P_ij > least; None if more than `most`."""
        return self._for(C).plan_entries(C, F, G, eps, least, most)

    def gibbs(self, C: Cost, f: Array, g: Array, eps: float, least: float, K: Array) -> None:
        """K_ij = max(exp((f_i + g_j - C_ij) / eps), least), into K."""
        self._for(C).gibbs(C, f, g, eps, least, K)

    def sweep(self, K: Array | Entries, v: Array, s: Array, w: float) -> tuple[Array, Array]:
        """(K v, K'u) with u = s / (K v)^w."""
        entries = len(K[0]) if isinstance(K, tuple) else K.size
        return self.chosen(entries).sweep(K, v, s, w)
