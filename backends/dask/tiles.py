"""How the rows of a cost are cut into tiles, and which worker computes which of them.

Tiles depend on the problem alone, never on the workers. Each is computed as a problem of its own,
by one thread, so that its digits do not depend on where, or beside what, it is computed: one
worker, two or four give the same bits.
"""

from __future__ import annotations

import math

MOST = 128
"""About this number of tiles are cut of a large side: enough that 64 workers can share them."""

ROWS = 4096
"""Rows of a tile, at least: for fewer, what is prepared for each tile takes longer than the rest.
So a problem with fewer rows is computed by one worker."""


def tile_starts(n: int, unit: int = 1) -> list[int]:
    """The first row of each tile, and n. A tile has a multiple of `unit` rows, the last excepted.

    Without a unit all tiles have as many rows, and their number is a power of two: then two workers
    have as much work as each other, and so have four."""
    if unit > 1:
        size = unit * max(1, n // (MOST * unit))
    else:
        size = math.ceil(n / 2 ** int(math.log2(min(max(n / ROWS, 1), MOST))))
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
