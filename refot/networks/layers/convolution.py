"""The 4 x 4 convolutions of stride 2 and padding 1, and their transposes: B's Table 3b.

B = Bréchet et al. 2019.

With this padding a convolution halves both sides of an image and its transpose doubles them: 8 to
16 to 32. (The table leaves the padding out; its sizes fix it.) Images are (n, channels, h, w).

Both are one matrix product, by way of the patches of an image: `patches` takes each 4 x 4 window as
a column, `overlay` is its adjoint and adds the columns up again. Hence one kernel W (k, c, 4, 4)
makes a convolution c -> k and its exact adjoint k -> c, and each is the other's backward pass.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from refot.arrays import Array, ShapeError, namespace

from .layer import Layer


# ------------------------------------------------------------------ patches and images
def patches(x: Array) -> Array:
    """x (n, c, 2h, 2w) -> (c 16, n h w): the column (i, p, q) is window (p, q) of image i."""
    n, c, height, width = x.shape
    h, w = height // 2, width // 2
    xp = namespace(x)
    padded = xp.zeros((c, n, height + 2, width + 2), dtype=x.dtype)
    padded[:, :, 1:-1, 1:-1] = x.transpose(1, 0, 2, 3)
    columns = xp.empty((c, 4, 4, n, h, w), dtype=x.dtype)
    for i in range(4):
        for j in range(4):
            columns[:, i, j] = padded[:, :, i : i + height : 2, j : j + width : 2]
    return columns.reshape(c * 16, n * h * w)


def overlay(columns: Array, shape: tuple[int, int, int, int]) -> Array:
    """columns (c 16, n h w) -> images (n, c, 2h, 2w): windows are added where they overlap.

    The adjoint of `patches`.
    """
    n, c, height, width = shape
    columns = columns.reshape(c, 4, 4, n, height // 2, width // 2)
    padded = namespace(columns).zeros((c, n, height + 2, width + 2), dtype=columns.dtype)
    for i in range(4):
        for j in range(4):
            padded[:, :, i : i + height : 2, j : j + width : 2] += columns[:, i, j]
    return padded[:, :, 1:-1, 1:-1].transpose(1, 0, 2, 3)


def channels_first(x: Array) -> Array:
    """(n, k, h, w) -> (k, n h w): an image as the columns of a matrix product."""
    return x.transpose(1, 0, 2, 3).reshape(x.shape[1], -1)


def images(columns: Array, n: int, h: int, w: int) -> Array:
    """(k, n h w) -> (n, k, h, w), contiguous, because the next layers read it row by row."""
    x = columns.reshape(-1, n, h, w).transpose(1, 0, 2, 3)
    return namespace(columns).ascontiguousarray(x)


# ------------------------------------------------------------------ the convolution, c -> k
def conv4x4_forward(x: Array, W: Array, b: Array) -> tuple[Array, Array]:
    """y (n, k, h, w)_{.,p,q} = b + sum_ij W_ij x_{2p+i-1, 2q+j-1}, and the patches of x.

    x (n, c, 2h, 2w); W (k, c, 4, 4); b (k,).
    """
    n, _, height, width = x.shape
    X = patches(x)  # (c 16, n h w)
    Y = W.reshape(len(W), -1) @ X  # (k, n h w)
    Y += b[:, None]
    return images(Y, n, height // 2, width // 2), X


def conv4x4_backward(dy: Array, X: Array, W: Array) -> tuple[Array, Array, Array]:
    """(dx (n, c, 2h, 2w), dW (k, c, 4, 4), db (k,)) from dy (n, k, h, w) and the patches of x."""
    n, k, h, w = dy.shape
    dY = channels_first(dy)  # (k, n h w)
    dX = W.reshape(k, -1).T @ dY  # (c 16, n h w)
    dx = overlay(dX, (n, W.shape[1], 2 * h, 2 * w))
    return dx, (dY @ X.T).reshape(W.shape), dY.sum(axis=1)


# ------------------------------------------------------------------ its transpose, k -> c
def conv_transpose4x4_forward(x: Array, W: Array, b: Array) -> Array:
    """y (n, c, 2h, 2w): b + the adjoint of `conv4x4_forward` with kernel W, applied to x.

    x (n, k, h, w); W (k, c, 4, 4); b (c,).
    """
    n, k, h, w = x.shape
    Y = W.reshape(k, -1).T @ channels_first(x)  # (c 16, n h w)
    return overlay(Y, (n, W.shape[1], 2 * h, 2 * w)) + b[:, None, None]


def conv_transpose4x4_backward(dy: Array, x: Array, W: Array) -> tuple[Array, Array, Array]:
    """(dx (n, k, h, w), dW (k, c, 4, 4), db (c,)) from dy (n, c, 2h, 2w)."""
    n, k, h, w = x.shape
    dY = patches(dy)  # (c 16, n h w)
    dx = images(W.reshape(k, -1) @ dY, n, h, w)
    return dx, (channels_first(x) @ dY.T).reshape(W.shape), dy.sum(axis=(0, 2, 3))


# ------------------------------------------------------------------ layers
class Patches(NamedTuple):
    """What the convolution's backward pass needs."""

    X: Array  # (c 16, n h w)


@dataclass(frozen=True)
class Conv4x4(Layer):
    """Convolution (n, c_in, 2h, 2w) -> (n, c_out, h, w).

    W and b start uniform on [-1, 1] / sqrt(16 c_in), an output having that many inputs; this is
    PyTorch's Conv2d.
    """

    c_in: int
    c_out: int

    def initial_weights(self, rng: np.random.Generator) -> dict[str, Array]:
        bound = 1 / math.sqrt(16 * self.c_in)
        return {"W": rng.uniform(-bound, bound, (self.c_out, self.c_in, 4, 4)),
                "b": rng.uniform(-bound, bound, self.c_out)}

    def forward(
        self, x: Array, weights: tuple[Array, ...], statistics: tuple[Array, ...], train: bool
    ) -> tuple[Array, Patches]:
        self.expect(x, self.c_in, None, None)
        if x.shape[2] % 2 or x.shape[3] % 2:
            raise ShapeError("x", f"shape {x.shape}", f"even height and width, for {self}")
        y, X = conv4x4_forward(x, *weights)
        return y, Patches(X)

    def backward(
        self, dy: Array, cache: Patches, weights: tuple[Array, ...]
    ) -> tuple[Array, tuple[Array, ...]]:
        dx, dW, db = conv4x4_backward(dy, cache.X, weights[0])
        return dx, (dW, db)


@dataclass(frozen=True)
class ConvTranspose4x4(Layer):
    """Transposed convolution (n, c_in, h, w) -> (n, c_out, 2h, 2w).

    W (c_in, c_out, 4, 4) and b start uniform on [-1, 1] / sqrt(4 c_in): four windows meet in an
    output, which so has 4 c_in inputs. (PyTorch's ConvTranspose2d puts 16 c_out there instead.)
    """

    c_in: int
    c_out: int

    def initial_weights(self, rng: np.random.Generator) -> dict[str, Array]:
        bound = 1 / math.sqrt(4 * self.c_in)
        return {"W": rng.uniform(-bound, bound, (self.c_in, self.c_out, 4, 4)),
                "b": rng.uniform(-bound, bound, self.c_out)}

    def forward(
        self, x: Array, weights: tuple[Array, ...], statistics: tuple[Array, ...], train: bool
    ) -> tuple[Array, Array]:
        self.expect(x, self.c_in, None, None)
        return conv_transpose4x4_forward(x, *weights), x

    def backward(
        self, dy: Array, cache: Array, weights: tuple[Array, ...]
    ) -> tuple[Array, tuple[Array, ...]]:
        dx, dW, db = conv_transpose4x4_backward(dy, cache, weights[0])
        return dx, (dW, db)
