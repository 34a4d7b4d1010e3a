"""MNIST for a learned cost: a generator and a network of features, convolutional or dense.

These are for the systems of G (Genevay, Peyré, Cuturi 2018) and L (Liu et al.), which print no
networks for images. The feature networks have no batch norm, because a cost is a function of two
points, and must not depend on the rest of the batch.
"""

from __future__ import annotations

from refot.networks import Layer, LeakyReLU, ReLU, Sigmoid
from refot.systems.tasks.digits import Digits
from refot.systems.tasks.image_networks import convolutional, convolutional_features, dense
from refot.systems.tasks.latent import UniformLatent


def convolutional_digits(data: str | None, *output: Layer, p: int = 100) -> Digits:
    """Images of 32 x 32 and convolutional networks; p features, after which follow the layers
    `output`. `data` is the folder of `Digits`."""
    return Digits(data, UniformLatent(100), side=32, generator=convolutional(100),
                  features=convolutional_features(1, (64, 128), p, *output))


def light_digits(data: str | None, *output: Layer, width: int = 256, p: int = 64) -> Digits:
    """Images of 32 x 32; a dense generator with batch norm, whose hidden layers have one `width`,
    and features by two small convolutions. A processor trains them in minutes. p features, then the
    layers `output`; `data` is the folder of `Digits`."""
    latents = 32
    generator = dense([latents, width, width, 1024], ReLU(), Sigmoid(), batch_norm=True)
    return Digits(data, UniformLatent(latents), side=32, generator=generator,
                  features=convolutional_features(1, (16, 32), p, *output))


def dense_digits(data: str | None, output: Layer | None = None, width: int = 256, p: int = 64
                 ) -> Digits:
    """Images of 28 x 28 and dense networks, whose hidden layers have one `width`: a processor
    trains them in minutes. p features, then the layer `output`; a critic of its own for a WGAN.
    `data` is the folder of `Digits`."""
    latents = 32
    generator = dense([latents, width, width, 784], ReLU(), Sigmoid(), batch_norm=True)
    return Digits(data, UniformLatent(latents), generator=generator,
                  features=dense([784, width, p], LeakyReLU(0.2), output),
                  critic=dense([784, width, width, 1], LeakyReLU(0.2)))
