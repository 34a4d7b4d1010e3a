"""The backend on a cluster: Dask's workers compute, each with another backend, the *inner* one.

The rows of a cost are cut into tiles (`tiles`). For one operation each worker gets one task: to
compute it for some of the tiles. The points of a problem are sent to each worker once, all of them.
After that only vectors travel: potentials to the workers, parts of the result back. No array of
size n x m is formed anywhere; but a cost *matrix* that the caller has formed is sent whole. Points
that are `Rows` do not travel: each worker reads those of its tiles, and all columns by blocks.

The result has the same bits for any number of workers, also when a worker is lost during the
operation: `tiles` says why.
"""

from __future__ import annotations

import hashlib
import logging
import math
import weakref
from collections import OrderedDict
from typing import Any

import numpy as np

from refot.arrays import Array, as_count, as_positive
from refot.backend_contract import (
    BackendUnavailableError,
    Entries,
    get_backend,
    left_out,
    prepared,
)
from refot.backends.numba.groups.ordered import LARGEST_GROUP, SortedCost
from refot.backends.numpy.backend import NumpyArrays
from refot.costs.operands import Cost, PointCost
from refot.costs.rows import Rows, is_read

from .tiles import block_starts, tile_starts

try:
    from .cluster import LONGEST, Cluster, Problem, current_client
    from .share import ByRow, Share
except ImportError as error:
    raise BackendUnavailableError(f"dask: {error}; pip install 'refot[dask]'") from error

KEPT = 4
"""The largest number of problems of which the workers keep copies. When one more comes, they forget
the one that was used least recently."""

FEW_AXES = 3
"""Points in at most this many dimensions are read whole, into this process too: they are at most
three times as large as their potentials, which are vectors in this process anyhow; and sorted by
their place in space they are solved much faster."""

SMALL = 100_000
"""One machine solves a problem faster than a cluster does if the problem has fewer rows or fewer
columns than this. A line in the log says so when the first such solve begins."""

_log = logging.getLogger(__name__)


class DaskBackend(NumpyArrays):
    """The operations of `refot.backend_contract.Backend`, which defines their letters; P is the
    plan. Arguments and results are NumPy arrays in this process; the workers of `client`, which is
    Dask's current client by default, compute. `inner` is the backend on each worker: "numba",
    "numpy", or "cupy" where each worker has a GPU. An operation fails when no worker answers for
    `longest` seconds. At most `workers` of the workers are used, by default all. Raises
    BackendUnavailableError where there is no cluster."""

    name = "dask"

    def __init__(self, client: Any = None, inner: str = "numba", longest: float = LONGEST,
                 workers: int | None = None) -> None:
        self._given, self.inner = client, get_backend(inner)
        self._longest = as_positive(longest, "longest")
        self._most = None if workers is None else as_count(workers, "workers")
        self._has_told = False
        """Whether the log has said that one machine would be faster."""
        self._cluster: Cluster | None = None
        self._problems: OrderedDict[str, Problem] = OrderedDict()
        _ = self.cluster  # raises an error here, and not at first use, if there is none

    @property
    def cluster(self) -> Cluster:
        """The cluster of the client that was given, or of the current one."""
        client = current_client() if self._given is None else self._given
        if self._cluster is None or self._cluster.client is not client:
            self._cluster = Cluster(client, self._longest, self._most)
            self._problems.clear()
        return self._cluster

    @property
    def whereabouts(self) -> str:
        """The scheduler, the number of workers, and the page that shows what they do."""
        client, workers = self.cluster.client, len(self.cluster.workers())
        page = f", dashboard {client.dashboard_link}" if client.dashboard_link else ""
        return f"{workers} workers of {self.cluster.address}, {self.inner.name} on each{page}"

    # ------------------------------------------------------------------ the contract
    def asarray(self, values: Any) -> Any:
        """`values` as an array; points in more than FEW_AXES dimensions that are `Rows` stay so."""
        if isinstance(values, Rows) and values.shape[1] > FEW_AXES:
            return values
        return np.asarray(values)

    def prepared(self, C: Cost, a: Array, b: Array) -> Cost:
        """C as the inner backend prepares it, but with read-only copies of its points; a matrix as
        it is. The workers' copy of a cost is found by a digest of its points (`_key`), and the
        digest of a read-only array is computed once, not before each operation."""
        if not isinstance(C, PointCost) or is_read(C):
            return C
        if min(C.shape) < SMALL and not self._has_told:
            _log.warning("refot: %d x %d points on a cluster; one machine is faster below %d",
                         *C.shape, SMALL)
            self._has_told = True
        return prepared(self.inner, C.with_arrays(_frozen), a, b)

    def left_out(self, C: Cost) -> float:
        """The share of a row sum of the plan that the inner backend may leave out."""
        return left_out(self.inner, C)

    def prefers_softmin(self, C: Cost, a: Array, b: Array, eps: float) -> bool:
        """True for every cost between points, because `sweep` would need a matrix K (n, m) in the
        memory of this process; false for a cost that is such a matrix itself."""
        return isinstance(C, PointCost)

    def softmin(self, C: Cost, h: Array, eps: float, shift: Array | None = None) -> Array:
        """-eps log sum_j exp((h_j - C_ij) / eps), (n,)."""
        return self._by_rows("softmin", C, [h, eps, None if shift is None else ByRow([shift])])

    def plan_apply(self, C: Cost, F: Array, G: Array, eps: float, V: Array) -> Array:
        """P @ V, (n, k) for V (m, k)."""
        return self._by_rows("plan_apply", C, [ByRow([F]), G, eps, V])

    def marginals(self, C: Cost, F: Array, G: Array, eps: float) -> tuple[Array, Array]:
        """(P 1 (n,), P'1 (m,)), as products with P by its rows and with P' by its rows. From the
        rows of P alone, each worker would have to send back a vector (m,) for P'1."""
        n, m = C.shape
        return (self.plan_apply(C, F, G, eps, np.ones((m, 1), C.dtype))[:, 0],
                self.plan_apply(C.T, G, F, eps, np.ones((n, 1), C.dtype))[:, 0])

    def plan_cost(self, C: Cost, F: Array, G: Array, eps: float) -> float:
        """<P, C>."""
        return math.fsum(self._on_tiles("plan_cost", C, [ByRow([F]), G, eps]))

    def plan_cost_gradient(self, C: PointCost, F: Array, G: Array, eps: float) -> Array:
        """sum_j P_ij d1 c(x_i, y_j), (n, d); d1 c is the derivative of c(x, y) in x."""
        return self._by_rows("plan_cost_gradient", C, [ByRow([F]), G, eps])

    def plan_entries(self, C: Cost, F: Array, G: Array, eps: float, least: float, most: int
                     ) -> Entries | None:
        """The entries P_ij > least by rows; None if more than `most`."""
        found = self._on_tiles("plan_entries", C, [ByRow([F]), G, eps, least, most])
        if any(part is None for part in found) or sum(len(part[0]) for part in found) > most:
            return None
        return _in_callers_order(_joined(found), _order(C), _order(C.T))

    def gibbs(self, C: Cost, f: Array, g: Array, eps: float, least: float, K: Array) -> None:
        """K_ij = max(exp((f_i + g_j - C_ij) / eps), least), into K (n, m). It is computed in this
        process, where K is."""
        here = C.with_arrays(np.asarray) if is_read(C) else C
        self.inner.gibbs(here, f, g, eps, least, K)

    def sweep(self, K: Array | Entries, v: Array, s: Array, w: float) -> tuple[Array, Array]:
        """(K v, K'u) with u = s / (K v)^w, computed in this process, where K is."""
        return self.inner.sweep(K, v, s, w)

    # ------------------------------------------------------------------ by tiles
    def _by_rows(self, operation: str, C: Cost, arguments: list[Any]) -> Array:
        """The results of an operation that has one for each row of C, (n, ...), in the caller's
        order of rows."""
        joined = np.concatenate(self._on_tiles(operation, C, arguments))
        rows = _order(C)
        if rows is None:
            return joined
        out = np.empty_like(joined)
        out[rows] = joined
        return out

    def _on_tiles(self, operation: str, C: Cost, arguments: list[Any]) -> list[Any]:
        """The results of the inner backend's operation, one for each tile of rows of C. An array
        among the arguments has one entry for each column of C; inside a `ByRow`, one for each row.
        """
        rows, columns = _order(C), _order(C.T)
        problem, side = self._problem(C)
        ordered = [ByRow([_reordered(each.parts[0], rows)]) if isinstance(each, ByRow)
                   else _reordered(each, columns) if isinstance(each, np.ndarray) else each
                   for each in arguments]
        return self.cluster.on_tiles(problem, side, operation, ordered)

    def _problem(self, C: Cost) -> tuple[Problem, int]:
        """(The `Problem` of which the workers hold copies, 0) if its cost has the values of C;
        (the `Problem`, 1) if the transpose of its cost has them. If there is no such problem yet, a
        new one with the cost C and the number 0; an operation sends it to the workers later."""
        _ = self.cluster  # forgets all problems if they are on a cluster that is no longer used
        for side, known in enumerate((_key(C), _key(C.T))):
            if known in self._problems:
                self._problems.move_to_end(known)
                return self._problems[known], side
        placed = C.in_place() if isinstance(C, SortedCost) else _plain(C)
        unit = LARGEST_GROUP if isinstance(C, SortedCost) else 1
        n, m = C.shape
        blocks = [0, m], [0, n]
        if type(placed) is PointCost:  # of sorted points, groups of neighbours may span all columns
            d = placed.x.shape[1]
            blocks = block_starts(m, d), block_starts(n, d)
        share = Share((placed, placed.T), (tile_starts(n, unit), tile_starts(m, unit)), blocks,
                      self.inner.name)
        self._problems[_key(C)] = Problem(share)
        if len(self._problems) > KEPT:
            self._problems.popitem(last=False)
        return self._problems[_key(C)], 0


def dask_backend(client: Any = None, inner: str = "numba", longest: float = LONGEST,
                 workers: int | None = None) -> DaskBackend:
    """The backend on the workers of `client` (a `distributed.Client`), at most `workers` of them,
    each computing with the backend `inner`. An operation raises ClusterError when no worker answers
    for `longest` seconds.

        with refot.use_backend(dask_backend(Client(n_workers=2))):
            refot.solve(...)
    """
    return DaskBackend(client, inner, longest, workers)


def _order(C: Cost) -> Array | None:
    """The workers hold the rows of C in an order of their own. For each row in this order: its
    number in the caller's order, (n,). None if the two orders are the same."""
    return C.rows_in_order.order if isinstance(C, SortedCost) else None


def _reordered(values: Array, order: Array | None) -> Array:
    """values[order]; `values` themselves if the order is None."""
    return values if order is None else values[order]


def _plain(C: Cost) -> Cost:
    """A PointCost with its own four fields alone: what a subclass has besides need not be sent. A
    matrix is returned as it is."""
    return PointCost(C.x, C.y, C.ground, C.scale) if isinstance(C, PointCost) else C


def _key(C: Cost) -> str:
    """A text by which costs with the same values are recognised. After the caller has changed an
    array of C in place it is another text, so that the workers get the cost anew."""
    if not isinstance(C, PointCost):
        return f"matrix {_digest(C.matrix)}"
    return " ".join([type(C).__name__, _digest(C.x), _digest(C.y), repr(C.ground), repr(C.scale),
                     repr(getattr(C, "largest_eps", None))])


_digests: dict[int, tuple[weakref.ref[Any], str]] = {}
"""The digests of read-only arrays, by the `id` of the array; an entry goes when its array does."""


def _digest(values: Array) -> str:
    """A digest of an array's dtype, shape and values. That of a read-only array is kept, because
    its values do not change."""
    if isinstance(values, Rows):
        return values.identity
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
    """A read-only copy; the array itself if it is one already."""
    if not values.flags.writeable and values.base is None and values.flags.c_contiguous:
        return values
    values = np.array(values, order="C")
    values.flags.writeable = False
    return values


def _joined(parts: list[Entries]) -> Entries:
    """One sparse matrix from the sparse rows of each tile."""
    values, columns, starts = zip(*parts, strict=True)
    lengths = np.concatenate([np.diff(each) for each in starts])
    return (np.concatenate(values), np.concatenate(columns),
            np.concatenate([[0], np.cumsum(lengths)]))


def _in_callers_order(P: Entries, rows: Array | None, columns: Array | None) -> Entries:
    """P, whose rows and columns come in the orders `rows` and `columns` (see `_order`), put back
    into the caller's order."""
    values, at, starts = P
    if columns is not None:
        at = columns[at].astype(at.dtype)
    if rows is None:
        return values, at, starts
    place = np.argsort(rows, kind="stable")  # where each row of the caller lies
    lengths = np.diff(starts)[place]
    new_starts = np.concatenate([[0], np.cumsum(lengths)])
    take = np.repeat(starts[place] - new_starts[:-1], lengths) + np.arange(len(values))
    return values[take], at[take], new_starts
