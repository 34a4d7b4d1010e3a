"""The 4 x 4 convolutions of stride 2 and padding 1, and their transposes: B's Table 3b.

B = Bréchet et al. 2019. With this padding a convolution halves both sides of an image and its
transpose doubles them: 8 to 16 to 32. (The table does not state the padding, but its sizes imply
it.)
Images are (n, channels, h, w).

Both are one matrix product. `patches` makes each 4 x 4 window of an image a column of a matrix;
`overlay`, its adjoint, adds the columns up to an image. So one kernel W (k, c, 4, 4) gives a
convolution from c channels to k and its exact adjoint from k to c, and each is the backward pass of
the other.
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
    """x (n, c, 2h, 2w) -> (16 c, n h w): column (i, p, q) is the window (p, q) of image i."""
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
    """columns (16 c, n h w) -> images of this `shape`, (n, c, 2h, 2w): windows are added where they
    overlap. The adjoint of `patches`."""
    n, c, height, width = shape
    columns = columns.reshape(c, 4, 4, n, height // 2, width // 2)
    padded = namespace(columns).zeros((c, n, height + 2, width + 2), dtype=columns.dtype)
    for i in range(4):
        for j in range(4):
            padded[:, :, i : i + height : 2, j : j + width : 2] += columns[:, i, j]
    return padded[:, :, 1:-1, 1:-1].transpose(1, 0, 2, 3)


def channels_first(x: Array) -> Array:
    """(n, k, h, w) -> (k, n h w): images as a matrix with one column for each pixel."""
    return x.transpose(1, 0, 2, 3).reshape(x.shape[1], -1)


def images(columns: Array, n: int, h: int, w: int) -> Array:
    """(k, n h w) -> images (n, k, h, w), contiguous, because the next layers read them in order."""
    x = columns.reshape(-1, n, h, w).transpose(1, 0, 2, 3)
    return namespace(columns).ascontiguousarray(x)


# ------------------------------------------------------------------ the convolution, c -> k
def conv4x4_forward(x: Array, W: Array, b: Array) -> tuple[Array, Array]:
    """(y (n, k, h, w), the patches of x): y_{.,p,q} = b + sum_ij W_ij x_{2p+i-1, 2q+j-1}.

    x (n, c, 2h, 2w); W (k, c, 4, 4); b (k,).
    """
    n, _, height, width = x.shape
    X = patches(x)  # (c 16, n h w)
    Y = W.reshape(len(W), -1) @ X  # (k, n h w)
    Y += b[:, None]
    return images(Y, n, height // 2, width // 2), X


def conv4x4_backward(dy: Array, X: Array, W: Array) -> tuple[Array, Array, Array]:
    """(dx (n, c, 2h, 2w), dW (k, c, 4, 4), db (k,)) from dy (n, k, h, w) and the patches of x."""
    dY = channels_first(dy)
    return conv4x4_input_gradient(dY, W, dy.shape), *conv4x4_weight_gradients(dY, X, W.shape)


def conv4x4_input_gradient(dY: Array, W: Array, shape: tuple[int, ...]) -> Array:
    """dx (n, c, 2h, 2w): the overlay of W' dY, from dY (k, n h w) and the `shape` of dy."""
    n, k, h, w = shape
    dX = W.reshape(k, -1).T @ dY  # (c 16, n h w)
    return overlay(dX, (n, W.shape[1], 2 * h, 2 * w))


def conv4x4_weight_gradients(dY: Array, X: Array, shape: tuple[int, ...]) -> tuple[Array, Array]:
    """dW = dY X', of the `shape` of W, and db (k,), from dY (k, n h w) and the patches of x."""
    return (dY @ X.T).reshape(shape), dY.sum(axis=1)


# ------------------------------------------------------------------ its transpose, k -> c
def conv_transpose4x4_forward(x: Array, W: Array, b: Array) -> Array:
    """y (n, c, 2h, 2w) = b + the adjoint of the convolution with kernel W, applied to x.

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
    """The cache for the backward pass of a convolution: the patches of its input."""

    X: Array  # (16 c, n h w)


@dataclass(frozen=True)
class Conv4x4(Layer):
    """Convolution (n, c_in, 2h, 2w) -> (n, c_out, h, w).

    W and b start uniform on [-1, 1] / sqrt(16 c_in), because each output has 16 c_in inputs, as in
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

    def input_gradient(self, dy: Array, cache: Patches, weights: tuple[Array, ...]) -> Array:
        return conv4x4_input_gradient(channels_first(dy), weights[0], dy.shape)

    def weight_gradients(self, dy: Array, cache: Patches, weights: tuple[Array, ...]
                         ) -> tuple[Array, ...]:
        return conv4x4_weight_gradients(channels_first(dy), cache.X, weights[0].shape)


@dataclass(frozen=True)
class ConvTranspose4x4(Layer):
    """Transposed convolution (n, c_in, h, w) -> (n, c_out, 2h, 2w).

    W (c_in, c_out, 4, 4) and b start uniform on [-1, 1] / sqrt(4 c_in): four windows overlap in
    each output, which has 4 c_in inputs. (PyTorch's ConvTranspose2d has 16 c_out in place of
    4 c_in.)
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
