"""Optimisers: their formulas step by step, state and restoring, memory; clipping."""

from __future__ import annotations

import math
import tracemalloc

import numpy as np
import pytest
from network_checks import assert_near

from refot.arrays import InputError, ShapeError, TypeInputError, UnknownNameError
from refot.networks import SGD, Adam, RMSProp, clip_weights

MAKERS = [
    lambda: SGD(0.1),
    lambda: SGD(0.1, weight_decay=0.01),
    lambda: RMSProp(0.01, alpha=0.9, eps=1e-8),
    lambda: RMSProp(0.01, weight_decay=0.1),
    lambda: Adam(0.01),
    lambda: Adam(0.01, beta1=0.0, beta2=0.9, weight_decay=0.1),
]
optimisers = pytest.mark.parametrize("make", MAKERS)


def weights(seed=0, dtype=np.float64):
    rng = np.random.default_rng(seed)
    return {"0.W": rng.normal(size=(3, 4)).astype(dtype), "0.b": rng.normal(size=4).astype(dtype)}


def copies(arrays):
    return {name: array.copy() for name, array in arrays.items()}


def written_out(opt, w, gradients):
    """The weights after each step, from the formulas of the docstrings with fresh arrays."""
    m = v = 0
    for t, g in enumerate(gradients, 1):
        g = g + opt.weight_decay * w
        if isinstance(opt, SGD):
            w = w - opt.lr * g
        elif isinstance(opt, RMSProp):
            v = opt.alpha * v + (1 - opt.alpha) * g**2
            w = w - opt.lr * g / (np.sqrt(v) + opt.eps)
        else:
            m = opt.beta1 * m + (1 - opt.beta1) * g
            v = opt.beta2 * v + (1 - opt.beta2) * g**2
            root = np.sqrt(v / (1 - opt.beta2**t))
            w = w - opt.lr * (m / (1 - opt.beta1**t)) / (root + opt.eps)
        yield w


@optimisers
def test_steps_are_the_formulas(make):
    opt, w = make(), weights()
    gradients = [weights(seed) for seed in range(1, 6)]
    expected = {name: written_out(opt, w[name].copy(), [g[name] for g in gradients]) for name in w}
    for g in gradients:
        given = copies(g)
        opt.step(w, g)
        assert_near(w, {name: next(steps) for name, steps in expected.items()}, 1e-14)
        assert_near(g, given, 0)  # the gradients are left as they are


@optimisers
def test_only_the_names_with_gradients_move_and_each_counts_its_own_steps(make):
    opt, w = make(), weights()
    b, later = w["0.b"].copy(), weights(2)["0.b"]
    for seed in range(3):
        opt.step(w, {"0.W": weights(seed)["0.W"]})
    np.testing.assert_array_equal(w["0.b"], b)
    opt.step(w, {"0.b": later})
    fresh = {"0.b": b}
    make().step(fresh, {"0.b": later})
    np.testing.assert_array_equal(w["0.b"], fresh["0.b"])


@optimisers
def test_a_restored_optimiser_goes_on_bit_for_bit(make):
    w, opt = weights(dtype=np.float32), make()
    for seed in range(4):
        opt.step(w, weights(seed, np.float32))
    state, branch = opt.state(), copies(w)
    opt.step(w, weights(9, np.float32))
    again = make()
    again.restore(state)
    again.step(branch, weights(9, np.float32))
    assert_near(branch, w, 0)
    assert_near(again.state(), opt.state(), 0)


def test_state_is_a_copy():
    opt, w = Adam(0.1), weights()
    opt.step(w, weights(1))
    state = opt.state()
    kept = copies(state)
    opt.step(w, weights(2))
    assert_near(state, kept, 0)


@optimisers
def test_float32_stays_float32(make):
    opt, w = make(), weights(dtype=np.float32)
    opt.step(w, weights(1, np.float32))
    arrays = {**w, **{key: a for key, a in opt.state().items() if not key.startswith("t/")}}
    assert {array.dtype for array in arrays.values()} == {np.dtype(np.float32)}


@optimisers
def test_steps_allocate_only_blocks_once_the_state_is_there(make):
    """Neither growth over the steps nor a temporary of the weight's size within one.

    The median of the steps counts: other threads of the process allocate during a few of them. The
    interpreter keeps some hundred bytes of its own; a growth would be of arrays, at least a block.
    """
    opt = make()
    w, g = {"W": np.ones((4096, 256))}, {"W": np.full((4096, 256), 0.5)}
    opt.step(w, g)
    growths, peaks = [], []
    tracemalloc.start()
    for _ in range(20):
        tracemalloc.reset_peak()
        before = tracemalloc.get_traced_memory()[0]
        opt.step(w, g)
        after, peak = tracemalloc.get_traced_memory()
        growths.append(after - before)
        peaks.append(peak - before)
    tracemalloc.stop()
    assert np.median(growths) < 1_000
    assert np.median(peaks) < w["W"].nbytes / 8


# ------------------------------------------------------------------ refusals
def test_what_does_not_fit_moves_nothing():
    opt, w = Adam(0.1), weights()
    kept = copies(w)
    with pytest.raises(UnknownNameError, match=r"1\.W"):
        opt.step(w, {"0.W": w["0.W"], "1.W": w["0.W"]})
    with pytest.raises(ShapeError, match=r"0\.b"):
        opt.step(w, {"0.W": w["0.W"], "0.b": np.zeros((1, 4))})
    assert_near(w, kept, 0)


def test_a_state_of_something_else_is_refused():
    opt = Adam(0.1)
    opt.step(w := weights(), weights(1))
    with pytest.raises(UnknownNameError, match="keys of RMSProp"):
        RMSProp(0.1).restore(opt.state())
    other = Adam(0.1)
    other.restore(opt.state())
    with pytest.raises(ShapeError, match="those of its weight"):
        other.step({"0.W": w["0.W"].T}, {"0.W": w["0.W"].T})


@pytest.mark.parametrize("bad", [
    lambda: SGD(0.0), lambda: SGD(math.nan), lambda: SGD(0.1, weight_decay=-1),
    lambda: Adam(0.1, beta1=1.0), lambda: Adam(0.1, beta2=-0.1), lambda: Adam(0.1, eps=0.0),
    lambda: RMSProp(0.1, alpha=1.5), lambda: clip_weights(weights(), 0.0)])
def test_rates_out_of_range_are_refused(bad):
    with pytest.raises(InputError):
        bad()
    with pytest.raises(TypeInputError):
        SGD("fast")


@optimisers
def test_blocks_change_no_bit(make, monkeypatch):
    whole, parted = {"W": weights(2)["0.W"].copy()}, {"W": weights(2)["0.W"].copy()}
    g = {"W": weights(3)["0.W"]}
    one, other = make(), make()
    for _ in range(3):
        one.step(whole, g)
    monkeypatch.setattr("refot.networks.optimisers.BLOCK", 5)
    for _ in range(3):
        other.step(parted, g)
    np.testing.assert_array_equal(whole["W"], parted["W"])


def test_clipping_is_in_place_and_leaves_what_is_within():
    w = {"W": np.array([[-2.0, -0.5, 0.25, 3.0]], np.float32)}
    array = w["W"]
    clip_weights(w, 0.5)
    assert w["W"] is array
    np.testing.assert_array_equal(array, [[-0.5, -0.5, 0.25, 0.5]])
