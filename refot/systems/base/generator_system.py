"""A generator, its latent law and its data: what every system but the classifier has in common.

In the papers the generator pushes a latent law zeta forward to a law that should be that of the
data, nu. What generates, what is drawn and what counts as success is the task's; how the generator
is moved is the system's. So an algorithm can be tried on any task, and a task with any algorithm.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import ModuleType
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias

import numpy as np

from refot.arrays import Array, as_count
from refot.backend_contract import BackendLike
from refot.networks import Heads, Sequential
from refot.systems.base.network_system import Batch, NetworkSystem, chunks

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Generate: TypeAlias = Callable[[Array], Array]
"""Latents (n, k) to data (n, d), with the running statistics of batch norm; NumPy."""


class GenerationTask(Protocol):
    """Data, a generator that fits them, its latent law, and measures of what it generates.

    A network is made for an array library `xp` and a dtype, with weights drawn from `rng`.
    """

    def generator(self, rng: np.random.Generator, xp: ModuleType, dtype: Any, /) -> Sequential:
        """g: latents (n, k) to data (n, d)."""

    def latent(self, rng: np.random.Generator, *shape: int) -> Array:
        """z (*shape, k), drawn from zeta."""

    def draw(self, rng: np.random.Generator, *shape: int) -> Array:
        """Data (*shape, d), drawn with replacement."""

    def judge(self, generate: Generate, g: Sequential, rng: np.random.Generator
              ) -> Mapping[str, float]:
        """Measures of success."""

    def shown(self, x: Array) -> Array:
        """Data (n, d) as they are drawn: points (n, 2 or 3) or images (n, h, w)."""

    def picture(self, generate: Generate, rng: np.random.Generator) -> Figure:
        """What to look at while it trains."""


class FeatureTask(GenerationTask, Protocol):
    """A task with a network whose features a cost is learned on."""

    def features(self, rng: np.random.Generator, xp: ModuleType, dtype: Any, /) -> Sequential:
        """f: data (n, d) to features (n, p)."""


class CriticTask(GenerationTask, Protocol):
    """A task with a critic."""

    def critic(self, rng: np.random.Generator, xp: ModuleType, dtype: Any, /) -> Sequential:
        """f: data (n, d) to (n, 1), of dense layers and activations."""


class SupportedTask(GenerationTask, Protocol):
    """A task whose data are a finite set, the support of nu, and that has a dual network on it."""

    @property
    def data(self) -> Array:
        """y (J, d), all of equal weight."""

    def dual(self, rng: np.random.Generator, xp: ModuleType, dtype: Any, /) -> Sequential:
        """psi: data (J, d) to (J, 1)."""


class CodedTask(GenerationTask, Protocol):
    """A task whose latents begin with a code of k numbers, with dual networks for data and code."""

    def duals(self, rng: np.random.Generator, xp: ModuleType, dtype: Any, /) -> Heads:
        """Heads D2 (n, 1), D4 (n, 1) and Q (n, k) on one trunk, of data (n, d)."""


class GeneratorSystem(NetworkSystem):
    """g on latents and data that `task` draws and judges; `dtype` is that of all networks."""

    def __init__(self, seed: int, backend: BackendLike, task: GenerationTask,
                 dtype: Any = np.float32) -> None:
        super().__init__(seed, backend)
        self.task, self.dtype = task, np.dtype(dtype)
        self.g: Sequential = task.generator(self.rng, self.xp, self.dtype)
        self.networks = {"g": self.g}

    def batches(self, count: int, m: int) -> Batch:
        """`count` mini-batches of m latents z (count, m, k) and m data y (count, m, d)."""
        m = as_count(m, "m")
        y, z = self.task.draw(self.rng, count, m), self.task.latent(self.rng, count, m)
        return {"z": self.on_device(z), "y": self.on_device(y)}

    def on_device(self, values: Array) -> Array:
        """Drawn values on the backend, in the dtype of the networks."""
        return self.backend.asarray(np.asarray(values, dtype=self.dtype))

    # -------------------------------------------------------------- what it generates
    def generate(self, z: Array) -> Array:
        """g(z) with the running statistics, NumPy, for z (n, k)."""
        parts, start = [], 0
        for count in chunks(z.shape[0]):
            part = self.on_device(z[start : start + count])
            parts.append(self.backend.to_numpy(self.g.forward(part, train=False)[0]))
            start += count
        return np.concatenate(parts)

    def sample(self, count: int, rng: np.random.Generator) -> Array:
        """Generated points (count, d) or images (count, h, w)."""
        return self.task.shown(self.generate(self.task.latent(rng, count)))

    def evaluate(self, rng: np.random.Generator) -> dict[str, float]:
        """The task's measures of what is generated."""
        return dict(self.task.judge(self.generate, self.g, rng))

    def picture(self, rng: np.random.Generator) -> Figure:
        """The task's picture of what is generated."""
        return self.task.picture(self.generate, rng)
