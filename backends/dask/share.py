"""What a worker of the cluster does: hold a copy of a problem, and compute operations on its tiles.

A tile is a range of rows of a cost, and the inner backend is the one that the workers compute with.
Points that the caller has as `Rows` are in no worker's copy: each worker reads those that it needs.
No equation here. Of all modules of the folder, this is the only one whose code runs on the workers.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from itertools import pairwise
from threading import Lock
from typing import Any

import numpy as np
from distributed import get_worker

from refot.arrays import Array
from refot.backend_contract import Backend, get_backend, one_thread
from refot.backends.numba.groups.ordered import SortedCost
from refot.costs.operands import Cost, DenseCost, PointCost
from refot.costs.rows import is_read

from .joined import joined


@dataclass(frozen=True)
class ByRow:
    """An argument with one entry for each row, such as F (n,). When it is sent to a worker, `parts`
    has one part for each of the worker's tiles, in their order; before that, the whole argument is
    the only part."""

    parts: list[Array]


@dataclass(frozen=True, eq=False)
class Share:
    """A worker's copy of a problem: as its two sides the cost C and the transposed C'."""

    sides: tuple[Cost, Cost]

    starts: tuple[list[int], list[int]]
    """For each side the rows at which its tiles start, and the number of rows."""

    blocks: tuple[list[int], list[int]]
    """For each side the columns at which their blocks start, and the number of columns."""

    inner: str

    kept: dict[tuple[int, int], list[Cost]] = field(default_factory=dict, repr=False)
    """The `operands` of each (side, tile) that was used."""

    lock: Any = field(default_factory=Lock, repr=False)
    """Held while `kept` is read or changed, because several threads of a worker use it."""

    def __reduce__(self) -> Any:  # without what is `kept`: the receiver makes its own
        return Share, (self.sides, self.starts, self.blocks, self.inner)

    def operands(self, side: int, tile: int) -> Iterator[Cost]:
        """The rows of a tile as costs in arrays of the inner backend, one for each block of
        columns. They are kept after their first use, but not where points are read: so no more
        than a block is in memory."""
        if is_read(self.sides[side]):
            yield from self._made(side, tile)
            return
        with self.lock:
            if (side, tile) not in self.kept:
                self.kept[side, tile] = list(self._made(side, tile))
        yield from self.kept[side, tile]

    def _made(self, side: int, tile: int) -> Iterator[Cost]:
        """What `operands` returns, made anew."""
        C, blocks = self.sides[side], self.blocks[side]
        rows = rows_of(C, *self.starts[side][tile:tile + 2])
        for start, stop in pairwise(blocks):
            if isinstance(rows, PointCost) and (is_read(rows) or len(blocks) > 2):
                part: Cost = columns_of(rows, start, stop)
            else:
                part = rows
            yield part.with_arrays(get_backend(self.inner).asarray)


def rows_of(C: Cost, start: int, stop: int) -> Cost:
    """The cost of the rows C[start:stop]."""
    if isinstance(C, SortedCost):
        return C.part(start, stop)
    if isinstance(C, DenseCost):
        return DenseCost(C.matrix[start:stop])
    return replace(C, x=C.x[start:stop])


def columns_of(C: PointCost, start: int, stop: int) -> PointCost:
    """The cost of the columns C[:, start:stop] of points that are not sorted."""
    return replace(C, y=C.y[start:stop])


@dataclass(frozen=True)
class Computed:
    """A worker's answer: the result of each of its tiles, and the seconds that each tile took."""

    results: dict[int, Any]
    seconds: dict[int, float]

    in_all: float
    """Seconds from the first tile's start to the last one's end. With several threads these are
    fewer than the sum of `seconds`."""


def compute(share: Share, side: int, operation: str, tiles: Sequence[int], arguments: list[Any]
            ) -> Computed:
    """The `operation` of the inner backend on each of the tiles, by all threads of this worker, but
    each tile by one thread alone. A tile gets its own part of an argument that is `ByRow`; of an
    array, which has one entry for each column, the part of a block of columns; and the whole of any
    other."""
    backend = get_backend(share.inner)
    eps = float(next(each for each in arguments if isinstance(each, float | int)))
    by_block = [[backend.asarray(_unwritable(each[first:last])) if isinstance(each, np.ndarray)
                 else each for each in arguments] for first, last in pairwise(share.blocks[side])]
    seconds: dict[int, float] = {}

    def on(k: int) -> Any:
        start = time.perf_counter()
        answers = []
        with one_thread(backend):
            for C, given in zip(share.operands(side, tiles[k]), by_block, strict=True):
                own = [backend.asarray(each.parts[k]) if isinstance(each, ByRow) else each
                       for each in given]
                answers.append(_on_host(backend, getattr(backend, operation)(C, *own)))
        answer = joined(operation, answers, eps, share.blocks[side])
        seconds[tiles[k]] = time.perf_counter() - start
        return answer

    begin = time.perf_counter()
    with ThreadPoolExecutor(_threads()) as pool:
        answers = list(pool.map(on, range(len(tiles))))
    return Computed(dict(zip(tiles, answers, strict=True)), seconds, time.perf_counter() - begin)


def _unwritable(values: Array) -> Array:
    """A read-only view of the array. The inner backend keeps what it computes from a read-only
    array, and uses it again for the next tile; an array that can be written to may have changed."""
    view = values.view()
    view.flags.writeable = False
    return view


def _on_host(backend: Backend, answer: Any) -> Any:
    """The result of an operation, with NumPy's arrays in place of the inner backend's."""
    if isinstance(answer, tuple):
        return tuple(backend.to_numpy(part) for part in answer)
    return answer if answer is None or np.isscalar(answer) else backend.to_numpy(answer)


def _threads() -> int:
    """The number of threads that this worker was started with."""
    return int(get_worker().state.nthreads)
