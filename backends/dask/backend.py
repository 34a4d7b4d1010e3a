"""The backend on a cluster: Dask's workers compute, each with a backend of its own, the inner one.

An operation is one task a worker, for whole tiles of rows. What moves are vectors: the potentials
go out, a worker's part of the answer comes back. The points are laid out on the workers once. Every
worker holds all points of a problem, and nothing of size n x m is formed anywhere; only a cost
*matrix* that the caller has formed is sent as it is.

Any number of workers gives the same bits, and so does a worker that is lost on the way: see
`tiles`.
"""

from __future__ import annotations

import hashlib
import logging
import math
import weakref
from collections import OrderedDict
from dataclasses import dataclass, fields
from typing import Any

import numpy as np

from refot.arrays import Array
from refot.backend_contract import BackendUnavailableError, Entries, get_backend
from refot.backends.numpy.backend import NumpyArrays
from refot.costs.operands import Cost, PointCost

from .tiles import row_order, tile_starts

try:
    from .cluster import Cluster, Problem, current_client
    from .share import ByRow, Share, Side, share_left_out
except ImportError as error:
    raise BackendUnavailableError(f"dask: {error}; pip install 'refot[dask]'") from error

KEPT = 4
"""Problems that stay on the workers after their last use, at most."""

SMALL = 100_000
"""Below this number of rows and columns one machine is faster; said once to the log."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class ClusterCost(PointCost):
    """A PointCost that has been prepared for a whole solve: its points can no longer be written to,
    and the weights of both sides are known."""

    a: Array | None = None
    b: Array | None = None

    @property
    def T(self) -> ClusterCost:
        return ClusterCost(self.y, self.x, self.ground, self.scale, self.origin, self.b, self.a)


class DaskBackend(NumpyArrays):
    """NumPy arrays here, and the work on the workers of `client`; of the current client, where none
    is given. `inner` is the backend on each worker: "numba", "numpy", or "cupy" where each worker
    has a GPU. Raises BackendUnavailableError where there is no cluster."""

    name = "dask"

    def __init__(self, client: Any = None, inner: str = "numba") -> None:
        self._given, self._inner = client, get_backend(inner)
        self._cluster: Cluster | None = None
        self._problems: OrderedDict[str, Problem] = OrderedDict()
        _ = self.cluster

    @property
    def cluster(self) -> Cluster:
        """The cluster of the client that was given, or of the current one."""
        client = current_client() if self._given is None else self._given
        if self._cluster is None or self._cluster.client is not client:
            self._cluster = Cluster(client)
            self._problems.clear()
        return self._cluster

    # ------------------------------------------------------------------ the contract
    def prepared(self, C: Cost, a: Array, b: Array) -> Cost:
        """C with points that stay as they are, so that workers may keep what they prepare."""
        if not isinstance(C, PointCost):
            return C
        if min(C.shape) < SMALL:
            _log.info("refot: %d x %d points on a cluster; one machine is faster below %d",
                      *C.shape, SMALL)
        x, y = _frozen(C.x), _frozen(C.y)
        return ClusterCost(x, y, C.ground, C.scale, C.origin, _frozen(a), _frozen(b))

    def left_out(self, C: Cost) -> float:
        """The share that the inner backend may leave out of a sum."""
        return share_left_out(self._problem(C)[0].share)

    def prefers_softmin(self, C: Cost, a: Array, b: Array, eps: float) -> bool:
        """Always: a kernel (n, m) would have to be here."""
        return isinstance(C, PointCost)

    def softmin(self, C: Cost, h: Array, eps: float, shift: Array | None = None) -> Array:
        """-eps log sum_j exp((h_j - C_ij) / eps), (n,)."""
        return self._by_rows("softmin", C, [h, eps, None if shift is None else ByRow([shift])])

    def plan_apply(self, C: Cost, F: Array, G: Array, eps: float, V: Array) -> Array:
        """P @ V, (n, k) for V (m, k)."""
        return self._by_rows("plan_apply", C, [ByRow([F]), G, eps, V])

    def marginals(self, C: Cost, F: Array, G: Array, eps: float) -> tuple[Array, Array]:
        """(P 1 (n,), P'1 (m,)), each by its own rows: sums that are merged from many workers would
        be as long as the columns from each of them."""
        n, m = C.shape
        return (self.plan_apply(C, F, G, eps, np.ones((m, 1), C.dtype))[:, 0],
                self.plan_apply(C.T, G, F, eps, np.ones((n, 1), C.dtype))[:, 0])

    def plan_cost(self, C: Cost, F: Array, G: Array, eps: float) -> float:
        """<P, C>."""
        return math.fsum(self._on_tiles("plan_cost", C, [ByRow([F]), G, eps])[0])

    def plan_cost_gradient(self, C: PointCost, F: Array, G: Array, eps: float) -> Array:
        """sum_j P_ij d1 c(x_i, y_j), (n, d)."""
        return self._by_rows("plan_cost_gradient", C, [ByRow([F]), G, eps])

    def plan_entries(self, C: Cost, F: Array, G: Array, eps: float, least: float, most: int
                     ) -> Entries | None:
        """The entries P_ij > least by rows; None if more than `most`."""
        found, side = self._on_tiles("plan_entries", C, [ByRow([F]), G, eps, least, most])
        if any(part is None for part in found) or sum(len(part[0]) for part in found) > most:
            return None
        return _rows_joined(found, side.order)

    def gibbs(self, C: Cost, f: Array, g: Array, eps: float, least: float, K: Array) -> None:
        """K_ij = max(exp((f_i + g_j - C_ij) / eps), least), into K (n, m): K is here, and so is the
        work."""
        self._inner.gibbs(C, f, g, eps, least, K)

    def sweep(self, K: Array | Entries, v: Array, s: Array, w: float) -> tuple[Array, Array]:
        """(K v, K'u) with u = s / (K v)^w; here, where K is."""
        return self._inner.sweep(K, v, s, w)

    # ------------------------------------------------------------------ by tiles
    def _by_rows(self, operation: str, C: Cost, arguments: list[Any]) -> Array:
        """An operation with one result a row, in the caller's order."""
        found, side = self._on_tiles(operation, C, arguments)
        joined = np.concatenate(found)
        out = np.empty_like(joined)
        out[side.order] = joined
        return out

    def _on_tiles(self, operation: str, C: Cost, arguments: list[Any]) -> tuple[list[Any], Side]:
        """What the inner backend's operation gives for each tile of the rows of C."""
        problem, side = self._problem(C)
        return (self.cluster.on_tiles(problem, side, operation, arguments),
                problem.share.sides[side])

    def _problem(self, C: Cost) -> tuple[Problem, int]:
        """The problem that lies on the workers of which C is a side, and which side that is."""
        _ = self.cluster
        key, transposed = _key(C), _key(C.T)
        for side, known in enumerate((key, transposed)):
            if known in self._problems:
                self._problems.move_to_end(known)
                return self._problems[known], side
        sides = (_side(C), _side(C.T))
        self._problems[key] = Problem(Share(sides, self._inner.name))
        if len(self._problems) > KEPT:
            self._problems.popitem(last=False)
        return self._problems[key], 0


def dask_backend(client: Any = None, inner: str = "numba") -> DaskBackend:
    """The backend on the workers of `client` (a `distributed.Client`), each with the backend
    `inner`.

        with refot.use_backend(dask_backend(Client(n_workers=2))):
            refot.solve(...)
    """
    return DaskBackend(client, inner)


def _side(C: Cost) -> Side:
    weights = (C.a, C.b) if isinstance(C, ClusterCost) else (None, None)
    plain = PointCost(C.x, C.y, C.ground, C.scale) if isinstance(C, PointCost) else C
    return Side(plain, row_order(C), tile_starts(C.shape[0]), *weights)


def _key(C: Cost) -> str:
    """The content of a cost, so that one that was written to is another."""
    values = ((each.name, getattr(C, each.name)) for each in fields(C) if each.name != "origin")
    return " ".join([type(C).__name__, *(
        _digest(value) if isinstance(value, np.ndarray) else f"{name}={value!r}"
        for name, value in values)])


_digests: dict[int, tuple[weakref.ref[Any], str]] = {}
"""Digests of arrays that cannot be written to, by `id`."""


def _digest(values: Array) -> str:
    """A digest of an array; that of a frozen one is computed once in its life."""
    if id(values) in _digests and not values.flags.writeable:
        known, found = _digests[id(values)]
        if known() is values:
            return found
    content = hashlib.blake2b(f"{values.dtype.str} {values.shape}".encode(), digest_size=20)
    content.update(np.ascontiguousarray(values).data)
    if not values.flags.writeable:
        here = id(values)
        _digests[here] = (weakref.ref(values, lambda _: _digests.pop(here, None)),
                          content.hexdigest())
    return content.hexdigest()


def _frozen(values: Array) -> Array:
    """A copy that cannot be written to; the array itself where it is such a copy."""
    if not values.flags.writeable and values.base is None and values.flags.c_contiguous:
        return values
    values = np.array(values, order="C")
    values.flags.writeable = False
    return values


def _rows_joined(parts: list[Entries], order: Array) -> Entries:
    """Sparse rows that were computed by tiles, in the caller's order."""
    values = np.concatenate([values for values, _, _ in parts])
    columns = np.concatenate([columns for _, columns, _ in parts])
    lengths = np.concatenate([np.diff(starts) for _, _, starts in parts])
    begin = np.concatenate([[0], np.cumsum(lengths)])[:-1]
    place = np.argsort(order, kind="stable")  # where the rows of the caller lie among those joined
    starts = np.concatenate([[0], np.cumsum(lengths[place])])
    take = np.repeat(begin[place] - starts[:-1], lengths[place]) + np.arange(len(values))
    return values[take], columns[take], starts
