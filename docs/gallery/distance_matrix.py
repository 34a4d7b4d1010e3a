"""A matrix of distances: digits as clouds of ink.

Each image is a cloud of points, the cells that have ink, with the ink for weights, about its own
centre; clouds may differ in size. The divergence between two is what it costs to move one to the
other. Images that are placed anywhere on their sheet hardly share a pixel, but their clouds are
near. The self terms are solved once, and the pairs together. The picture shows the root of all
divergences, by digit: dark squares are digits of one kind.
"""

import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_digits

import refot

plt.style.use("refot.plots.pages")
refot.use_backend("numba")  # compiled kernels
KINDS, EACH = 6, 10


def data():
    """Images (60, 10, 10), ten of each digit 0 to 5, placed anywhere; and their digits (60,)."""
    images, digits = load_digits(return_X_y=True)
    chosen = np.concatenate([np.flatnonzero(digits == k)[:EACH] for k in range(KINDS)])
    placed, rng = np.zeros((len(chosen), 10, 10)), np.random.default_rng(0)
    for image, values in zip(placed, images[chosen], strict=True):
        row, column = rng.integers(0, 3, 2)
        image[row:row + 8, column:column + 8] = values.reshape(8, 8)
    return placed, digits[chosen]


def cloud(image):
    """The cells (k, 2) that have ink, about their centre, and their shares (k,) of the ink."""
    points, ink = np.argwhere(image), image[image > 0] / image.sum()
    return points - ink @ points, ink


def transport(clouds):
    """The Sinkhorn divergence between all pairs of clouds, (n, n), in cells squared."""
    return refot.pairwise(clouds, eps=0.5)


def picture(distances):
    """The matrix, with the digits beside it."""
    figure, axes = plt.subplots(figsize=(4.6, 3.7))
    shown = axes.imshow(distances)
    middles = range(EACH // 2, KINDS * EACH, EACH)
    axes.set(xticks=middles, yticks=middles, xticklabels=range(KINDS), yticklabels=range(KINDS))
    axes.tick_params(length=0)
    figure.colorbar(shown, label="distance in cells")
    return figure


def nearest(distances):
    """The other image that is nearest to each, (n,)."""
    return (distances + np.where(np.eye(len(distances)), np.inf, 0)).argmin(axis=1)


if __name__ == "__main__":
    images, digits = data()
    S = transport([cloud(image) for image in images])
    pixels = ((images[:, None] - images) ** 2).sum(axis=(2, 3))
    for name, distances in (("transport", S), ("pixels", pixels)):
        right = np.mean(digits[nearest(distances)] == digits)
        print(f"by {name:9}: the nearest other image shows the same digit in {right:.0%}")
    picture(np.sqrt(np.maximum(S, 0))).savefig("distance_matrix.png")
