"""The presets of EOTGAN, the adversarial model of L (Liu et al.); feature networks end in tanh."""

from __future__ import annotations

from refot.networks import Tanh
from refot.systems.eotgan import EOTGAN, AdversarialSettings, JointEOTGAN, JointSettings
from refot.systems.presets.recipe import preset_on_images
from refot.systems.registry import Preset
from refot.systems.tasks.feature_digits import (
    convolutional_digits,
    dense_digits,
    light_digits,
)

PRESETS: dict[str, Preset] = {
    "mnist": preset_on_images(
        EOTGAN, lambda data: convolutional_digits(data, Tanh()),
        AdversarialSettings(lam=0.005, m=200, rate=2e-4, rate_f=1e-5), 5_000,
        "MNIST 32 x 32 in a learned feature space, convolutions. L; its sizes are not printed."),
    "mnist-quick": preset_on_images(
        EOTGAN, lambda data: dense_digits(data, Tanh()),
        AdversarialSettings(lam=0.005, m=128, rate=1e-3, rate_f=3e-5), 800,
        "MNIST 28 x 28 in a learned feature space, dense networks of width 256, 800 steps. L."),
    "mnist-joint-quick": preset_on_images(
        JointEOTGAN, lambda data: light_digits(data, Tanh()),
        JointSettings(lam=1.0, m=128, rate=1e-3, rate_f=1e-4, beta=10.0), 800,
        "MNIST 32 x 32 by pixels and learned features together, f convolutional, g dense, 800 "
        "steps. After L."),
}
