"""Layers, optimisers and the gradient penalty against torch's own, in float64.

torch differentiates its own forward passes, and knows none of the formulas of `refot.networks`.
"""

from __future__ import annotations

import numpy as np
import pytest
from network_checks import assert_near

from refot.networks import (
    SGD,
    Adam,
    BatchNorm,
    Conv4x4,
    ConvTranspose4x4,
    Dense,
    LeakyReLU,
    ReLU,
    RMSProp,
    Sequential,
    Sigmoid,
    Tanh,
    gradient_penalty,
    mlp,
)

torch = pytest.importorskip("torch")
pytestmark = pytest.mark.peers

TOLERANCE = 1e-11
"""Two orders of summation of at most a thousand products, through a few layers."""


def tensor(array):
    return torch.tensor(np.array(array), dtype=torch.float64)


def their_layer(layer):
    """torch's layer of the same kind and sizes."""
    nn = torch.nn
    match layer:
        case Dense(d_in, d_out):
            return nn.Linear(d_in, d_out)
        case BatchNorm(c):
            return nn.BatchNorm2d(c) if c == 3 else nn.BatchNorm1d(c)  # 3: the images below
        case Conv4x4(c_in, c_out):
            return nn.Conv2d(c_in, c_out, 4, stride=2, padding=1)
        case ConvTranspose4x4(c_in, c_out):
            return nn.ConvTranspose2d(c_in, c_out, 4, stride=2, padding=1)
        case LeakyReLU(slope):
            return nn.LeakyReLU(slope)
    return {Tanh: nn.Tanh, Sigmoid: nn.Sigmoid}[type(layer)]()


NAMES = {"W": "weight", "b": "bias", "gamma": "weight", "beta": "bias",
         "mean": "running_mean", "variance": "running_var"}


def theirs(net):
    """(torch's twin of `net` with the same numbers, {our name: torch's tensor})."""
    twin = torch.nn.Sequential(*map(their_layer, net.layers)).double()
    tensors = {}
    for name, array in {**net.weights, **net.statistics}.items():
        k, kind = name.split(".")
        tensors[name] = getattr(twin[int(k)], NAMES[kind])
        linear = isinstance(net.layers[int(k)], Dense) and kind == "W"
        with torch.no_grad():
            tensors[name].copy_(tensor(array.T if linear else array))
    return twin, tensors


def as_ours(net, name, array):
    """torch keeps the matrix of a Linear transposed."""
    layer, kind = net.layers[int(name.split(".")[0])], name.split(".")[1]
    array = array.detach().numpy()
    return array.T if isinstance(layer, Dense) and kind == "W" else array


STACKS = {
    "dense": ([Dense(4, 5), LeakyReLU(0.2), Dense(5, 3), Tanh()], (6, 4)),
    "batch norm": ([Dense(4, 5), BatchNorm(5), ReLU(), Dense(5, 2), Sigmoid()], (6, 4)),
    "convolution": ([Conv4x4(2, 3), BatchNorm(3), LeakyReLU(0.2), Conv4x4(3, 4)], (3, 2, 8, 12)),
    "transposed": ([ConvTranspose4x4(2, 3), BatchNorm(3), LeakyReLU(0.2), ConvTranspose4x4(3, 1),
                    Tanh()], (3, 2, 3, 2)),
}


@pytest.mark.parametrize("train", [True, False])
@pytest.mark.parametrize("name", STACKS)
def test_values_gradients_and_running_statistics_are_torchs(name, train):
    layers, shape = STACKS[name]
    rng = np.random.default_rng(4)
    net = Sequential(layers, rng, np.float64)
    for key, array in {**net.weights, **net.statistics}.items():
        array += rng.uniform(0, 0.5, array.shape)
        assert not np.isnan(array).any(), key
    twin, tensors = theirs(net)
    twin.train(train)
    x = rng.normal(size=shape)
    y, cache = net.forward(x, train)
    dy = rng.normal(size=y.shape)
    dx, gradients = net.backward(cache, dy)

    tx = tensor(x).requires_grad_()
    ty = twin(tx)
    (ty * tensor(dy)).sum().backward()
    assert_near({"y": y, "x": dx, **gradients, **net.statistics},
                {"y": ty.detach(), "x": tx.grad,
                 **{key: as_ours(net, key, tensors[key].grad) for key in net.weights},
                 **{key: tensors[key] for key in net.statistics}}, TOLERANCE)


def test_both_variances_are_torchs_and_differ():
    """Normalised by the biased, running by the unbiased: with 2 samples they differ by 2."""
    net = Sequential([BatchNorm(1)], np.random.default_rng(0), np.float64)
    twin = torch.nn.BatchNorm1d(1).double()
    x = np.array([[0.0], [2.0]])
    y = net.forward(x)[0]
    assert_near({"y": y, **net.statistics},
                {"y": twin(tensor(x)).detach(), "0.mean": twin.running_mean,
                 "0.variance": twin.running_var}, 1e-15)
    assert abs(y[1, 0] - 1) < 1e-5  # biased variance 1
    assert abs(net.statistics["0.variance"][0] - (0.9 + 0.1 * 2)) < 1e-15  # unbiased variance 2


@pytest.mark.parametrize("weight_decay", [0.0, 0.05])
@pytest.mark.parametrize(("make", "make_theirs"), [
    (lambda d: SGD(0.1, weight_decay=d), lambda p, d: torch.optim.SGD(p, 0.1, weight_decay=d)),
    (lambda d: RMSProp(1e-2, 0.9, 1e-6, weight_decay=d),
     lambda p, d: torch.optim.RMSprop(p, 1e-2, 0.9, 1e-6, weight_decay=d)),
    (lambda d: Adam(1e-2, 0.5, 0.99, 1e-6, weight_decay=d),
     lambda p, d: torch.optim.Adam(p, 1e-2, (0.5, 0.99), 1e-6, weight_decay=d)),
    (lambda d: Adam(2e-4, 0.0, 0.9, weight_decay=d),
     lambda p, d: torch.optim.Adam(p, 2e-4, (0.0, 0.9), weight_decay=d)),
], ids=["SGD", "RMSProp", "Adam, Table 2", "Adam, Table 1"])
def test_ten_steps_are_torchs(make, make_theirs, weight_decay):
    """Without batch norm, which makes the bias before it a direction of gradient exactly 0: what
    rounding leaves there, Adam and RMSProp divide by its own size, in ours as in theirs."""
    rng = np.random.default_rng(2)
    net = mlp([3, 8, 2], rng, dtype=np.float64)
    twin, tensors = theirs(net)
    opt, their_opt = make(weight_decay), make_theirs(list(twin.parameters()), weight_decay)
    for _ in range(10):
        x, dy = rng.normal(size=(6, 3)), rng.normal(size=(6, 2))
        opt.step(net.weights, net.backward(net.forward(x)[1], dy)[1])
        their_opt.zero_grad()
        (twin(tensor(x)) * tensor(dy)).sum().backward()
        their_opt.step()
        assert_near(net.weights, {key: as_ours(net, key, tensors[key]) for key in net.weights},
                    TOLERANCE)


@pytest.mark.parametrize("activation", [LeakyReLU(0.2), ReLU(), Tanh(), Sigmoid()], ids=str)
@pytest.mark.parametrize("output", [None, Tanh()], ids=str)
def test_gradient_penalty_is_torchs_double_backward(activation, output):
    rng = np.random.default_rng(3)
    net = mlp([3, 7, 5, 1], rng, activation, output=output, dtype=np.float64)
    x = rng.normal(size=(6, 3))
    value, gradients = gradient_penalty(net, x)
    twin, tensors = theirs(net)
    tx = tensor(x).requires_grad_()
    (u,) = torch.autograd.grad(twin(tx).sum(), tx, create_graph=True)
    penalty = ((u.norm(dim=1) - 1) ** 2).mean()
    keys = list(net.weights)
    grads = torch.autograd.grad(penalty, [tensors[key] for key in keys], allow_unused=True,
                                materialize_grads=True)
    assert_near({"penalty": value, **gradients},
                {"penalty": penalty.item(),
                 **{key: as_ours(net, key, g) for key, g in zip(keys, grads, strict=True)}},
                TOLERANCE)
