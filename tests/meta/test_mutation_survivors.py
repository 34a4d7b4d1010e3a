"""Checks that mutants of the equations asked for: each of these mistakes was noticed by no test."""

from __future__ import annotations

import math

import numpy as np
import pytest

import refot
from refot.arrays import ShapeError
from refot.problem import problem
from refot.solvers.answers.solutions import first_order_tolerance
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
        found = refot.sinkhorn_symmetric(C, a, 0.5, max_iter=4)
    step, momentum, before = 0.5, 0.0, f
    for error in found.errors:
        assert error == pytest.approx(refot.marginal_error(f, f, C, a, a, 0.5), rel=1e-12, abs=0)
        moved = f + step * (refot.c_eps_transform(f, C, a, 0.5) - f) + momentum * (f - before)
        # the mean first; then the heavy ball, for which that mean is where it starts from
        before, momentum = (moved, 0.0294372515228594) if step == 0.5 else (f, momentum)
        f, step = moved, 0.6862915010152397


def test_the_first_order_tolerance_is_its_formula() -> None:
    """u (16 (a.|f| + b.|g|) / eps + 64 sqrt(n + m)), and never above 1e-6."""
    rng = np.random.default_rng(1)
    f, g, eps = rng.normal(size=4), rng.normal(size=6), 0.25
    a, b = np.append(rng.dirichlet(np.ones(3)), 0), rng.dirichlet(np.ones(6))
    f[3] = 1e30  # of a point without mass
    p = problem(np.ones((4, 6)), a, b, eps)
    carried = sum(w * abs(t) for w, t in [*zip(a[:3], f[:3], strict=True),
                                          *zip(b, g, strict=True)])
    assert first_order_tolerance(p, f, g) == pytest.approx(
        2.0**-53 * (16 * carried / eps + 64 * math.sqrt(10)), rel=1e-12, abs=0)
    assert first_order_tolerance(p, 1e12 * f, g) == 1e-6
    single = problem(np.ones((4, 6), np.float32), a, b, eps)
    assert first_order_tolerance(single, f, g) == 1e-5


def test_points_of_two_dimensions_are_refused() -> None:
    with pytest.raises(ShapeError, match="y: dimension 3; allowed: dimension 2, that of x"):
        refot.point_cost(np.zeros((4, 2)), np.zeros((4, 3)))
