"""Optimisers: each takes a step down, w <- w - (rate times direction), in place.

In the formulas lr is the learning rate, and g is the gradient plus weight_decay * w, where the
second term is the gradient of weight_decay |w|^2 / 2. To ascend, pass minus the gradient. Formulas
and defaults are PyTorch's, and the tests compare whole sequences of steps with it. A step takes
large weights by blocks of rows that stay in the cache, because a rule passes over its arrays some
ten times.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from refot.arrays import (
    Array,
    InputError,
    ShapeError,
    UnknownNameError,
    as_number,
    as_positive,
    namespace,
)

BLOCK = 1 << 14
"""Numbers of a weight that are updated at a time: with the four other arrays of Adam, in float32,
they take 320 KiB."""


class Optimiser(ABC):
    """A rule that updates one weight array, applied to each weight of a network.

    Each weight, by its name, has its own state and its own number t of steps. So where a head of a
    network moves less often than its trunk, Adam's bias correction uses the head's own t.
    """

    slots: tuple[str, ...] = ()
    """The names of the arrays that the rule keeps for each weight, of the weight's shape."""

    def __init__(self, lr: float, weight_decay: float) -> None:
        self.lr = as_positive(lr, "lr")
        self.weight_decay = as_nonnegative(weight_decay, "weight_decay")
        self._arrays: dict[str, Array] = {}  # "slot/weight"
        self._steps: dict[str, int] = {}  # the number t of steps of each weight

    @abstractmethod
    def rule(self, g: Array, t: int, work: Array, *slots: Array) -> None:
        """Write into `work` what step t = 1, 2, ... subtracts from w, given g and the arrays of
        `slots`, which it updates. g must not change."""

    def step(self, weights: Mapping[str, Array], gradients: Mapping[str, Array]) -> None:
        """One step down, in place, for those weights that have a gradient.

        Raises UnknownNameError for a gradient without a weight of its name, ShapeError if the
        shapes of the two differ.
        """
        for name, g in gradients.items():
            if name not in weights:
                raise UnknownNameError("gradients", repr(name), "the names of the weights")
            w = weights[name]
            if g.shape != w.shape:
                raise ShapeError(name, f"gradient of shape {g.shape}", f"{w.shape}, of its weight")
        for name, g in gradients.items():
            w = weights[name]
            t = self._steps.get(name, 0) + 1
            kept = [self._array(slot, name, w) for slot in self.slots]
            for rows in blocks_of(w):
                part, decayed = w[rows], g[rows]
                if self.weight_decay:
                    decayed = self.weight_decay * part
                    decayed += g[rows]
                work = namespace(w).empty_like(part)
                self.rule(decayed, t, work, *(array[rows] for array in kept))
                part -= work
            self._steps[name] = t

    def state(self) -> dict[str, Array]:
        """A copy of all that the next step depends on, besides weights and gradients: the arrays
        "slot/weight", and the numbers of steps "t/weight"."""
        arrays = {key: array.copy() for key, array in self._arrays.items()}
        return arrays | {f"t/{name}": np.array(t) for name, t in self._steps.items()}

    def restore(self, state: Mapping[str, Array]) -> None:
        """Set the state to what `state()` returned. Raises InputError for the state of another kind
        of optimiser."""
        known = {*self.slots, "t"}
        for key in state:
            if key.partition("/")[0] not in known:
                raise UnknownNameError("state", repr(key),
                                       f"keys of {type(self).__name__}: {sorted(known)}")
        self._steps = {key.partition("/")[2]: int(t) for key, t in state.items()
                       if key.startswith("t/")}
        self._arrays = {key: array.copy() for key, array in state.items()
                        if not key.startswith("t/")}

    def _array(self, slot: str, name: str, w: Array) -> Array:
        """The array `slot` of the weight w, in the library of w; zeros at first."""
        key = f"{slot}/{name}"
        array: Array = self._arrays.get(key)
        if type(array) is not type(w):  # it is not made yet, or NumPy's, from a file, and w CuPy's
            xp = namespace(w)
            array = self._arrays[key] = xp.zeros_like(w) if array is None else xp.asarray(array)
        if array.shape != w.shape or array.dtype != w.dtype:
            raise ShapeError(key, f"state of shape {array.shape}, {array.dtype}",
                             f"{w.shape}, {w.dtype}, those of its weight")
        return array


def blocks_of(w: Array) -> Iterator[Any]:
    """Indices of blocks of rows with about BLOCK numbers each: `w[index]` is a view. On a device it
    is the whole array, because there every operation is a launch."""
    if namespace(w) is not np or w.size <= BLOCK:
        yield ...
        return
    step = max(1, BLOCK * len(w) // w.size)
    for start in range(0, len(w), step):
        yield slice(start, start + step)


class SGD(Optimiser):
    """w <- w - lr g."""

    def __init__(self, lr: float, weight_decay: float = 0.0) -> None:
        super().__init__(lr, weight_decay)

    def rule(self, g: Array, t: int, work: Array, *slots: Array) -> None:
        namespace(g).multiply(g, self.lr, out=work)


class RMSProp(Optimiser):
    """v <- alpha v + (1 - alpha) g^2;  w <- w - lr g / (sqrt(v) + eps). v starts at 0."""

    slots = ("v",)

    def __init__(
        self, lr: float, alpha: float = 0.99, eps: float = 1e-8, weight_decay: float = 0.0
    ) -> None:
        super().__init__(lr, weight_decay)
        self.alpha, self.eps = as_decay(alpha, "alpha"), as_positive(eps, "eps")

    def rule(self, g: Array, t: int, work: Array, *slots: Array) -> None:
        xp, (v,) = namespace(g), slots
        move_to_square(v, g, self.alpha, work)
        xp.sqrt(v, out=work)
        work += self.eps
        xp.divide(g, work, out=work)
        work *= self.lr


class Adam(Optimiser):
    """m <- beta1 m + (1 - beta1) g;  v <- beta2 v + (1 - beta2) g^2;
    w <- w - lr (m / (1 - beta1^t)) / (sqrt(v / (1 - beta2^t)) + eps). m, v start at 0.
    """

    slots = ("m", "v")

    def __init__(
        self,
        lr: float,
        beta1: float = 0.9,
        beta2: float = 0.999,
        eps: float = 1e-8,
        weight_decay: float = 0.0,
    ) -> None:
        super().__init__(lr, weight_decay)
        self.beta1, self.beta2 = as_decay(beta1, "beta1"), as_decay(beta2, "beta2")
        self.eps = as_positive(eps, "eps")

    def rule(self, g: Array, t: int, work: Array, *slots: Array) -> None:
        xp, (m, v) = namespace(g), slots
        xp.multiply(g, 1 - self.beta1, out=work)
        m *= self.beta1
        m += work
        move_to_square(v, g, self.beta2, work)
        xp.sqrt(v, out=work)
        # Numerator and denominator are multiplied by sqrt(1 - beta2^t). This saves dividing v by
        # 1 - beta2^t, which would be one more pass over the weights.
        root = math.sqrt(1 - self.beta2**t)
        work += self.eps * root
        xp.divide(m, work, out=work)
        work *= self.lr * root / (1 - self.beta1**t)


def move_to_square(v: Array, g: Array, decay: float, work: Array) -> None:
    """v <- decay v + (1 - decay) g^2, in place; `work` is a work array."""
    xp = namespace(v)
    xp.multiply(g, g, out=work)
    work *= 1 - decay
    v *= decay
    v += work


def clip_weights(weights: Mapping[str, Array], c: float) -> None:
    """Clip each entry to [-c, c], in place, as in WGAN and in Algorithm 1 of G (Genevay, Peyré,
    Cuturi 2018). Raises InputError unless c > 0."""
    c = as_positive(c, "c")
    for w in weights.values():
        namespace(w).clip(w, -c, c, out=w)


def as_decay(value: Any, name: str) -> float:
    """A number in [0, 1): the weight of the old value in a running mean. Raises InputError."""
    number = as_nonnegative(value, name)
    if not number < 1:
        raise InputError(name, f"{number}", "a number in [0, 1)")
    return number


def as_nonnegative(value: Any, name: str) -> float:
    """A finite number >= 0. Raises InputError."""
    number = as_number(value, name)
    if number < 0:
        raise InputError(name, f"{number}", "a number >= 0")
    return number
