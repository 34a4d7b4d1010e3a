"""How large the groups of sorted points should be, and when a series is cheaper than all pairs.

`groups` explains groups and their boxes, `passes` the ways in which two of them are summed. The
unit of work is a slot: the time of one operation, for example a multiply-add, in the processor's
vector units (`refot.verification.bench.machine`). Two groups of `size` points each can be summed
term by term, which takes TERM slots for each pair of points. Or they can be summed by a series
(`series`): a polynomial in the offsets of the points from the centres of their groups. Its `powers`
are the products of powers of coordinates in it, and it takes
    PAIR + RUN powers + size (EXPONENTS + POWER powers)
slots for the two groups. Larger groups share more work among their points, but need more powers.

The five constants were measured. With the size that they choose, an operation took at most 1.1
times as long as with the best size, at n = 10,000 in two and three dimensions, eps = 1e-1 to 1e-4
of max C.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any, NamedTuple
from weakref import WeakKeyDictionary

import numpy as np

from refot.arrays import Array
from refot.backends.numba.costs import DIRECT

from .groups import Groups, groups_of
from .ordered import CLUSTER, LARGEST_GROUP, OrderedPoints, SortedCost, box_corners, left_out_share
from .series import CHUNK, PARTS, TERMS, Series, series

TERM = 27.0
"""Slots for one pair of points, if terms are summed one by one."""

PAIR = 2000.0
"""Slots of a series for one pair of groups, whatever its number of powers."""

EXPONENTS = 130.0
"""Slots of a series for one point of each group: to compute the part of its exponents that does not
depend on the other point (`groups.exponents`)."""

RUN = 350.0
"""Slots of a series for each of its powers, whatever the size of the groups."""

POWER = 5.0
"""Slots of a series for each power and one point of each group: to add a column's term to the
coefficient of the power (its moment), and to evaluate the power at a row."""

SIZES = [size for k in range(8) if (size := CLUSTER << k) <= LARGEST_GROUP]
"""The sizes that are tried: 64 to 8,192 points in a group."""

WORTH = 0.8
"""Groups are used if they take at most this part of the slots that summing term by term takes. At
small eps they are used in any case, because far groups may be left out
(`SortedCost.largest_eps`)."""

SAMPLE = 64
"""About the number of groups on each side, rows and columns, from which slots are estimated."""


class Grouping(NamedTuple):
    """The groups of a problem, and the series between them."""

    rows: Groups
    columns: Groups
    series: Series

    most: int
    """The largest number of terms with which a series takes less time than the sum term by term."""


def grouping(C: SortedCost, eps: float) -> Grouping | None:
    """The groups with which this problem takes the least work, or None if groups save none. The
    choice is kept with the points (`OrderedPoints.derived`) for the next call at the same eps."""
    if C.x.shape[1] not in DIRECT:
        return None
    curved = C.ground.is_quadratic
    table = series(C.dtype, left_out_share(C.dtype) / 2)
    ks = C.scale / eps if curved else np.inf  # inf: there is no series for this cost
    # If these rows are a part of a sorted list (`SortedCost.part`), the choice is made for the
    # whole list, so that the digits of a part are those of the whole.
    deciding = C.rows_in_order.whole or C.rows_in_order
    choices = deciding.derived.setdefault("choices", WeakKeyDictionary())
    found = choices.setdefault(C.columns_in_order, {})
    if (ks, eps <= C.largest_eps) not in found:
        whole = replace(C, x=deciding.source, rows_in_order=deciding)
        found[ks, eps <= C.largest_eps] = _chosen(whole, ks, eps, table)
    size, most = found[ks, eps <= C.largest_eps]
    if size == 0:
        return None
    return Grouping(_groups(C.rows_in_order, size, curved),
                    _groups(C.columns_in_order, size, curved), table, most)


def _chosen(C: SortedCost, ks: float, eps: float, table: Series) -> tuple[int, int]:
    """(The size of the groups, or 0 for none; `Grouping.most`.) ks is as in `_slots`, but inf for
    a cost that has no series."""
    sizes = [size for size in SIZES if size == CLUSTER or size <= min(C.shape) // 4]
    work = [_slots(C, size, ks, table) for size in sizes]
    best = int(np.argmin(work))
    if work[best] > WORTH * TERM and eps > C.largest_eps:
        return 0, 0  # no series saves work, and no group is far enough to be left out
    pays = int(np.searchsorted(by_series(sizes[best], C.x.shape[1]), TERM))
    return sizes[best], pays if ks < np.inf else 0


def by_series(size: int, d: int) -> Array:
    """Slots per pair of points for series of 1, 2, ..., TERMS terms in d dimensions, (TERMS,)."""
    powers = np.array([_powers(p, d) for p in range(1, TERMS + 1)])
    return ((PAIR + RUN * powers) / size + EXPONENTS + POWER * powers) / size


def _powers(p: int, d: int) -> int:
    """The number of powers of a series of p terms in d dimensions: products of powers of the
    coordinates with degree below p. The exponents of the last coordinate are filled up to a
    multiple of CHUNK, as in `series.moments`."""
    if d == 1:
        return -(-p // CHUNK) * CHUNK
    return sum(_powers(p - power, d - 1) for power in range(p))


def _slots(C: SortedCost, size: int, ks: float, table: Series) -> float:
    """Slots per pair of points with groups of this size: the mean over pairs of sampled groups.
    `ks` is scale / eps here, for `table.reach` is about exp; in `passes`, which compute powers of
    2, it is log2(e) times that."""
    halves = []
    for side in (C.rows_in_order, C.columns_in_order):
        low, high = box_corners(side.points, size)
        halves.append((high - low)[:: -(-len(low) // SAMPLE)] / 2)
    rows, columns = halves
    with np.errstate(invalid="ignore", over="ignore"):  # inf or NaN means that no series holds
        terms = np.searchsorted(table.reach, 2 * ks * (rows @ columns.T))
        parts = ks * ((rows**2).sum(axis=1)[:, None] + (columns**2).sum(axis=1))
    # The last entry is for pairs of groups for which no series holds.
    cost = np.append(np.minimum(by_series(size, C.x.shape[1]), TERM), TERM)
    return float(cost[np.where(parts <= PARTS, terms, TERMS)].mean())


def _groups(side: OrderedPoints, size: int, curved: bool) -> Groups:
    """`groups_of` the points of one side, rows or columns, computed once and kept with them."""
    found: dict[Any, Groups] = side.derived
    if (size, curved) not in found:
        found[size, curved] = groups_of(side.points, size, curved)
    return found[size, curved]
