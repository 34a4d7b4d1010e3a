"""Presets of the baselines, MMD and WGAN with clipping or a gradient penalty, for points in the
plane and for MNIST.

The settings of the WGANs are the defaults in `refot.systems.baselines`, which are those of their
papers, unless the preset's text says otherwise. H = Houdard et al. 2023.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from refot.systems.base.generator_system import GeneratorSystem
from refot.systems.baselines import (
    ClippedSettings,
    ClippedWGAN,
    MMDGenerator,
    MMDSettings,
    PenalisedSettings,
    PenalisedWGAN,
)
from refot.systems.batch.costs import Euclidean, MinusGaussianKernel
from refot.systems.presets.recipe import preset, preset_on_images
from refot.systems.presets.semidual import QUICK, perceptron
from refot.systems.registry import Preset
from refot.systems.tasks.feature_digits import dense_digits
from refot.systems.tasks.plane import GridPoints

ENERGY = MMDSettings(Euclidean(), m=256, rate=1e-3)
"""MMD with the energy distance, in the plane and on MNIST."""

GAUSSIAN = MMDSettings(MinusGaussianKernel(1.0), m=256, rate=1e-3)
"""MMD with a Gaussian kernel in the plane."""

GAUSSIAN_DIGITS = MMDSettings(MinusGaussianKernel(5.0), m=256, rate=1e-3)
"""MMD with a Gaussian kernel on MNIST, where distances are larger."""

ITERATIONS = 20_000
QUICK_ITERATIONS = 2_000


def _four(name: str, system: Callable[..., GeneratorSystem], plane: Any, digits: Any, about: str,
          **quick: float) -> dict[str, Preset]:
    """Four presets of a baseline: on 2,000 points of 25 Gaussians and on MNIST, each also in a
    quick form.

    `plane` and `digits` are the settings for the two; `quick` are settings that the quick presets
    change. `about` describes the baseline.
    """
    sooner = about + "".join(f"; {key} {value:g}" for key, value in quick.items())
    return {
        f"{name}-gaussians25": preset(
            system, lambda: GridPoints(2_000, 256), plane, ITERATIONS,
            f"{about}; 25 Gaussians, width 256."),
        f"{name}-gaussians25-quick": preset(
            system, lambda: GridPoints(2_000, 128), replace(plane, **quick), QUICK_ITERATIONS,
            f"{sooner}; 25 Gaussians, width 128."),
        f"{name}-mnist": preset_on_images(
            system, perceptron(), digits, ITERATIONS,
            f"{about}; MNIST, widths 256, 512, 1024."),
        f"{name}-mnist-quick": preset_on_images(
            system, perceptron(QUICK, 32), replace(digits, **quick), QUICK_ITERATIONS,
            f"{sooner}; MNIST, widths 128, 256, 256."),
    }


PRESETS: dict[str, Preset] = {
    **_four("mmd-energy", MMDGenerator, ENERGY, ENERGY,
            "MMD with the energy distance (kernel -|x - y|)"),
    **_four("mmd-gaussian", MMDGenerator, GAUSSIAN, GAUSSIAN_DIGITS,
            "MMD with a Gaussian kernel, bandwidth 1 in the plane and 5 on MNIST"),
    **_four("wgan-clip", ClippedWGAN, ClippedSettings(), ClippedSettings(),
            "WGAN with weight clipping (H-13; Arjovsky et al. 2017)", rate=5e-4),
    **_four("wgan-gp", PenalisedWGAN, PenalisedSettings(), PenalisedSettings(),
            "WGAN with a gradient penalty (H-13; Gulrajani et al. 2017)", rate=5e-4),
    "wgan-gp-mnist-dense-quick": preset_on_images(
        PenalisedWGAN, dense_digits, PenalisedSettings(rate=5e-4), QUICK_ITERATIONS,
        "WGAN with a gradient penalty on the data and with the generator of EOTGM's mnist-quick; "
        "rate 5e-4."),
}
