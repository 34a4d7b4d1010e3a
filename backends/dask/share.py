"""What a worker of the cluster does: hold a copy of a problem, and compute operations on its tiles.

A tile is a range of rows of a cost, and the inner backend is the one that the workers compute with.
No equation here. Of all modules of the folder, this is the only one whose code runs on the workers.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from threading import Lock
from typing import Any

import numpy as np
from distributed import get_worker

from refot.arrays import Array
from refot.backend_contract import Backend, get_backend, one_thread
from refot.backends.numba.groups.ordered import SortedCost
from refot.costs.operands import Cost, DenseCost


@dataclass(frozen=True)
class ByRow:
    """An argument with one entry for each row, such as F (n,). When it is sent to a worker, `parts`
    has one part for each of the worker's tiles, in their order; before that, the whole argument is
    the only part."""

    parts: list[Array]


@dataclass(frozen=True, eq=False)
class Share:
    """A worker's copy of a problem: as its two sides the cost C and the transposed C', and for each
    side the rows at which its tiles start, and the number of rows."""

    sides: tuple[Cost, Cost]
    starts: tuple[list[int], list[int]]
    inner: str
    operands: dict[tuple[int, int], Cost] = field(default_factory=dict, repr=False)
    """The rows of each (side, tile) that was used, as a cost in arrays of the inner backend."""
    lock: Any = field(default_factory=Lock, repr=False)
    """Held while `operands` is read or changed, because several threads of a worker use it."""

    def __reduce__(self) -> Any:  # without `operands`: the receiver makes its own
        return Share, (self.sides, self.starts, self.inner)

    def operand(self, side: int, tile: int) -> Cost:
        """The rows of a tile as a cost in arrays of the inner backend, made at first use."""
        with self.lock:
            if (side, tile) not in self.operands:
                start, stop = self.starts[side][tile:tile + 2]
                rows = rows_of(self.sides[side], start, stop)
                self.operands[side, tile] = rows.with_arrays(get_backend(self.inner).asarray)
            return self.operands[side, tile]


def rows_of(C: Cost, start: int, stop: int) -> Cost:
    """The cost of the rows C[start:stop]."""
    if isinstance(C, SortedCost):
        return C.part(start, stop)
    if isinstance(C, DenseCost):
        return DenseCost(C.matrix[start:stop])
    return replace(C, x=C.x[start:stop])


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
    each tile by one thread alone. A tile gets its own part of an argument that is `ByRow`, and the
    whole of any other."""
    backend = get_backend(share.inner)
    given = [backend.asarray(_unwritable(each)) if isinstance(each, np.ndarray) else each
             for each in arguments]
    seconds: dict[int, float] = {}

    def on(k: int) -> Any:
        start = time.perf_counter()
        own = [backend.asarray(each.parts[k]) if isinstance(each, ByRow) else each
               for each in given]
        with one_thread(backend):
            answer = getattr(backend, operation)(share.operand(side, tiles[k]), *own)
        answer = _on_host(backend, answer)
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
