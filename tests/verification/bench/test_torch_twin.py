"""Hand-written training steps against PyTorch's autograd: the same weights, step by step."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from small_info_sinkhorn import system

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
from refot.systems.eotgan import EOTGAN, AdversarialSettings
from refot.systems.semidual import SDOT, VectorSettings
from refot.verification.bench.twins.eotgan import TorchEOTGAN
from refot.verification.bench.twins.info_sinkhorn import TorchInfoSinkhorn
from refot.verification.bench.twins.modules import as_module
from refot.verification.bench.twins.paired import paired_times
from refot.verification.bench.twins.semidual import TorchSDOT
from refot.verification.trajectories.systems import TinyTask

torch = pytest.importorskip("torch")
pytestmark = pytest.mark.peers


def arrays(module: Any) -> list[np.ndarray[Any, Any]]:
    """Parameters in refot's layout: a Linear's weight transposed."""
    return [w.detach().numpy().T for w in module.parameters()]


def is_bias_before_batch_norm(net: Sequential, key: str) -> bool:
    """Whether "k.b" is followed by a batch norm, which subtracts it again."""
    k, _, name = key.partition(".")
    following = net.layers[int(k) + 1 : int(k) + 2]
    return name == "b" and any(isinstance(layer, BatchNorm) for layer in following)


def test_three_steps_end_at_the_same_weights() -> None:
    """In float64. A bias before batch norm has gradient 0 on paper, and Adam makes steps of its
    rounding: those biases are left out, for no output depends on them."""
    ours = system()
    twin = TorchInfoSinkhorn(ours)
    for _ in range(3):
        batch = {name: values.astype(np.float64) for name, values in ours.draw().items()}
        losses, theirs = ours.update(batch), twin.update(batch)
        assert losses["G"] == pytest.approx(theirs["G"], abs=1e-9)
        assert losses["Q"] == pytest.approx(theirs["Q"], abs=1e-9)
    pairs = [("G", ours.G, twin.G), ("trunk", ours.D.trunk, twin.trunk)]
    pairs += [(name, head, twin.heads[name]) for name, head in ours.D.heads.items()]
    for name, net, module in pairs:
        for (key, w), expected in zip(net.weights.items(), arrays(module), strict=True):
            if not is_bias_before_batch_norm(net, key):
                np.testing.assert_allclose(w, expected, atol=1e-8, err_msg=f"{name} {key}")


def test_three_steps_of_sdot_end_at_the_same_weights() -> None:
    ours = SDOT(3, "numpy", TinyTask(), VectorSettings(0.0, K=4, b=6, rate=0.01), np.float64)
    twin = TorchSDOT(ours)
    for _ in range(3):
        batch = ours.draw()
        assert ours.update(batch)["H"] == pytest.approx(twin.update(batch)["H"], abs=1e-9)
    np.testing.assert_allclose(ours.psi(), twin.psi.numpy(), atol=1e-12)
    for w, expected in zip(ours.g.weights.values(), arrays(twin.g), strict=True):
        np.testing.assert_allclose(w, expected, atol=1e-8)


@pytest.mark.parametrize("lam", [0.05, 0.005])  # in the scaling form, and in the log domain
def test_three_steps_of_eotgan_end_at_the_same_weights(lam: float) -> None:
    """The plan is solved to 1e-12 so that both find the same one."""
    ours = EOTGAN(3, "numpy", TinyTask(), AdversarialSettings(
        lam=lam, m=6, rate=0.01, tol=1e-12, max_steps=5_000, rate_f=0.01, ascents=2), np.float64)
    twin = TorchEOTGAN(ours)
    for _ in range(3):
        batch = ours.draw()
        losses, theirs = ours.update(batch), twin.update(batch)
        assert losses["W_f"] == pytest.approx(theirs["W_f"], abs=1e-9)
        assert losses["W"] == pytest.approx(theirs["W"], abs=1e-9)
    for net, module in ((ours.g, twin.g), (ours.f, twin.f)):
        for w, expected in zip(net.weights.values(), arrays(module), strict=True):
            np.testing.assert_allclose(w, expected, atol=1e-8)


def test_convolutions_have_the_gradients_of_torch() -> None:
    rng = np.random.default_rng(0)
    net = Sequential([Dense(3, 2 * 4 * 4), BatchNorm(32), ReLU(), Reshape((2, 4, 4)),
                      ConvTranspose4x4(2, 3), BatchNorm(3), LeakyReLU(0.2), Conv4x4(3, 2),
                      Sigmoid(), Flatten(), Dense(32, 2), Tanh()], rng, np.float64)
    module, x = as_module(net), rng.normal(size=(5, 3))
    y, cache = net.forward(x)
    theirs = module(torch.from_numpy(x))
    np.testing.assert_allclose(y, theirs.detach().numpy(), atol=1e-12)
    dy = rng.normal(size=y.shape)
    _, gradients = net.backward(cache, dy)
    (theirs * torch.from_numpy(dy)).sum().backward()
    for (key, g), w in zip(gradients_in_order(net, gradients), module.parameters(), strict=True):
        expected = w.grad.numpy()
        np.testing.assert_allclose(g, expected.T if g.ndim == 2 else expected, atol=1e-12,
                                   err_msg=key)


def gradients_in_order(net: Sequential, gradients: dict[str, Any]) -> list[tuple[str, Any]]:
    """The gradients in the order of the weights."""
    return [(key, gradients[key]) for key in net.weights]


def test_times_come_in_pairs() -> None:
    times = paired_times(system(), pairs=2, warm_up=1)
    assert len(times.refot) == len(times.torch) == len(times.ratios) == 2
    assert min(times.ratios) <= times.median <= max(times.ratios)
