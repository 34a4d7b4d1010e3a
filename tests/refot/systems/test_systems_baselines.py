"""MMD and WGAN generators: each step goes down the loss it states, whose parts are the library's.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from system_checks import assert_resumes, assert_slopes, captured, transport_to_data

import refot
from refot.networks import Dense, gradient_penalty
from refot.systems.baselines import (
    WGAN,
    ClippedSettings,
    ClippedWGAN,
    MMDGenerator,
    MMDSettings,
    PenalisedSettings,
    PenalisedWGAN,
)
from refot.systems.batch.costs import BatchCost, Euclidean, MinusGaussianKernel
from refot.systems.registry import make_system, presets
from refot.verification.trajectories.systems import TinyTask

COSTS: list[BatchCost] = [Euclidean(), MinusGaussianKernel(0.8)]


def mmd(cost: BatchCost = COSTS[0]) -> MMDGenerator:
    return MMDGenerator(0, "numpy", TinyTask(), MMDSettings(cost, 6, 1e-2), np.float64)


def clipped() -> ClippedWGAN:
    settings = ClippedSettings(m=6, n_c=2, rate=1e-2, c=0.3)
    return ClippedWGAN(0, "numpy", TinyTask(), settings, np.float64)


def penalised() -> PenalisedWGAN:
    settings = PenalisedSettings(m=6, n_c=2, rate=1e-2)
    return PenalisedWGAN(0, "numpy", TinyTask(), settings, np.float64)


def loss_of_critic(s: WGAN, z: Any, y: Any) -> float:
    """mean f(g(z)) - mean f(y), minus H-14."""
    x, _ = s.g.forward(z)
    return float(s.f.forward(x)[0].mean() - s.f.forward(y)[0].mean())


# ------------------------------------------------------------------ MMD
def test_the_energy_distance_is_that_of_the_library() -> None:
    s, a = mmd(), np.full(6, 1 / 6)
    batch = s.draw()
    x, _ = s.g.forward(batch["z"][0])
    expected = refot.mmd_squared(x, a, batch["y"][0], a, "euclidean")
    assert s.update(batch)["MMD2"] == pytest.approx(expected, abs=1e-13)


@pytest.mark.parametrize("cost", COSTS)
def test_g_descends_mmd(cost: BatchCost) -> None:
    s = mmd(cost)
    batch = s.draw()
    gradients = captured(s, "g", lambda: s.update(batch))
    assert_slopes(gradients, s.g.weights, lambda: s.update(batch)["MMD2"])


# ------------------------------------------------------------------ WGAN
def test_the_clipped_critic_climbs_h14_and_is_clipped() -> None:
    s = clipped()
    batch = {name: values[0] for name, values in s.draw().items()}
    for w in s.f.weights.values():
        w *= 0.25  # inside the box, where the clipping does not move the differences
    gradients = captured(s, "f", lambda: s.ascend(batch))
    assert_slopes(gradients, s.f.weights, lambda: loss_of_critic(s, batch["z"], batch["y"]))
    s = clipped()
    s.step()
    largest = max(float(abs(w).max()) for w in s.f.weights.values())
    assert largest == s.c


def test_the_penalised_critic_climbs_h14_minus_the_penalty() -> None:
    s = penalised()
    batch = {name: values[0] for name, values in s.draw().items()}
    gradients = captured(s, "f", lambda: s.ascend(batch))
    x, _ = s.g.forward(batch["z"])
    between = batch["u"] * batch["y"] + (1 - batch["u"]) * x

    def loss() -> float:
        penalty, _ = gradient_penalty(s.f, between)
        return loss_of_critic(s, batch["z"], batch["y"]) + 10 * penalty

    assert_slopes(gradients, s.f.weights, loss)


@pytest.mark.parametrize("make", [clipped, penalised])
def test_g_descends_minus_f(make: Callable[[], WGAN]) -> None:
    """H-15: the gradient of -mean f(g(z)) with f held."""
    s = make()
    batch = s.draw()
    z, y = batch["z"][-1], batch["y"][-1]
    gradients = captured(s, "g", lambda: s.descend(z, y))
    assert_slopes(gradients, s.g.weights, lambda: -loss_of_critic(s, z, y))
    assert s.descend(z, y) == pytest.approx(-loss_of_critic(s, z, y), abs=1e-14)


@pytest.mark.peers
def test_the_penalised_critic_is_torchs_double_backward() -> None:
    """With tanh, whose second derivative the penalty's gradient needs."""
    torch = pytest.importorskip("torch")
    s = penalised()
    batch = {name: values[0] for name, values in s.draw().items()}
    w = {name: torch.tensor(values, requires_grad=True) for name, values in s.f.weights.items()}
    gradients = captured(s, "f", lambda: s.ascend(batch))

    def f(x: Any) -> Any:
        for k, layer in enumerate(s.f.layers):
            x = x @ w[f"{k}.W"] + w[f"{k}.b"] if isinstance(layer, Dense) else torch.tanh(x)
        return x

    x = torch.from_numpy(s.g.forward(batch["z"])[0])
    y, u = torch.from_numpy(batch["y"]), torch.from_numpy(batch["u"])
    t = (u * y + (1 - u) * x).requires_grad_()
    (slope,) = torch.autograd.grad(f(t).sum(), t, create_graph=True)
    (f(x).mean() - f(y).mean() + 10 * ((slope.norm(dim=1) - 1) ** 2).mean()).backward()
    assert gradients.keys() == w.keys()
    for name, g in gradients.items():
        np.testing.assert_allclose(g, w[name].grad.numpy(), atol=1e-12, err_msg=name)


# ------------------------------------------------------------------ runs
@pytest.mark.parametrize("make", [mmd, clipped, penalised])
def test_a_resumed_run_is_the_run(make: Callable[[], Any]) -> None:
    assert_resumes(make)


def test_the_transport_cost_falls() -> None:
    """Of MMD; a WGAN this small goes round in circles."""
    s = mmd()
    z = s.task.latent(np.random.default_rng(4), 45)
    before = transport_to_data(s, z)
    for _ in range(300):
        s.step()
    assert transport_to_data(s, z) < before / 2


@pytest.mark.parametrize("name", [name for name in presets("baselines") if "gaussians25" in name])
def test_presets_in_the_plane_take_a_step(name: str) -> None:
    s = make_system("baselines", name, 0, "numpy", {"m": 16})
    assert all(np.isfinite(loss) for loss in s.step().values())
    assert s.sample(4, np.random.default_rng(0)).shape == (4, 2)
