"""Activations: y = s(x), entry by entry. Their derivatives s', s'' are written in terms of y.

Each is a pair of pure functions, forward and backward; a class adds the second derivative, which
the gradient penalty needs. All of them accept complex arguments, because the tests differentiate by
complex steps; the kink of a (leaky) ReLU is then at Re x = 0.
"""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass

from refot.arrays import Array, InputError, as_number, namespace

from .layer import Layer


def leaky_relu_forward(x: Array, slope: float) -> Array:
    """y = x where x > 0, slope x elsewhere: the larger of the two for slope in [0, 1]."""
    y = slope * x
    return namespace(x).maximum(x, y, out=y)


def leaky_relu_backward(dy: Array, y: Array, slope: float) -> Array:
    """dx = dy where y > 0, slope dy elsewhere, also at the kink y = 0, as in PyTorch."""
    dx = (y > 0).astype(dy.dtype)  # 1 or 0, then 1 or slope: `where` would be several times slower
    namespace(dx).maximum(dx, slope, out=dx)
    dx *= dy
    return dx


def tanh_forward(x: Array) -> Array:
    """y = tanh x."""
    return namespace(x).tanh(x)


def tanh_backward(dy: Array, y: Array) -> Array:
    """dx = dy (1 - y^2)."""
    return dy * (1 - y * y)


def sigmoid_forward(x: Array) -> Array:
    """y = 1 / (1 + exp(-x)) = (1 + tanh(x / 2)) / 2, which never overflows."""
    return 0.5 + 0.5 * namespace(x).tanh(0.5 * x)


def sigmoid_backward(dy: Array, y: Array) -> Array:
    """dx = dy y (1 - y)."""
    return dy * (y * (1 - y))


class Activation(Layer):
    """An elementwise layer without weights. Its cache is y, not x: the next layer keeps y anyway.
    """

    @abstractmethod
    def value(self, x: Array) -> Array:
        """y = s(x)."""

    @abstractmethod
    def pull_back(self, dy: Array, y: Array) -> Array:
        """dx = dy s'(x), given y = s(x)."""

    @abstractmethod
    def second_derivative(self, y: Array) -> Array:
        """s''(x), given y = s(x)."""

    def forward(
        self, x: Array, weights: tuple[Array, ...], statistics: tuple[Array, ...], train: bool
    ) -> tuple[Array, Array]:
        y = self.value(x)
        return y, y

    def backward(
        self, dy: Array, cache: Array, weights: tuple[Array, ...]
    ) -> tuple[Array, tuple[Array, ...]]:
        return self.pull_back(dy, cache), ()


@dataclass(frozen=True)
class LeakyReLU(Activation):
    """x where x > 0, slope x elsewhere; .2 is the slope in Table 3 of B (Bréchet et al. 2019).

    Raises InputError unless the slope is in [0, 1].
    """

    slope: float = 0.2

    def __post_init__(self) -> None:
        if not 0 <= as_number(self.slope, "slope") <= 1:
            raise InputError("slope", f"{self.slope}", "a number in [0, 1]")

    def value(self, x: Array) -> Array:
        return leaky_relu_forward(x, self.slope)

    def pull_back(self, dy: Array, y: Array) -> Array:
        return leaky_relu_backward(dy, y, self.slope)

    def second_derivative(self, y: Array) -> Array:
        return namespace(y).zeros_like(y)


@dataclass(frozen=True)
class ReLU(LeakyReLU):
    """max(x, 0): the LeakyReLU of slope 0."""

    slope: float = 0.0


@dataclass(frozen=True)
class Tanh(Activation):
    """tanh x, in (-1, 1)."""

    def value(self, x: Array) -> Array:
        return tanh_forward(x)

    def pull_back(self, dy: Array, y: Array) -> Array:
        return tanh_backward(dy, y)

    def second_derivative(self, y: Array) -> Array:
        return -2 * y * (1 - y * y)


@dataclass(frozen=True)
class Sigmoid(Activation):
    """1 / (1 + exp(-x)), in (0, 1)."""

    def value(self, x: Array) -> Array:
        return sigmoid_forward(x)

    def pull_back(self, dy: Array, y: Array) -> Array:
        return sigmoid_backward(dy, y)

    def second_derivative(self, y: Array) -> Array:
        return y * (1 - y) * (1 - 2 * y)
