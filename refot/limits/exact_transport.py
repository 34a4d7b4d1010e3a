"""`exact`: the transport cost W0 without regularisation, in a proved interval. B-1, B-6, G-3, H-1.

An optimal plan needs mass on no more than n + m - 1 pairs. An entropic plan at a small eps has most
of its mass on pairs that an optimal plan may use. They are put on a list, the shortlist
(`shortlist`), and the problem that allows only these pairs is solved exactly, as a flow. Its
potentials show which other pairs would lower the cost. These are added, and the flow is solved
again, until there are none (gottschlich2014shortlist, schmitzer2019stabilized in
docs/references.bib). The interval around W0 does not depend on this search being right: it is
proved from the final potentials and plan alone (`certified`).

Papers: B = Bréchet et al. 2019, G = Genevay, Peyré, Cuturi 2018, H = Houdard et al. 2023.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from refot.arrays import Array, ConvergenceWarning, CostLike, Potential, Weights, as_positive
from refot.backend_contract import Backend, BackendLike, FlowProblem, FlowSolver, prepared
from refot.costs.forbidden import require_finite
from refot.costs.operands import Cost
from refot.foreign import as_given
from refot.problem import Problem, problem
from refot.solvers.gap import CertifiedGap
from refot.solvers.memory import kept
from refot.solvers.plan_sums import cost_range as bounds_of
from refot.solvers.plan_sums import in_float64
from refot.solvers.stopping import Control, StoppedBy, Watch, level_outside, out_of_time

from .certified import TINY_EPS, SparsePlan, lower_bound, upper_bound
from .programme import LinearProgramme
from .shortlist import Pairs, best_pairs, corner_pairs, entropic_shortlist, saving_pairs

UNITS = 1 << 60
"""The whole number that stands for a mass of 1 in the flow problem, whose masses are whole
numbers."""

PENALTY = 4.0
"""An artificial arc of the flow problem (`FlowProblem.penalty`) costs this many times an upper
bound of |C - f - g|: so much that mass goes over it only if the listed pairs cannot move it."""

SURE = 0.5
"""The search ends when the gap that the potentials show is below this share of the gap that was
asked for. The rest is for the rounding that the proof adds to the interval."""

FLOOR = 2.0**-33
"""An interval whose width is at most this share of a typical cost counts as converged, whatever gap
was asked for, since rounding alone may leave it so wide. It is eight times `TINY_EPS`."""

SOME = 16
"""The number of rows of C whose median |C_ij| is taken as a typical cost."""


@dataclass(frozen=True, repr=False)
class ExactTransport:
    """The result of `exact`. That gap.lower <= W0 <= gap.upper is proved, rounding included."""

    value: float
    """<C, P> of the plan, in cost units."""

    gap: CertifiedGap
    """The interval that contains W0."""

    plan: Any
    """P as a SciPy CSR array (n, m), with at most n + m - 1 entries. Its marginals are a and b up
    to rounding."""

    f: Potential
    """The row potential (n,), in cost units: up to rounding f_i + g_j <= C_ij, with equality where
    P has mass."""

    g: Potential
    """The column potential (m,), in cost units."""

    converged: bool
    """Whether the relative gap that was asked for is reached; or, for example if W0 = 0, whether
    the interval is so narrow beside a typical cost that only rounding is left (FLOOR)."""

    stopped_by: StoppedBy
    """"gap": it is reached; "rounding": it is not, but no pair lowers the cost any more; or
    "time limit"."""

    pairs: int
    """The number of pairs on the shortlist at the end."""

    rounds: int
    """How often the flow was solved."""

    seconds: float
    """The time that `exact` took, in seconds."""

    def __repr__(self) -> str:
        return (f"ExactTransport(value {self.value:.10g}, relative gap {self.gap.relative:.1e}, "
                f"stopped by {self.stopped_by}, {self.plan.nnz} pairs with mass, "
                f"{self.seconds:.2g} s)")


@as_given
def exact(
    C: CostLike,
    a: Weights = None,
    b: Weights = None,
    *,
    gap: float = 1e-6,
    time_limit: float | None = None,
    normalise: bool = False,
    backend: BackendLike = None,
) -> ExactTransport:
    """The exact transport cost W0 = min <C, P>, an optimal plan and optimal potentials, proved to a
    relative `gap`. B-1, B-6.

    C (n, m), without forbidden pairs, or a `PointCost`, made by `point_cost(x, y)`, of which no
    matrix is formed; a (n,), b (m,). It ends when the interval around W0 is that narrow, or when no
    other pair would lower the cost; then the interval is as narrow as rounding allows. After
    `time_limit` seconds it returns what it has, and warns. All is computed in float64. Raises
    InputError.

        W = refot.exact(refot.point_cost(x, y), a, b)
        W.gap.lower, W.gap.upper, W.plan
    """
    control, gap = Control(time_limit), as_positive(gap, "gap")
    given = problem(C, a, b, 1.0, backend, normalise)
    require_finite(given.C, "forbidden pairs are left to refot.kantorovich")
    p = in_float64(given)
    C = p.C.with_arrays(lambda array: array.astype(np.float64, copy=False))
    p = replace(p, C=kept(p.backend, C))
    p = replace(p, C=prepared(p.backend, p.C, p.a, p.b))
    with Watch(control, p, gap) as watch:
        search = Search(p)
        found = _result(p, search, search.run(gap), gap, watch)
    if not found.converged:
        advice = ("more time_limit" if found.stopped_by == StoppedBy.TIME_LIMIT else
                  "a larger gap, or costs that are not so far above the value")
        warnings.warn(f"the relative gap is {found.gap.relative:.1e}, above {gap:.1e} (stopped by "
                      f"{found.stopped_by}): give it {advice}", ConvergenceWarning,
                      stacklevel=level_outside())
    return found


class Search:
    """The search for an optimal plan: the shortlist and the flow problem on it, which is solved
    again each time the list grows. It knows only the atoms that have mass (`rows`, `columns`).

    `entropic` is the pair of potentials (f, g) of the entropic plan; the flow problem has the costs
    C - f - g. Pair k of the list is (listed[k] // m, listed[k] % m), with the cost costs[k].
    """

    def __init__(self, p: Problem) -> None:
        supply, demand = whole_masses(*(p.backend.to_numpy(weights) for weights in (p.a, p.b)))
        self.rows, self.columns = np.flatnonzero(supply), np.flatnonzero(demand)
        on_rows, on_columns = (p.backend.asarray(mass > 0) for mass in (supply, demand))
        self.p = replace(p, C=p.C.among(on_rows, on_columns), a=p.a[on_rows], b=p.b[on_columns])
        self.rounds = 0
        pairs, *self.entropic = entropic_shortlist(self.p)
        size = PENALTY * (_size(self.p.C) + sum(float(abs(h).max()) for h in self.entropic))
        self.flows = flow_problem(self.p.backend, supply[self.rows], demand[self.columns], size)
        self.listed, self.costs = np.empty(0, np.int64), np.empty(0)  # no pair is listed yet
        self.add(pairs)
        self.add(corner_pairs(self.p))

    def add(self, pairs: Pairs) -> bool:
        """Add those pairs that are not yet on the list; False if there are none.

        Their costs in the flow problem are C - f - g, with the potentials of the entropic plan.
        With these costs the same flows are optimal, and the pairs that an optimal plan uses are
        cheap ones, which the flow solver tries first.
        """
        m = len(self.columns)
        places = np.setdiff1d(pairs.rows * m + pairs.columns, self.listed)
        i, j = np.divmod(places, m)
        costs, (f, g) = self.p.backend.to_numpy(self.p.C.pairs(i, j)), self.entropic
        self.flows.add(i, j, costs - f[i] - g[j])
        self.listed, self.costs = np.append(self.listed, places), np.append(self.costs, costs)
        return len(places) > 0

    def run(self, gap: float) -> StoppedBy:
        """Solve the flow and add pairs, in turn, until the gap is reached, no pair lowers the cost,
        or the time is over; returns which of these."""
        a = self.p.backend.to_numpy(self.p.a)
        while True:
            self.rounds += 1
            for _ in self.flows.steps():
                if out_of_time():
                    return StoppedBy.TIME_LIMIT
            pairs, excess = saving_pairs(self.p, *self.potentials, self.flows.penalty)
            # With f less the largest excess of each row the potentials are feasible in the dual of
            # W0, whose value is then at most a.excess below the cost of the flow.
            if a @ excess < SURE * gap * abs(self.cost):
                return StoppedBy.GAP
            if not self.add(best_pairs(self.p, *self.potentials) if pairs is None else pairs):
                return StoppedBy.ROUNDING

    @property
    def potentials(self) -> tuple[Array, Array]:
        """The potentials (f, g) of the flow, in terms of C itself."""
        return tuple(h + added for h, added in
                     zip(self.flows.potentials, self.entropic, strict=True))

    @property
    def mass(self) -> Array:
        """The mass on each pair of the list, (k,), as floats."""
        return self.flows.flow / UNITS

    @property
    def cost(self) -> float:
        """The cost of that mass, in cost units."""
        return float(self.mass @ self.costs)


def whole_masses(a: Array, b: Array) -> tuple[Array, Array]:
    """The weights as whole numbers, in units of 1 / UNITS, both with the same sum: the difference
    that rounding makes is added to the heaviest atom of b."""
    supply, demand = (np.rint(w / w.sum() * UNITS).astype(np.int64) for w in (a, b))
    demand[demand.argmax()] += supply.sum() - demand.sum()
    return supply, demand


def flow_problem(backend: Backend, supply: Array, demand: Array, penalty: float) -> FlowProblem:
    """The flow problem of the backend's own solver, or a linear programme if it has none."""
    if isinstance(backend, FlowSolver):
        return backend.flow_problem(supply, demand, penalty)
    return LinearProgramme(supply, demand, penalty)


def _size(C: Cost) -> float:
    """A number >= max |C|, but 1 where that number is 0."""
    return max(map(abs, bounds_of(C))) or 1.0


def _typical(p: Problem) -> float:
    """A typical |cost|: the median over SOME rows."""
    return float(np.median(abs(p.backend.to_numpy(p.C.rows(slice(0, SOME))))))


def _result(p: Problem, search: Search, stopped_by: StoppedBy, gap: float, watch: Watch
            ) -> ExactTransport:
    """The result for all atoms of p, those without mass included, from the state of the search."""
    used = search.mass > 0
    i, j = np.divmod(search.listed[used], len(search.columns))
    plan = SparsePlan(search.rows[i], search.columns[j], search.mass[used])
    f, g = _everywhere(p, search)
    interval = CertifiedGap(lower_bound(p, f, g), upper_bound(p, plan))
    # Whether the gap is reached is decided by the proved interval, and not by the search.
    reached, at_floor = interval.relative <= gap, interval.absolute <= FLOOR * _typical(p)
    if reached or stopped_by != StoppedBy.TIME_LIMIT:
        stopped_by = StoppedBy.GAP if reached else StoppedBy.ROUNDING
    return ExactTransport(
        search.cost, interval, _as_csr(plan, p.C.shape), f, g, reached or at_floor, stopped_by,
        pairs=len(search.listed), rounds=search.rounds, seconds=watch.elapsed)


def _everywhere(p: Problem, search: Search) -> tuple[Array, Array]:
    """(f (n,), g (m,)) for all atoms, from those of the search: f_i = min_j (C_ij - g_j) over the
    columns with mass, and g_j = min_i (C_ij - f_i) for those without."""
    g = np.full(p.C.shape[1], -np.inf)
    g[search.columns] = search.potentials[1]
    on, eps = p.backend, TINY_EPS * _size(p.C)
    f = on.softmin(p.C, on.asarray(g), eps)
    return on.to_numpy(f), np.where(g > -np.inf, g, on.to_numpy(on.softmin(p.C.T, f, eps)))


def _as_csr(plan: SparsePlan, shape: tuple[int, int]) -> Any:
    """The plan as a SciPy CSR array."""
    from scipy.sparse import csr_array  # 0.1 s to import: only where it is used

    return csr_array((plan.mass, (plan.rows, plan.columns)), shape)
