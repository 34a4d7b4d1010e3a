"""A cost between points that are sorted once, so that kernels can treat neighbours together.

From the boxes around two groups of points the kernels bound the exponents between them. At small
eps nearly all terms exp((h_j - C_ij) / eps) are negligible, and pairs of groups whose terms all
provably are so are left out. At larger eps, for the squared Euclidean cost, all terms of a pair of
groups are summed together, by a series.

What is left out, or the error of a series, is at most the share `left_out_share` of the sum of a
row: u, the unit roundoff (2^-53 in float64, 2^-24 in float32). So a softmin changes by at most
eps u, and P @ V by at most u max|V| times the row sum of P.

For every other backend a SortedCost is an ordinary PointCost. Points, potentials and results are in
the caller's order everywhere outside the kernels.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar

import numpy as np

from refot.arrays import Array, InputError, TypeInputError, UnknownNameError, namespace
from refot.costs.ground import GROUND_COSTS
from refot.costs.operands import Cost, PointCost

T = TypeVar("T")

CLUSTER = 64
"""Points in the smallest group."""

LARGEST_GROUP = CLUSTER << 7
"""Points in the largest group."""

MANY = 1_500
"""Points are sorted if there are at least this many on each side: sorting takes as long as some
iterations."""

MANY_FAR = 4_000
"""With fewer points on a side no group is left out because it is far: to bound its terms
would take longer than to sum them."""

FAR = 0.05
"""At small eps a term is negligible once its cost exceeds the smallest one by some multiple of eps.
Far groups are searched for if that excess is at most this part of max C - min C."""

BY_SERIES = 0.03
"""At an eps above this part of max C - min C two softmins by series are faster than one `sweep`
with a matrix K in memory (`refot.backend_contract.Backend`)."""

IN_GROUPS = 512
"""The largest relative error of a sum by groups, in units of the unit roundoff u. It comes from
what is left out and from the rounding of the parts of an exponent, which are up to 64 in base 2."""


def left_out_share(dtype: Any) -> float:
    """The largest share of the sum of a row that may be left out, or be the error of a series: the
    unit roundoff u of the dtype."""
    return float(np.finfo(dtype).eps) / 2


@dataclass(frozen=True, eq=False)
class OrderedPoints:
    """Points (n, d) sorted so that neighbours in the order are near each other in space."""

    source: Array
    """The points in the caller's order."""

    order: Array
    """For each sorted point its place in `source`, (n,)."""

    points: Array
    """source[order]."""

    whole: OrderedPoints | None = None
    """If these points were cut from a longer sorted list (`part`): that list."""

    derived: dict[Any, Any] = field(default_factory=dict, repr=False)
    """A cache of results that depend on the points alone, such as their groups."""

    def __reduce__(self) -> Any:  # a pickle leaves `derived` out: it can be computed again
        return OrderedPoints, (self.source, self.order, self.points, self.whole)

    def part(self, start: int, stop: int) -> OrderedPoints:
        """The points[start:stop], sorted as they are."""
        return _in_place(self.points[start:stop], self)

    def found(self, what: str, given: tuple[Any, ...], compute: Callable[[], T]) -> T:
        """compute(), or its last result under the name `what`, if the arguments `given` are the
        same as then.

        Only a read-only array is sure to hold the same numbers as before. So this saves work for a
        caller who passes read-only arrays, and computes one part of the rows after the other."""
        if any(isinstance(each, np.ndarray) and each.flags.writeable for each in given):
            return compute()
        if what in self.derived:
            last_given, last = self.derived[what]
            if all(map(_same, given, last_given)):
                return last  # type: ignore[no-any-return]
        self.derived[what] = given, compute()
        return self.derived[what][1]  # type: ignore[no-any-return]


def _same(one: Any, other: Any) -> bool:
    """Whether both are the same array object, or equal numbers."""
    return one is other or (np.isscalar(one) and np.isscalar(other) and bool(one == other))


def _in_place(points: Array, whole: OrderedPoints | None = None) -> OrderedPoints:
    """`OrderedPoints` of points that are sorted already."""
    return OrderedPoints(points, np.arange(len(points)), points, whole)


@dataclass(frozen=True)
class SortedCost(PointCost):
    """A PointCost that also holds its points x and y sorted.

    x and y become read-only copies, so that the order stays right; `replace` with another x or y
    sorts it anew. Up to the eps `largest_eps`, in cost units, groups are formed in any case,
    because far ones may be left out; above it only if series save work.
    """

    rows_in_order: OrderedPoints = None  # type: ignore[assignment]
    columns_in_order: OrderedPoints = None  # type: ignore[assignment]
    largest_eps: float = math.inf

    def __post_init__(self) -> None:
        before = self.rows_in_order, self.columns_in_order
        rows = _ordered(self.x, before)
        columns = _ordered(self.y, (*before, rows))
        for name, value in (("rows_in_order", rows), ("x", rows.source),
                            ("columns_in_order", columns), ("y", columns.source)):
            object.__setattr__(self, name, value)  # how a frozen dataclass sets its own fields

    @property
    def T(self) -> SortedCost:
        return replace(self, x=self.y, y=self.x, rows_in_order=self.columns_in_order,
                       columns_in_order=self.rows_in_order)

    def scaled(self, factor: float) -> SortedCost:
        """The cost `factor * c`."""
        return replace(self, scale=self.scale * factor, largest_eps=self.largest_eps * factor)

    def with_arrays(self, convert: Callable[[Array], Array]) -> PointCost:
        """The same cost with converted points, sorted again; an ordinary PointCost if `convert`
        makes arrays of another library than NumPy."""
        x, y = convert(self.x), convert(self.y)
        if namespace(x) is not np:
            return PointCost(x, y, self.ground, self.scale)
        return replace(self, x=x, y=y)

    def in_order(self) -> PointCost:
        """The same cost between the sorted points: its rows and columns are in their order."""
        return PointCost(self.rows_in_order.points, self.columns_in_order.points, self.ground,
                         self.scale)

    def in_place(self) -> SortedCost:
        """The same cost between the sorted points, as a SortedCost for which this order is the
        caller's."""
        rows, columns = (_in_place(side.points)
                         for side in (self.rows_in_order, self.columns_in_order))
        return replace(self, x=rows.source, y=columns.source, rows_in_order=rows,
                       columns_in_order=columns)

    def part(self, start: int, stop: int) -> SortedCost:
        """The cost of the sorted rows `start` to `stop` - 1. Results for these rows have the same
        digits as if all rows were computed. `start` is a multiple of LARGEST_GROUP, so that no
        group is cut."""
        if start % LARGEST_GROUP:
            raise InputError("start", f"{start}", f"a multiple of {LARGEST_GROUP}")
        rows = self.rows_in_order.part(start, stop)
        return replace(self, x=rows.source, rows_in_order=rows)


def sorted_cost(C: Cost, largest_eps: float = math.inf) -> SortedCost:
    """`C` with its points sorted, in O(n log^2 n).

    `largest_eps`, in cost units: above it groups are formed only if series save work.

    Raises TypeInputError unless C is a PointCost of NumPy arrays, UnknownNameError unless its cost
    is a function of x - y.
    """
    if not isinstance(C, PointCost) or namespace(C.x) is not np:
        raise TypeInputError("C", type(C).__name__, "a PointCost, its points NumPy arrays")
    if C.ground not in GROUND_COSTS.values():
        raise UnknownNameError("C", f"{C.ground!r}", f"one of {', '.join(GROUND_COSTS)}")
    return SortedCost(C.x, C.y, C.ground, C.scale, largest_eps=largest_eps)


def in_order(C: Cost, a: Array, b: Array) -> Cost:
    """C with its points sorted where that saves time, else C itself.

    It saves time for at least MANY points on each side, in one to three dimensions, with a cost
    that is a function of x - y. The range of this cost is taken between points of positive weight
    a (n,) and b (m,)."""
    if (type(C) is not PointCost or C.x.shape[1] > 3 or C.ground not in GROUND_COSTS.values()
            or min(C.shape) < MANY):
        return C
    far = FAR * _range_with_mass(C, a, b) if min(C.shape) >= MANY_FAR else 0.0
    return sorted_cost(C, far / math.log(C.shape[1] / left_out_share(C.dtype)))


def series_pay(C: Cost, a: Array, b: Array, eps: float) -> bool:
    """Whether two softmins at this eps, by series, are faster than one `sweep` with a matrix K in
    memory."""
    return (isinstance(C, SortedCost) and C.ground == GROUND_COSTS["sqeuclidean"]
            and eps > BY_SERIES * _range_with_mass(C, a, b))


def _range_with_mass(C: PointCost, a: Array, b: Array) -> float:
    """An upper bound of max C - min C between points of positive weight."""
    return C.among(a > 0, b > 0).spread()


def _ordered(points: Array, known: Sequence[OrderedPoints | None]) -> OrderedPoints:
    """`points` sorted: one of the `known`, if it was made from this same array, else a new copy."""
    for one in known:
        if one is not None and one.source is points:
            return one
    source, order = points.copy(), spatial_order(points)
    source.flags.writeable = False
    return OrderedPoints(source, order, source[order])


def spatial_order(points: Array) -> Array:
    """An order (n,) of points (n, d) in which every group of CLUSTER 2^k neighbours, for each k,
    lies in a small box.

    All points are split in two along their widest coordinate, and so is each part in turn, down to
    CLUSTER points. The split is near the median, where the first half has CLUSTER 2^k points.
    """
    order = np.arange(len(points))
    halves = [(0, len(points))]
    while halves:
        start, stop = halves.pop()
        if stop - start > CLUSTER:
            part = points[order[start:stop]]
            widest = int(np.ptp(part, axis=0).argmax())
            middle = CLUSTER << (-(-(stop - start) // CLUSTER) - 1).bit_length() - 1
            by_median = np.argpartition(part[:, widest], middle)
            order[start:stop] = order[start:stop][by_median]
            halves += [(start, start + middle), (start + middle, stop)]
    return order


def box_corners(points: Array, group: int = CLUSTER) -> tuple[Array, Array]:
    """The lowest and the highest corner of the box around each `group` neighbours, (groups, d)."""
    starts = np.arange(0, len(points), group)
    return np.minimum.reduceat(points, starts), np.maximum.reduceat(points, starts)
