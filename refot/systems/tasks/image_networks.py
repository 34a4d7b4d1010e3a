"""Networks for images: generators, features, and dual networks. The dense ones also take points.

B = Bréchet et al. 2019, H = Houdard et al. 2023. B prints its networks in Table 3, and H its
perceptron and the channels of a DCGAN. G (Genevay, Peyré, Cuturi 2018) and L (Liu et al.) print
none for images; the networks for these are chosen here.

Each function returns a `NetworkMaker`: sizes are fixed, but weights are drawn when a system makes
the network. Images are rows of numbers at the input and the output of every network.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from types import ModuleType
from typing import Any, TypeAlias

import numpy as np

from refot.arrays import Array, ShapeError, namespace
from refot.networks import (
    BatchNorm,
    Conv4x4,
    ConvTranspose4x4,
    Dense,
    Flatten,
    Heads,
    Layer,
    LeakyReLU,
    ReLU,
    Reshape,
    Sequential,
    Sigmoid,
    Tanh,
    mlp,
)
from refot.systems.tasks.latent import Latent

NetworkMaker: TypeAlias = Callable[[np.random.Generator, ModuleType, Any], Sequential]
"""(random generator, array library, dtype) -> a network with newly drawn weights."""

HeadsMaker: TypeAlias = Callable[[np.random.Generator, ModuleType, Any], Heads]
"""(random generator, array library, dtype) -> a trunk with several heads, newly drawn."""


def dense(sizes: Sequence[int], activation: Layer, output: Layer | None = None,
          batch_norm: bool = False) -> NetworkMaker:
    """Dense layers of these sizes, input first. Arguments are those of `refot.networks.mlp`."""
    return lambda rng, xp, dtype: mlp(sizes, rng, activation, batch_norm, output, dtype, xp)


def layers(*given: Layer) -> NetworkMaker:
    """A network of these layers, in this order."""
    return lambda rng, xp, dtype: Sequential(given, rng, dtype, xp)


def with_audible_category(make: NetworkMaker, law: Latent) -> NetworkMaker:
    """The network of `make` on latents of `law`, with the weights of the category in its first
    layer drawn sqrt(noise) times as large.

    A category is a single 1, but the noise beside it has a length of about sqrt(noise), and would
    drown it. With larger weights both move the output equally far at the start.
    """

    def made(rng: np.random.Generator, xp: ModuleType, dtype: Any) -> Sequential:
        network = make(rng, xp, dtype)
        first = next(iter(network.weights.values()))
        if first.shape[0] != law.size:
            raise ShapeError("make", f"a first layer of shape {first.shape}", f"{law.size} inputs")
        first[: law.categories] *= law.noise**0.5
        return network

    return made


# ------------------------------------------------------------------ generators of images
def deep_convolutional(latents: int, channels: tuple[int, int, int], *last: Layer,
                       colours: int = 1) -> NetworkMaker:
    """DCGAN's generator: from 4 x 4 up to 32 x 32 in three steps, then the layers `last`.

    DCGAN = Radford et al. 2016. Its first deconvolution, from 1 x 1 to 4 x 4, is written as a dense
    layer. `channels` are those at 4 x 4, 8 x 8 and 16 x 16; `latents` is the size of a latent.
    """
    a, b, c = channels
    return layers(
        Dense(latents, a * 16), Reshape((a, 4, 4)), BatchNorm(a), ReLU(),
        ConvTranspose4x4(a, b), BatchNorm(b), ReLU(),  # (b, 8, 8)
        ConvTranspose4x4(b, c), BatchNorm(c), ReLU(),  # (c, 16, 16)
        ConvTranspose4x4(c, colours), *last, Flatten())  # (colours, 32, 32)


def convolutional(latents: int) -> NetworkMaker:
    """A generator of images of 32 x 32 in [0, 1], with the two deconvolutions of B's Table 3b."""
    return layers(
        Dense(latents, 128 * 8 * 8), BatchNorm(128 * 8 * 8), ReLU(), Reshape((128, 8, 8)),
        ConvTranspose4x4(128, 64), BatchNorm(64), ReLU(),  # (64, 16, 16)
        ConvTranspose4x4(64, 1), Sigmoid(), Flatten())  # (1, 32, 32)


def table_3b_generator(latents: int, side: int = 32) -> NetworkMaker:
    """The generator G of B's Table 3b: images in [-1, 1]. B's are of 32 x 32; `side` is a multiple
    of 4."""
    quarter = side // 4
    return layers(
        *hidden(latents, 1024), *hidden(1024, 128 * quarter**2), Reshape((128, quarter, quarter)),
        ConvTranspose4x4(128, 64), BatchNorm(64), LeakyReLU(0.2),  # (64, side / 2, side / 2)
        ConvTranspose4x4(64, 1), Tanh(), Flatten())  # (1, side, side)


# ------------------------------------------------------------------ features of images
def convolutional_features(colours: int, channels: Sequence[int], p: int,
                           *output: Layer) -> NetworkMaker:
    """p features of images of 32 x 32: convolutions to `channels`, each of which halves the side, a
    dense layer, and the layers `output`.

    There is no batch norm, because a learned cost must depend on two points alone, not on the rest
    of the batch.
    """
    side, steps, before = 32, list[Layer](), colours
    for after in channels:
        steps += [Conv4x4(before, after), LeakyReLU(0.2)]
        side, before = side // 2, after
    return layers(Reshape((colours, 32, 32)), *steps, Flatten(), Dense(before * side**2, p),
                  *output)


# ------------------------------------------------------------------ the dual networks of B
def hidden(d_in: int, d_out: int) -> list[Layer]:
    """Dense, batch norm, leaky ReLU: "FC - b.n. - LReLU" in Table 3."""
    return [Dense(d_in, d_out), BatchNorm(d_out), LeakyReLU(0.2)]


def dense_duals(d: int, width: int, head: int, informative: int) -> HeadsMaker:
    """D2, D4 and D_Q on one trunk, of dense layers. B Table 3a has width = head = 512.

    d is the dimension of the data, `width` that of the trunk's layers, `head` the width of the
    hidden layer of each head, `informative` the number of outputs of D_Q.
    """

    def make(rng: np.random.Generator, xp: ModuleType, dtype: Any) -> Heads:
        trunk = Sequential([*hidden(d, width), *hidden(width, width)], rng, dtype, xp)
        outputs = {"D2": 1, "D4": 1, "Q": informative}
        return Heads(trunk, {
            name: Sequential([*hidden(width, head), Dense(head, k)], rng, dtype, xp)
            for name, k in outputs.items()})

    return make


def table_3b_duals(informative: int) -> HeadsMaker:
    """D2, D4 and D_Q of B's Table 3b, for images of 32 x 32. D_Q has `informative` outputs."""

    def make(rng: np.random.Generator, xp: ModuleType, dtype: Any) -> Heads:
        trunk = Sequential([
            Reshape((1, 32, 32)),
            Conv4x4(1, 64), BatchNorm(64), LeakyReLU(0.2),  # (64, 16, 16)
            Conv4x4(64, 128), BatchNorm(128), LeakyReLU(0.2),  # (128, 8, 8)
            Flatten(), *hidden(128 * 8 * 8, 1024),
        ], rng, dtype, xp)
        heads: dict[str, list[Layer]] = {
            "D2": [Dense(1024, 1)],
            "D4": [Dense(1024, 1)],
            "Q": [*hidden(1024, 128), Dense(128, informative)],
        }
        return Heads(trunk, {name: Sequential(head, rng, dtype, xp)
                             for name, head in heads.items()})

    return make


# ------------------------------------------------------------------ a layer
@dataclass(frozen=True)
class Crop(Layer):
    """(n, c, h, w) -> (n, c, h - 2 edge, w - 2 edge): the middle of each image.

    It is needed because a generator that doubles the side at each step makes 32 x 32 from 4 x 4,
    while MNIST's images have 28 x 28.
    """

    edge: int

    def forward(
        self, x: Array, weights: tuple[Array, ...], statistics: tuple[Array, ...], train: bool
    ) -> tuple[Array, tuple[int, ...]]:
        if x.ndim != 4 or min(x.shape[2:]) <= 2 * self.edge:
            raise ShapeError("x", f"shape {x.shape}", f"images larger than {2 * self.edge}")
        return x[:, :, self.edge : -self.edge, self.edge : -self.edge], x.shape

    def backward(
        self, dy: Array, cache: tuple[int, ...], weights: tuple[Array, ...]
    ) -> tuple[Array, tuple[Array, ...]]:
        """dx is dy with zeros around it, because y does not depend on the pixels that are cut off.
        """
        edge, (_, _, h, w) = self.edge, cache
        dx = namespace(dy).zeros(cache, dtype=dy.dtype)
        dx[:, :, edge : h - edge, edge : w - edge] = dy
        return dx, ()
