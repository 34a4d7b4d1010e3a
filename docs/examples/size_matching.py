"""Size matching: a generator makes samples as large, on average, as the data are."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from refot.arrays import as_count
from refot.backend_contract import BackendLike
from refot.networks import Adam
from refot.systems.base.generator_system import GenerationTask, GeneratorSystem
from refot.systems.base.network_system import Batch
from refot.systems.presets.recipe import preset
from refot.systems.tasks.plane import GridPoints


@dataclass(frozen=True)
class Settings:
    """Batches of m samples and m data; the rate of Adam."""

    m: int = 64
    rate: float = 1e-2


class SizeMatching(GeneratorSystem):
    """g descends (mean |g(z)|^2 - mean |y|^2)^2."""

    name = "size_matching"

    def __init__(self, seed: int, backend: BackendLike, task: GenerationTask, settings: Settings,
                 dtype: Any = np.float32) -> None:
        super().__init__(seed, backend, task, dtype)  # makes self.g, self.rng and self.xp
        self.m = as_count(settings.m, "m")  # refuses 0 now, and not after an hour
        self.optimisers = {"g": Adam(settings.rate)}

    def draw(self) -> Batch:
        """One mini-batch of latents z (1, m, k) and of data y (1, m, d)."""
        return self.batches(1, self.m)

    def update(self, batch: Batch) -> dict[str, float]:
        """One descent. The loss is that before it, in units of the data to the power 4."""
        (z,), (y,) = batch["z"], batch["y"]
        x, cache = self.g.forward(z)
        difference = (x**2).sum(axis=1).mean() - (y**2).sum(axis=1).mean()
        dx = 4 / self.m * difference * x
        _, gradients = self.g.backward(cache, dx)
        self.optimisers["g"].step(self.g.weights, gradients)
        return {"size": float(difference**2)}


PRESETS = {
    "plane": preset(SizeMatching, lambda: GridPoints(200, width=16), Settings(), 200,
                    "200 points of 25 Gaussians, width 16. An example."),
}
