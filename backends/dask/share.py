"""What lies on every worker, and what a worker does: an operation of the inner backend on tiles.

No equation here. This is the only module that runs on the workers.
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
from refot.backend_contract import get_backend, one_thread
from refot.backends.numba.groups.ordered import SortedCost
from refot.costs.operands import Cost, DenseCost


@dataclass(frozen=True)
class ByRow:
    """An argument of which each tile gets the part of its own rows, such as F: these parts, in the
    order of the tiles."""

    parts: list[Array]


@dataclass(frozen=True, eq=False)
class Share:
    """A problem as it lies on a worker: C and C', each with the rows at which its tiles start."""

    sides: tuple[Cost, Cost]
    starts: tuple[list[int], list[int]]
    inner: str
    operands: dict[tuple[int, int], Cost] = field(default_factory=dict, repr=False)
    """The rows of each side and tile in the form that the inner backend computes with."""
    lock: Any = field(default_factory=Lock, repr=False)

    def __reduce__(self) -> Any:  # without `operands`: the receiver makes its own
        return Share, (self.sides, self.starts, self.inner)

    def operand(self, side: int, tile: int) -> Cost:
        """The rows of a tile as a cost of the inner backend, made at its first use."""
        with self.lock:
            if (side, tile) not in self.operands:
                start, stop = self.starts[side][tile:tile + 2]
                rows = rows_of(self.sides[side], start, stop)
                self.operands[side, tile] = rows.with_arrays(get_backend(self.inner).asarray)
            return self.operands[side, tile]


def rows_of(C: Cost, start: int, stop: int) -> Cost:
    """The cost of the rows `start` to `stop`, of a tile."""
    if isinstance(C, SortedCost):
        return C.part(start, stop)
    if isinstance(C, DenseCost):
        return DenseCost(C.matrix[start:stop])
    return replace(C, x=C.x[start:stop])


@dataclass(frozen=True)
class Computed:
    """What a worker answers: the results of its tiles, and the seconds that each took."""

    results: dict[int, Any]
    seconds: dict[int, float]

    in_all: float
    """Seconds for all tiles: less than the sum of `seconds` where there are several threads."""


def compute(share: Share, side: int, operation: str, tiles: Sequence[int], arguments: list[Any]
            ) -> Computed:
    """The `operation` of the inner backend on each of the tiles, on all threads of this worker.

    An argument is given to every tile as it is, unless it is `ByRow`."""
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
    """A read-only view of the array. What the inner backend computes from a read-only array it
    keeps for the next tile; from one that could have been changed it computes everything anew."""
    view = values.view()
    view.flags.writeable = False
    return view


def _on_host(backend: Any, answer: Any) -> Any:
    """What an operation returned, its arrays as those of NumPy."""
    if isinstance(answer, tuple):
        return tuple(backend.to_numpy(part) for part in answer)
    return answer if answer is None or np.isscalar(answer) else backend.to_numpy(answer)


def _threads() -> int:
    """The threads that this worker was started with."""
    return int(get_worker().state.nthreads)
