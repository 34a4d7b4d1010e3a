"""The gradient penalty: its value by its definition, its second-order term by complex step."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from network_checks import assert_near, complex_step

from refot.arrays import ShapeError, TypeInputError
from refot.networks import LeakyReLU, ReLU, Sigmoid, Tanh, gradient_penalty, mlp

activations = st.sampled_from([LeakyReLU(0.2), ReLU(), Tanh(), Sigmoid()])


def penalty(net, x):
    """mean_i (|dD(x_i)/dx_i| - 1)^2 from the first-order backward pass, analytic in the weights."""
    _, cache = net.forward(x)
    u, _ = net.backward(cache, np.ones((len(x), 1), net.dtype))
    return ((np.sqrt((u * u).sum(axis=1)) - 1) ** 2).mean()


@given(activations, st.none() | activations, st.lists(st.integers(1, 4), min_size=1, max_size=4),
       st.integers(1, 4), st.integers(0, 2**32))
def test_gradients_are_the_complex_step_of_the_penalty(activation, output, sizes, n, seed):
    net, twin = (mlp([*sizes, 1], np.random.default_rng(seed), activation, output=output,
                     dtype=dtype) for dtype in (np.float64, np.complex128))
    x = np.random.default_rng(seed + 1).normal(size=(n, sizes[0]))
    value, gradients = gradient_penalty(net, x)
    z = x.astype(complex)
    u = net.backward(net.forward(x)[1], np.ones((n, 1)))[0]
    assert abs(value - penalty(net, x)) <= 1e-14
    # All units of a ReLU layer may be off for some x, and |u| has no derivative at u = 0.
    assume((u != 0).any(axis=1).all())
    # s'' divides by |u|: what rounding does to u shows enlarged by 1 / |u|.
    smallest = np.sqrt((u * u).sum(axis=1)).min()
    assert_near(gradients, complex_step(lambda: penalty(twin, z), twin.weights),
                1e-12 * max(1.0, 1 / smallest))


def test_a_linear_map_has_the_penalty_of_its_length():
    net = mlp([2, 1], np.random.default_rng(0), dtype=np.float64)
    net.weights["0.W"][...] = [[3.0], [4.0]]
    value, gradients = gradient_penalty(net, np.zeros((7, 2)))
    assert value == 16.0
    assert_near(gradients, {"0.W": 2 * 4 * np.array([[0.6], [0.8]]), "0.b": np.zeros(1)}, 1e-15)


def test_where_the_gradient_in_x_vanishes_the_penalty_is_1_and_pulls_nowhere():
    net = mlp([2, 3, 1], np.random.default_rng(0), ReLU())
    net.weights["0.b"][...] = -100
    value, gradients = gradient_penalty(net, np.ones((4, 2), np.float32))
    assert value == 1.0
    assert_near(gradients, {name: np.zeros(w.shape) for name, w in net.weights.items()}, 0)
    assert all(g.dtype == np.float32 for g in gradients.values())


def test_what_it_does_not_cover_is_refused():
    rng = np.random.default_rng(0)
    x = np.ones((3, 2), np.float32)
    with pytest.raises(TypeInputError, match="BatchNorm"):
        gradient_penalty(mlp([2, 3, 1], rng, batch_norm=True), x)
    with pytest.raises(ShapeError, match=r"\(3, 1\)"):
        gradient_penalty(mlp([2, 3, 2], rng), x)
