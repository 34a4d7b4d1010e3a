"""What a layer is: a function with shapes but without arrays. The network holds its arrays, and
passes them as arguments.

All that the backward pass of a layer needs is in the cache that its forward pass returns. So
forward passes on several batches never disturb each other.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any

import numpy as np

from refot.arrays import Array, ShapeError


class Layer(ABC):
    """y = layer(x; w) for a batch x (n, ...); weights w and running statistics are arguments."""

    def initial_weights(self, rng: np.random.Generator) -> dict[str, Array]:
        """The initial weights, by name. In float64, whatever the dtype of the network, so that
        every dtype starts from the same numbers."""
        del rng
        return {}

    def initial_statistics(self) -> dict[str, Array]:
        """The initial running statistics, by name. Unlike weights they have no gradients."""
        return {}

    @abstractmethod
    def forward(
        self, x: Array, weights: tuple[Array, ...], statistics: tuple[Array, ...], train: bool
    ) -> tuple[Array, Any]:
        """(y, cache). If `train`, the running statistics are updated in place. Raises ShapeError if
        x does not fit the layer."""

    @abstractmethod
    def backward(
        self, dy: Array, cache: Any, weights: tuple[Array, ...]
    ) -> tuple[Array, tuple[Array, ...]]:
        """(dx, gradients): those of <dy, y> in x and in each of the weights, in their order."""

    def input_gradient(self, dy: Array, cache: Any, weights: tuple[Array, ...]) -> Array:
        """dx of `backward`, for a network whose weights stay. A layer for which this saves much
        work computes dx alone."""
        return self.backward(dy, cache, weights)[0]

    def weight_gradients(self, dy: Array, cache: Any, weights: tuple[Array, ...]
                         ) -> tuple[Array, ...]:
        """The gradients of `backward` in the weights, for a layer whose input is data. A layer for
        which this saves much work computes them alone."""
        return self.backward(dy, cache, weights)[1]

    def expect(self, x: Array, *shape: int | None) -> None:
        """Raise ShapeError unless x has `shape` after its batch axis; None stands for any size."""
        fits = x.ndim == len(shape) + 1 and all(
            size in (None, found) for size, found in zip(shape, x.shape[1:], strict=True))
        if not fits:
            wanted = ", ".join("any" if size is None else str(size) for size in shape)
            raise ShapeError("x", f"shape {x.shape}", f"(n, {wanted}), for {self}")
