"""Layers that change the shape alone, not the numbers: images to rows of features, and back."""

from __future__ import annotations

import math
from dataclasses import dataclass

from refot.arrays import Array, ShapeError

from .layer import Layer


@dataclass(frozen=True)
class Reshape(Layer):
    """(n, ...) -> (n, *shape), in row-major order."""

    shape: tuple[int, ...]

    def forward(
        self, x: Array, weights: tuple[Array, ...], statistics: tuple[Array, ...], train: bool
    ) -> tuple[Array, tuple[int, ...]]:
        if math.prod(x.shape[1:]) != math.prod(self.shape):
            size = math.prod(self.shape)
            raise ShapeError("x", f"shape {x.shape}", f"{size} entries a sample, for {self}")
        return x.reshape(-1, *self.shape), x.shape

    def backward(
        self, dy: Array, cache: tuple[int, ...], weights: tuple[Array, ...]
    ) -> tuple[Array, tuple[Array, ...]]:
        return dy.reshape(cache), ()


@dataclass(frozen=True)
class Flatten(Layer):
    """(n, c, h, w) -> (n, c h w): each image becomes a row of features."""

    def forward(
        self, x: Array, weights: tuple[Array, ...], statistics: tuple[Array, ...], train: bool
    ) -> tuple[Array, tuple[int, ...]]:
        return x.reshape(x.shape[0], -1), x.shape

    def backward(
        self, dy: Array, cache: tuple[int, ...], weights: tuple[Array, ...]
    ) -> tuple[Array, tuple[Array, ...]]:
        return dy.reshape(cache), ()
