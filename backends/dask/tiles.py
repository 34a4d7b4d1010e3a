"""How the rows of a cost are cut into tiles, and which worker computes which of them.

Tiles depend on the problem alone, never on the workers. Each is computed as a problem of its own,
by one thread, so that its digits do not depend on where, or beside what, it is computed: one
worker, two or four give the same bits.
"""

from __future__ import annotations

import math

import numpy as np

from refot.arrays import Array
from refot.backends.numba.groups.ordered import spatial_order
from refot.costs.operands import Cost, PointCost

MOST = 256
"""Tiles of one side of a problem, at most: enough that 64 workers can share them evenly."""

ROWS = 4096
"""Rows of a tile, at least: for fewer, what is prepared for each tile takes longer than the rest.
So a problem with fewer rows is computed by one worker."""


def row_order(C: Cost) -> Array:
    """The order (n,) in which the rows are cut into tiles. Where the inner backend may leave out
    pairs of groups that are far from each other, the rows of a tile must be near each other."""
    if isinstance(C, PointCost) and C.x.shape[1] <= 3:
        return spatial_order(C.x)
    return np.arange(C.shape[0])


def tile_starts(n: int) -> list[int]:
    """The first row of each tile, in the order of `row_order`, and n."""
    size = max(ROWS, math.ceil(n / MOST))
    return [*range(0, n, size), n]


def shared_out(seconds: dict[int, float], workers: int) -> list[list[int]]:
    """For each worker the tiles that it computes: neighbours, and so cut that all take as long.

    `seconds` says what each tile is expected to take; the sum of a tile's predecessors and half of
    its own decides, so that one that is alone in being slow is not handed on with its neighbours.
    """
    share: list[list[int]] = [[] for _ in range(workers)]
    total, before = math.fsum(seconds.values()) or 1.0, 0.0
    for tile, takes in sorted(seconds.items()):
        middle = (before + takes / 2) / total
        share[min(int(middle * workers), workers - 1)].append(tile)
        before += takes
    return share
