"""`path`: proved values of F along eps, from warm starts."""

from __future__ import annotations

import numpy as np
import pytest

import refot
from refot.limits.eps_path import along, geometric


def clouds(n=40, m=30):
    rng = np.random.default_rng(5)
    return refot.point_cost(rng.normal(size=(n, 2)), rng.normal(size=(m, 2)) + 1), None, None


def test_each_interval_holds_the_value_and_F_rises_with_eps(backend):
    problem = clouds()
    found = refot.path(*problem, 4.0, 0.1, gap=1e-5, backend=backend)
    assert found.converged
    assert found.eps.tolist() == [4.0, 2.0, 1.0, 0.5, 0.25, 0.125, 0.1]
    values = [refot.entropic_value(*problem, eps, tol=1e-12, backend=backend) for eps in found.eps]
    assert (found.lower <= values).all()
    assert (found.upper >= values).all()
    assert (found.upper - found.lower <= 1e-5 * found.lower).all()
    assert (np.diff(values) < 0).all()


def test_warm_starts_save_iterations():
    problem = clouds(300, 280)  # above the size up to which Newton's method takes any start alike
    found = refot.path(*problem, 4.0, 0.05, backend="numba")
    last = refot.solve(*problem, 0.05, gap=1e-4, backend="numba")
    assert found.results[-1].iterations < last.iterations


def test_a_start_lies_on_the_line_through_the_last_two():
    C = np.array([[0.0, 1.0], [2.0, 0.0]])
    one, two = (refot.solve(C, None, None, eps) for eps in (2.0, 1.0))
    assert along([], 1.0) is None
    assert (along([one], 1.0) == one.g).all()
    np.testing.assert_allclose(along([one, two], 0.5), 1.5 * two.g - 0.5 * one.g)
    np.testing.assert_allclose(along([one, two], 1.0), two.g)


def test_the_path_ends_where_its_time_does():
    with pytest.warns(refot.ConvergenceWarning, match="time limit"):
        cut = refot.path(*clouds(), 1.0, 1e-3, gap=1e-12, time_limit=1e-6)
    assert not cut.converged
    assert len(cut.eps) == len(cut.lower) == len(cut.results) == 1
    assert cut.lower[0] <= refot.entropic_value(*clouds(), 1.0) <= cut.upper[0]


def test_eps_falls():
    assert geometric(8.0, 1.0, 2.0) == [8.0, 4.0, 2.0, 1.0]
    assert geometric(1.0, 1.0, 2.0) == [1.0]
    for bad, name in (((0.5, 1.0, 2.0), "eps_from"), ((1.0, 0.5, 1.0), "factor")):
        with pytest.raises(refot.InputError, match=f"^{name}: "):
            refot.path(*clouds(), *bad[:2], factor=bad[2])
