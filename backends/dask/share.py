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

from distributed import get_worker

from refot.arrays import Array
from refot.backend_contract import get_backend, left_out, one_thread, prepared
from refot.costs.operands import Cost, DenseCost, PointCost


@dataclass(frozen=True)
class ByRow:
    """An argument of which each tile gets the part of its own rows, such as F: these parts, in the
    order of the tiles."""

    parts: list[Array]


@dataclass(frozen=True, eq=False)
class Side:
    """A cost (n, m) whose rows, in this `order` (n,), are cut into tiles at `starts`; a (n,) and
    b (m,) are the weights, where they are known."""

    C: Cost
    order: Array
    starts: list[int]
    a: Array | None
    b: Array | None

    def rows(self, tile: int) -> Array:
        """The places of the rows of a tile, in the caller's order."""
        return self.order[slice(*self.starts[tile:tile + 2])]


@dataclass(frozen=True, eq=False)
class Share:
    """A problem as it lies on a worker: both sides of it, so that C and C' are computed alike."""

    sides: tuple[Side, Side]
    inner: str
    operands: dict[tuple[int, int], Cost] = field(default_factory=dict, repr=False)
    """What the inner backend has prepared of each side and tile, for later calls."""
    lock: Any = field(default_factory=Lock, repr=False)

    def __reduce__(self) -> Any:  # what is prepared stays where it was prepared
        return Share, (self.sides, self.inner)

    def operand(self, side: int, tile: int) -> Cost:
        """The rows of a tile as a cost, in the form that the inner backend computes with.

        Points are prepared with the first tile, whichever the worker computes: what the inner
        backend decides from the whole is then the same everywhere. The columns are put in order
        once."""
        with self.lock:
            if (side, tile) not in self.operands:
                self.operands[side, tile] = self._prepared(side, tile)
            return self.operands[side, tile]

    def _prepared(self, side: int, tile: int) -> Cost:
        here = self.sides[side]
        rows = here.rows(tile)
        if isinstance(here.C, DenseCost):
            return DenseCost(here.C.matrix[rows])
        x = here.C.x[rows]
        if here.a is None or here.b is None:
            return PointCost(x, here.C.y, here.C.ground, here.C.scale)
        if tile == 0:
            first = PointCost(x, here.C.y, here.C.ground, here.C.scale)
            return prepared(get_backend(self.inner), first, here.a[rows], here.b)
        if (side, 0) not in self.operands:
            self.operands[side, 0] = self._prepared(side, 0)
        return replace(self.operands[side, 0], x=x)


@dataclass(frozen=True)
class Computed:
    """What a worker answers: the results of its tiles, and the seconds that each took."""

    results: dict[int, Any]
    seconds: dict[int, float]


def compute(share: Share, side: int, operation: str, tiles: Sequence[int], arguments: list[Any]
            ) -> Computed:
    """The `operation` of the inner backend on each of the tiles, on all threads of this worker.

    An argument is given to every tile as it is, unless it is `ByRow`."""
    backend = get_backend(share.inner)
    seconds: dict[int, float] = {}

    def on(k: int) -> Any:
        start = time.perf_counter()
        own = [each.parts[k] if isinstance(each, ByRow) else each for each in arguments]
        with one_thread(backend):
            answer = getattr(backend, operation)(share.operand(side, tiles[k]), *own)
        seconds[tiles[k]] = time.perf_counter() - start
        return answer

    with ThreadPoolExecutor(_threads()) as pool:
        answers = list(pool.map(on, range(len(tiles))))
    return Computed(dict(zip(tiles, answers, strict=True)), seconds)


def _threads() -> int:
    """The threads that this worker was started with."""
    return int(get_worker().state.nthreads)


def share_left_out(share: Share) -> float:
    """The inner backend's `left_out` of the cost as it is computed with here."""
    return left_out(get_backend(share.inner), share.operand(0, 0))
