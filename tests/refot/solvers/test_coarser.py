"""Coarser clouds: a start near the solution, and corrections, without any say in what it is."""

from __future__ import annotations

import itertools
import math
from dataclasses import replace

import numpy as np
import pytest

import refot
from refot.problem import problem
from refot.solvers.auto import auto
from refot.solvers.scales import coarser as module
from refot.solvers.scales.cells import blur, cells
from refot.solvers.scales.coarser import coarser, coarser_at_larger_eps, corrected_iterates


@pytest.fixture
def small_is_large(monkeypatch):
    """Clouds of 150 points or more have a coarser problem, of half as many points or fewer."""
    monkeypatch.setattr(module, "LARGE", 150)
    monkeypatch.setattr(module, "WIDTHS", ((0.5, 2), (1.0, 1.5)))


def clouds(n=400, m=380, d=2, seed=0):
    rng = np.random.default_rng(seed)
    x, y = rng.normal(size=(n, d)), rng.normal(size=(m, d)) + 1
    return refot.point_cost(x, y), rng.dirichlet(np.ones(n)), rng.dirichlet(np.ones(m))


@pytest.mark.parametrize("d", [1, 2, 3])
def test_cells_keep_the_mass_and_the_mean_and_are_small(d):
    rng = np.random.default_rng(d)
    x, a = rng.normal(size=(203, d)), rng.dirichlet(np.ones(203))
    a[:20] = 0  # some boxes may be without mass
    found = cells(x, a, 0.7)
    assert 1 < len(found.points) < 203
    assert found.weights.sum() == pytest.approx(a.sum(), rel=1e-14)
    np.testing.assert_allclose(found.weights @ found.points, a @ x, atol=1e-14)
    np.testing.assert_allclose(found.sums(a), found.weights, rtol=1e-14)
    assert abs(found.points[found.cell] - x).max() < 0.7
    assert found.points.dtype == x.dtype


def test_the_blur_is_where_the_cost_is_eps():
    C = clouds()[0]
    assert blur(C, 0.04) == pytest.approx(0.2, rel=0.02)
    assert blur(C.scaled(4.0), 0.04) == pytest.approx(0.1, rel=0.02)
    assert blur(refot.point_cost(C.x, C.y, "l1"), 0.04) == pytest.approx(0.04, rel=0.02)
    bounded = refot.point_cost(C.x, C.y, "gaussian(1.0)")  # at most 2
    assert blur(bounded, 3.0) == math.inf


def test_a_start_is_near(small_is_large):
    """Its plan misses the marginals by less than a tenth, where that of 0 misses them by more than
    half."""
    C, a, b = clouds()
    p, zero = problem(C, a, b, 0.3), np.zeros(380)
    at = coarser(p)
    assert at is not None
    assert len(at.problem.b) < 190
    assert p.marginal_error(*with_transform(p, at.start(auto))) < 0.1
    assert p.marginal_error(*with_transform(p, zero)) > 0.5


def with_transform(p, g):
    return p.transform(g), g


@pytest.mark.parametrize("eps", [1.0, 0.1])
def test_a_correction_is_worth_many_sweeps(small_is_large, eps):
    """After three sweeps, each with a correction, the error is below that of thirty without."""
    C, a, b = clouds()
    p = problem(C, a, b, eps)
    at = coarser(p)
    start = at.start(auto)
    *_, (_, _, error) = itertools.islice(corrected_iterates(at, start, auto), 4)
    assert error < 0.1 * sinkhorn_error(p, start, 4)


def sinkhorn_error(p, g, sweeps):
    for _ in range(sweeps - 1):
        g = p.T.transform(p.transform(g))
    return p.marginal_error(*with_transform(p, g))


def test_nothing_is_corrected_at_the_solution(small_is_large):
    """However coarse the cells are: the correction is of the size of the residual, here 1e-12."""
    C, a, b = clouds()
    p = problem(C, a, b, 0.3)
    at = coarser(p)
    g = refot.solve(C, a, b, 0.3, tol=1e-13).g
    f = p.transform(g)
    residual = b - b * np.exp((g - p.T.transform(f)) / 0.3)
    change = at.correction(g, residual, auto)
    assert abs(change - b @ change).max() < 1e-8


def test_who_has_a_coarser_problem(small_is_large):
    C, a, b = clouds()
    p = problem(C, a, b, 0.3)
    assert coarser(p) is not None
    for other in (problem(C.dense(), a, b, 0.3), replace(p, C=p.C.among(a > 0.004, b > -1)),
                  problem(refot.point_cost(C.x, C.y, "dot"), a, b, 0.3),
                  problem(refot.point_cost(*np.ones((2, 400, 4))), a, np.full(400, 1 / 400), 0.3)):
        assert coarser_at_larger_eps(other) is None
    tiny = replace(p, eps=1e-5)  # a box holds one point
    assert coarser(tiny) is None
    assert coarser_at_larger_eps(tiny).fine.eps > 1e-3


@pytest.mark.parametrize("share", [3e-2, 3e-3, 1e-4])
@pytest.mark.parametrize("cost", ["sqeuclidean", "euclidean", "l1"])
def test_the_solution_is_the_same(monkeypatch, cost, share):
    C, a, b = clouds()
    C = refot.point_cost(C.x, C.y, cost)
    eps = share * C.dense().max()
    plain = refot.solve(C, a, b, eps, tol=1e-9, gauge="mean-zero", backend="numpy")
    monkeypatch.setattr(module, "LARGE", 150)
    monkeypatch.setattr(module, "WIDTHS", ((0.5, 2), (1.0, 1.5)))
    found = refot.solve(C, a, b, eps, tol=1e-9, gauge="mean-zero", backend="numpy")
    assert found.converged
    np.testing.assert_allclose(found.f, plain.f, atol=1e-4 * eps)


def test_weights_of_zero_and_far_points(small_is_large):
    """A third of the points without mass, among them all of one box; one point far from all."""
    C, a, b = clouds()
    x = C.x.copy()
    x[0] = 30.0
    a[100:230] = 0
    a /= a.sum()
    found = refot.solve(refot.point_cost(x, C.y), a, b, 0.5, tol=1e-10)
    plain = refot.solve(refot.point_cost(x, C.y).dense(), a, b, 0.5, tol=1e-10)
    assert found.converged
    assert found.value() == pytest.approx(plain.value(), rel=1e-12)


def test_a_start_may_be_anything_where_there_is_no_mass(small_is_large):
    C, a, b = clouds()
    b[:50] = 0
    b /= b.sum()
    g = refot.solve(C, a, b, 0.5).g.copy()
    g[:50] = 1e6
    found = refot.solve(C, a, b, 0.5, g=g)
    assert found.converged
    assert abs(found.g[:50]).max() < 100


def test_float32(small_is_large):
    C, a, b = clouds()
    single = refot.point_cost(C.x.astype(np.float32), C.y.astype(np.float32))
    found = refot.solve(single, a.astype(np.float32), b.astype(np.float32), 0.3)
    assert found.converged
    assert found.f.dtype == np.float32
    assert found.value() == pytest.approx(refot.solve(C, a, b, 0.3).value(), rel=1e-5)


def test_a_time_limit_holds_while_the_coarser_problem_is_solved(small_is_large):
    with pytest.warns(refot.ConvergenceWarning, match="time limit"):
        cut = refot.solve(*clouds(), 0.01, tol=1e-12, time_limit=1e-6)
    assert np.isfinite(cut.f).all()
