"""`exact` is right on many problems, its interval holds W0, and each bound holds by itself."""

from __future__ import annotations

import numpy as np
import pytest
from point_costs.tables import EVERYWHERE

import refot
from refot.limits.certified import SparsePlan, lower_bound, upper_bound
from refot.limits.shortlist import corner_pairs, saving_pairs
from refot.problem import problem

ROUNDING = 1e-9
"""What `kantorovich` may be off by, relative to the largest cost: HiGHS stops at 1e-10."""


def drawn(seed: int, n: int = 12, m: int = 9):
    """A cost, between points or without structure, and uneven weights, some of them 0."""
    rng = np.random.default_rng(seed)
    a, b = rng.dirichlet(np.full(n, 0.3)), rng.dirichlet(np.full(m, 0.3))
    a[rng.integers(n)], b[rng.integers(m)] = 0, 0
    x, y = rng.integers(-3, 4, (n, 2)) / 2, rng.integers(-3, 4, (m, 2)) / 2  # many ties
    name = ["matrix", *EVERYWHERE][seed % (1 + len(EVERYWHERE))]
    C = rng.normal(size=(n, m)) if name == "matrix" else refot.point_cost(x, y, name)
    return C, a / a.sum(), b / b.sum()


def matrix_of(C):
    return C if isinstance(C, np.ndarray) else C.dense()


@pytest.mark.parametrize("seed", range(24))
def test_the_interval_holds_the_exact_cost(backend, seed):
    C, a, b = drawn(seed)
    found, right = refot.exact(C, a, b, backend=backend), refot.kantorovich(C, a, b)[0]
    slack = ROUNDING * abs(matrix_of(C)).max()
    assert found.converged
    assert found.gap.relative <= 1e-6 or found.gap.absolute <= slack
    assert found.gap.lower - slack <= right <= found.gap.upper + slack
    assert found.gap.lower - slack <= found.value <= found.gap.upper + slack


@pytest.mark.parametrize("seed", range(8))
def test_the_plan_is_a_plan_and_the_potentials_are_optimal(backend, seed):
    """The plan has its marginals but for rounding, and mass only where f_i + g_j = C_ij."""
    C, a, b = drawn(seed)
    found, matrix = refot.exact(C, a, b, backend=backend), matrix_of(C)
    plan = found.plan.toarray()
    assert plan.min() >= 0
    assert found.plan.nnz <= len(a) + len(b) - 1
    assert abs(plan.sum(axis=1) - a).sum() + abs(plan.sum(axis=0) - b).sum() < 1e-9
    slack = matrix - found.f[:, None] - found.g
    assert slack.min() > -ROUNDING * abs(matrix).max()
    assert (plan * slack).sum() < 4 * ROUNDING * abs(matrix).max()


@pytest.mark.parametrize("seed", range(12))
def test_each_bound_holds_for_whatever_it_is_given(seed):
    """Any potentials prove a lower bound, any masses an upper one: neither need be nearly right."""
    C, a, b = drawn(seed)
    p, rng = problem(C, a, b, 1.0), np.random.default_rng(seed)
    right = refot.kantorovich(C, a, b)[0]
    slack = ROUNDING * abs(matrix_of(C)).max()
    f, g = rng.normal(size=len(a)), rng.normal(size=len(b))
    k = rng.integers(1, 30)
    plan = SparsePlan(rng.integers(len(a), size=k), rng.integers(len(b), size=k),
                      rng.dirichlet(np.ones(k)) * rng.uniform(0.1, 2))
    assert lower_bound(p, f, g) <= right + slack
    assert upper_bound(p, plan) >= right - slack


def test_the_upper_bound_is_that_of_the_mended_plan():
    """A plan that lacks the mass t costs at most t max C more than it does: 0.25 here."""
    p = problem(np.array([[0.0, 1.0], [1.0, 0.0]]), [0.5, 0.5], [0.5, 0.5], 1.0)
    whole = SparsePlan(np.array([0, 1]), np.array([0, 1]), np.array([0.5, 0.5]))
    assert 0 <= upper_bound(p, whole) < 1e-13
    lacking = whole._replace(mass=np.array([0.5, 0.375]))
    assert upper_bound(p, lacking) == pytest.approx(0.25, abs=1e-13)


def test_a_looser_gap_is_enough_and_a_measure_is_at_distance_0_from_itself():
    C, a, b = drawn(1)
    assert refot.exact(C, a, b, gap=0.5).gap.relative <= 0.5
    x = np.random.default_rng(0).normal(size=(20, 3))
    itself = refot.exact(refot.point_cost(x, x), None, None)
    assert (itself.value, itself.stopped_by, itself.converged) == (0.0, "rounding", True)
    np.testing.assert_allclose(itself.plan.toarray(), np.eye(20) / 20, rtol=1e-15)


def test_what_is_not_reached_is_said():
    rng = np.random.default_rng(0)
    C = rng.random((60, 50))
    with pytest.warns(refot.ConvergenceWarning, match="stopped by time limit"):
        cut = refot.exact(C, None, None, time_limit=1e-9)
    assert not cut.converged
    assert cut.gap.lower <= refot.kantorovich(C, None, None)[0] <= cut.gap.upper
    huge = C.copy()
    huge[0, 1:] = 1e14
    with pytest.warns(refot.ConvergenceWarning, match="a larger gap"):
        wide = refot.exact(huge, None, None)
    assert wide.gap.lower <= refot.kantorovich(huge, None, None)[0] <= wide.gap.upper
    with pytest.raises(refot.InputError, match=r"^C: inf"):
        refot.exact(np.array([[1.0, np.inf], [0.0, 1.0]]), None, None)


def test_costs_in_float32_are_solved_in_float64(backend):
    C = np.random.default_rng(0).random((15, 12)).astype(np.float32)
    found = refot.exact(C, None, None, backend=backend)
    assert found.f.dtype == np.float64
    assert found.gap.lower <= refot.kantorovich(C.astype(float), None, None)[0] <= found.gap.upper


# ------------------------------------------------------------------ the shortlist
@pytest.mark.parametrize("seed", range(6))
def test_the_corner_pairs_leave_room_for_all_mass(seed):
    C, a, b = drawn(seed)
    p = problem(C, a, b, 1.0).with_mass
    pairs = corner_pairs(p)
    assert len(pairs.rows) <= sum(p.C.shape)
    forbidden = np.full(p.C.shape, np.inf)
    forbidden[pairs] = 0.0
    assert refot.kantorovich(forbidden, p.a, p.b)[0] == 0.0


def test_saving_pairs_are_those_whose_excess_is_positive(backend):
    rng = np.random.default_rng(3)
    C, f, g = rng.random((7, 5)), rng.random(7), rng.random(5) - 0.5
    pairs, excess = saving_pairs(problem(C, None, None, 1.0, backend), f, g, 1.0)
    over = f[:, None] + g - C
    assert set(zip(*pairs, strict=True)) == set(zip(*np.nonzero(over > 0), strict=True))
    np.testing.assert_allclose(excess, np.maximum(over.max(axis=1), 0), atol=1e-12)


# ------------------------------------------------------------------ pairs of a cost
@pytest.mark.parametrize("name", ["sqeuclidean", "l1", "dot", "cosine"])
def test_pairs_of_a_cost_are_entries_of_its_matrix(name):
    rng = np.random.default_rng(0)
    C = refot.point_cost(rng.normal(size=(6, 3)), rng.normal(size=(5, 3)), name, 0.7)
    i, j = rng.integers(6, size=20), rng.integers(5, size=20)
    np.testing.assert_allclose(C.pairs(i, j), C.dense()[i, j], rtol=1e-14)
    assert (refot.DenseCost(C.dense()).pairs(i, j) == C.dense()[i, j]).all()


@pytest.mark.slow
@pytest.mark.parametrize("n", [200, 700])
def test_larger_problems_beside_the_linear_programme(n):
    rng = np.random.default_rng(n)
    x, y = rng.normal(size=(n, 3)), rng.normal(size=(n - 50, 3)) + 0.5
    for a in (np.full(n, 1 / n), rng.dirichlet(np.full(n, 0.1))):
        C = refot.point_cost(x, y, "euclidean")
        found = refot.exact(C, a, None, backend="numba")
        assert found.gap.relative <= 1e-6
        assert found.gap.lower <= refot.kantorovich(C, a, None)[0] <= found.gap.upper
