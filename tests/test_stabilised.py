"""The absorbed kernel: its transforms are the backend's, wherever the potentials have gone."""

from __future__ import annotations

import itertools
from dataclasses import replace

import numpy as np
import pytest

import refot
from refot.problem import problem
from refot.solvers.overrelaxed import swept
from refot.solvers.schedule import cost_scale
from refot.solvers.stabilised import RANGES, SINGLE_ERROR, Kernel, by_series
from refot.sorted_cost import sorted_cost


def clouds(n=70, m=50, dtype=np.float64):
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(n, 2)).astype(dtype), rng.normal(size=(m, 2)).astype(dtype) + 1
    return refot.point_cost(x, y), np.full(n, 1 / n, dtype), np.full(m, 1 / m, dtype)


@pytest.mark.parametrize("backend", ["numpy", "numba"])
@pytest.mark.parametrize("kept", [np.float64, np.float32])
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("moved", [0.0, 1.0, 15.0, 300.0, 1e5])
def test_sweeps_are_those_of_the_backend(backend, kept, dtype, moved):
    """Potentials that moved by `moved` eps since they were absorbed, with and without a kernel, of
    either precision: its rounding is a share of a sum, eps 2^-24 of a potential."""
    p = problem(*clouds(dtype=dtype), 0.05, backend=backend)
    rng, kernel = np.random.default_rng(1), Kernel(p.C)
    g = np.zeros_like(p.b)
    next(kernel.iterates(p, g))
    kernel.dtype, kernel.K, kernel.absorbed = np.dtype(kept), None, False
    f = p.transform(g)
    kernel.sweep(f, g, 1.0)
    for w in (1.0, 1.7):
        f, g = (h + (moved * p.eps * rng.uniform(-1, 1, h.size)).astype(dtype) for h in (f, g))
        got, want = kernel.sweep(f, g, w), swept(p, f, g, w)
        size = sum(abs(h).max() for h in (want.f, want.transform, g)) + abs(p.C.dense()).max()
        near = float(8 * np.finfo(dtype).eps * size + 2.0**-22 * p.eps * (kept == np.float32))
        np.testing.assert_allclose(got.f, want.f, rtol=0, atol=near)
        np.testing.assert_allclose(got.transform, p.T.transform(got.f), rtol=0, atol=near)
        assert got.row_error == pytest.approx(want.row_error, rel=4 * near / p.eps,
                                              abs=near / p.eps)


@pytest.mark.parametrize("kept", [np.float64, np.float32])
def test_what_is_raised_in_the_kernel_never_counts(kept):
    """none e^far / least is far below a rounding, and no entry is below the normal floats, which
    make products slow."""
    allowed, floats = RANGES[np.dtype(kept).itemsize], np.finfo(kept)
    assert allowed.none * np.exp(allowed.far) / allowed.least <= np.finfo(np.float64).eps / 10
    assert allowed.none > floats.tiny
    p = replace(problem(*clouds(), 1e-3), eps=1e-3)
    kernel, g = Kernel(p.C), np.zeros_like(p.b)
    next(kernel.iterates(p, g))
    kernel.dtype, kernel.K = np.dtype(kept), None
    kernel.absorb(p.transform(g), g)
    assert kernel.K.dtype == kept
    assert 0.99 * allowed.none <= kernel.K.min() <= 1.01 * allowed.none


def test_the_kernel_is_refined_once_its_rounding_could_show():
    """Float32 until the error is SINGLE_ERROR, then float64, so that 1e-13 is reached."""
    p, kernel = problem(*clouds(), 0.5), Kernel(clouds()[0])
    kinds = []
    for _, _, error in itertools.islice(kernel.iterates(p, np.zeros_like(p.b)), 200):
        kinds.append((error <= SINGLE_ERROR, kernel.K.dtype))
        if error <= 1e-13:
            break
    assert error <= 1e-13
    above = [kind for fine, kind in kinds if not fine]
    assert set(above) == {np.dtype(np.float32)}
    assert kinds[-1][1] == np.float64


def test_a_kernel_too_large_for_float32_is_formed_in_float64():
    """A weight of 1e-45: K b = 1 with an entry beyond the largest float32."""
    C, a, b = clouds()
    b = b * (1 - 1e-45 * 50)
    b[3] = 1e-45
    p, kernel = problem(C, a, b / b.sum(), 5e-3), Kernel(C)
    next(itertools.islice(kernel.iterates(p, np.zeros_like(p.b)), 30, None))
    assert kernel.K.dtype == np.float64
    found = refot.solve(C, a, b / b.sum(), 5e-3, method="stabilised", tol=1e-9)
    assert found.converged


def test_points_in_order_sweep_by_groups_at_a_large_eps(monkeypatch):
    """Without a kernel there, and with one at a small eps or out of order: the same result."""
    C, a, b = clouds(300, 280)
    p = problem(C, a, b, 1.0, backend="numba")
    scale, formed = cost_scale(p), []
    absorb = Kernel.absorb
    monkeypatch.setattr(Kernel, "absorb", lambda self, f, g: formed.append(1) or absorb(self, f, g))
    ends = {}
    for name, cost in (("plain", C), ("in order", sorted_cost(C))):
        for part in (0.1, 0.01):
            q = replace(p, C=cost, eps=part * scale)
            formed.clear()
            g = next(g for _, g, error in Kernel(cost).iterates(q, np.zeros_like(b))
                     if error < 1e-10)
            ends[name, part] = g - g.mean()
            assert bool(formed) == (name == "plain" or part == 0.01) != by_series(q)
    for part in (0.1, 0.01):
        np.testing.assert_allclose(ends["plain", part], ends["in order", part], atol=1e-7)


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
    np.testing.assert_allclose(f_next, want, rtol=0, atol=2.0**-22 * quarter.eps)
