"""A small classifier of digits, with which `refot.scores.classifier` scores generated images.

Two dense layers (ReLU) give the features of an image, a third the logits of its label. It is
trained by Adam on the cross-entropy. It is no system of the papers. Their scores use the Inception
network, which is not part of refot; this classifier stands in for it. So the scores have other
names here, lest somebody compare them with published ones.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

import numpy as np

from refot.arrays import Array
from refot.backend_contract import BackendLike
from refot.datasets.images import LabelledImages
from refot.networks import Adam, ReLU, Sequential, mlp
from refot.scores.classifier import classifier_score
from refot.systems.base.network_system import Batch, NetworkSystem
from refot.systems.training.folder import RunFolderError
from refot.systems.training.load import load_system

HELD_OUT = 5
"""One image in this number is not trained on, but kept for the measures."""

LABELS = 10
"""The number of labels: the digits 0 to 9."""


@dataclass(frozen=True)
class Classifier:
    """A trained classifier: features and probabilities of images (n, h, w), grey levels in [0, 1].
    """

    trunk: Sequential
    head: Sequential

    def features(self, images: Array) -> Array:
        """The values of the last hidden layer, (n, d), float32 of NumPy."""
        flat = np.asarray(images, dtype=np.float32).reshape(len(images), -1)
        return self.trunk.forward(flat, train=False)[0]

    def probabilities(self, images: Array) -> Array:
        """p(label | image), (n, 10)."""
        return softmax(self.head.forward(self.features(images), train=False)[0], np)


@dataclass(frozen=True)
class Settings:
    """The widths of the first layer (`hidden`) and of the second, which gives the features; the
    number of images in a batch; Adam's rate."""

    hidden: int
    features: int
    batch: int
    lr: float


class ClassifierSystem(NetworkSystem):
    """Cross-entropy on batches of labelled images, whose grey levels go from 0 to `high`."""

    name = "classifier"

    def __init__(self, seed: int, backend: BackendLike, data: LabelledImages, high: float,
                 settings: Settings) -> None:
        super().__init__(seed, backend)
        train, self.held_out = data.split(len(data) // HELD_OUT)  # the same for every seed
        self.images = (train.images / np.float32(high)).reshape(len(train), -1)
        self.unseen = (self.held_out.images / np.float32(high)).astype(np.float32)
        self.labels, self.batch = train.labels, settings.batch
        self.trunk = mlp([self.images.shape[1], settings.hidden, settings.features], self.rng,
                         ReLU, output=ReLU, xp=self.xp)
        self.head = mlp([settings.features, LABELS], self.rng, xp=self.xp)
        self.networks = {"trunk": self.trunk, "head": self.head}
        self.optimisers = {name: Adam(settings.lr) for name in self.networks}

    def draw(self) -> Batch:
        index = self.rng.integers(len(self.labels), size=self.batch)
        return {"x": self.on_device(self.images[index]),
                "label": self.on_device(self.labels[index])}

    def update(self, batch: Batch) -> dict[str, float]:
        """An Adam step down the cross-entropy, in nats.

        Its gradient in the logits is p minus the one-hot label, divided by the number of images.
        """
        h, trunk = self.trunk.forward(batch["x"])
        logits, head = self.head.forward(h)
        p = softmax(logits, self.xp)
        rows = self.xp.arange(len(p))
        loss = -self.xp.log(self.xp.maximum(p[rows, batch["label"]], 1e-30)).mean()
        p[rows, batch["label"]] -= 1
        dh, of_head = self.head.backward(head, p / len(p))
        of_trunk = self.trunk.weight_gradients(trunk, dh)
        self.optimisers["head"].step(self.head.weights, of_head)
        self.optimisers["trunk"].step(self.trunk.weights, of_trunk)
        return {"cross-entropy": float(loss)}

    def classifier(self) -> Classifier:
        """The classifier with a copy, in NumPy, of the present weights."""
        found = []
        for net in (self.trunk, self.head):
            copy = Sequential(net.layers, np.random.default_rng(0))
            for name, w in net.weights.items():
                copy.weights[name][...] = self.backend.to_numpy(w)
            found.append(copy)
        return Classifier(*found)

    def evaluate(self, rng: np.random.Generator) -> dict[str, float]:
        """On the held-out images: accuracy, cross-entropy in nats, and the classifier score."""
        p, labels = self.classifier().probabilities(self.unseen), self.held_out.labels
        right = p[np.arange(len(p)), labels]
        return {"accuracy": float((p.argmax(axis=1) == labels).mean()),
                "cross-entropy": float(-np.log(np.maximum(right, 1e-30)).mean()),
                "classifier score of real images": classifier_score(p)}

    def sample(self, count: int, rng: np.random.Generator) -> Array:
        """The held-out images (count, h, w) of whose label the classifier is least sure. Other
        systems show generated samples here; this one generates none."""
        p = self.classifier().probabilities(self.unseen)
        return self.unseen[p.max(axis=1).argsort()[:count]]


def softmax(logits: Array, xp: ModuleType) -> Array:
    """exp(l) / sum exp(l) along the last axis."""
    e = xp.exp(logits - logits.max(axis=-1, keepdims=True))
    return e / e.sum(axis=-1, keepdims=True)


def load_classifier(folder: str | Path) -> Classifier:
    """The classifier from a folder that `refot train classifier` has written. Raises RunFolderError
    for any other folder."""
    system = load_system(folder)
    if not isinstance(system, ClassifierSystem):
        raise RunFolderError("folder", f"{folder} holds no run of {ClassifierSystem.name}",
                             "the --out of `refot train classifier`")
    return system.classifier()
