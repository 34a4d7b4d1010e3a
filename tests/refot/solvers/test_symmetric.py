"""The symmetric iteration with a kernel in memory: the same steps, and the same answers."""

from __future__ import annotations

from itertools import islice

import numpy as np
import pytest

import refot
from refot.problem import Problem, problem
from refot.solvers.symmetric import SymmetricKernel, fastest_iterates, symmetric_iterates

STEPS = 6


def self_problem(relative_eps: float, backend: str = "numpy", light: float = 1.0) -> Problem:
    """Forty points in the plane with random weights, one of them of weight `light` times as much;
    eps as a part of the largest cost."""
    rng = np.random.default_rng(0)
    x, a = rng.normal(size=(40, 2)), rng.dirichlet(np.ones(40))
    a[0] *= light
    C = refot.point_cost(x, x)
    return problem(C, a / a.sum(), a / a.sum(), relative_eps * C.dense().max(), backend)


@pytest.mark.parametrize("relative_eps", [1.0, 0.1, 0.01])
@pytest.mark.parametrize(("dtype", "unit"), [(np.float64, 2.0**-53), (np.float32, 2.0**-24)])
def test_products_make_the_steps_that_transforms_make(
    relative_eps: float, dtype: type, unit: float
) -> None:
    """An entry of K is off by the rounding of its exponent, at most 3 max C / eps in size, and by
    its own; a step hands on at most 3 times the difference so far, and adds its own."""
    p = self_problem(relative_eps)
    f = np.zeros_like(p.a)
    ways = SymmetricKernel(p, dtype).iterates(p, f), symmetric_iterates(p, f)
    exponent = 2.0**-53 * 3 / relative_eps
    for k, ((one, _, _), (other, _, _)) in enumerate(zip(*(islice(way, STEPS) for way in ways),
                                                          strict=True)):
        assert abs(one - other).max() <= 3**k * p.eps * (4 * unit + 8 * exponent)


@pytest.mark.parametrize("relative_eps", [0.1, 1e-3, 1e-5])
@pytest.mark.parametrize("light", [1.0, 0.0])
def test_the_answers_are_those_of_transforms(
    backend: str, relative_eps: float, light: float
) -> None:
    """Down to an eps at which exp(-C / eps) underflows, and with an atom of weight 0."""
    p = self_problem(relative_eps, backend, light)
    found = refot.sinkhorn_symmetric(p.C, p.a, p.eps, tol=1e-11, backend=backend)
    assert found.converged
    with refot.use_backend(backend):
        by_transforms = list(islice(symmetric_iterates(p, np.zeros_like(p.a)), 200))[-1][0]
    # an error of the row sums by 1e-11 is one of f by at most eps 1e-11 / min a, times 1 / (1 + 0)
    least = p.a[p.a > 0].min()
    assert abs(found.f - by_transforms).max() <= 4 * p.eps * 1e-11 / least


def test_without_room_for_two_matrices_it_transforms(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REFOT_MEMORY", "1K")
    p = self_problem(0.1)
    one, other = (next(islice(way, 3, 4))[0] for way in (
        fastest_iterates(p, np.zeros_like(p.a)), symmetric_iterates(p, np.zeros_like(p.a))))
    np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("factor", [100.0, 1e200])
def test_a_start_of_no_use_is_replaced(factor: float) -> None:
    """Both ways of solving take it for what it is, and answer what they answer without a start."""
    p = self_problem(0.1)
    bad = factor * np.random.default_rng(1).normal(size=40)
    for start in (bad, np.full(40, factor)):
        for solve in (refot.sinkhorn_symmetric, lambda C, a, eps, f: refot.solve(
                C, a, a, eps, g=f, method="stabilised")):
            found = solve(p.C, p.a, p.eps, f=start)
            assert found.converged
            assert abs(found.f + found.g - solve(p.C, p.a, p.eps, f=0 * start).f
                       - solve(p.C, p.a, p.eps, f=0 * start).g).max() <= 1e-6 * p.eps
