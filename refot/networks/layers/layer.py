"""What a layer is: it knows shapes, and holds no arrays. A network holds them and hands them in.

Whatever the backward pass of a layer needs is in the cache that its forward pass returns. So
forward passes on several batches never disturb one another.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any

import numpy as np

from refot.arrays import Array, ShapeError


class Layer(ABC):
    """A map of batches with its weights w and statistics as arguments: y = layer(x; w)."""

    def initial_weights(self, rng: np.random.Generator) -> dict[str, Array]:
        """The initial weights by name, in float64, so that every dtype starts at the same ones."""
        del rng
        return {}

    def initial_statistics(self) -> dict[str, Array]:
        """The initial running statistics by name. They are no weights: no gradient reaches them."""
        return {}

    @abstractmethod
    def forward(
        self, x: Array, weights: tuple[Array, ...], statistics: tuple[Array, ...], train: bool
    ) -> tuple[Array, Any]:
        """(y, cache). Raises ShapeError where x does not fit."""

    @abstractmethod
    def backward(
        self, dy: Array, cache: Any, weights: tuple[Array, ...]
    ) -> tuple[Array, tuple[Array, ...]]:
        """(dx, the gradients of <dy, y> in the weights, in their order)."""

    def expect(self, x: Array, *shape: int | None) -> None:
        """Refuse x unless it has `shape` after its batch axis; None stands for any size."""
        fits = x.ndim == len(shape) + 1 and all(
            size in (None, found) for size, found in zip(shape, x.shape[1:], strict=True))
        if not fits:
            wanted = ", ".join("any" if size is None else str(size) for size in shape)
            raise ShapeError("x", f"shape {x.shape}", f"(n, {wanted}), for {self}")
