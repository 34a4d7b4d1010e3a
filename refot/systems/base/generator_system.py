"""A generator, its latent law and its data: what every system but the classifier has in common.

In the papers the generator g pushes a latent law zeta forward to a law that should equal nu, the
law of the data. A *task* has the networks, the two laws and the measures of success; a *system* is
the algorithm that trains the networks. So any algorithm can be tried on any task. Latents have k
numbers, data d.
"""

from __future__ import annotations

from abc import abstractmethod
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
"""A trained generator: latents (n, k) to samples (n, d), both of NumPy; batch norm uses its running
statistics."""


class SamplingTask(Protocol):
    """Data, a law of latents, and measures of what is made of them.

    In the tasks below, the methods that make networks draw the weights from `rng`, for the array
    library `xp` and a dtype.
    """

    def latent(self, rng: np.random.Generator, *shape: int) -> Array:
        """Latents (*shape, k), drawn from zeta."""

    def draw(self, rng: np.random.Generator, *shape: int) -> Array:
        """Data (*shape, d), drawn from nu; where data are a finite set, with replacement."""

    def judge(self, generate: Generate, g: Sequential, rng: np.random.Generator
              ) -> Mapping[str, float]:
        """Measures of what `generate` makes, by name. g is the network behind it, for measures of
        its weights."""

    def shown(self, x: Array) -> Array:
        """Data (n, d) in the shape in which they are plotted: points (n, 2 or 3) or images
        (n, h, w)."""

    def picture(self, generate: Generate, rng: np.random.Generator) -> Figure:
        """A figure of what is generated, to look at while the system trains."""


class GenerationTask(SamplingTask, Protocol):
    """A task with a generator network."""

    def generator(self, rng: np.random.Generator, xp: ModuleType, dtype: Any, /) -> Sequential:
        """A new network g: latents (n, k) to samples (n, d)."""


class FeatureTask(GenerationTask, Protocol):
    """A task with a network f that makes features: the cost compares these, not the data."""

    def features(self, rng: np.random.Generator, xp: ModuleType, dtype: Any, /) -> Sequential:
        """A new network f: data (n, d) to features (n, p)."""


class CriticTask(GenerationTask, Protocol):
    """A task with a critic: the network of a WGAN that tells samples from data."""

    def critic(self, rng: np.random.Generator, xp: ModuleType, dtype: Any, /) -> Sequential:
        """A new network f: data (n, d) to (n, 1); dense layers and activations alone."""


class SupportedTask(GenerationTask, Protocol):
    """A task whose data are a finite set, the support of nu, with a dual network psi on this set.
    """

    @property
    def data(self) -> Array:
        """All data y (J, d), of equal weight 1 / J."""

    def dual(self, rng: np.random.Generator, xp: ModuleType, dtype: Any, /) -> Sequential:
        """A new network psi: data (J, d) to (J, 1)."""


class FlowTask(SamplingTask, Protocol):
    """A task for flows, on a finite set: latents are noise in the space of the data, and a network
    is their velocity."""

    @property
    def data(self) -> Array:
        """All data y (J, d), of equal weight 1 / J."""

    def velocity(self, rng: np.random.Generator, xp: ModuleType, dtype: Any, /) -> Sequential:
        """A new network v: points and times (n, d + 1) to velocities (n, d)."""


class CodedTask(GenerationTask, Protocol):
    """A task whose latents begin with an informative code of q numbers, with the dual networks of B
    (Bréchet et al. 2019) for data and code."""

    def duals(self, rng: np.random.Generator, xp: ModuleType, dtype: Any, /) -> Heads:
        """New networks of data (n, d): the heads D2 (n, 1), D4 (n, 1) and Q (n, q) on one trunk."""


class TaskSystem(NetworkSystem):
    """A system whose latents, data and measures are those of `task`. All its networks have the
    dtype `dtype`. A subclass says how a sample is made of a latent."""

    task: SamplingTask

    def __init__(self, seed: int, backend: BackendLike, task: SamplingTask,
                 dtype: Any = np.float32) -> None:
        super().__init__(seed, backend)
        self.task, self.dtype = task, np.dtype(dtype)

    @abstractmethod
    def samples_of(self, z: Array) -> Array:
        """Samples (n, d) made of the latents z (n, k), both of the backend; batch norm uses its
        running statistics."""

    def generate(self, z: Array) -> Array:
        """Samples (n, d) made of the latents z (n, k), both of NumPy."""
        parts, start = [], 0
        for count in chunks(z.shape[0]):
            part = self.samples_of(self.on_device(z[start : start + count]))
            parts.append(self.backend.to_numpy(part))
            start += count
        return np.concatenate(parts)

    def on_device(self, values: Array) -> Array:
        """`values` as an array of the backend, in the dtype of the networks."""
        return self.backend.asarray(np.asarray(values, dtype=self.dtype))

    def sample(self, count: int, rng: np.random.Generator) -> Array:
        """Generated points (count, d) or images (count, h, w)."""
        return self.task.shown(self.generate(self.task.latent(rng, count)))

    def picture(self, rng: np.random.Generator) -> Figure:
        """The task's picture of what is generated."""
        return self.task.picture(self.generate, rng)


class GeneratorSystem(TaskSystem):
    """A system with a generator, the network g of `task`: a sample is g(z)."""

    def __init__(self, seed: int, backend: BackendLike, task: GenerationTask,
                 dtype: Any = np.float32) -> None:
        super().__init__(seed, backend, task, dtype)
        self.g: Sequential = task.generator(self.rng, self.xp, self.dtype)
        self.networks = {"g": self.g}

    def batches(self, count: int, m: int) -> Batch:
        """`count` mini-batches of latents "z" (count, m, k) and of data "y" (count, m, d)."""
        m = as_count(m, "m")
        y, z = self.task.draw(self.rng, count, m), self.task.latent(self.rng, count, m)
        return {"z": self.on_device(z), "y": self.on_device(y)}

    def samples_of(self, z: Array) -> Array:
        """g(z) (n, d) for z (n, k); batch norm uses its running statistics."""
        x, _ = self.g.forward(z, train=False)
        return x

    def evaluate(self, rng: np.random.Generator) -> dict[str, float]:
        """The task's measures of what is generated."""
        return dict(self.task.judge(self.generate, self.g, rng))
