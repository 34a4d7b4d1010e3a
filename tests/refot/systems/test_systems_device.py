"""The systems run on CuPy's arrays unchanged: a few steps of each, on arrays that refuse NumPy.

The arrays are `cuda_host.strict_cupy`'s, the systems those of the golden trajectories and the same
with numbers that lead through other lines. Each step is compared with the same step on NumPy.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from typing import Any

import numpy as np
import pytest
from cuda_host import strict_cupy
from cuda_host.host import COMPILER, HostBackend

from refot.arrays import Array
from refot.networks import (
    Adam,
    BatchNorm,
    Conv4x4,
    ConvTranspose4x4,
    Dense,
    Flatten,
    LeakyReLU,
    ReLU,
    Reshape,
    RMSProp,
    Sequential,
    Sigmoid,
    clip_weights,
)
from refot.systems.base.network_system import NetworkSystem
from refot.systems.training.loop import first_not_finite
from refot.verification.trajectories.systems import GOLDEN

pytestmark = pytest.mark.skipif(COMPILER is None and os.environ.get("CI") != "true",
                                reason="no g++ here; CI has one")

RTOL, ATOL = 1e-9, 1e-11
"""The same steps in float64; sums are taken in another order, and Adam divides small by small."""

CASES: dict[str, tuple[str, dict[str, Any]]] = {
    **{name: (name, {}) for name in GOLDEN},
    "info_sinkhorn, as printed": ("info_sinkhorn", {"printed": True}),
    "info_sinkhorn, lam = 0": ("info_sinkhorn", {"lam": 0.0, "cost": "sqeuclidean"}),
    "info_sinkhorn, W": ("info_sinkhorn", {"debiased": False}),
    "sinkhorn_autodiff, log domain": ("sinkhorn_autodiff", {"eps": 0.002}),
    "sinkhorn_autodiff, MMD": ("sinkhorn_autodiff", {"eps": float("inf")}),
    "sdot, lam = 0": ("sdot", {"lam": 0.0}),
    "sdotnn, lam = .1": ("sdotnn", {"lam": 0.1}),
    "eotgm, log domain": ("eotgm", {"lam": 0.002, "tol": 1e-3, "max_steps": 20}),
}
"""An algorithm of `GOLDEN`, and which of its settings are others."""


@cache
def backend() -> HostBackend:
    return HostBackend()


def makers(case: str) -> tuple[Callable[[], NetworkSystem], Callable[[], NetworkSystem]]:
    """The system on NumPy, and the same on the device."""
    name, changed = CASES[case]
    settings = replace(GOLDEN[name].settings, **changed)

    def on_numpy() -> NetworkSystem:
        return GOLDEN[name].make(settings)

    def on_device() -> NetworkSystem:
        like: Any = on_numpy()
        made: NetworkSystem = type(like)(3, backend(), like.task, settings, like.dtype)
        return made

    return on_numpy, on_device


def brought_back(state: dict[str, Array]) -> dict[str, Array]:
    """As a checkpoint holds it: NumPy arrays."""
    return {name: backend().to_numpy(array) for name, array in state.items()}


def assert_same(got: Array, want: Array, name: str) -> None:
    np.testing.assert_allclose(got, want, rtol=RTOL, atol=ATOL, err_msg=name)


# ------------------------------------------------------------------ the systems
@pytest.mark.parametrize("case", CASES)
def test_steps_on_the_device_are_those_on_numpy(case: str) -> None:
    on_numpy, on_device = (make() for make in makers(case))
    for _ in range(2):
        batch = on_device.draw()
        assert all(type(drawn) is strict_cupy.ndarray for drawn in batch.values())
        want, got = on_numpy.step(), on_device.update(batch)
        assert got.keys() == want.keys()
        for name, loss in got.items():
            assert isinstance(loss, float)
            assert_same(loss, want[name], name)
    expected, found = on_numpy.state(), on_device.state()
    assert expected.keys() == found.keys()
    assert first_not_finite(found) is None
    for name, array in brought_back(found).items():
        assert_same(array, expected[name], name)
    for network in on_device.networks.values():
        held = network.weights | network.statistics
        assert all(type(array) is strict_cupy.ndarray for array in held.values())


@pytest.mark.parametrize("case", list(GOLDEN))
def test_a_run_on_the_device_goes_on_from_its_checkpoint(case: str) -> None:
    _, make = makers(case)
    whole, half, again = make(), make(), make()
    for _ in range(2):
        whole.step()
    half.step()
    again.restore(brought_back(half.state()))
    again.rng.bit_generator.state = half.rng.bit_generator.state
    again.step()
    for name, array in brought_back(again.state()).items():
        assert_same(array, brought_back(whole.state())[name], name)


@pytest.mark.parametrize("case", list(GOLDEN))
def test_what_is_generated_on_the_device_is_judged_on_the_processor(case: str) -> None:
    on_numpy, on_device = (make() for make in makers(case))
    z = np.random.default_rng(0).normal(size=(5, on_numpy.draw()["z"].shape[-1]))
    got = on_device.generate(z)  # type: ignore[attr-defined]
    assert type(got) is np.ndarray
    assert_same(got, on_numpy.generate(z), case)  # type: ignore[attr-defined]


# ------------------------------------------------------------------ the layers of images
def image_steps(xp: Any) -> dict[str, Array]:
    """Two steps of a network with every layer that an image meets; float32, as in training."""
    rng = np.random.default_rng(0)
    net = Sequential([
        Dense(3, 2 * 4 * 4), BatchNorm(2 * 4 * 4), ReLU(), Reshape((2, 4, 4)),
        ConvTranspose4x4(2, 3), BatchNorm(3), LeakyReLU(0.2), Conv4x4(3, 2), Sigmoid(), Flatten(),
    ], rng, np.float32, xp)
    x = xp.asarray(rng.normal(size=(6, 3)), dtype=np.float32)
    for optimiser in (Adam(0.01, weight_decay=0.1), RMSProp(0.01)):
        y, cached = net.forward(x)
        dx, gradients = net.backward(cached, y - y.mean())
        optimiser.step(net.weights, gradients)
        clip_weights(net.weights, 0.5)
    return net.weights | net.statistics | {"dx": dx, "y": net.forward(x, train=False)[0]}


def test_convolutions_on_the_device_are_those_on_numpy() -> None:
    want, got = image_steps(np), image_steps(strict_cupy.namespace)
    assert want.keys() == got.keys()
    for name, array in got.items():
        assert type(array) is strict_cupy.ndarray
        assert array.dtype == np.float32
        np.testing.assert_allclose(array.get(), want[name], rtol=1e-4, atol=1e-5, err_msg=name)
