"""Generated problems for hypothesis, certified solutions of them, and tolerances for rounding.

Coordinates, costs and potentials are small multiples of a power of 2, so that their sums,
differences and squares are exact in float64. So a test sees the rounding of the tested function
alone. A `slack` is the largest difference that a test allows, with the reason for it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from decimal import Decimal, localcontext
from typing import Any

import numpy as np
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from point_costs.tables import EVERYWHERE

import refot
from refot.costs.operands import Cost

UNIT = 2.0**-53
"""The unit roundoff of float64: the largest relative error of one operation."""

TOL = 1e-11
"""The L1 marginal error to which the tests solve. It is above UNIT max|C| / eps of any case, below
which rounding lets no solve get."""


@dataclass(frozen=True)
class Case:
    """A problem (C, a, b, eps), in the order of the arguments of refot's functions."""

    C: Cost
    a: Any
    b: Any
    eps: float

    def __iter__(self) -> Iterator[Any]:
        return iter((self.C, self.a, self.b, self.eps))

    @property
    def matrix(self) -> Any:
        return self.C.dense()

    @property
    def dense(self) -> tuple[Any, Any, Any, float]:
        """(C, a, b, eps) with the cost as a matrix, for functions that take no cost between points.
        """
        return self.matrix, self.a, self.b, self.eps

    @property
    def independent(self) -> float:
        """A = <C, a(x)b>, the cost of the independent plan."""
        return float(self.a @ self.matrix @ self.b)

    @property
    def osc(self) -> float:
        return float(np.ptp(self.matrix))

    def rounding(self, *potentials: Any) -> float:
        """By how much two ways to compute a value may differ: 64 roundings of its largest term.

        The terms are C, the potentials, and eps times the logarithm of a weight, which is at least
        1/33 here.
        """
        largest = max([abs(self.matrix).max(), *(abs(h).max() for h in potentials)])
        return float(64 * UNIT * (largest + 4 * self.eps))

    @property
    def potential_slack(self) -> float:
        """By how much two potentials solved to TOL may differ, up to a constant.

        In Hilbert's metric a Sinkhorn iteration contracts distances by the factor
        1 - 1/cosh^2(osc(C) / (2 eps)) (Birkhoff). At an error of TOL it changes a potential by at
        most twice `transform_slack`.
        """
        return float(np.cosh(self.osc / (2 * self.eps)) ** 2 * 2 * self.transform_slack)

    @property
    def transform_slack(self) -> float:
        """By how much a potential solved to TOL may differ from the transform of the other one.

        It is eps |log(row sum / weight)| <= 1.05 eps TOL / weight; a weight is at least 1/33 here.
        """
        return 1.05 * self.eps * TOL * 33 + self.rounding()

    @property
    def slack(self) -> float:
        """`slack_at` the marginal error to which the tests solve."""
        return self.slack_at(TOL)

    def slack_at(self, error: float) -> float:
        """By how much a value computed at this L1 marginal error may differ from F.

        Let P' be the plan P rounded to the marginals. The gap between its value and the dual is
        eps KL(P' | P) <= eps error (1 + log(1 + 1/min P)). Here log(1/min P) <= 3 osc(C)/eps +
        log(1/(min a min b)), and the last term is below 7.5.
        """
        return error * (3 * self.osc + 10 * self.eps) + self.rounding()


@dataclass(frozen=True)
class Clouds:
    """Two weighted point clouds of one dimension, with a ground cost by name and eps."""

    x: Any
    a: Any
    y: Any
    b: Any
    eps: float
    cost: str

    def __iter__(self) -> Iterator[Any]:
        return iter((self.x, self.a, self.y, self.b, self.eps, self.cost))

    def case(self, eps: float | None = None) -> Case:
        """The problem between the two clouds."""
        C = refot.point_cost(self.x, self.y, self.cost)
        return Case(C, self.a, self.b, self.eps if eps is None else eps)

    def self_cases(self) -> tuple[Case, Case]:
        """The problems of each cloud with itself."""
        xx, yy = (refot.point_cost(z, z, self.cost) for z in (self.x, self.y))
        return Case(xx, self.a, self.a, self.eps), Case(yy, self.b, self.b, self.eps)

    @property
    def slack(self) -> float:
        """`slack_at` the marginal error to which the tests solve."""
        return self.slack_at(TOL)

    def slack_at(self, error: float) -> float:
        """By how much S = F_xy - F_xx/2 - F_yy/2 may be wrong: the slack of its three terms."""
        xx, yy = self.self_cases()
        return self.case().slack_at(error) + (xx.slack_at(error) + yy.slack_at(error)) / 2


@dataclass(frozen=True)
class Solved:
    """The potentials of a converged solve, their L1 marginal error, their plan, the plan rounded to
    the marginals, and bounds lower <= F <= upper."""

    f: Any
    g: Any
    error: float
    plan: Any
    rounded: Any
    lower: float
    upper: float

    def slack(self, case: Case) -> float:
        """By how much `lower` may differ from F, at the marginal error that was reached."""
        return case.slack_at(self.error)

    def plan_slack(self, case: Case) -> float:
        """The largest L1 distance of `rounded` from the optimal plan, by Pinsker's inequality:
        their KL is at most (upper - lower) / eps."""
        gap = max(self.upper - self.lower, 0) + case.rounding(self.f, self.g)
        return float(np.sqrt(2 * gap / case.eps))

    def sharp_slack(self, case: Case) -> float:
        """By how much <C, rounded> may differ from s = <C, P> of the optimal plan."""
        return case.osc / 2 * self.plan_slack(case) + case.rounding()


def solved(case: Case, backend: str | None = None) -> Solved:
    """Solve to TOL. A solve that does not reach it warns, which is an error in the tests."""
    found = refot.solve(*case, tol=TOL, backend=backend)
    P = refot.plan(found.f, found.g, *case, backend=backend)
    rounded = refot.round_to_marginals(P, case.a, case.b)
    lower = refot.semi_dual(found.g, *case, backend=backend)
    upper = refot.primal(rounded, *case.dense)
    return Solved(found.f, found.g, found.marginal_error, P, rounded, lower, upper)


# ------------------------------------------------------------------ strategies
def multiples(shape: int | tuple[int, ...], low: int, high: int, step: float) -> st.SearchStrategy:
    """Arrays of whole multiples of `step`, from low * step to high * step."""
    integers = hnp.arrays(np.int64, shape, elements=st.integers(low, high))
    return integers.map(lambda k: k * step)


def weights(n: int, positive: bool = False) -> st.SearchStrategy:
    """n weights k_i / sum k, k_i at most 8, zeros included unless `positive`."""
    counts = hnp.arrays(np.int64, n, elements=st.integers(int(positive), 8))
    return counts.filter(lambda k: k.sum() > 0).map(lambda k: k / k.sum())


def potentials(n: int) -> st.SearchStrategy:
    """n multiples of 1/8 in [-4, 4]: any potential, far from optimal."""
    return multiples(n, -32, 32, 0.125)


sizes = st.integers(1, 5)
ground_costs = st.sampled_from(EVERYWHERE)
epsilons = st.integers(-16, 16).map(lambda k: 2.0 ** (k / 4))
"""eps from 1/16 to 16; costs are at most 4 (matrices) or 48 (points)."""


def points(n: int, d: int) -> st.SearchStrategy:
    """n points of [-2, 2]^d on a grid of step 1/4: duplicates and aligned points are frequent."""
    return multiples((n, d), -8, 8, 0.25)


@st.composite
def matrix_cases(draw: st.DrawFn, positive: bool = False, eps: Any = epsilons) -> Case:
    """A cost matrix (n, m) >= 0 without structure, with weights."""
    n, m = draw(sizes), draw(sizes)
    C = refot.DenseCost(draw(multiples((n, m), 0, 32, 0.125)))
    return Case(C, draw(weights(n, positive)), draw(weights(m, positive)), draw(eps))


@st.composite
def clouds(draw: st.DrawFn, positive: bool = False, eps: Any = epsilons) -> Clouds:
    """Two clouds with weights, and a ground cost."""
    n, m, d = draw(sizes), draw(sizes), draw(st.integers(1, 3))
    return Clouds(
        draw(points(n, d)), draw(weights(n, positive)),
        draw(points(m, d)), draw(weights(m, positive)), draw(eps), draw(ground_costs),
    )


def cases(positive: bool = False) -> st.SearchStrategy[Case]:
    """Problems with a cost matrix, and problems between points."""
    between = clouds(positive).map(Clouds.case)
    return st.one_of(matrix_cases(positive), between)


mild_cases = cases().map(lambda case: replace(case, eps=max(case.eps, case.osc / 4)))
"""Problems in which plain Sinkhorn iterations contract by 0.93 or better."""


@st.composite
def with_potentials(draw: st.DrawFn) -> tuple[Case, Any, Any]:
    """A problem and any potentials (f (n,), g (m,)) for it."""
    case = draw(cases())
    n, m = case.C.shape
    return case, draw(potentials(n)), draw(potentials(m))


@st.composite
def plans(draw: st.DrawFn) -> Any:
    """A joint law (n, m): nonnegative entries with sum 1, zeros included."""
    n, m = draw(sizes), draw(sizes)
    return draw(weights(n * m)).reshape(n, m)


# ------------------------------------------------------------------ the same in exact arithmetic
def exact_plan(f: Any, g: Any, C: Any, a: Any, b: Any, eps: float) -> list[list[Decimal]]:
    """a_i b_j exp((f_i + g_j - C_ij) / eps) of these floats, to 50 digits."""
    with localcontext() as context:
        context.prec = 50
        f, g, a, b = ([Decimal(float(t)) for t in vector] for vector in (f, g, a, b))
        return [
            [a[i] * b[j] * ((f[i] + g[j] - Decimal(float(c))) / Decimal(eps)).exp()
             for j, c in enumerate(row)]
            for i, row in enumerate(C)
        ]


def exact_marginal_error(f: Any, g: Any, C: Any, a: Any, b: Any, eps: float) -> float:
    """|P1 - a|_1 + |P'1 - b|_1 of these floats, computed with 50 digits and then rounded."""
    P = exact_plan(f, g, C, a, b, eps)
    with localcontext() as context:
        context.prec = 50
        rows = sum(abs(sum(row) - Decimal(float(w))) for row, w in zip(P, a, strict=True))
        columns = sum(abs(sum(column) - Decimal(float(w)))
                      for column, w in zip(zip(*P, strict=True), b, strict=True))
        return float(rows + columns)


def exact_softmin(C: Any, h: Any, eps: float) -> Any:
    """-eps log sum_j exp((h_j - C_ij) / eps) of these floats, with 50 digits and then rounded."""
    with localcontext() as context:
        context.prec = 50
        return np.array([
            float(-Decimal(eps) * sum(((Decimal(float(t)) - Decimal(float(c))) / Decimal(eps)).exp()
                                      for t, c in zip(h, row, strict=True)).ln())
            for row in C
        ])
