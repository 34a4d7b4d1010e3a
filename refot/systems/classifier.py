"""A small classifier of digits: the features and probabilities of `refot.scores.classifier`.

Two dense layers (ReLU) are the features, a third the logits; cross-entropy, Adam. Not a system of
the papers: what they take from the Inception network is taken from here, under other names.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from refot.arrays import Array
from refot.backend_contract import BackendLike
from refot.datasets import scikit as datasets
from refot.datasets.images import LabelledImages
from refot.datasets.mnist import mnist
from refot.networks import Adam, ReLU, Sequential, mlp
from refot.scores.classifier import classifier_score
from refot.systems.base.network_system import Batch, NetworkSystem
from refot.systems.registry import Preset, System
from refot.systems.training.folder import RunFolderError
from refot.systems.training.load import load_system

HELD_OUT = 5
"""One image in so many is held out, for the measures."""

LABELS = 10


@dataclass(frozen=True)
class Classifier:
    """What scores need: features (n, d) and probabilities (n, 10) of images (n, h, w) in [0, 1]."""

    trunk: Sequential
    head: Sequential

    def features(self, images: Any) -> Array:
        """The values of the last hidden layer, (n, d) float32, NumPy."""
        flat = np.asarray(images, dtype=np.float32).reshape(len(images), -1)
        return self.trunk.forward(flat, train=False)[0]

    def probabilities(self, images: Any) -> Array:
        """p(label | image), (n, 10)."""
        return softmax(self.head.forward(self.features(images), train=False)[0], np)


class ClassifierSystem(NetworkSystem):
    """Cross-entropy on batches of labelled images."""

    name = "classifier"

    def __init__(
        self, preset: str, seed: int, backend: BackendLike, data: LabelledImages, high: float,
        hidden: int, features: int, batch: int, lr: float,
    ) -> None:
        super().__init__(preset, seed, backend)
        train, self.held_out = data.split(len(data) // HELD_OUT)  # the same for every seed
        self.images = (train.images / np.float32(high)).reshape(len(train), -1)
        self.unseen = (self.held_out.images / np.float32(high)).astype(np.float32)
        self.labels, self.batch = train.labels, batch
        self.trunk = mlp([self.images.shape[1], hidden, features], self.rng, ReLU, output=ReLU,
                         xp=self.xp)
        self.head = mlp([features, LABELS], self.rng, xp=self.xp)
        self.networks = {"trunk": self.trunk, "head": self.head}
        self.optimisers = {"trunk": Adam(lr), "head": Adam(lr)}

    def draw(self) -> Batch:
        index = self.rng.integers(len(self.labels), size=self.batch)
        return {"x": self.on_device(self.images[index]),
                "label": self.on_device(self.labels[index])}

    def update(self, batch: Batch) -> dict[str, float]:
        """An Adam step down the cross-entropy, in nats."""
        h, trunk = self.trunk.forward(batch["x"])
        logits, head = self.head.forward(h)
        p = softmax(logits, self.xp)
        rows = self.xp.arange(len(p))
        loss = -self.xp.log(self.xp.maximum(p[rows, batch["label"]], 1e-30)).mean()
        p[rows, batch["label"]] -= 1
        dh, of_head = self.head.backward(head, p / len(p))
        _, of_trunk = self.trunk.backward(trunk, dh)
        self.optimisers["head"].step(self.head.weights, of_head)
        self.optimisers["trunk"].step(self.trunk.weights, of_trunk)
        return {"cross-entropy": float(loss)}

    def classifier(self) -> Classifier:
        """What it is now, on the host."""
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
        """It generates nothing: the held-out images (count, h, w) that it is least sure of."""
        p = self.classifier().probabilities(self.unseen)
        return self.unseen[p.max(axis=1).argsort()[:count]]


def softmax(logits: Array, xp: Any) -> Array:
    """exp(l) / sum exp(l) along the last axis."""
    e = xp.exp(logits - logits.max(axis=-1, keepdims=True))
    return e / e.sum(axis=-1, keepdims=True)


# ------------------------------------------------------------------ presets
def _digits(seed: int, backend: BackendLike, **settings: Any) -> System:
    """8 x 8 digits of scikit-learn, grey levels 0..16."""
    images = [datasets.digits(label, 174).reshape(-1, 8, 8) for label in range(LABELS)]
    data = LabelledImages(np.concatenate(images), np.repeat(np.arange(LABELS), 174))
    return ClassifierSystem("digits", seed, backend, data, high=16.0, **(
        {"hidden": 64, "features": 32, "batch": 64, "lr": 2e-3} | settings))


def _mnist(seed: int, backend: BackendLike, data: str | None = None, **settings: Any) -> System:
    """28 x 28 digits of MNIST, grey levels 0..255."""
    return ClassifierSystem("mnist", seed, backend, mnist(data), high=255.0, **(
        {"hidden": 256, "features": 64, "batch": 128, "lr": 1e-3} | settings))


PRESETS = {
    "digits": Preset(_digits, 1_000, "Classifier of 8 x 8 digits (scikit-learn), 32 features."),
    "mnist": Preset(_mnist, 2_000, "Classifier of MNIST for classifier scores, 64 features; 5,000 "
                    "images, or all with --data.", takes_data=True),
}


def load_classifier(folder: str | Path) -> Classifier:
    """The classifier that `refot train classifier` left in a folder. Raises RunFolderError."""
    system = load_system(folder)
    if not isinstance(system, ClassifierSystem):
        raise RunFolderError("folder", f"{folder} holds no run of {ClassifierSystem.name}",
                             "the --out of `refot train classifier`")
    return system.classifier()
