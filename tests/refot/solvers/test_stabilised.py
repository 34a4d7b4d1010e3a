"""The absorbed kernel: its transforms are the backend's, wherever the potentials have gone."""

from __future__ import annotations

import itertools
import sys
import weakref
from dataclasses import replace
from functools import partial

import numpy as np
import pytest

import refot
from refot.backends.numba.groups.ordered import sorted_cost
from refot.problem import problem
from refot.solvers.newton_cg import newton_cg_iterates
from refot.solvers.overrelaxed import overrelaxed_iterates, swept
from refot.solvers.schedule import annealed, cost_scale
from refot.solvers.stabilised import (
    FLOAT32_ERROR,
    FLOAT32_FAILURES,
    LEAST_ENTRY,
    Kernel,
    by_softmin,
)

auto = sys.modules["refot.solvers.auto"]  # the module; the package has the function of its name


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
    rng, kernel = np.random.default_rng(1), Kernel(p, kept)
    g = np.zeros_like(p.b)
    for _ in range(30):  # else no float32 tells the sums of the columns
        f = p.transform(g)
        g = p.T.transform(f)
    kernel.sweep(f, g, 1.0)
    assert kernel.absorbed
    for w in (1.0, 1.7):
        f, g = (h + (moved * p.eps * rng.uniform(-1, 1, h.size)).astype(dtype) for h in (f, g))
        got, want = kernel.sweep(f, g, w), swept(p, f, g, w)
        size = sum(abs(h).max() for h in (want.f, want.transform, g)) + abs(p.C.dense()).max()
        near = float(8 * np.finfo(dtype).eps * size + 2.0**-22 * p.eps * (kept == np.float32))
        np.testing.assert_allclose(got.f, want.f, rtol=0, atol=near)
        np.testing.assert_allclose(got.transform, p.T.transform(got.f), rtol=0, atol=near)
        assert got.row_error == pytest.approx(want.row_error, rel=4 * near / p.eps,
                                              abs=near / p.eps)
        assert kernel.absorbed or moved > 1  # the kernel's, and no softmin's


@pytest.mark.parametrize("kept", [np.float64, np.float32])
def test_what_is_raised_in_the_kernel_never_counts(kept):
    """No entry is below the normal floats, which make products slow; and a sweep in which those
    raised would be seen is not taken from the kernel."""
    p = problem(*clouds(), 1e-3)
    kernel, g = Kernel(p, kept), np.zeros_like(p.b)
    none = LEAST_ENTRY[np.dtype(kept).itemsize]
    assert none > np.finfo(kept).tiny
    kernel.absorb(p.transform(g), g)
    assert kernel.K.dtype == kept
    assert 0.99 * none <= kernel.K.min() <= 1.01 * none
    assert kernel._reliable(np.array([1.0]), p.b)
    assert not kernel._reliable(np.array([1.0, none]), p.b)
    assert not kernel._reliable(np.array([1.0, np.inf]), p.b)
    assert not kernel._reliable(np.array([1.0, np.nan]), p.b)


def test_the_kernel_is_refined_once_its_rounding_could_show():
    """Float32 until the error is FLOAT32_ERROR, then float64, so that 1e-13 is reached."""
    p = problem(*clouds(), 0.5)
    kernel, kinds = Kernel(p), []
    for _, _, error in itertools.islice(kernel.iterates(p, np.zeros_like(p.b)), 200):
        kinds.append((error <= FLOAT32_ERROR, kernel.K.dtype))
        if error <= 1e-13:
            break
    assert error <= 1e-13
    above = [kind for fine, kind in kinds if not fine]
    assert set(above) == {np.dtype(np.float32)}
    assert kinds[-1][1] == np.float64


def test_a_weight_of_zero_has_a_kernel_of_the_problem_s_precision_at_once():
    C, a, b = clouds()
    b[3] = 0
    assert Kernel(problem(C, a, b / b.sum(), 0.5)).dtype == np.float64
    assert Kernel(problem(C, a, clouds()[2], 0.5)).dtype == np.float32


def test_float32_is_given_up_where_it_is_of_no_use_again_and_again(monkeypatch):
    """Then the kernel is in float64; what is returned meanwhile comes from the backend."""
    p = problem(*clouds(), 0.5)
    kernel, g = Kernel(p), np.zeros_like(p.b)
    monkeypatch.setattr(Kernel, "_swept", lambda *_: None)
    for failures in range(1, FLOAT32_FAILURES + 1):
        assert kernel.dtype == np.float32
        found, want = kernel.sweep(None, g, 1.0), swept(p, None, g, 1.0)
        np.testing.assert_array_equal(found.transform, want.transform)
        assert kernel.failures == failures
    assert kernel.dtype == np.float64
    monkeypatch.undo()
    kernel.sweep(None, g, 1.0)
    assert (kernel.absorbed, kernel.failures, kernel.K.dtype) == (True, 0, np.float64)


def test_a_tiny_weight_is_no_harm():
    C, a, b = clouds()
    b[3] = 1e-45
    found = refot.solve(C, a, b / b.sum(), 5e-3, method="stabilised", tol=1e-9)
    assert found.converged


def test_potentials_that_moved_far_do_not_end_float32():
    """1,000 eps away from what was absorbed: absorbed anew, in the same precision."""
    p = problem(*clouds(), 0.5)
    kernel, g = Kernel(p), np.zeros_like(p.b)
    f = p.transform(g)
    kernel.sweep(f, g, 1.0)
    kernel.sweep(f + 1000 * p.eps, g - 1000 * p.eps, 1.0)
    assert (kernel.absorbed, kernel.failures, kernel.dtype) == (True, 0, np.float32)
    assert kernel.g0[0] == -1000 * p.eps


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
            g = next(g for _, g, error in Kernel(q).iterates(q, np.zeros_like(b))
                     if error < 1e-10)
            ends[name, part] = g - g.mean()
            assert bool(formed) == (name == "plain" or part == 0.01) != by_softmin(q)
    for part in (0.1, 0.01):
        np.testing.assert_allclose(ends["plain", part], ends["in order", part], atol=1e-7)


def test_potentials_of_one_stage_serve_the_next():
    """At a quarter of eps the kernel starts from the potentials it has: no softmin is needed."""
    p = problem(*clouds(), 0.4)
    kernel = Kernel(p)
    (_, g, _) = next(itertools.islice(kernel.iterates(p, np.zeros_like(p.b)), 3, None))

    class Silent(type(p.backend)):
        def softmin(self, *_):
            raise AssertionError("not needed")

    quarter = replace(p, eps=0.1, backend=Silent())
    f_next, _, _ = next(kernel.iterates(quarter, g))
    want = replace(p, eps=0.1).transform(g)
    np.testing.assert_allclose(f_next, want, rtol=0, atol=2.0**-22 * quarter.eps)


# ------------------------------------------------------------------ who takes over, and when
def test_a_stage_that_sweeps_do_not_finish_goes_on_by_newton_and_so_do_all_below(monkeypatch):
    """With `only`, at that eps alone."""
    p = problem(*clouds(), 1e-3, backend="numba")
    turned = []
    monkeypatch.setattr(auto, "newton_cg_iterates",
                        lambda p, g: turned.append(p.eps) or newton_cg_iterates(p, g))
    for only in (None, p.eps):
        turned.clear()
        later = partial(auto.newton_and, overrelaxed_iterates)
        watched = auto.UntilSlow(overrelaxed_iterates, 0.9, later, only)
        eps = []
        for _, _, error in annealed(p, np.zeros_like(p.b), watched.iterates):
            if error < 1e-8:
                break
        eps = sorted(set(turned), reverse=True)
        assert eps[-1] == p.eps
        assert (len(eps) > 1) == (only is None)
        assert turned == sorted(turned, reverse=True)


def test_a_kernel_is_gone_once_newton_has_taken_over():
    """At eps = 1e-4 of the cost, 300 points: no K is alive when the answer is there."""
    rng = np.random.default_rng(5)
    C = refot.point_cost(rng.normal(size=(300, 2)), rng.normal(size=(300, 2)) + 1)
    a = np.full(300, 1 / 300)
    p = problem(C, a, a, 1e-4 * C.dense().max(), backend="numba")
    matrices = []
    empty, xp = np.empty, p.backend.xp

    def noted(shape, *args, **kwargs):
        out = empty(shape, *args, **kwargs)
        if isinstance(shape, tuple) and shape == (300, 300):
            matrices.append(weakref.ref(out))
        return out

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(xp, "empty", noted)
        iterates = auto.auto(p, np.zeros_like(a))
        for _, _, error in iterates:
            if error < 1e-7:
                break
        assert matrices
        assert not [ref for ref in matrices if ref() is not None]
        assert error < 1e-7
