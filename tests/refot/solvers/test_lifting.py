"""A start from coarser clouds: near the solution, and without any say in what that is."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

import refot
from refot.problem import problem
from refot.solvers.auto import auto
from refot.solvers.scales import lifting


@pytest.fixture
def small_is_large(monkeypatch):
    """Clouds of 150 points or more have a coarser problem."""
    monkeypatch.setattr(lifting, "LARGE", 150)


def clouds(n=300, m=280, d=2, seed=0):
    rng = np.random.default_rng(seed)
    x, y = rng.normal(size=(n, d)), rng.normal(size=(m, d)) + 1
    return refot.point_cost(x, y), rng.dirichlet(np.ones(n)), rng.dirichlet(np.ones(m))


@pytest.mark.parametrize("d", [1, 2, 3])
def test_cells_keep_the_mass_and_the_mean(d):
    rng = np.random.default_rng(d)
    x, a = rng.normal(size=(103, d)), rng.dirichlet(np.ones(103))
    a[:20] = 0  # some cells without mass
    found = lifting.cells(x, a)
    assert len(found.points) == 26
    assert found.weights.sum() == pytest.approx(a.sum(), rel=1e-14)
    np.testing.assert_allclose(found.weights @ found.points, a @ x, atol=1e-14)
    assert np.isfinite(found.points).all()


def test_a_cell_lies_in_a_small_box():
    """256 points in a square: 64 cells, of a side of 1/8 if they were squares."""
    x = np.random.default_rng(0).random((256, 2))
    order = lifting.in_small_boxes(x)
    assert sorted(order) == list(range(256))
    widths = [np.ptp(x[order[k:k + 4]], axis=0).max() for k in range(0, 256, 4)]
    assert np.mean(widths) < 0.25  # of any four points it would be 0.7


def test_a_lifted_start_is_near(small_is_large):
    """Its plan misses the marginals by less than a tenth, where that of 0 misses them by more than
    half."""
    C, a, b = clouds()
    p = problem(C, a, b, 0.3)
    g = lifting.lifted_start(p, np.zeros_like(b), auto)
    error = p.marginal_error(p.transform(g), g)
    zero = np.zeros_like(b)
    assert error < 0.1
    assert p.marginal_error(p.transform(zero), zero) > 0.5


def test_a_warm_start_is_kept_and_others_have_none(small_is_large):
    C, a, b = clouds()
    p, zero = problem(C, a, b, 0.3), np.zeros_like(b)
    solved = refot.solve(C, a, b, 0.3).g
    assert lifting.lifted_start(p, solved, auto) is solved
    for other in (problem(C.dense(), a, b, 0.3), replace(p, C=p.C.among(a > 0.02, b > -1)),
                  problem(refot.point_cost(C.x, C.y, "dot"), a, b, 0.3)):
        assert lifting.lifted_start(other, zero, auto) is zero


@pytest.mark.parametrize("cost", ["sqeuclidean", "euclidean", "l1"])
def test_the_solution_is_the_same_and_takes_fewer_iterations(monkeypatch, cost):
    C, a, b = clouds()
    C = refot.point_cost(C.x, C.y, cost)
    eps = 3e-3 * C.dense().max()
    plain = refot.solve(C, a, b, eps, tol=1e-9, gauge="mean-zero", backend="numpy")
    monkeypatch.setattr(lifting, "LARGE", 150)
    lifted = refot.solve(C, a, b, eps, tol=1e-9, gauge="mean-zero", backend="numpy")
    assert lifted.converged
    np.testing.assert_allclose(lifted.f, plain.f, atol=1e-4 * eps)
    assert lifted.iterations < plain.iterations


def test_a_time_limit_holds_while_the_coarser_problem_is_solved(small_is_large):
    with pytest.warns(refot.ConvergenceWarning, match="time limit"):
        cut = refot.solve(*clouds(), 0.01, tol=1e-12, time_limit=1e-6)
    assert np.isfinite(cut.f).all()
