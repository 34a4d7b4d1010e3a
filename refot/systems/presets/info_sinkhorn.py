"""Info-Sinkhorn's presets: Tables 1 and 2 and Figs. 1 and 3 of B (Bréchet et al. 2019), and quick
forms of some.

Names ending in `-baseline` are the preset with lam = 0 and nothing else changed. Names with
`-quick` are presets with smaller widths and fewer iterations, which end within minutes on two
processors; the preset's text says what was reduced.
"""

from __future__ import annotations

from dataclasses import replace
from functools import partial

from refot.datasets.gaussians import GaussianGrid
from refot.networks import LeakyReLU, Tanh
from refot.systems.info_sinkhorn import InfoSinkhorn, Rates, Settings
from refot.systems.presets.recipe import preset, preset_on_images
from refot.systems.registry import Preset
from refot.systems.tasks.digit_features import COORDINATES, digit_features
from refot.systems.tasks.digits import Digits, shuffled
from refot.systems.tasks.image_networks import (
    NetworkMaker,
    dense,
    dense_duals,
    table_3b_duals,
    table_3b_generator,
    with_audible_category,
)
from refot.systems.tasks.latent import Latent
from refot.systems.tasks.lifted_digits import LiftedDigits
from refot.systems.tasks.plane import GridLaw

TABLE_1 = Settings(eps=1.5, lam=1.0, cost="l1", rates=Rates(2e-4, 2e-4, 2e-4, (0.0, 0.9)))
LATENT_1 = Latent(categories=25, uniform=0, noise=103)
"""B's Table 1, on 25 Gaussians: the settings and the law of the latents."""

TABLE_2 = Settings(
    eps=0.05, lam=0.05, cost="l1", cost_scale=1 / 1024, batch=64,
    rates=Rates(2e-4, 2e-4, 2e-4, (0.5, 0.99), weight_decay_Q=1e-3))
LATENT_2 = Latent(categories=10, uniform=2, noise=88)
"""B's Table 2, on MNIST: the settings and the law of the latents."""

QUICK_POINTS = 4_000
"""Iterations of the quick presets on 25 Gaussians; QUICK_1 and QUICK_LATENT_1 are theirs too."""

QUICK_1 = replace(
    TABLE_1, rates=Rates(1e-3, 1e-3, 1e-3, (0.0, 0.9), decay=(QUICK_POINTS // 2, QUICK_POINTS)))
QUICK_LATENT_1 = replace(LATENT_1, noise=8)

QUICK_DIGITS = 3_000
"""Iterations of the quick presets on MNIST; QUICK_2 and QUICK_LATENT_2 are theirs too."""

QUICK_2 = replace(
    TABLE_2, cost_scale=1 / 784,
    rates=Rates(1e-3, 1e-3, 1e-3, (0.5, 0.99), weight_decay_Q=1e-3,
                decay=(QUICK_DIGITS // 2, QUICK_DIGITS)))
QUICK_LATENT_2 = replace(LATENT_2, noise=16)

LIFTED_DIGITS = 1_000
"""Iterations of the presets on MNIST whose cost has features; LIFTED_2 is theirs too, and their
latents are QUICK_LATENT_2."""

FEATURE_WEIGHT = 0.25
"""The cost between two digits is the mean of (x - x')^2 over the pixels, plus this number times
|f(x) - f(x')|^2, which is about 2 between two digits, and .3 within one."""

LIFTED_2 = replace(
    QUICK_2, eps=0.15, lam=0.15, cost="sqeuclidean", batch=256, n_D=1,
    rates=replace(QUICK_2.rates, decay=(LIFTED_DIGITS // 2, LIFTED_DIGITS)))


CONVOLUTIONAL_DIGITS = 400
"""Iterations of the preset on MNIST with such a cost and a convolutional generator, of which one
takes some twenty times as long; CONVOLUTIONAL_2 is its too."""

CONVOLUTIONAL_2 = replace(LIFTED_2, rates=replace(
    LIFTED_2.rates, decay=(CONVOLUTIONAL_DIGITS // 2, CONVOLUTIONAL_DIGITS)))

CLUSTERED_STEPS = 2_000
"""Iterations of the presets on 9 wide Gaussians; CLUSTERED and CLUSTERS are theirs too."""

CLUSTERED = replace(QUICK_1, lam=0.0, rates=replace(
    QUICK_1.rates, decay=(CLUSTERED_STEPS // 2, CLUSTERED_STEPS)))
CLUSTERS = GaussianGrid(side=3, spacing=4.0, std=0.5)

_CUT = "width 128, 8 noise dimensions, rate 1e-3 falling to 2e-5, 4,000 steps"
_CUT_2 = "dense networks of width 256, 16 noise dimensions, rate 1e-3 falling to 2e-5, 3,000 steps"
_CUT_3 = ("dense networks of width 256, 16 noise dimensions, eps = lam = .15, n_D = 1, batch 256, "
          "1,000 steps; the cost is squared l2 of pixels and of features")


# ------------------------------------------------------------------ the tasks
def points() -> GridLaw:
    """25 Gaussians, with the networks of Table 3a."""
    return GridLaw(GaussianGrid(), LATENT_1, width=512)


def quick_points() -> GridLaw:
    """25 Gaussians, with smaller networks and latents: see _CUT."""
    return GridLaw(GaussianGrid(), QUICK_LATENT_1, width=128)


def clusters() -> GridLaw:
    """9 wide Gaussians: here one sees samples collapse under the biased loss W. Fig. 1."""
    return GridLaw(CLUSTERS, QUICK_LATENT_1, width=128)


def digits_32(data: str | None) -> Digits:
    """MNIST, 32 x 32, with the convolutional networks of Table 3b. `data` is as in `Digits`."""
    z = LATENT_2
    return Digits(data, z, side=32, low=-1, real=shuffled, generator=table_3b_generator(z.size),
                  duals=table_3b_duals(z.informative))


def quick_digits(data: str | None) -> Digits:
    """MNIST, 28 x 28, with dense networks: see _CUT_2. `data` is as in `Digits`."""
    z, h = QUICK_LATENT_2, 256
    generator = dense([z.size, h, h, 784], LeakyReLU(0.2), Tanh(), batch_norm=True)
    return Digits(data, z, low=-1, real=shuffled, generator=generator,
                  duals=dense_duals(784, h, 128, z.informative))


def lifted_digits(generator: NetworkMaker, data: str | None) -> LiftedDigits:
    """MNIST, 28 x 28, with a cost that also compares features: see _CUT_3. `data` is as in
    `Digits`; `generator` takes latents of QUICK_LATENT_2."""
    z = QUICK_LATENT_2
    return LiftedDigits(data, z, digit_features(data), FEATURE_WEIGHT,
                        with_audible_category(generator, z),
                        dense_duals(784 + COORDINATES, 256, 128, z.informative))


dense_lifted_digits = partial(lifted_digits, dense(
    [QUICK_LATENT_2.size, 256, 256, 784], LeakyReLU(0.2), Tanh(), batch_norm=True))
convolutional_lifted_digits = partial(
    lifted_digits, table_3b_generator(QUICK_LATENT_2.size, side=28))


# ------------------------------------------------------------------ the table
PRESETS: dict[str, Preset] = {
    "gaussians25": preset(
        InfoSinkhorn, points, TABLE_1, 50_000,
        "25 Gaussians, eps = 1.5, lam = 1, l1. B Table 1, networks of Table 3a."),
    "gaussians25-baseline": preset(
        InfoSinkhorn, points, replace(TABLE_1, lam=0.0), 50_000,
        "The same with lam = 0: the Sinkhorn baseline. B Table 1."),
    "gaussians25-figure3": preset(
        InfoSinkhorn, points, replace(TABLE_1, eps=0.05, lam=0.05), 50_000,
        "25 Gaussians with the eps = lam = .05 that B's Fig. 3 states (erratum E9)."),
    "gaussians25-printed": preset(
        InfoSinkhorn, points, replace(TABLE_1, printed=True), 50_000,
        "Table 1 with lam Q where B-24 and B-29 print it (erratum E3), to compare."),
    "gaussians25-quick": preset(
        InfoSinkhorn, quick_points, QUICK_1, QUICK_POINTS, f"B Table 1 but {_CUT}."),
    "gaussians25-quick-baseline": preset(
        InfoSinkhorn, quick_points, replace(QUICK_1, lam=0.0), QUICK_POINTS,
        f"lam = 0, {_CUT}."),
    "clusters-S-l1": preset(
        InfoSinkhorn, clusters, CLUSTERED, CLUSTERED_STEPS,
        "9 wide Gaussians under S, l1, lam = 0. The loss of B Fig. 1b."),
    "clusters-W-l1": preset(
        InfoSinkhorn, clusters, replace(CLUSTERED, debiased=False), CLUSTERED_STEPS,
        "9 wide Gaussians under W, l1, lam = 0. The loss of B Fig. 1a."),
    "clusters-S-l2": preset(
        InfoSinkhorn, clusters, replace(CLUSTERED, cost="sqeuclidean"), CLUSTERED_STEPS,
        "9 wide Gaussians under S, squared l2, lam = 0. The loss of B Fig. 1d."),
    "clusters-W-l2": preset(
        InfoSinkhorn, clusters, replace(CLUSTERED, cost="sqeuclidean", debiased=False),
        CLUSTERED_STEPS, "9 wide Gaussians under W, squared l2, lam = 0. The loss of B Fig. 1c."),
    "mnist": preset_on_images(
        InfoSinkhorn, digits_32, TABLE_2, 24_200,
        "MNIST 32 x 32, convolutions. B Tables 2, 3b; the cost is a pixel mean (E10)."),
    "mnist-baseline": preset_on_images(
        InfoSinkhorn, digits_32, replace(TABLE_2, lam=0.0), 24_200,
        "The same with lam = 0: the Sinkhorn baseline. B Table 2."),
    "mnist-quick": preset_on_images(
        InfoSinkhorn, quick_digits, QUICK_2, QUICK_DIGITS,
        f"MNIST 28 x 28, B Table 2 but {_CUT_2}."),
    "mnist-quick-baseline": preset_on_images(
        InfoSinkhorn, quick_digits, replace(QUICK_2, lam=0.0), QUICK_DIGITS,
        f"lam = 0, {_CUT_2}."),
    "mnist-features": preset_on_images(
        InfoSinkhorn, dense_lifted_digits, LIFTED_2, LIFTED_DIGITS,
        f"MNIST 28 x 28, B Algorithm 1, {_CUT_3}."),
    "mnist-features-baseline": preset_on_images(
        InfoSinkhorn, dense_lifted_digits, replace(LIFTED_2, lam=0.0), LIFTED_DIGITS,
        "mnist-features with lam = 0: the Sinkhorn baseline."),
    "mnist-features-convolutional": preset_on_images(
        InfoSinkhorn, convolutional_lifted_digits, CONVOLUTIONAL_2, CONVOLUTIONAL_DIGITS,
        "mnist-features with the generator of B Table 3b, for 28 x 28; 400 steps."),
}
