"""A small system for tests of training, in which it is killed often: noisy descent on a quadratic.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from refot.backend_contract import BackendLike
from refot.systems.registry import SYSTEMS, Preset, System

NAME = "toy"


class Quadratic:
    """Noisy descent of w on |w|^2 / 2 with momentum, so that a resume that forgets the momentum or
    the random generator gives other numbers.

    `lr` is the rate, `nan_at` the step at which a weight becomes NaN, `pause` the seconds that a
    step waits.
    """

    name = NAME

    def __init__(
        self, seed: int, backend: BackendLike = None, lr: float = 0.01, nan_at: int = -1,
        pause: float = 0.0,
    ) -> None:
        self.rng = np.random.default_rng(seed)
        self.lr, self.nan_at, self.pause = lr, nan_at, pause
        self.w, self.velocity = self.rng.normal(size=(2, 3, 2))
        self.steps = np.zeros((), dtype=np.int64)

    def step(self) -> dict[str, float]:
        time.sleep(self.pause)
        self.velocity = 0.9 * self.velocity - self.lr * (self.w + self.rng.normal(size=(3, 2)))
        self.w = self.w + self.velocity
        self.steps += 1
        if self.steps == self.nan_at:
            self.w[1, 0] = np.nan
        return {"quadratic": float((self.w[0] ** 2).sum() / 2)}

    def sample(self, count: int, rng: np.random.Generator) -> Any:
        return self.w[rng.integers(3, size=count)] + rng.normal(size=(count, 2))

    def evaluate(self, rng: np.random.Generator) -> dict[str, float]:
        return {"noisy": float((self.sample(20, rng) ** 2).mean()), "undefined": float("nan")}

    def state(self) -> dict[str, Any]:
        return {"w": self.w, "velocity": self.velocity, "steps": self.steps}

    def restore(self, state: Mapping[str, Any]) -> None:
        self.w, self.velocity = state["w"].copy(), state["velocity"].copy()
        self.steps = state["steps"].copy()


def make(seed: int, backend: BackendLike, **settings: Any) -> System:
    return Quadratic(seed, backend, **settings)


PRESETS = {
    "quadratic": Preset(make, iterations=40, about="Noisy descent with momentum (a test)."),
    "slow": Preset(lambda seed, backend, **settings: make(seed, backend, pause=0.005, **settings),
                   iterations=10_000, about="The same, 5 ms a step."),
}


def register() -> None:
    """Add the toy to the table of systems in this process."""
    SYSTEMS[NAME] = __name__


def run_in_process(out: Path, iterations: int, checkpoint_seconds: float) -> None:
    """Train the toy; run by a child process that a test kills."""
    from refot.systems.training.loop import Cadence, train

    register()
    train(NAME, "quadratic", out, iterations=iterations, resume=True,
          cadence=Cadence(checkpoint_seconds, measure_every=iterations))
