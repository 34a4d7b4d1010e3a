"""Checks that mutants of the equations asked for: each of these mistakes was noticed by no test."""

from __future__ import annotations

import math

import numpy as np
import pytest

import refot
from refot.arrays import ShapeError
from refot.divergences import first_order_tolerance
from refot.problem import problem
from refot.solvers.scaling import ScalingWarning


def test_u_alone_may_leave_the_range_and_is_told() -> None:
    """exp(-730) is a subnormal number: u = 1 / K overflows, and v = 1 / u = 0 is finite."""
    with pytest.warns(ScalingWarning, match="step 1"):
        u, v = refot.sinkhorn_scaling([[730.0]], [1.0], [1.0], 1.0, 1)
    assert math.isinf(u[0])
    assert v[0] == 0


def test_every_error_of_the_symmetric_iteration_is_that_of_its_iterate() -> None:
    """Also those that end nothing: they are what a reader plots."""
    rng = np.random.default_rng(0)
    x, a = rng.normal(size=(5, 2)), rng.dirichlet(np.ones(5))
    C, f = refot.point_cost(x, x).dense(), np.zeros(5)
    with pytest.warns(refot.ConvergenceWarning):
        found = refot.sinkhorn_symmetric(C, a, 0.5, max_iter=3)
    for error in found.errors:
        assert error == pytest.approx(refot.marginal_error(f, f, C, a, a, 0.5), rel=1e-12, abs=0)
        f = (f + refot.c_eps_transform(f, C, a, 0.5)) / 2


@pytest.mark.parametrize("cost", ["sqeuclidean", "euclidean", "l1"])
def test_the_first_order_tolerance_is_its_formula(cost: str) -> None:
    """u (16 max|C| / eps + 64 sqrt(n + m)); of points max|C| is that between the boxes around
    x and around y."""
    rng = np.random.default_rng(1)
    x, y, eps = rng.normal(size=(4, 3)), rng.normal(size=(6, 3)) + 1, 0.25
    farthest = np.maximum(x.max(axis=0) - y.min(axis=0), y.max(axis=0) - x.min(axis=0))[None]
    C = refot.point_cost(x, y, cost)
    largest = {"box": float(refot.point_cost(0 * farthest, farthest, cost).dense()[0, 0]),
               "matrix": float(C.dense().max())}
    assert largest["box"] >= largest["matrix"]
    a, b = np.full(4, 1 / 4), np.full(6, 1 / 6)
    for kind, operand in (("box", C), ("matrix", C.dense())):
        expected = 2.0**-53 * (16 * largest[kind] / eps + 64 * math.sqrt(10))
        assert first_order_tolerance(problem(operand, a, b, eps)) == pytest.approx(
            expected, rel=1e-12, abs=0)


def test_points_of_two_dimensions_are_refused() -> None:
    with pytest.raises(ShapeError, match="y: dimension 3; allowed: dimension 2, that of x"):
        refot.point_cost(np.zeros((4, 2)), np.zeros((4, 3)))
