"""The dense layer: y = x W + b. "FC" in Table 3 of B (Bréchet et al. 2019)."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from refot.arrays import Array

from .layer import Layer


def dense_forward(x: Array, W: Array, b: Array) -> Array:
    """y (n, d_out) = x (n, d_in) W (d_in, d_out) + b (d_out,)."""
    y = x @ W
    y += b
    return y


def dense_backward(dy: Array, x: Array, W: Array) -> tuple[Array, Array, Array]:
    """(dx, dW, db): dx (n, d_in) = dy W', dW (d_in, d_out) = x' dy, db (d_out,) = sum_i dy_i."""
    return dense_input_gradient(dy, W), *dense_weight_gradients(dy, x)


def dense_input_gradient(dy: Array, W: Array) -> Array:
    """dx (n, d_in) = dy W'."""
    return dy @ W.T


def dense_weight_gradients(dy: Array, x: Array) -> tuple[Array, Array]:
    """dW (d_in, d_out) = x' dy, db (d_out,) = sum_i dy_i."""
    return x.T @ dy, dy.sum(axis=0)


@dataclass(frozen=True)
class Dense(Layer):
    """y = x W + b. W and b start uniform on [-1, 1] / sqrt(d_in), as PyTorch's Linear does."""

    d_in: int
    d_out: int

    def initial_weights(self, rng: np.random.Generator) -> dict[str, Array]:
        bound = 1 / math.sqrt(self.d_in)
        return {"W": rng.uniform(-bound, bound, (self.d_in, self.d_out)),
                "b": rng.uniform(-bound, bound, self.d_out)}

    def forward(
        self, x: Array, weights: tuple[Array, ...], statistics: tuple[Array, ...], train: bool
    ) -> tuple[Array, Array]:
        self.expect(x, self.d_in)
        return dense_forward(x, *weights), x

    def backward(
        self, dy: Array, cache: Array, weights: tuple[Array, ...]
    ) -> tuple[Array, tuple[Array, ...]]:
        dx, dW, db = dense_backward(dy, cache, weights[0])
        return dx, (dW, db)

    def input_gradient(self, dy: Array, cache: Array, weights: tuple[Array, ...]) -> Array:
        return dense_input_gradient(dy, weights[0])

    def weight_gradients(self, dy: Array, cache: Array, weights: tuple[Array, ...]
                         ) -> tuple[Array, ...]:
        return dense_weight_gradients(dy, cache)
