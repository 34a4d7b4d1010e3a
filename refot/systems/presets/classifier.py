"""The presets of the classifier of digits: the 8 x 8 digits of scikit-learn, and MNIST."""

from __future__ import annotations

from typing import Any

import numpy as np

from refot.backend_contract import BackendLike
from refot.datasets import scikit
from refot.datasets.images import LabelledImages
from refot.datasets.mnist import mnist
from refot.systems.classifier import LABELS, ClassifierSystem, Settings
from refot.systems.registry import Preset, with_changes

PER_DIGIT = 174
"""The number of images of each digit that are used: scikit-learn has at least this many."""


def _digits(seed: int, backend: BackendLike, **changes: Any) -> ClassifierSystem:
    """8 x 8 digits of scikit-learn, grey levels 0..16."""
    images = [scikit.digits(label, PER_DIGIT).reshape(-1, 8, 8) for label in range(LABELS)]
    data = LabelledImages(np.concatenate(images), np.repeat(np.arange(LABELS), PER_DIGIT))
    settings = with_changes(Settings(hidden=64, features=32, batch=64, lr=2e-3), changes)
    return ClassifierSystem(seed, backend, data, 16.0, settings)


def _mnist(
    seed: int, backend: BackendLike, data: str | None = None, **changes: Any
) -> ClassifierSystem:
    """28 x 28 digits of MNIST, grey levels 0..255."""
    settings = with_changes(Settings(hidden=256, features=64, batch=128, lr=1e-3), changes)
    return ClassifierSystem(seed, backend, mnist(data), 255.0, settings)


PRESETS: dict[str, Preset] = {
    "digits": Preset(_digits, 1_000, "Classifier of 8 x 8 digits (scikit-learn), 32 features."),
    "mnist": Preset(_mnist, 2_000, "Classifier of MNIST for classifier scores, 64 features; 5,000 "
                    "images, or all with --data.", takes_data=True),
}
