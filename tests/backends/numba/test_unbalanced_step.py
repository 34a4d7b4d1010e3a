"""The compiled iteration of unbalanced transport: the readable one, and where it must refuse."""

from __future__ import annotations

import math

import numpy as np
import pytest
from numpy.testing import assert_allclose

import refot
from refot.solvers.unbalanced.overrelaxed import IN_ONE_CALL, FreeKernel
from refot.unbalanced_problem import unbalanced_problem

ROUNDING = 400 * 2.0**-53
"""Costs are up to 4, and a transform is right to some roundings of that; 100 are allowed. Later
iterations forget the errors of earlier ones."""


def problem(rho, n=31, m=22, eps=0.05):
    rng = np.random.default_rng(0)
    a, b = rng.random(n), 2 * rng.random(m)
    a[3] = b[5] = 0
    return unbalanced_problem(4 * rng.random((n, m)), a, b, eps, rho, backend="numba")


@pytest.mark.parametrize("rho", [0.3, 1e6, (math.inf, 0.3), (0.2, math.inf), (0.01, 50.0)])
def test_the_compiled_step_is_the_readable_one(rho):
    """30 iterations, relaxed ones among them, and masses of 0 on both sides."""
    p = problem(rho)
    compiled, readable = FreeKernel(p), FreeKernel(p)
    assert compiled.compiled is not None
    readable.compiled = None
    g, w = np.zeros(22), 1.0
    f = None
    with np.errstate(all="ignore"):
        for l in range(30):
            one, other = compiled.sweep(f, g, w), readable.sweep(f, g, w)
            assert_allclose(one.f, other.f, rtol=0, atol=ROUNDING)
            assert_allclose(one.next_g, other.next_g, rtol=0, atol=ROUNDING)
            assert one.level == pytest.approx(other.level, rel=1e-13, abs=ROUNDING)
            assert one.residual == pytest.approx(other.residual, abs=ROUNDING / p.eps, rel=1e-9)
            f, g, w = one.f, one.next_g, 1.0 + 0.02 * l
    assert one.residual < 1e-2


def test_a_step_that_would_lower_the_dual_is_not_relaxed():
    """From far below w = 1.9 would end far above: the step is the plain one, to the last digit."""
    p = problem(0.3)
    kernel = FreeKernel(p)
    first = kernel.sweep(None, np.zeros(22), 1.0)
    far = first.f - 4 * abs(np.cos(np.arange(31)))
    plain, relaxed = kernel.sweep(far, first.next_g, 1.0), kernel.sweep(far, first.next_g, 1.9)
    assert (plain.f == relaxed.f).all()
    near = kernel.sweep(first.f, first.next_g, 1.1)
    assert (near.f != kernel.sweep(first.f, first.next_g, 1.0).f).any()


def test_floats_that_cannot_tell_are_refused():
    """A sum that is infinite, or no more than the noise of raised entries: the kernel is formed
    anew, and the step is still right."""
    p = problem(0.3)
    kernel = FreeKernel(p)
    first = kernel.sweep(None, np.zeros(22), 1.0)
    for away in (50.0, -50.0):  # 1,000 eps
        kernel.f0 = first.f + away
        kernel.K *= 0.0 if away > 0 else math.inf
        assert kernel._in_one_call(p.backend, first.f, first.next_g, 1.0) is None
        assert kernel.sweep(first.f, first.next_g, 1.0).residual < first.residual


def test_large_and_single_problems_are_not_compiled():
    C, eps = np.zeros((1100, 1000)), 1.0
    assert C.size > IN_ONE_CALL
    assert FreeKernel(unbalanced_problem(C, None, None, eps, 1.0, backend="numba")).compiled is None
    small = C[:3, :3].astype(np.float32)
    assert FreeKernel(unbalanced_problem(small, None, None, eps, 1.0,
                                         backend="numba")).compiled is None
    assert FreeKernel(unbalanced_problem(C[:3, :3], None, None, eps, 1.0,
                                         backend="numpy")).compiled is None


@pytest.mark.parametrize("masses", [1.0, 1e-3, 1e3])
@pytest.mark.parametrize("share", [1e-1, 1e-4])
def test_a_quick_problem_needs_no_schedule(masses, share):
    """At rho = eps an iteration takes errors down by 4: 9 digits, from any start, in some 20."""
    rng = np.random.default_rng(1)
    C = ((rng.normal(size=(30, 1, 2)) - rng.normal(size=(20, 2)) - 1) ** 2).sum(-1)
    eps = share * C.max()
    found = refot.solve(C, None, np.full(20, masses / 20), eps, rho=eps, backend="numba",
                        certified=True)
    assert found.converged
    assert all(error < np.inf for error in found.errors)  # each is of this eps
    assert found.iterations < 30
    assert found.gap.relative < 1e-9


@pytest.mark.parametrize(("rho", "share"), [(1.0, 1e-1), (1e4, 1e-3), ((1e2, math.inf), 1e-4)])
def test_auto_ends_hard_small_problems_by_newton(rho, share):
    """Where sweeps are slow Newton's method takes over, and ends within its few iterations."""
    rng = np.random.default_rng(1)
    x, y = rng.normal(size=(40, 2)), rng.normal(size=(36, 2)) + 1
    C = ((x[:, None] - y) ** 2).sum(-1)
    eps = share * C.max()
    b = np.full(36, 1.0 / 36 if isinstance(rho, tuple) else 1.3 / 36)
    found = refot.solve(C, None, b, eps, rho=np.multiply(rho, eps), backend="numba", certified=True)
    assert found.converged
    assert found.gap.relative < 1e-9
    assert found.iterations < 150
