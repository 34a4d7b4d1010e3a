"""A point cost whose points were put in order once, so that groups of neighbours are treated alike.

From the boxes around two groups of points the kernels bound the exponents between them. At small
eps nearly all terms exp((h_j - C_ij) / eps) are negligible, and groups that provably have no other
are left out. At larger eps, for the squared Euclidean cost, one group acts on another as a whole,
by a series.

The sum of a row of the plan, or of a softmin, is then wrong by at most the share `left_out_share`:
u, the unit roundoff (2^-53 in float64, 2^-24 in float32). So a softmin moves by at most eps u, and
P @ V by at most u max|V| times the row sum of P.

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
"""Points are put in order if there are at least this many on each side: to sort them takes as long
as some iterations."""

MANY_FAR = 4_000
"""With fewer points on a side no group is left out for being far: to find out takes too long."""

FAR = 0.05
"""Far groups are looked for where a pair of points begins to be negligible at a cost of this part
of the range of all costs, that is, at an eps that is small enough."""

BY_SERIES = 0.03
"""At an eps above this part of the range of the cost, series make two softmins faster than a sweep
with an absorbed kernel."""

IN_GROUPS = 512
"""A sum by groups may be wrong by this many units u of itself: by what is left out, and by the
rounding of the parts of an exponent, which are up to 64 in base 2."""


def left_out_share(dtype: Any) -> float:
    """The largest share of the sum of a row that is left out, or that a series errs by: u."""
    return float(np.finfo(dtype).eps) / 2


@dataclass(frozen=True, eq=False)
class OrderedPoints:
    """Points (n, d) in an order in which neighbours are near each other."""

    source: Array
    """The points as they came."""

    order: Array
    """The place in `source` of each point in order, (n,)."""

    points: Array
    """source[order]."""

    whole: OrderedPoints | None = None
    """The points of which these are a part: neighbours in its order."""

    derived: dict[Any, Any] = field(default_factory=dict, repr=False)
    """What has been computed from the points, to be found again."""

    def __reduce__(self) -> Any:  # a pickle leaves `derived` out: it can be computed again
        return OrderedPoints, (self.source, self.order, self.points, self.whole)

    def part(self, start: int, stop: int) -> OrderedPoints:
        """The points `start` to `stop` of the order."""
        return _in_place(self.points[start:stop], self)

    def found(self, what: str, given: tuple[Any, ...], compute: Callable[[], T]) -> T:
        """compute(), or what it returned the last time under that name, if the same was `given`.

        An array is known to hold the same numbers only where it cannot be written to. So this saves
        work for a caller who, with such arrays, asks for one part of the rows after the other."""
        if any(isinstance(each, np.ndarray) and each.flags.writeable for each in given):
            return compute()
        if what in self.derived:
            last_given, last = self.derived[what]
            if all(map(_same, given, last_given)):
                return last  # type: ignore[no-any-return]
        self.derived[what] = given, compute()
        return self.derived[what][1]  # type: ignore[no-any-return]


def _same(one: Any, other: Any) -> bool:
    """Whether two arrays are one, or two numbers are equal."""
    return one is other or (np.isscalar(one) and np.isscalar(other) and bool(one == other))


def _in_place(points: Array, whole: OrderedPoints | None = None) -> OrderedPoints:
    """Points that are in order already."""
    return OrderedPoints(points, np.arange(len(points)), points, whole)


@dataclass(frozen=True)
class SortedCost(PointCost):
    """A PointCost that holds its x and its y in order as well.

    x and y become copies that cannot be written to, so that the order stays right; where `replace`
    gives it another x or y, that is sorted anew. `largest_eps`, in cost units: up to this eps
    groups are formed in any case, since some may be far; above it only where a series pays.
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
        """The same operand, its points converted; in order again, unless they leave NumPy."""
        x, y = convert(self.x), convert(self.y)
        if namespace(x) is not np:
            return PointCost(x, y, self.ground, self.scale)
        return replace(self, x=x, y=y)

    def in_order(self) -> PointCost:
        """The same cost between the points in their order."""
        return PointCost(self.rows_in_order.points, self.columns_in_order.points, self.ground,
                         self.scale)

    def in_place(self) -> SortedCost:
        """The same cost between the points in their order, which now are the caller's."""
        rows, columns = (_in_place(side.points)
                         for side in (self.rows_in_order, self.columns_in_order))
        return replace(self, x=rows.source, y=columns.source, rows_in_order=rows,
                       columns_in_order=columns)

    def part(self, start: int, stop: int) -> SortedCost:
        """The cost of the rows `start` to `stop` of the order: each of them is computed as it is
        among all. `start` is a multiple of LARGEST_GROUP, for no group may be cut."""
        if start % LARGEST_GROUP:
            raise InputError("start", f"{start}", f"a multiple of {LARGEST_GROUP}")
        rows = self.rows_in_order.part(start, stop)
        return replace(self, x=rows.source, rows_in_order=rows)


def sorted_cost(C: Cost, largest_eps: float = math.inf) -> SortedCost:
    """`C` with its points in order; they are sorted here, once, in O(n log^2 n).

    `largest_eps`, in cost units: above it groups are formed only where a series pays.

    Raises TypeInputError unless C is a PointCost of NumPy arrays, UnknownNameError unless its cost
    is a function of x - y.
    """
    if not isinstance(C, PointCost) or namespace(C.x) is not np:
        raise TypeInputError("C", type(C).__name__, "a PointCost, its points NumPy arrays")
    if C.ground not in GROUND_COSTS.values():
        raise UnknownNameError("C", f"{C.ground!r}", f"one of {', '.join(GROUND_COSTS)}")
    return SortedCost(C.x, C.y, C.ground, C.scale, largest_eps=largest_eps)


def in_order(C: Cost, a: Array, b: Array) -> Cost:
    """C with its points in order where that pays, else C itself.

    It pays for enough points, in one to three dimensions, with a cost that is a function of x - y.
    The weights a (n,) and b (m,) say which points carry mass."""
    if (type(C) is not PointCost or C.x.shape[1] > 3 or C.ground not in GROUND_COSTS.values()
            or min(C.shape) < MANY):
        return C
    far = FAR * _range_with_mass(C, a, b) if min(C.shape) >= MANY_FAR else 0.0
    return sorted_cost(C, far / math.log(C.shape[1] / left_out_share(C.dtype)))


def series_pay(C: Cost, a: Array, b: Array, eps: float) -> bool:
    """Whether series make two softmins at this eps faster than a sweep with an absorbed kernel."""
    return (isinstance(C, SortedCost) and C.ground == GROUND_COSTS["sqeuclidean"]
            and eps > BY_SERIES * _range_with_mass(C, a, b))


def _range_with_mass(C: PointCost, a: Array, b: Array) -> float:
    """At least max C - min C between points that carry mass."""
    return C.among(a > 0, b > 0).spread()


def _ordered(points: Array, known: Sequence[OrderedPoints | None]) -> OrderedPoints:
    """`points` in order: one of the `known`, if they are the same array, else a sorted copy."""
    for one in known:
        if one is not None and one.source is points:
            return one
    source, order = points.copy(), spatial_order(points)
    source.flags.writeable = False
    return OrderedPoints(source, order, source[order])


def spatial_order(points: Array) -> Array:
    """An order (n,) of points (n, d) in which each group of CLUSTER 2^k neighbours, for every k,
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
