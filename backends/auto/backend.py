"""The default backend: NumPy for small problems, Numba for large ones.

It computes nothing itself. A problem calls `chosen` once, through `backend_for` of
`refot.backend_contract`, and its whole solve then runs on the chosen backend. A single operation,
called outside of a problem, is passed on to a backend that is chosen in the same way.

For a problem of middle size one operation takes NumPy 5 to 50 ms, and Numba less. But loading the
compiled kernels takes most of a second in each process, and compiling them many seconds, once on
each machine. So NumPy computes such problems until a process has had many of them. The choice
depends on numbers of pairs alone, never on measured times, so that a program which runs again
chooses the same backends and gets the same digits.
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
"""NumPy computes every problem of at most this number of pairs (x_i, y_j): there it is as fast as
Numba."""

LARGE = 1_000_000
"""Numba computes every problem of at least this number of pairs: NumPy takes 50 ms and more for one
operation."""

ENOUGH = 6_000_000
"""Problems between SMALL and LARGE go to NumPy until their pairs, added up over the process, exceed
this number, or until a LARGE one has loaded Numba. From then on they go to Numba. This number of
pairs is about half a second of work, as long as it takes to load the kernels."""

_log = logging.getLogger(__name__)


class AutoBackend(NumpyArrays):
    """A choice between `numpy` and `numba`. Each operation is passed on to the chosen backend; the
    letters are those of `refot.backend_contract.Backend`, where P is the plan."""

    name = "auto"
    rule = f"numpy up to {SMALL:,} pairs of points, numba from {LARGE:,}; between: numpy first"
    """What `refot backends` says about the choice."""

    def __init__(self) -> None:
        self.served = 0
        """Pairs of the problems above SMALL so far, added up; a LARGE one counts as ENOUGH."""

    def chosen(self, pairs: int) -> Backend:
        """The backend for a problem of this number of pairs."""
        if pairs <= SMALL:
            return get_backend("numpy")
        self.served += pairs if pairs < LARGE else ENOUGH
        return get_backend("numpy") if self.served <= ENOUGH and pairs < LARGE else self._compiled

    @cached_property
    def _compiled(self) -> Backend:
        """Numba; NumPy, and a warning in the log, where Numba is not available."""
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
        """sum_j P_ij d1 c(x_i, y_j), (n, d); d1 c is the derivative of c(x, y) in x."""
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
