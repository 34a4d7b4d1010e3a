"""The presets of EOTGM, the model of L (Liu et al.) in data space. L prints no network sizes."""

from __future__ import annotations

from refot.systems.eotgm import EOTGM, Settings
from refot.systems.presets.recipe import preset_on_images
from refot.systems.registry import Preset
from refot.systems.tasks.feature_digits import convolutional_digits, dense_digits

PRESETS: dict[str, Preset] = {
    "mnist": preset_on_images(
        EOTGM, convolutional_digits, Settings(1.0, 200, 2e-4), 5_000,
        "MNIST 32 x 32 in data space, convolutions, lam = 1. L; its sizes are not printed."),
    "mnist-quick": preset_on_images(
        EOTGM, dense_digits, Settings(1.0, 128, 1e-3), 800,
        "MNIST 28 x 28 in data space, dense networks of width 256, lam = 1, 800 steps. L."),
}
