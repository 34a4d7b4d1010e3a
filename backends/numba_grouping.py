"""How large the groups of points in order should be, and when a series is cheaper than terms.

Counted in slots of the vector units (`refot.verification.machine`), for two groups of `size` points
each. Term by term: TERM for each pair of points. By a series: PAIR at all; EXPONENTS for each point
of one group and one of the other; for each power of the offsets RUN, and POWER for each such two
points, once to form the moment and once to use it. Larger groups share more, and need more powers.
Measured; with them the best size was found, or one that took at most 1.1 times as long, at
n = 10,000 in two and three dimensions, eps = 1e-1 to 1e-4 of max C.
"""

from __future__ import annotations

import weakref
from typing import NamedTuple

import numpy as np

from refot.arrays import Array
from refot.sorted_cost import CLUSTER, OrderedPoints, SortedCost, misjudged

from .numba_costs import DIRECT
from .numba_groups import Groups, groups_of
from .numba_series import CHUNK, TERMS, Series, series

TERM, PAIR, EXPONENTS, RUN, POWER = 27.0, 2000.0, 130.0, 350.0, 5.0

SIZES = [CLUSTER << k for k in range(8)]
"""64 to 8,192 points in a group."""

WORTH = 0.8
"""Groups are used where they take at most this part of the slots of all terms."""

SAMPLE = 64
"""Groups of each side that the count looks at."""


class Grouping(NamedTuple):
    """Groups of both sides, the series, and the largest number of its terms that pays."""

    rows: Groups
    columns: Groups
    series: Series
    most: int


def grouping(C: SortedCost, eps: float) -> Grouping | None:
    """The best groups for the problem; None where the points had better be taken as they come."""
    found = C.rows_in_order.derived
    key = weakref.ref(C.columns_in_order), C.ground, C.scale / eps, eps <= C.largest_eps
    if key not in found:
        found[key] = _grouping(C, eps)
    chosen: Grouping | None = found[key]
    return chosen


def _grouping(C: SortedCost, eps: float) -> Grouping | None:
    if C.x.shape[1] not in DIRECT:
        return None
    table = series(C.dtype, misjudged(C.dtype) / 2)
    curved = C.ground.name == "sqeuclidean"
    coupling = 2 * C.scale / eps if curved else np.inf
    sizes = [size for size in SIZES if size == CLUSTER or size <= min(C.shape) // 4]
    work = [_slots(C, size, coupling, table) for size in sizes]
    best = int(np.argmin(work))
    if work[best] > WORTH * TERM and eps > C.largest_eps:
        return None
    size = sizes[best]
    most = int(np.searchsorted(by_series(size, C.x.shape[1]), TERM)) if curved else 0
    return Grouping(_groups(C.rows_in_order, size), _groups(C.columns_in_order, size), table, most)


def by_series(size: int, d: int) -> Array:
    """Slots per pair of points for series of 1, 2, ..., TERMS terms in d dimensions, (TERMS,)."""
    powers = np.array([_powers(p, d) for p in range(1, TERMS + 1)])
    return ((PAIR + RUN * powers) / size + EXPONENTS + POWER * powers) / size


def _powers(p: int, d: int) -> int:
    """Powers that are formed, the last coordinate's CHUNK at a time."""
    if d == 1:
        return -(-p // CHUNK) * CHUNK
    return sum(_powers(p - power, d - 1) for power in range(p))


def _slots(C: SortedCost, size: int, coupling: float, table: Series) -> float:
    """Slots per pair of points in groups of that size, the mean over a sample of them."""
    halves = [_groups(side, size).half for side in (C.rows_in_order, C.columns_in_order)]
    rows, columns = (half[:: -(-len(half) // SAMPLE)] for half in halves)
    with np.errstate(invalid="ignore"):  # inf for a box of width 0: no series
        terms = np.searchsorted(table.reach, coupling * (rows @ columns.T))
    cost = np.append(np.minimum(by_series(size, C.x.shape[1]), TERM), TERM)
    return float(cost[terms].mean())


def _groups(side: OrderedPoints, size: int) -> Groups:
    found: dict[int, Groups] = side.derived
    if size not in found:
        found[size] = groups_of(side.points, size)
    return found[size]
