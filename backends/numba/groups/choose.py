"""How large the groups of points in order should be, and when a series is cheaper than terms.

Counted in slots of the vector units (`refot.verification.bench.machine`), for two groups of `size`
points each. Term by term: TERM for each pair of points. By a series: PAIR at all; EXPONENTS for
each point of one group and one of the other; for each power of the offsets RUN, and POWER for each
such two points, once to form the moment and once to use it. Larger groups share more, and need more
powers. Measured; with them the best size was found, or one that took at most 1.1 times as long, at
n = 10,000 in two and three dimensions, eps = 1e-1 to 1e-4 of max C. """

from __future__ import annotations

from typing import Any, NamedTuple
from weakref import WeakKeyDictionary

import numpy as np

from refot.arrays import Array
from refot.backends.numba.costs import DIRECT

from .groups import Groups, groups_of
from .ordered import CLUSTER, OrderedPoints, SortedCost, box_corners, left_out_share
from .series import CHUNK, PARTS, TERMS, Series, series

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
    if C.x.shape[1] not in DIRECT:
        return None
    curved = C.ground.is_quadratic
    table = series(C.dtype, left_out_share(C.dtype) / 2)
    ks = C.scale / eps if curved else np.inf
    choices = C.rows_in_order.derived.setdefault("choices", WeakKeyDictionary())
    found = choices.setdefault(C.columns_in_order, {})
    if (ks, eps <= C.largest_eps) not in found:
        found[ks, eps <= C.largest_eps] = _chosen(C, ks, eps, table)
    size, most = found[ks, eps <= C.largest_eps]
    if size == 0:
        return None
    return Grouping(_groups(C.rows_in_order, size, curved),
                    _groups(C.columns_in_order, size, curved), table, most)


def _chosen(C: SortedCost, ks: float, eps: float, table: Series) -> tuple[int, int]:
    """The size of the groups, 0 for none, and the largest number of terms of a series that pays."""
    sizes = [size for size in SIZES if size == CLUSTER or size <= min(C.shape) // 4]
    work = [_slots(C, size, ks, table) for size in sizes]
    best = int(np.argmin(work))
    if work[best] > WORTH * TERM and eps > C.largest_eps:
        return 0, 0
    pays = int(np.searchsorted(by_series(sizes[best], C.x.shape[1]), TERM))
    return sizes[best], pays if ks < np.inf else 0


def by_series(size: int, d: int) -> Array:
    """Slots per pair of points for series of 1, 2, ..., TERMS terms in d dimensions, (TERMS,)."""
    powers = np.array([_powers(p, d) for p in range(1, TERMS + 1)])
    return ((PAIR + RUN * powers) / size + EXPONENTS + POWER * powers) / size


def _powers(p: int, d: int) -> int:
    """Powers that are formed, the last coordinate's CHUNK at a time."""
    if d == 1:
        return -(-p // CHUNK) * CHUNK
    return sum(_powers(p - power, d - 1) for power in range(p))


def _slots(C: SortedCost, size: int, ks: float, table: Series) -> float:
    """Slots per pair of points in groups of that size, the mean over a sample of them; the parts of
    exponents in units of log2(e)."""
    halves = []
    for side in (C.rows_in_order, C.columns_in_order):
        low, high = box_corners(side.points, size)
        halves.append((high - low)[:: -(-len(low) // SAMPLE)] / 2)
    rows, columns = halves
    with np.errstate(invalid="ignore", over="ignore"):  # inf and NaN: no series
        terms = np.searchsorted(table.reach, 2 * ks * (rows @ columns.T))
        parts = ks * ((rows**2).sum(axis=1)[:, None] + (columns**2).sum(axis=1))
    cost = np.append(np.minimum(by_series(size, C.x.shape[1]), TERM), TERM)
    return float(cost[np.where(parts <= PARTS, terms, TERMS)].mean())


def _groups(side: OrderedPoints, size: int, curved: bool) -> Groups:
    found: dict[Any, Groups] = side.derived
    if (size, curved) not in found:
        found[size, curved] = groups_of(side.points, size, curved)
    return found[size, curved]
