"""Layers: each backward pass against the complex step of its forward pass, on generated shapes."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from network_checks import assert_near, complex_step

from refot.arrays import InputError, ShapeError, TypeInputError
from refot.networks import (
    BatchNorm,
    Conv4x4,
    ConvTranspose4x4,
    Dense,
    Flatten,
    LeakyReLU,
    ReLU,
    Reshape,
    Sequential,
    Sigmoid,
    Tanh,
)
from refot.networks.layers import (
    batch_norm_forward,
    conv4x4_backward,
    conv4x4_forward,
    conv_transpose4x4_backward,
    conv_transpose4x4_forward,
    dense_forward,
)

SUMS = 1e-12
"""Sums of at most some hundred products of entries near 1, each right to some roundings of it."""

small = st.integers(1, 3)


@st.composite
def layers(draw):
    """(layer, shape of a batch it takes): every layer there is, at small sizes."""
    n, c, k, h, w = draw(st.integers(2, 4)), draw(small), draw(small), draw(small), draw(small)
    return draw(st.sampled_from([
        (Dense(c, k), (n, c)),
        (BatchNorm(c), (n, c)),
        (BatchNorm(c), (n, c, h, w)),
        (LeakyReLU(0.2), (n, c)),
        (LeakyReLU(1.0), (n, c)),
        (ReLU(), (n, c, h, w)),
        (Tanh(), (n, c)),
        (Sigmoid(), (n, c)),
        (Conv4x4(c, k), (n, c, 2 * h, 2 * w)),
        (ConvTranspose4x4(c, k), (n, c, h, w)),
        (Reshape((c, h, w)), (n, c * h * w)),
        (Flatten(), (n, c, h, w)),
    ]))


def perturbed(net, rng):
    """Weights and statistics away from their start, where gamma = 1 and beta = 0 hide mistakes."""
    for name, array in {**net.weights, **net.statistics}.items():
        array[...] = rng.uniform(0.5, 1.5, array.shape) if "variance" in name else (
            rng.normal(size=array.shape))
    return net


@settings(max_examples=60)
@given(layers(), st.booleans(), st.integers(0, 2**32))
def test_backward_is_the_complex_step_of_forward(drawn, train, seed):
    layer, shape = drawn
    rng = np.random.default_rng(seed)
    net = perturbed(Sequential([layer], rng, np.float64), rng)
    twin = Sequential([layer], rng, np.complex128)
    for of_net, of_twin in ((net.weights, twin.weights), (net.statistics, twin.statistics)):
        for name, array in of_net.items():
            of_twin[name][...] = array
    x = rng.normal(size=shape)
    z = x.astype(complex)
    y, cache = net.forward(x, train)
    dy = rng.normal(size=y.shape)
    dx, gradients = net.backward(cache, dy)
    expected = complex_step(lambda: (dy * twin.forward(z, train)[0]).sum(),
                            {"x": z, **twin.weights})
    assert y.dtype == dx.dtype == np.float64
    assert_near({"x": dx, **gradients}, expected, SUMS)


# ------------------------------------------------------------------ forward passes, by definition
@given(small, small, small, st.integers(0, 2**32))
def test_dense_is_its_sum(n, d_in, d_out, seed):
    rng = np.random.default_rng(seed)
    x, W, b = (rng.normal(size=s) for s in ((n, d_in), (d_in, d_out), (d_out,)))
    y = [[sum(x[i, k] * W[k, j] for k in range(d_in)) + b[j] for j in range(d_out)]
         for i in range(n)]
    assert_near({"y": dense_forward(x, W, b)}, {"y": np.array(y)}, SUMS)


@given(small, small, small, st.integers(0, 2**32))
def test_conv4x4_is_its_sum(h, c, k, seed):
    """y_{k,p,q} = b_k + sum_{c,i,j} W_{k,c,i,j} x_{c, 2p+i-1, 2q+j-1}, 0 outside the image."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(2, c, 2 * h, 4))
    W, b = rng.normal(size=(k, c, 4, 4)), rng.normal(size=k)
    y = np.zeros((2, k, h, 2)) + b[:, None, None]
    for p, q, i, j in np.ndindex(h, 2, 4, 4):
        row, column = 2 * p + i - 1, 2 * q + j - 1
        if 0 <= row < 2 * h and 0 <= column < 4:
            y[:, :, p, q] += x[:, :, row, column] @ W[:, :, i, j].T
    assert_near({"y": conv4x4_forward(x, W, b)[0]}, {"y": y}, SUMS)


@given(small, small, small, small, st.integers(0, 2**32))
def test_transposed_convolution_is_the_adjoint_of_the_convolution(h, w, c, k, seed):
    """<conv(x), y> = <x, transposed(y)>: on whole numbers both sides are exact, and equal."""
    rng = np.random.default_rng(seed)
    x = rng.integers(-9, 10, (2, c, 2 * h, 2 * w)).astype(float)
    y = rng.integers(-9, 10, (2, k, h, w)).astype(float)
    W = rng.integers(-9, 10, (k, c, 4, 4)).astype(float)
    forward, X = conv4x4_forward(x, W, np.zeros(k))
    transposed = conv_transpose4x4_forward(y, W, np.zeros(c))
    assert (forward * y).sum() == (x * transposed).sum()
    np.testing.assert_array_equal(transposed, conv4x4_backward(y, X, W)[0])
    np.testing.assert_array_equal(forward, conv_transpose4x4_backward(x, y, W)[0])


def test_table_3b_sizes():
    """8 to 16 to 32 in the generator, 32 to 16 to 8 in the dual networks: padding 1."""
    rng = np.random.default_rng(0)
    up = Sequential([ConvTranspose4x4(3, 2), ConvTranspose4x4(2, 1)], rng)
    down = Sequential([Conv4x4(1, 2), Conv4x4(2, 3)], rng)
    y = up.forward(np.ones((2, 3, 8, 8), np.float32))[0]
    assert y.shape == (2, 1, 32, 32)
    assert down.forward(y)[0].shape == (2, 3, 8, 8)


@given(st.integers(2, 6), small, st.integers(0, 2**32))
def test_batch_norm_normalises_by_the_biased_variance(n, c, seed):
    """xhat has mean 0, and mean square exactly var / (var + eps) with var divided by n: bug 35."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n, c))
    y, _, mean, var = batch_norm_forward(x, np.ones(c), np.zeros(c), 1e-5)
    expected = {"mean": x.mean(axis=0), "var": x.var(axis=0), "mean of y": np.zeros(c),
                "square of y": x.var(axis=0) / (x.var(axis=0) + 1e-5)}
    found = {"mean": mean, "var": var, "mean of y": y.mean(axis=0),
             "square of y": (y**2).mean(axis=0)}
    # At n = 2 with near points, s can be 1 / sqrt(eps) = 316 times the rounding of x.
    assert_near(found, expected, 1e3 * SUMS)


def test_running_statistics_move_by_the_momentum_and_only_in_training():
    """By the unbiased variance, as PyTorch: the estimate of the population's."""
    net = Sequential([BatchNorm(2, momentum=0.25)], np.random.default_rng(0), np.float64)
    x = np.random.default_rng(1).normal(size=(5, 2))
    net.forward(x, train=True)
    moved = {name: array.copy() for name, array in net.statistics.items()}
    assert_near(moved, {"0.mean": 0.25 * x.mean(axis=0),
                        "0.variance": 0.75 + 0.25 * x.var(axis=0, ddof=1)}, SUMS)
    y, _ = net.forward(x, train=False)
    assert_near({"y": y}, {"y": (x - moved["0.mean"]) / np.sqrt(moved["0.variance"] + 1e-5)}, SUMS)
    for name, array in net.statistics.items():
        np.testing.assert_array_equal(array, moved[name])


# ------------------------------------------------------------------ edges
@pytest.mark.parametrize(("layer", "slope"), [(ReLU(), 0.0), (LeakyReLU(0.2), 0.2)])
def test_the_kink_has_the_slope_of_the_left_side(layer, slope):
    net = Sequential([layer], np.random.default_rng(0), np.float64)
    y, cache = net.forward(np.array([[-2.0, 0.0, 3.0]]))
    np.testing.assert_array_equal(y, [[-2 * slope, 0, 3]])
    np.testing.assert_array_equal(net.backward(cache, np.ones((1, 3)))[0], [[slope, slope, 1]])


def test_sigmoid_and_tanh_saturate_without_overflow():
    x = np.array([[-1e30, -100.0, 0.0, 100.0, 1e30]], np.float32)
    for layer, low in ((Sigmoid(), 0.0), (Tanh(), -1.0)):
        y = Sequential([layer], np.random.default_rng(0)).forward(x)[0]
        np.testing.assert_array_equal(y, [[low, low, (1 + low) / 2, 1, 1]])


@pytest.mark.parametrize(("layer", "shape", "message"), [
    (Dense(3, 2), (4, 2), r"\(n, 3\), for Dense"),
    (Dense(3, 2), (4, 3, 1), r"\(n, 3\), for Dense"),
    (BatchNorm(3), (4, 2), r"\(n, 3\), for BatchNorm"),
    (BatchNorm(3), (4, 2, 5, 5), r"\(n, 3, any, any\), for BatchNorm"),
    (BatchNorm(3), (1, 3), "2 or more, to train BatchNorm"),
    (Conv4x4(3, 2), (4, 2, 8, 8), r"\(n, 3, any, any\), for Conv4x4"),
    (Conv4x4(3, 2), (4, 3, 8, 7), "even height and width, for Conv4x4"),
    (ConvTranspose4x4(3, 2), (4, 3, 8), r"\(n, 3, any, any\), for ConvTranspose4x4"),
    (Reshape((2, 3)), (4, 5), "6 entries a sample, for Reshape"),
])
def test_a_batch_that_does_not_fit_is_refused(layer, shape, message):
    net = Sequential([layer], np.random.default_rng(0))
    with pytest.raises(ShapeError, match=message):
        net.forward(np.zeros(shape, np.float32))


@pytest.mark.parametrize("slope", [-0.1, 1.5, float("nan")])
def test_a_slope_outside_its_range_is_refused(slope):
    with pytest.raises(InputError, match="slope"):
        LeakyReLU(slope)


def test_arrays_of_another_dtype_are_refused():
    """A float64 batch would turn a float32 network into a float64 one, without a word."""
    net = Sequential([Dense(2, 1)], np.random.default_rng(0))
    with pytest.raises(TypeInputError, match="float32, that of the network"):
        net.forward(np.zeros((3, 2)))
    _, cache = net.forward(np.zeros((3, 2), np.float32))
    with pytest.raises(TypeInputError, match="float32, that of the network"):
        net.backward(cache, np.zeros((3, 1)))
    with pytest.raises(ShapeError, match=r"\(3, 1\), that of y"):
        net.backward(cache, np.zeros(3, np.float32))
