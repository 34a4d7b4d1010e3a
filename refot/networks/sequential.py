"""Networks: a sequence of layers, with weights, running statistics and gradients by name."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from types import ModuleType
from typing import Any, NamedTuple, Protocol

import numpy as np

from refot.arrays import Array, InputError, ShapeError, TypeInputError, as_count

from .layers import BatchNorm, Dense, Layer, LeakyReLU


class Cache(NamedTuple):
    """What a forward pass leaves for its backward pass: the caches of all layers, and y's shape."""

    layers: tuple[Any, ...]
    y_shape: tuple[int, ...]


class Sequential:
    """The layers applied one after the other, layers[0] first, and the arrays of these layers.

    `weights` maps "k.name" to an array of layer k ("0.W"), and so does `statistics` ("1.mean").
    Change these arrays in place, `weights["0.W"][...] = W`, because other objects, such as `Heads`,
    hold the same arrays. Initial weights are drawn from `rng`, layer by layer, from the law that
    each layer's docstring states. `dtype` is float32, float64, or complex128 (for derivatives by
    complex steps); `xp` is the array library, NumPy or CuPy.
    """

    def __init__(
        self,
        layers: Sequence[Layer],
        rng: np.random.Generator,
        dtype: Any = np.float32,
        xp: ModuleType = np,
    ) -> None:
        self.layers = tuple(layers)
        self.dtype = np.dtype(dtype)
        if not self.layers or not all(isinstance(layer, Layer) for layer in self.layers):
            raise TypeInputError("layers", f"{list(layers)!r}", "one Layer or more")
        if self.dtype not in (np.float32, np.float64, np.complex128):
            raise TypeInputError("dtype", f"{self.dtype}", "float32, float64 or complex128")
        self.weights: dict[str, Array] = {}
        self.statistics: dict[str, Array] = {}
        self._names = []  # for each layer: (names of its weights, names of its statistics)
        for k, layer in enumerate(self.layers):
            weights = {f"{k}.{name}": w for name, w in layer.initial_weights(rng).items()}
            statistics = {f"{k}.{name}": s for name, s in layer.initial_statistics().items()}
            self.weights |= {name: xp.asarray(w, dtype=self.dtype) for name, w in weights.items()}
            self.statistics |= {name: xp.asarray(s, dtype=self.dtype)
                                for name, s in statistics.items()}
            self._names.append((tuple(weights), tuple(statistics)))

    def __repr__(self) -> str:
        return f"Sequential([{', '.join(map(str, self.layers))}], dtype={self.dtype})"

    def layer_weights(self, k: int) -> tuple[Array, ...]:
        """The weights of layer k, in the order of its `initial_weights`."""
        return tuple(self.weights[name] for name in self._names[k][0])

    def weight_names(self, k: int) -> tuple[str, ...]:
        """The names of the weights of layer k, in the order of its `initial_weights`."""
        return self._names[k][0]

    def forward(self, x: Array, train: bool = True) -> tuple[Array, Cache]:
        """(y, cache) of a batch x (n, ...).

        With train=True, batch norm uses the statistics of the batch and updates its running ones;
        else it uses the running ones. Raises TypeInputError unless x has the dtype of the network,
        ShapeError if x, or the output of a layer, does not fit the next layer.
        """
        if getattr(x, "dtype", None) != self.dtype:
            raise TypeInputError("x", f"dtype {getattr(x, 'dtype', None)}",
                                 f"{self.dtype}, that of the network")
        caches = []
        for k, layer in enumerate(self.layers):
            statistics = tuple(self.statistics[name] for name in self._names[k][1])
            x, cache = layer.forward(x, self.layer_weights(k), statistics, train)
            caches.append(cache)
        return x, Cache(tuple(caches), x.shape)

    def backward(self, cache: Cache, dy: Array) -> tuple[Array, dict[str, Array]]:
        """(dx, gradients): the gradients of <dy, y> in x and, by name, in the weights.

        dy has the shape of y and the dtype of the network. A cache can be used more than once.
        Raises ShapeError and TypeInputError for another dy.
        """
        dy, gradients = self._down_to_first(cache, dy)
        first = self.layers[0]
        dx, dw = first.backward(dy, cache.layers[0], self.layer_weights(0))
        return dx, gradients | dict(zip(self._names[0][0], dw, strict=True))

    def weight_gradients(self, cache: Cache, dy: Array) -> dict[str, Array]:
        """The gradients of `backward` alone, without dx: for a network whose input is given."""
        dy, gradients = self._down_to_first(cache, dy)
        dw = self.layers[0].weight_gradients(dy, cache.layers[0], self.layer_weights(0))
        return gradients | dict(zip(self._names[0][0], dw, strict=True))

    def input_gradient(self, cache: Cache, dy: Array) -> Array:
        """dx of `backward` alone: for a network whose weights stay as they are."""
        self._expect_gradient(cache, dy)
        for k in reversed(range(len(self.layers))):
            dy = self.layers[k].input_gradient(dy, cache.layers[k], self.layer_weights(k))
        return dy

    def _down_to_first(self, cache: Cache, dy: Array) -> tuple[Array, dict[str, Array]]:
        """(the gradient in the output of the first layer, gradients of all layers but that)."""
        self._expect_gradient(cache, dy)
        gradients: dict[str, Array] = {}
        for k in reversed(range(1, len(self.layers))):
            dy, dw = self.layers[k].backward(dy, cache.layers[k], self.layer_weights(k))
            gradients |= zip(self._names[k][0], dw, strict=True)
        return dy, gradients

    def _expect_gradient(self, cache: Cache, dy: Array) -> None:
        """Raise an error for a dy that is not like y."""
        if dy.shape != cache.y_shape:
            raise ShapeError("dy", f"shape {dy.shape}", f"{cache.y_shape}, that of y")
        if dy.dtype != self.dtype:
            raise TypeInputError("dy", f"dtype {dy.dtype}", f"{self.dtype}, that of the network")


def mlp(
    sizes: Sequence[int],
    rng: np.random.Generator,
    activation: Layer | Callable[[], Layer] = LeakyReLU,
    batch_norm: bool = False,
    output: Layer | Callable[[], Layer] | None = None,
    dtype: Any = np.float32,
    xp: ModuleType = np,
) -> Sequential:
    """A network of dense layers of the given sizes, input first; after each but the last follow
    BatchNorm, if `batch_norm`, and the activation.

    `activation` and `output` are a layer, such as `LeakyReLU(.2)`, or its class. `output` follows
    the last dense layer.
    """
    if len(sizes) < 2:
        raise InputError("sizes", f"{list(sizes)}", "two sizes or more: input and output")
    *hidden, last = [Dense(as_count(d_in, "sizes"), as_count(d_out, "sizes"))
                     for d_in, d_out in itertools.pairwise(sizes)]
    layers: list[Layer] = []
    for dense in hidden:
        layers.append(dense)
        if batch_norm:
            layers.append(BatchNorm(dense.d_out))
        layers.append(_layer(activation))
    layers.append(last)
    if output is not None:
        layers.append(_layer(output))
    return Sequential(layers, rng, dtype, xp)


def _layer(given: Layer | Callable[[], Layer]) -> Layer:
    return given if isinstance(given, Layer) else given()


class HasWeights(Protocol):
    """A network: a Sequential or a Heads."""

    weights: dict[str, Array]


def parameter_count(net: HasWeights) -> int:
    """The number of weights (single numbers); running statistics are not counted."""
    return sum(int(w.size) for w in net.weights.values())
