"""How the rows of a cost are cut into tiles, and which worker computes which of them.

A tile is a range of rows. The cut depends on the problem alone, never on the number of workers, and
one thread computes a tile, from its rows and all columns, which it takes in blocks one after the
other. So its digits do not depend on which worker computes it, nor on the other tiles there: one
worker, two or four give the same bits.
"""

from __future__ import annotations

import math

MOST = 128
"""The number of tiles of a large problem: two for each of 64 workers. For sorted points it is
between this and twice this."""

ROWS = 4096
"""The least number of rows of a tile (the last tile of sorted points may have fewer): to prepare a
smaller one would take longer than to compute it. So a problem that has fewer rows than twice this
is one tile, which one worker computes."""


BLOCK = 1 << 23
"""The most coordinates in a block of columns, 64 MiB: a worker that reads the columns from files
has one block for each of its threads in memory."""


def block_starts(m: int, d: int) -> list[int]:
    """The first column of each block of m columns that are points in d dimensions, and m."""
    return [*range(0, m, max(1, BLOCK // d)), m]


def tile_starts(n: int, unit: int = 1) -> list[int]:
    """The first row of each tile of n rows, and n at the end. The number of rows of every tile but
    the last is a multiple of `unit`.

    With unit 1 the number of tiles is a power of two, and the last one is at most about 3 % smaller
    than the others, so that two workers, or four, get equal shares. The unit of sorted points is
    larger, because no group of neighbours may be cut."""
    if unit > 1:
        size = unit * max(1, n // (MOST * unit))
    else:
        size = math.ceil(n / 2 ** int(math.log2(min(max(n / ROWS, 1), MOST))))
    return [*range(0, n, size), n]


def shared_out(seconds: dict[int, float], workers: int) -> list[list[int]]:
    """For each worker the tiles that it computes: neighbours, and about the same time for all.

    `seconds` says how long each tile is expected to take. Laid end to end, these times are cut into
    one equal part for each worker; a tile goes to the worker in whose part its middle lies.
    """
    share: list[list[int]] = [[] for _ in range(workers)]
    total, before = math.fsum(seconds.values()) or 1.0, 0.0
    for tile, takes in sorted(seconds.items()):
        middle = (before + takes / 2) / total
        share[min(int(middle * workers), workers - 1)].append(tile)
        before += takes
    return share
