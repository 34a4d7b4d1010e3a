"""The absorbed kernel: its transforms are the backend's, wherever the potentials have gone."""

from __future__ import annotations

import itertools
from dataclasses import replace

import numpy as np
import pytest

import refot
from refot.problem import problem
from refot.solvers import auto
from refot.solvers.stabilised import AFTER, RANGES, Kernel


def clouds(n=70, m=50, dtype=np.float64):
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(n, 2)).astype(dtype), rng.normal(size=(m, 2)).astype(dtype) + 1
    return refot.point_cost(x, y), np.full(n, 1 / n, dtype), np.full(m, 1 / m, dtype)


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("moved", [0.0, 1.0, 30.0, 300.0, 1e5])
def test_transforms_are_those_of_the_backend(dtype, moved):
    """Potentials that moved by `moved` eps since they were absorbed, with and without a kernel."""
    p = problem(*clouds(dtype=dtype), 0.05)
    rng, kernel = np.random.default_rng(1), Kernel(p.C)
    kernel.p, kernel.left = p, 0
    g = np.zeros_like(p.b)
    kernel.absorb(p.transform(g), g)
    for _ in range(2):
        g = g + (moved * p.eps * rng.uniform(-1, 1, g.size)).astype(dtype)
        f = kernel.rows(g, None)
        want = p.transform(g)
        size = abs(want).max() + abs(g).max() + abs(p.C.dense()).max()
        np.testing.assert_allclose(f, want, rtol=0, atol=8 * np.finfo(dtype).eps * size)
        np.testing.assert_allclose(kernel.columns(want, None), p.T.transform(want), rtol=0,
                                   atol=8 * np.finfo(dtype).eps * size)


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_what_is_raised_in_the_kernel_never_counts(dtype):
    """m none e^far / least is far below a rounding, for as many columns as fit a computer; and no
    entry is below the normal floats, which make products slow."""
    allowed, floats = RANGES[np.dtype(dtype).itemsize], np.finfo(dtype)
    columns = 1e9 if dtype is np.float64 else 1e4
    assert columns * allowed.none * np.exp(allowed.far) / allowed.least <= floats.eps
    p = replace(problem(*clouds(dtype=dtype), 1e-3), eps=1e-3)
    kernel = Kernel(p.C)
    next(kernel.iterates(p, np.zeros_like(p.b)))
    assert kernel.K.dtype == dtype
    assert 0.99 * allowed.none <= kernel.K.min() <= 1.01 * allowed.none
    assert allowed.none * np.exp(-allowed.far) * 1e-4 > floats.tiny  # times a weight of 1e-4


def test_a_kernel_is_formed_only_where_many_iterations_are_needed(monkeypatch):
    """Points on a compiled backend: few sweeps stream, many form a kernel, with the same result."""
    C, a, b = clouds(300, 280)
    formed = []
    absorb = Kernel.absorb
    monkeypatch.setattr(Kernel, "absorb", lambda self, f, g: formed.append(1) or absorb(self, f, g))
    easy = refot.solve(C, a, b, 50.0, tol=1e-6, backend="numba")
    assert 2 * easy.iterations < AFTER
    assert not formed
    hard = refot.solve(C, a, b, 0.1, tol=1e-8, backend="numba")
    assert formed
    monkeypatch.setitem(auto.__globals__, "MANY", 0)  # too many costs for a kernel: all streamed
    formed.clear()
    streamed = refot.solve(C, a, b, 0.1, tol=1e-8, backend="numba")
    assert not formed
    shift = hard.f.mean() - streamed.f.mean()
    np.testing.assert_allclose(hard.f - shift, streamed.f, atol=1e-6)


def test_potentials_of_one_stage_serve_the_next():
    """At a quarter of eps the kernel starts from the potentials it has: no softmin is needed."""
    p = problem(*clouds(), 0.4)
    kernel = Kernel(p.C)
    (_, g, _) = next(itertools.islice(kernel.iterates(p, np.zeros_like(p.b)), 3, None))

    class Silent(type(p.backend)):
        def softmin(self, *_):
            raise AssertionError("not needed")

    quarter = replace(p, eps=0.1, backend=Silent())
    f_next, _, _ = next(kernel.iterates(quarter, g))
    want = replace(p, eps=0.1).transform(g)
    np.testing.assert_allclose(f_next, want, atol=1e-12)
