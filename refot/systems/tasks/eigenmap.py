"""The eigenmap of a graph of nearest neighbours: coordinates in which the clusters of data lie
apart.

Two images of one digit may be as far from each other as images of two digits are. But between the
two of one digit there is a chain of images, each near the next. So distances are taken along the
graph in which each point is tied to its k nearest. The graph's slowest modes of diffusion are
almost constant on each cluster, and a point's values in these modes are its new coordinates. This
is the map of Ng, Jordan and Weiss (2002), "On spectral clustering", with the local scales of
Zelnik-Manor and Perona (2004), "Self-tuning spectral clustering". No labels are used.
"""

from __future__ import annotations

import numpy as np
from scipy import ndimage, sparse
from scipy.sparse.linalg import eigsh

from refot.arrays import Array, InputError, as_count

BLOCK = 1_000
"""The number of points whose distances to all others are in memory at once."""


def eigenmap(x: Array, p: int, k: int = 8) -> Array:
    """Coordinates (n, p) of the points x (n, d): the p leading eigenvectors of the graph's
    normalised affinity, each row divided by its norm.

    The affinity of neighbours is exp(-2 |x_i - x_j|^2 / (s_i s_j)), where s_i is the distance of
    point i from its k-th neighbour. Raises InputError unless k < n and p < n.
    """
    n = len(x)
    if not max(as_count(p, "p"), as_count(k, "k")) < n:
        raise InputError("x", f"{n} points", f"more than p = {p} and k = {k}")
    neighbours, squares = nearest(x, k)
    s2 = np.maximum(squares.max(axis=1), np.finfo(squares.dtype).tiny)
    affinity = np.exp(-2 * squares / np.sqrt(s2[:, None] * s2[neighbours]))
    rows = np.arange(n).repeat(k)
    A = sparse.csr_matrix((affinity.ravel().astype(np.float64), (rows, neighbours.ravel())), (n, n))
    A = (A + A.T) / 2
    root = sparse.diags(1 / np.sqrt(np.asarray(A.sum(axis=1)).ravel()))
    # A graph in several parts has its largest eigenvalue several times. Of these only a start that
    # is orthogonal to none, and an iteration to the last digit, find all.
    start = np.random.default_rng(0).normal(size=n)
    _, vectors = eigsh(root @ A @ root, k=p, which="LA", v0=start)
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def nearest(x: Array, k: int) -> tuple[Array, Array]:
    """(the k nearest other points of each point x (n, d), (n, k), in no order; their squared
    distances, (n, k))."""
    x = np.asarray(x, dtype=np.float32)
    sizes, found, squares = (x**2).sum(axis=1), [], []
    for start in range(0, len(x), BLOCK):
        part = np.arange(start, min(start + BLOCK, len(x)))
        r2 = sizes[part, None] + sizes - 2 * (x[part] @ x.T)
        r2[np.arange(len(part)), part] = np.inf
        found.append(np.argpartition(r2, k, axis=1)[:, :k])
        squares.append(np.take_along_axis(r2, found[-1], axis=1))
    return np.concatenate(found), np.maximum(np.concatenate(squares), 0)


def upright(images: Array) -> Array:
    """Images (n, h, w), 0 for the background, each centred and sheared along its rows, so that its
    grey levels have no covariance between row and column: a slanted stroke stands upright.

    Raises InputError for an image without any grey.
    """
    n, h, w = images.shape
    row, column = np.mgrid[:h, :w]
    mass = images.sum(axis=(1, 2), dtype=np.float64)
    if not (mass > 0).all():
        raise InputError("images", f"image {int(mass.argmin())} is black", "some grey in each")
    y, x = ((images * each).sum(axis=(1, 2)) / mass for each in (row, column))
    dy, dx = row - y[:, None, None], column - x[:, None, None]
    variance = (images * dy * dy).sum(axis=(1, 2))
    slant = (images * dy * dx).sum(axis=(1, 2)) / np.where(variance > 0, variance, 1)
    middle = np.array([(h - 1) / 2, (w - 1) / 2])
    out = np.empty_like(images)
    for i in range(n):
        shear = np.array([[1, 0], [slant[i], 1]])
        out[i] = ndimage.affine_transform(images[i], shear, np.array([y[i], x[i]]) - shear @ middle,
                                          order=1)
    return out
