"""Networks: composition, the trunk and its heads, sums of gradients, initialisation."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from network_checks import assert_near, complex_step

from refot.arrays import InputError, TypeInputError, UnknownNameError
from refot.networks import (
    BatchNorm,
    Conv4x4,
    ConvTranspose4x4,
    Dense,
    Flatten,
    Heads,
    LeakyReLU,
    ReLU,
    Reshape,
    Sequential,
    Tanh,
    add,
    mlp,
    only,
    parameter_count,
)

CHAIN = 1e-11
"""A few layers, each right to some roundings; batch norm of few samples enlarges them."""


def image_network(dtype):
    """Table 3b in small: up by transposed convolutions, down again, with every kind of layer."""
    layers = [Dense(2, 8), BatchNorm(8), LeakyReLU(), Reshape((2, 2, 2)), ConvTranspose4x4(2, 2),
              BatchNorm(2), LeakyReLU(), Conv4x4(2, 3), Tanh(), Flatten(), Dense(12, 2)]
    return Sequential(layers, np.random.default_rng(5), dtype)


def heads(dtype=np.float64, seed=0):
    rng = np.random.default_rng(seed)
    trunk = Sequential([Dense(2, 4), BatchNorm(4), LeakyReLU()], rng, dtype)
    return Heads(trunk, {"D2": mlp([4, 1], rng, dtype=dtype), "Q": mlp([4, 3], rng, dtype=dtype)})


# ------------------------------------------------------------------ the chain rule
@pytest.mark.parametrize("train", [True, False])
def test_backward_through_a_whole_network_is_its_complex_step(train):
    net, twin = image_network(np.float64), image_network(np.complex128)
    rng = np.random.default_rng(6)
    x, dy = rng.normal(size=(3, 2)), rng.normal(size=(3, 2))
    z = x.astype(complex)
    dx, gradients = net.backward(net.forward(x, train)[1], dy)
    expected = complex_step(lambda: (dy * twin.forward(z, train)[0]).sum(),
                            {"x": z, **twin.weights})
    if not train:  # the complex steps in training moved the running statistics of the twin only
        assert_near({"y": net.forward(x, train)[0]}, {"y": twin.forward(z, train)[0].real}, CHAIN)
    assert_near({"x": dx, **gradients}, expected, CHAIN)


@pytest.mark.parametrize("first", [Dense(2, 8), Conv4x4(1, 2), ConvTranspose4x4(1, 2)])
def test_one_side_of_backward_is_that_of_both(first):
    following = [] if isinstance(first, Dense) else [Flatten()]
    net = Sequential([first, Tanh(), *following], np.random.default_rng(5), np.float64)
    x = np.random.default_rng(6).normal(size=(3, 2) if isinstance(first, Dense) else (3, 1, 4, 4))
    y, cache = net.forward(x)
    dy = np.random.default_rng(7).normal(size=y.shape)
    dx, gradients = net.backward(cache, dy)
    np.testing.assert_array_equal(net.input_gradient(cache, dy), dx)
    alone = net.weight_gradients(cache, dy)
    assert alone.keys() == gradients.keys()
    for name, g in alone.items():
        np.testing.assert_array_equal(g, gradients[name])


def test_several_caches_may_be_alive_and_used_in_any_order():
    net = image_network(np.float64)
    rng = np.random.default_rng(0)
    batches, dy = rng.normal(size=(3, 4, 2)), rng.normal(size=(4, 2))
    alone = [net.backward(net.forward(x)[1], dy)[1] for x in batches]
    caches = [net.forward(x)[1] for x in batches]
    for k in (1, 0, 2, 1):
        for name, g in net.backward(caches[k], dy)[1].items():
            np.testing.assert_array_equal(g, alone[k][name], err_msg=name)


def test_gradients_have_the_names_shapes_and_dtype_of_the_weights():
    net = image_network(np.float32)
    y, cache = net.forward(np.ones((3, 2), np.float32))
    _, gradients = net.backward(cache, np.ones_like(y))
    assert y.dtype == np.float32
    assert gradients.keys() == net.weights.keys()
    for name, w in net.weights.items():
        assert (gradients[name].shape, gradients[name].dtype) == (w.shape, np.float32), name


# ------------------------------------------------------------------ heads
@pytest.mark.parametrize("name", ["D2", "Q"])
def test_backward_through_a_head_is_its_complex_step(name):
    net, twin = heads(), heads(np.complex128)
    rng = np.random.default_rng(6)
    x = rng.normal(size=(5, 2))
    z = x.astype(complex)
    y, cache = net.forward(x, name)
    dy = rng.normal(size=y.shape)
    dx, gradients = net.backward(cache, dy)
    expected = complex_step(lambda: (dy * twin.forward(z, name)[0]).sum(),
                            {"x": z, **only(twin.weights, "trunk", name)})
    assert_near({"x": dx, **gradients}, expected, CHAIN)


def test_heads_hold_the_arrays_of_their_parts():
    net = heads()
    assert net.weights["trunk.0.W"] is net.trunk.weights["0.W"]
    assert net.weights["Q.0.b"] is net.heads["Q"].weights["0.b"]
    assert net.statistics["trunk.1.mean"] is net.trunk.statistics["1.mean"]
    assert parameter_count(net) == (2 * 4 + 4) + 2 * 4 + (4 + 1) + (4 * 3 + 3)


def test_heads_refuse_what_would_be_ambiguous():
    trunk, head = mlp([2, 3], np.random.default_rng(0)), mlp([3, 1], np.random.default_rng(0))
    for names in ([], ["trunk"], ["D.2"]):
        with pytest.raises(InputError, match="heads"):
            Heads(trunk, dict.fromkeys(names, head))
    with pytest.raises(InputError, match="several dtypes"):
        Heads(trunk, {"D2": mlp([3, 1], np.random.default_rng(0), dtype=np.float64)})
    with pytest.raises(UnknownNameError, match="one of D2"):
        Heads(trunk, {"D2": head}).forward(np.zeros((2, 2), np.float32), "D4")


# ------------------------------------------------------------------ sums and parts of gradients
names = st.sets(st.sampled_from(["trunk.0.W", "trunk.0.b", "D2.0.W", "Q.0.W", "Q2.0.W"]),
                min_size=1)


@given(st.lists(names, min_size=1, max_size=4))
def test_add_sums_over_the_union_of_the_names(sets):
    terms = [{name: np.full(2, 10.0**k) for name in keys} for k, keys in enumerate(sets)]
    expected = {name: np.full(2, sum(10.0**k for k, keys in enumerate(sets) if name in keys))
                for name in set().union(*sets)}
    assert_near(add(*terms), expected, 0)
    for k, (term, keys) in enumerate(zip(terms, sets, strict=True)):  # the terms are as they were
        assert_near(term, {name: np.full(2, 10.0**k) for name in keys}, 0)


@given(names)
def test_only_takes_whole_parts_of_a_name(keys):
    arrays = dict.fromkeys(keys, 0.0)
    parts = {key.partition(".")[0] for key in keys}
    for part in parts:
        assert only(arrays, part) == {key: 0.0 for key in keys if key.startswith(f"{part}.")}
    assert only(arrays, *parts) == arrays
    with pytest.raises(UnknownNameError, match="'head'"):
        only(arrays, "head")


# ------------------------------------------------------------------ construction
def test_mlp_is_the_row_of_layers_that_it_says():
    rng = np.random.default_rng(0)
    assert mlp([2, 3, 1], rng).layers == (Dense(2, 3), LeakyReLU(0.2), Dense(3, 1))
    assert mlp([2, 3, 1], rng, ReLU, batch_norm=True, output=Tanh()).layers == (
        Dense(2, 3), BatchNorm(3), ReLU(), Dense(3, 1), Tanh())
    for sizes, error in (([2], InputError), ([2, 0], InputError), ([2, 1.5], TypeInputError)):
        with pytest.raises(error, match="sizes"):
            mlp(sizes, rng)


def test_float32_and_float64_start_at_the_same_draws():
    single, double = image_network(np.float32), image_network(np.float64)
    for name, w in double.weights.items():
        np.testing.assert_array_equal(single.weights[name], w.astype(np.float32), err_msg=name)


@pytest.mark.parametrize(("layer", "fan_in"), [
    (Dense(50, 40), 50), (Conv4x4(8, 16), 16 * 8), (ConvTranspose4x4(8, 16), 4 * 8)])
def test_initial_weights_are_uniform_within_their_bound(layer, fan_in):
    """Variance bound^2 / 3: 2,000 draws have it within 10 %, that is 5 standard deviations."""
    net = Sequential([layer], np.random.default_rng(3), np.float64)
    bound = 1 / math.sqrt(fan_in)
    W = net.weights["0.W"]
    assert W.size >= 2000
    assert 0.99 * bound < abs(W).max() <= bound
    assert abs(W.var() / (bound**2 / 3) - 1) < 0.1
    assert abs(net.weights["0.b"]).max() <= bound


@pytest.mark.parametrize(("layers", "dtype", "name"), [
    ([], np.float32, "layers"), ([np.tanh], np.float32, "layers"), ([Tanh], np.float32, "layers"),
    ([Tanh()], np.float16, "dtype"), ([Tanh()], int, "dtype")])
def test_what_is_no_network_is_refused(layers, dtype, name):
    with pytest.raises(TypeInputError, match=name):
        Sequential(layers, np.random.default_rng(0), dtype)
