"""Info-Sinkhorn (Algorithm 1 of B): its plans are the library's, its steps move what they should.

A step is checked as the paper states it: which weights each line moves, and along the gradient of
which loss, found by finite differences in float64.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from small_info_sinkhorn import SMALL, system
from system_checks import assert_resumes, assert_slopes, captured

import refot
from refot.costs.ground import GROUND_COSTS
from refot.costs.operands import PointCost
from refot.gradients import points_gradient
from refot.networks import Sequential, only
from refot.systems.batch.plan import batch_plan, printed_batch_plan
from refot.systems.info_sinkhorn import InfoSinkhorn, moved
from refot.systems.registry import make_system, presets
from refot.systems.tasks.image_networks import dense_duals, table_3b_duals, table_3b_generator
from refot.systems.tasks.latent import Latent, vary_category, vary_uniform
from refot.systems.tasks.plane import GridLaw


# ------------------------------------------------------------------ the plan of a batch
@pytest.mark.parametrize("eps", [1.5, 0.05])
def test_the_plan_of_a_batch_is_that_of_the_library(eps: float) -> None:
    rng = np.random.default_rng(0)
    D2, C = rng.normal(size=7), rng.uniform(0, 3, (5, 7))
    a, b = np.full(5, 1 / 5), np.full(7, 1 / 7)
    found = batch_plan(D2, C, eps)
    assert found.value == pytest.approx(refot.semi_dual(D2, C, a, b, eps), abs=1e-14)
    np.testing.assert_allclose(found.P, refot.semi_dual_plan(D2, C, a, b, eps), rtol=1e-12)
    np.testing.assert_allclose(found.D1, refot.c_eps_transform(D2, C, b, eps), atol=1e-14)
    np.testing.assert_allclose(
        found.gradient, refot.semi_dual_gradient(D2, C, a, b, eps), atol=1e-15)


def test_the_printed_plan_misses_its_rows() -> None:
    """Erratum E3: with lam Q outside the transform the mass is not 1, even for a constant Q."""
    rng = np.random.default_rng(1)
    D2, C, lamQ = rng.normal(size=6), rng.uniform(0, 3, (4, 6)), np.full((4, 6), 0.7)
    assert batch_plan(D2, C - lamQ, 1.5).P.sum() == pytest.approx(1, abs=1e-14)
    assert printed_batch_plan(D2, C, lamQ, 1.5).P.sum() == pytest.approx(np.exp(0.7 / 1.5))


# ------------------------------------------------------------------ which line moves what
def test_a_dual_step_moves_its_head_and_the_trunk_and_no_other() -> None:
    s = system()
    batch = s.draw()
    before = {key: array.copy() for key, array in s.state().items()}
    s.ascend_D2(batch["z"][0, 0], batch["y"][0])
    moved = {key for key, array in s.state().items()
             if key in before and key.startswith("D/") and not np.array_equal(array, before[key])}
    weights = {key.split("/")[1].split(".")[0] for key in moved if key[2:] in s.D.weights}
    assert weights == {"trunk", "D2"}


def test_the_step_of_Q_leaves_the_trunk() -> None:
    """Section 4.1 of B, and bug 34: the shared layers move with D2 and D4 only."""
    s = system()
    batch = s.draw()
    trunk = {key: w.copy() for key, w in only(s.D.weights, "trunk", "D2", "D4").items()}
    heads = {key: w.copy() for key, w in only(s.D.weights, "Q").items()}
    (z, z1, z2), y = batch["z"][0], batch["y"][0]
    s.descend(z, z1, z2, y)
    assert all(np.array_equal(w, s.D.weights[key]) for key, w in trunk.items())
    assert not all(np.array_equal(w, s.D.weights[key]) for key, w in heads.items())


# ------------------------------------------------------------------ along which gradient
def test_the_dual_step_climbs_the_semi_dual() -> None:
    """B-24 in D2 and the trunk, with lam Q inside the transform and Q held."""
    s = system()
    z, y = s.draw()["z"][0, 0], s.draw()["y"][0]
    gradients = captured(s, "D2", lambda: s.ascend_D2(z, y))
    x, _ = s.G.forward(z)
    fixed = s.lamQ(z, s.D.trunk.forward(y)[0])

    def minus_value() -> float:
        D2, _ = s.D.forward(y, "D2")
        return -float(batch_plan(D2[:, 0], s.cost(x, y).dense() - fixed, s.settings.eps).value)

    assert_slopes(gradients, only(s.D.weights, "trunk", "D2"), minus_value)


def test_the_step_of_Q_descends_b31() -> None:
    s = system()
    batch = s.draw()
    z, y = batch["z"][0, 0], batch["y"][0]
    h, _ = s.D.trunk.forward(y)
    P = np.random.default_rng(2).dirichlet(np.ones(24 * 24)).reshape(24, 24)
    gradients = captured(s, "Q", lambda: s.descend_Q(z, h, P))

    def b31() -> float:
        Q = z[:, :5] @ s.D.heads["Q"].forward(h)[0].T
        a = np.full(24, 1 / 24)
        return refot.q_objective(Q, P, a, a)

    assert_slopes(gradients, only(s.D.weights, "Q"), b31)


@pytest.mark.parametrize("debiased", [True, False])
def test_the_step_of_G_descends_b32(debiased: bool) -> None:
    """<c(G(z), y), gamma> - <c(G(z'), G(z'')), eta> / 2 with the plans held; W without eta."""
    s = system(replace(SMALL, debiased=debiased))
    batch = s.draw()
    (z, z1, z2), y = batch["z"][0], batch["y"][0]
    x, h = s.G.forward(z)[0], s.D.trunk.forward(y)[0]
    lamQ = s.lamQ(z, h)
    gamma = s.plan(s.D.forward(y, "D2")[0][:, 0], s.cost(x, y).dense(), lamQ).P
    x1, x2 = s.G.forward(z1)[0], s.G.forward(z2)[0]
    eta = batch_plan(s.D.forward(x2, "D4")[0][:, 0], s.cost(x1, x2).dense(), s.settings.eps).P
    gradients = captured(s, "G", lambda: s.descend(z, z1, z2, y))

    def b32() -> float:
        x, x1, x2 = (s.G.forward(each)[0] for each in (z, z1, z2))
        loss = float((gamma * s.cost(x, y).dense()).sum())
        return loss - float((eta * s.cost(x1, x2).dense()).sum()) / 2 * debiased

    assert_slopes(gradients, s.G.weights, b32)


def test_the_gradient_of_the_batch_is_the_gradient_of_b9() -> None:
    """At optimal duals, z' = z'' = z and lam = 0, B-32's gradient is that of S."""
    rng = np.random.default_rng(4)
    x, y = rng.normal(size=(6, 2)), rng.normal(size=(6, 2)) + 1
    a = np.full(6, 1 / 6)
    xy, xx = refot.point_cost(x, y), refot.point_cost(x, x)
    g = refot.solve(xy, a, a, 0.5, tol=1e-13).g
    f = refot.sinkhorn_symmetric(xx, a, 0.5, tol=1e-13).f
    gamma, eta = batch_plan(g, xy.dense(), 0.5).P, batch_plan(f, xx.dense(), 0.5).P
    found = (points_gradient(gamma, xy) - points_gradient(eta, xx) / 2
             - points_gradient(eta.T, xx.T) / 2)
    np.testing.assert_allclose(
        found, refot.sinkhorn_divergence_gradient(x, a, y, a, 0.5), atol=1e-11)


# ------------------------------------------------------------------ as a run
def test_it_goes_on_where_it_was_left() -> None:
    assert_resumes(lambda: system(dtype=np.float32))


def test_a_short_run_of_the_quick_preset_learns_the_codes() -> None:
    """From chance (NMI .02) upward, in a fraction of the preset."""
    s = make_system("info_sinkhorn", "gaussians25-quick", 0, "numpy", {"batch": 64, "n_D": 3})
    rng = np.random.default_rng(0)
    start = s.evaluate(rng)["nmi"]
    for _ in range(500):
        s.step()
    assert start < 0.1
    assert s.evaluate(rng)["nmi"] > 0.2


def test_every_preset_names_its_source() -> None:
    for name, preset in presets("info_sinkhorn").items():
        assert "B " in preset.about or "lam = 0" in preset.about or "erratum" in preset.about, name


# ------------------------------------------------------------------ codes, varied
def test_a_row_of_figure_3_differs_in_its_category_alone() -> None:
    latent = Latent(4, 2, 3)
    z = vary_category(latent, 5, np.random.default_rng(0))
    assert z.shape == (5, 4, latent.size)
    assert (latent.category(z) == np.arange(4)).all()
    assert (z[..., 4:6] == 0).all()
    assert (z[..., 6:] == z[:, :1, 6:]).all()
    assert len(np.unique(z[:, 0, 6])) == 5


def test_a_row_of_figure_4_differs_in_one_uniform_code() -> None:
    latent = Latent(4, 2, 3)
    z = vary_uniform(latent, 1, 7, np.random.default_rng(0))
    assert z.shape == (4, 7, latent.size)
    assert (latent.category(z) == np.arange(4)[:, None]).all()
    np.testing.assert_allclose(z[..., 5], np.tile(np.linspace(-1, 1, 7), (4, 1)), atol=1e-7)
    assert (z[..., 4] == 0).all()
    assert (z[..., 6:] == z[0, 0, 6:]).all()
    with pytest.raises(refot.InputError, match="code"):
        vary_uniform(latent, 2, 7, np.random.default_rng(0))


@pytest.mark.parametrize("name", ["mnist", "mnist-quick"])
def test_the_networks_of_table_3b_fit_each_other(name: str) -> None:
    """Latents of 100 (28 in the quick one) to images of 32 x 32 (28 x 28), to one number each."""
    s = make_system("info_sinkhorn", name, 0, "numpy", {"batch": 4, "n_D": 1})
    assert isinstance(s, InfoSinkhorn)
    batch = s.draw()
    x, _ = s.G.forward(batch["z"][0, 0])
    side = 32 if name == "mnist" else 28
    assert x.shape == batch["y"][0].shape == (4, side**2)
    assert s.D.forward(x, "D2")[0].shape == (4, 1)
    assert s.D.forward(x, "Q")[0].shape == (4, 12)
    assert batch["z"].shape[-1] == (100 if name == "mnist" else 28)
    assert np.isfinite(list(s.step().values())).all()


def sizes(net: Sequential) -> list[tuple[int, ...]]:
    """The shapes of the dense layers' weights, and of the convolutions' (in, out)."""
    return [w.shape[:2] for w in net.weights.values() if w.ndim > 1]


def test_the_networks_of_table_3b_have_its_sizes() -> None:
    """G: FC 1024, FC 8192, deconvolutions to 64 and 1 channels; D: to 64 and 128, then FC 1024."""
    rng = np.random.default_rng(0)
    assert sizes(table_3b_generator(100)(rng, np, np.float32)) == [
        (100, 1024), (1024, 8192), (128, 64), (64, 1)]
    D = table_3b_duals(12)(rng, np, np.float32)
    assert sorted(map(sorted, sizes(D.trunk))) == [[1, 64], [64, 128], [1024, 8192]]
    assert {name: sizes(head) for name, head in D.heads.items()} == {
        "D2": [(1024, 1)], "D4": [(1024, 1)], "Q": [(1024, 128), (128, 12)]}


def test_the_networks_of_table_3a_have_its_sizes() -> None:
    """FC 512 three times; b.n. in the duals and not in G; 128 latents; one number, or |Z1| = 25."""
    s = make_system("info_sinkhorn", "gaussians25", 0, "numpy", {"batch": 2, "n_D": 1})
    assert isinstance(s, InfoSinkhorn)
    assert isinstance(s.task, GridLaw)
    assert sizes(s.G) == [(128, 512), (512, 512), (512, 512), (512, 2)]
    assert not s.G.statistics
    for D in (s.D, dense_duals(2, 512, 512, 25)(s.rng, np, np.float32)):
        assert sizes(D.trunk) == [(2, 512), (512, 512)]
        assert {name: sizes(head) for name, head in D.heads.items()} == {
            "D2": [(512, 512), (512, 1)], "D4": [(512, 512), (512, 1)],
            "Q": [(512, 512), (512, 25)]}
        assert sum(key.endswith("mean") for key in D.statistics) == 5


def test_the_presets_hold_the_numbers_of_tables_1_and_2() -> None:
    table_1 = (1.5, 1.0, "l1", 5, (0.0, 0.9), 2e-4, 50_000, Latent(25, 0, 103))
    table_2 = (0.05, 0.05, "l1", 5, (0.5, 0.99), 2e-4, 24_200, Latent(10, 2, 88))
    for name, expected in (("gaussians25", table_1), ("mnist", table_2)):
        s = make_system("info_sinkhorn", name, 0, "numpy")
        assert isinstance(s, InfoSinkhorn)
        eps, lam, cost, n_D, betas, rate, iterations, latent = expected
        assert (s.settings.eps, s.settings.lam, s.settings.cost) == (eps, lam, cost)
        assert s.settings.n_D == n_D
        assert s.settings.rates.betas == betas
        assert s.settings.rates.D == s.settings.rates.Q == s.settings.rates.G == rate
        assert s.settings.rates.weight_decay_Q == (1e-3 if name == "mnist" else 0)
        assert presets("info_sinkhorn")[name].iterations == iterations
        assert s.task.law == latent  # type: ignore[attr-defined]


@pytest.mark.parametrize("name", ["l1", "sqeuclidean", "euclidean"])
def test_the_gradient_of_a_batch_is_that_of_the_cost(name: str) -> None:
    """|x - y|^2 has it from a matrix product, in 20 dimensions as its matrix; float64."""
    rng = np.random.default_rng(0)
    x, y, P = rng.normal(size=(5, 20)), rng.normal(size=(7, 20)), rng.uniform(size=(5, 7))
    cost = PointCost(x, y, GROUND_COSTS[name], 0.3)
    expected = np.einsum("ij,ijd->id", P, cost.gradient_rows(slice(None)))
    np.testing.assert_allclose(moved(P, cost), expected, rtol=1e-12, atol=1e-13)
