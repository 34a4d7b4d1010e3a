"""How far a potential is from optimal, proved in floats: an interval [lower, upper] that contains
the optimal value of the problem.

Take any g (m,), and let G_j be floats near g_j + eps log b_j, F_i floats near
softmin(G)_i + eps log a_i, with softmin(G)_i = -eps log sum_j exp((G_j - C_ij) / eps). Whatever
these floats are, they define a plan exactly, P_ij = exp((F_i + G_j - C_ij) / eps). Let r be its row
sums. Then

    lower = a.(F - eps log r) + b.(G - eps log b)    the semi-dual at G - eps log b (B-24),
    upper = the primal value of a plan made from P: P is scaled down to rows <= a and columns <= b,
            and the missing mass is added as a product x y', with x and y in proportion to what
            rows and columns miss (Altschuler, Weed, Rigollet 2017).

B = Bréchet et al. 2019. Both bounds hold for every F and G, so that neither the solver nor the
softmin has to be trusted. Only sums over P enter, each with a bound of its rounding (`plan_sums`).
docs/certificates.md, "The gap in floats", has the proofs. `verification.certificates` proves the
same independently, in ball arithmetic, and tests check this module against it.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import cached_property, singledispatch
from typing import Any, NamedTuple

import numpy as np

from refot.arrays import Array, CostLike, Potential, Weights
from refot.backend_contract import BackendLike
from refot.costs.formed import FormedCost
from refot.costs.operands import DenseCost
from refot.problem import Problem, log_weights, problem
from refot.solvers.plan_sums import (
    UNIT,
    Floats,
    cost_range,
    in_float64,
    plan_sums,
    product_cost,
    softmin,
)
from refot.spanning_tree import excess_along_tree

MARGIN = 16 * UNIT
"""A bound of the relative error of what is rounded a few times: a weight over its sum, a product, a
logarithm."""

HUGE_COST = 2.0**10
"""A pair whose cost is beyond this multiple of (|lower| + eps) should carry no mass. But the
product x y', by which the missing mass is added, puts some on every pair. So where there are such
costs, a second upper bound is computed, from a plan to which the mass is added along a tree of
cheap pairs; the smaller bound is taken."""

EPS_LIMITS = 2.0**-960, 2.0**960
"""For an eps between these nothing overflows, and what underflows is too small to count. For any
other eps the interval is [min C, max C], which always contains the optimal value."""


@dataclass(frozen=True)
class CertifiedGap:
    """Two numbers in cost units with lower <= the optimal value <= upper, which is proved, with
    rounding taken into account."""

    lower: float
    upper: float

    @property
    def absolute(self) -> float:
        """upper - lower, in cost units."""
        return self.upper - self.lower

    @property
    def relative(self) -> float:
        """(upper - lower) / the smaller of |lower| and |upper|; infinite where 0 is between
        them."""
        if self.lower <= 0 <= self.upper:
            return math.inf
        return self.absolute / min(abs(self.lower), abs(self.upper))


def certified_gap(
    g: Potential, C: CostLike, a: Weights, b: Weights, eps: Any, *, backend: BackendLike = None
) -> CertifiedGap:
    """An interval that contains the optimal value F (B-10), computed from any g (m,). It is narrow
    where g is nearly optimal. B-16, B-24.

    C (n, m), an array, a `PointCost` or a `DenseCost`; a (n,), b (m,); eps in cost units. Raises
    InputError.
    """
    p = problem(C, a, b, eps, backend)
    return gap_of(p, p.column_potential(g))


@singledispatch
def gap_of(p: Problem, g: Array) -> CertifiedGap:
    """`certified_gap` of a checked problem."""
    return gap_and_sums(p, g)[0]


class PlanOfGap(NamedTuple):
    """The plan of (f, g) with which a gap was proved, f the transform of g: NumPy arrays in
    float64."""

    f: Floats
    """(n,), in cost units."""

    rows: Floats
    """P 1, (n,)."""

    columns: Floats
    """P'1, (m,)."""


@np.errstate(all="ignore")  # a bound that is infinite or NaN is replaced by min C or max C
def gap_and_sums(given: Problem, g: Array) -> tuple[CertifiedGap, PlanOfGap]:
    """`certified_gap` of a checked problem, and the sums that it took: they say how large the
    marginal errors are, without further passes over the pairs."""
    p = in_float64(given)
    costs = cost_range(p.C)
    *ends, plan = _interval(p, p.backend.to_numpy(g).astype(np.float64), costs)
    known = EPS_LIMITS[0] <= p.eps <= EPS_LIMITS[1]
    lower, upper = (end if known and math.isfinite(end) else cost
                    for end, cost in zip(ends, costs, strict=True))
    # A matrix formed from points has rounding errors, by which the optimal value may be off too.
    off = given.C.error if isinstance(given.C, FormedCost) else 0.0
    return CertifiedGap(max(lower, costs[0]) - off, min(upper, costs[1]) + off), plan


def _interval(p: Problem, g: Floats, costs: tuple[float, float]
              ) -> tuple[float, float, PlanOfGap]:
    """(lower, upper, the plan); a bound that could not be proved is infinite or NaN. All entries of
    C lie between the two numbers `costs`."""
    largest = max(abs(cost) for cost in costs)
    a, b = (_normalised(p.backend.to_numpy(weights)) for weights in (p.a, p.b))
    i, j = np.flatnonzero(a), np.flatnonzero(b)  # where there is mass
    g = np.where(b > 0, g, 0)
    level = float(b @ g)
    G = g - level + p.eps * log_weights(b)
    f = softmin(p, G)
    F = f + p.eps * log_weights(a)

    # The column sums of P; then the row sums of P, and those of P with its columns scaled down.
    sums, error = plan_sums(p.T, largest, G, F)
    columns = Side(b[j], G[j], sums[j, 0], error[j])
    scales = np.ones_like(b)
    scales[j] = columns.scale
    sums, error = plan_sums(p, largest, F, G, scales[:, None])
    rows = Side(a[i], F[i], sums[i, 1], error[i])

    # The lower bound (the semi-dual) and the upper bound (the primal value of the completed plan)
    # are each a list of terms that are added up in one go, with one bound of the rounding.
    row_sums = sums[i, 0]
    dual = [rows.weights * rows.potential, columns.weights * columns.potential,
            -p.eps * columns.weights * np.log(columns.weights)]
    below = [*dual, -p.eps * rows.weights * np.log(row_sums + error[i])]
    lower = -rounded_up([-term for term in below], p.eps)
    of_plan = [*dual, -p.eps * rows.weights * np.log(rows.weights)]
    upper = rounded_up([*of_plan, *_excess(p, rows, columns, i, j, costs)], p.eps)
    if isinstance(p.C, DenseCost) and not costs[1] <= HUGE_COST * (abs(lower) + p.eps):
        C = p.backend.to_numpy(p.C.dense())[np.ix_(i, j)].astype(np.float64)
        along_tree = _tree_excess(C, p.eps, replace(rows, sums=row_sums), columns)
        upper = min(upper if math.isfinite(upper) else math.inf,
                    rounded_up([*of_plan, along_tree], p.eps))
    mass = total(p.backend.to_numpy(p.a)) * total(p.backend.to_numpy(p.b))  # 1, but for roundings
    return lower, upper, PlanOfGap(f - level, mass * _at(i, row_sums, len(a)),
                                   mass * _at(j, columns.sums, len(b)))


def _tree_excess(C: Floats, eps: float, rows: Side, columns: Side) -> Floats:
    """What `_excess` bounds, for the plan to which the missing mass is added along a tree of pairs
    in place of a product: an upper bound, as one term, (1,)."""
    mass = abs(total(rows.weights) - total(rows.sums)) + total(rows.error) + MARGIN
    return np.array([excess_along_tree(C, eps, (rows.potential, rows.residuals),
                                       (columns.potential, columns.residuals), mass)])


@dataclass(frozen=True)
class Side:
    """The rows of a plan that carry mass, or its columns; (n,) each."""

    weights: Floats
    """What the sums should be; > 0."""

    potential: Floats
    """F or G: the potential plus eps log of the weights."""

    sums: Floats
    """The row or column sums of the plan, as computed."""

    error: Floats
    """A bound of the error of each of these sums."""

    @cached_property
    def scale(self) -> Floats:
        """Factors <= 1 by which the rows are multiplied, so that no true sum exceeds its weight."""
        return np.minimum(1, (1 - MARGIN) * self.weights / (self.sums + self.error))

    @property
    def kept(self) -> tuple[Floats, Floats]:
        """(a lower bound, an upper bound) of the exact sums times `scale`, (n,) each."""
        return (self.scale * np.maximum(self.sums - self.error, 0) * (1 - MARGIN),
                np.minimum(self.scale * (self.sums + self.error) * (1 + MARGIN), self.weights))

    @property
    def residuals(self) -> Floats:
        """The largest possible |weight - sum|, before scaling."""
        return abs(self.weights - self.sums) + self.error + MARGIN * self.weights

    def missing(self, lost: Floats | float = 0.0) -> tuple[Floats, Floats]:
        """(a lower bound, an upper bound) of weights - scaled sums. `lost`: mass that each sum may
        have lost besides, because the columns were scaled first and the rows after them."""
        least, most = self.kept
        room = MARGIN * self.weights
        return (np.maximum(self.weights - most - room, 0),
                np.minimum(self.weights - least + room + lost, self.weights + room))


def _excess(p: Problem, rows: Side, columns: Side, i: Any, j: Any, costs: tuple[float, float]
            ) -> list[Floats]:
    """Terms whose sum is at least <C, R> + eps sum R log R - (a.F + b.G), R the completed plan. (To
    the primal value of R the caller adds the terms in log a and log b, which depend on the weights
    alone.)

    R has three parts: u_i P_ij v_j, which is P scaled down by the scales u of the rows and v of the
    columns; t x y', a product of floats, which carries most of the missing mass; and what is then
    still missing. That is mostly rounding: its mass is at most `rest`, and its cost per mass at
    most max C.
    """
    turned_away = (1 - rows.scale) * (rows.sums + rows.error)
    lost = (1 + MARGIN) * np.minimum((1 - rows.scale.min()) * columns.kept[1], total(turned_away))
    # e and h are lower bounds of the mass missing in each row and column, e_most and h_most upper
    # ones; t and t_most bound the mass missing in all.
    (e, e_most), (h, h_most) = rows.missing(), columns.missing(lost)
    t, t_most = (min(total(x), total(y)) for x, y in ((e, h), (e_most, h_most)))
    if not 2 * t > t_most:  # what is missing is mostly rounding: x'C y is not worth a pass
        t = 0.0
    rest = max(t_most - t, 0.0) + MARGIN * t_most
    terms = [p.eps * rows.kept[0] * np.log(rows.scale),
             p.eps * np.maximum(columns.kept[0] - lost, 0) * np.log(columns.scale),
             np.array([p.eps * t_most])]
    if t > 0:
        x, y = e / total(e), h / total(h)
        product = _at(i, x, p.C.shape[0]), _at(j, y, p.C.shape[1])
        terms.append(np.array([t * product_cost(p, max(map(abs, costs)), *product)]))
        for z, side in ((x, rows), (y, columns)):
            terms += [-t * z * side.potential, p.eps * t * z * np.log(np.where(z > 0, z, 1))]
        e_most, h_most = e_most - t * x + MARGIN * e_most, h_most - t * y + MARGIN * h_most
    e_most, h_most = (np.clip(z, 0, rest) for z in (e_most, h_most))
    # The bound of the rest holds for any two numbers level_f, level_g; means make it narrow.
    level_f, level_g = (float(z.weights @ z.potential) for z in (rows, columns))
    highest = max(costs[1] - (level_f + level_g), 0.0) + MARGIN * abs(level_f + level_g)
    return [*terms, np.array([rest * highest]),
            e_most * np.maximum(level_f - rows.potential, 0),
            h_most * np.maximum(level_g - columns.potential, 0)]


def _at(places: Any, values: Floats, n: int) -> Floats:
    """(n,): the values at their places, 0 elsewhere."""
    out = np.zeros(n)
    out[places] = values
    return out


def _normalised(weights: Floats) -> Floats:
    """weights / their sum, each with a relative error of at most 3 roundings."""
    return weights / total(weights)


# ------------------------------------------------------------------ sums on the host
def total(values: Floats) -> float:
    """The sum of finite values, rounded once; infinite where one is not finite."""
    return math.fsum(values) if math.isfinite(float(abs(values).sum())) else math.inf


def rounded_up(terms: Iterable[Floats], eps: float) -> float:
    """An upper bound of the exact sum of all terms. The error of a term is at most MARGIN times the
    term; or, for one like eps a log a, also MARGIN eps a, since the derivative of a log a is
    1 + log a."""
    values = np.concatenate(list(terms))
    size = total(abs(values))
    return total(values) + (MARGIN * size + 8 * MARGIN * eps + len(values) * 2.0**-1020)
