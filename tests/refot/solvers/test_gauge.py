"""The constant of the potentials on request, and a stated number of sweeps."""

from __future__ import annotations

import warnings
from collections.abc import Callable

import numpy as np
import pytest

import refot
from refot import InputError

RNG = np.random.default_rng(3)
A, B = RNG.dirichlet(np.ones(9)), RNG.dirichlet(np.ones(12))
C, EPS = RNG.random((9, 12)), 0.1

ZERO: dict[str, Callable[[refot.SinkhornResult], float]] = {
    "mean-zero": lambda found: found.f.mean(),
    "weighted-zero": lambda found: A @ found.f,
    "symmetric": lambda found: A @ found.f - B @ found.g,
    "last-zero": lambda found: found.g[-1],
}


@pytest.mark.parametrize("gauge", ZERO)
def test_the_gauge_is_what_it_says_and_changes_no_plan(gauge: str) -> None:
    free, found = refot.solve(C, A, B, EPS), refot.solve(C, A, B, EPS, gauge=gauge)
    assert abs(ZERO[gauge](found)) < 1e-15
    assert found.converged
    assert found.marginal_error <= found.tolerance
    np.testing.assert_allclose(found.plan(), free.plan(), rtol=1e-13)
    np.testing.assert_allclose(found.f[:, None] + found.g, free.f[:, None] + free.g, atol=1e-14)


def test_masses_of_another_total_have_a_gauge_where_both_are_exact() -> None:
    found = refot.solve(C, 3 * A, 3 * B, EPS, rho=np.inf, gauge="weighted-zero")
    assert abs(A @ found.f) < 1e-15


def test_a_gauge_that_rounds_the_potentials_away_says_so() -> None:
    """The last point has no mass and lies 1e12 off: no digit of the others' potentials is left."""
    far = np.hstack([C, np.full((9, 1), 1e14)])
    with pytest.warns(refot.ConvergenceWarning, match="in the gauge 'last-zero'"):
        found = refot.solve(far, A, np.append(B, 0.0), EPS, gauge="last-zero")
    assert not found.converged


def test_a_gauge_needs_a_name_and_a_free_constant() -> None:
    with pytest.raises(InputError, match=r"^gauge: 'zero'; allowed: one of last-zero, mean-zero"):
        refot.solve(C, A, B, EPS, gauge="zero")
    with pytest.raises(InputError, match=r"^gauge: 'mean-zero' beside rho"):
        refot.solve(C, A, B, EPS, rho=1.0, gauge="mean-zero")


@pytest.mark.parametrize("sweeps", [1, 2, 7])
def test_so_many_sweeps_are_run_and_no_more(sweeps: int) -> None:
    f, g = np.zeros(9), np.zeros(12)
    for _ in range(sweeps):
        f = refot.c_eps_transform(g, C, B, EPS)
        g = refot.c_eps_transform(f, C.T, A, EPS)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = refot.solve(C, A, B, EPS, iterations=sweeps)
    np.testing.assert_allclose(found.f, f, atol=1e-14)
    np.testing.assert_allclose(found.g, g, atol=1e-14)
    assert (found.iterations, found.stopped_by, found.converged) == (sweeps, "iterations", False)
    assert found.marginal_error == pytest.approx(
        refot.marginal_error(f, g, C, A, B, EPS), rel=1e-10)


def test_sweeps_that_reach_the_tolerance_are_told_and_go_on() -> None:
    found = refot.solve(C, A, B, EPS, iterations=500, certified=True)
    assert found.iterations == 500
    assert found.converged
    assert found.gap is not None
    assert found.gap.relative < 1e-9
    free = refot.solve(C, A, B, EPS, rho=1.0, iterations=4)
    assert free.iterations == 4
    assert not free.converged


def test_sweeps_are_those_of_sinkhorn_and_end_a_solve_alone() -> None:
    with pytest.raises(InputError, match=r"^iterations: given beside method 'newton'"):
        refot.solve(C, A, B, EPS, iterations=3, method="newton")
    for other in ({"gap": 0.1}, {"time_limit": 1.0}):
        with pytest.raises(InputError, match="beside iterations"):
            refot.solve(C, A, B, EPS, iterations=3, **other)
