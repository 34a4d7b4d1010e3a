"""Presets of the baselines: MMD, WGAN with clipping and with a gradient penalty; plane and MNIST.

The WGANs' n_c, rates, c and penalty are those of their papers unless `about` says otherwise.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from refot.backend_contract import BackendLike
from refot.systems.base.generator_system import GeneratorSystem
from refot.systems.baselines import (
    ClippedSettings,
    ClippedWGAN,
    MMDGenerator,
    MMDSettings,
    PenalisedSettings,
    PenalisedWGAN,
)
from refot.systems.batch.costs import Euclidean, MinusGaussianKernel
from refot.systems.registry import Preset, with_changes
from refot.systems.tasks.finite_tasks import FlatDigits, GridPoints

ENERGY = MMDSettings(Euclidean(), m=256, rate=1e-3)
GAUSSIAN = MMDSettings(MinusGaussianKernel(1.0), m=256, rate=1e-3)
GAUSSIAN_DIGITS = MMDSettings(MinusGaussianKernel(5.0), m=256, rate=1e-3)

ITERATIONS = 20_000
QUICK = 2_000


def _preset(name: str, kind: Any, settings: Any, task: Callable[[str | None], Any],
            iterations: int, about: str, takes_data: bool) -> Preset:
    """`kind` with its settings, some of which can be overridden, on what `task` makes."""

    def make(seed: int, backend: BackendLike, data: str | None = None,
             **changed: Any) -> GeneratorSystem:
        made: GeneratorSystem = kind(name, seed, backend, task(data),
                                     with_changes(settings, changed))
        return made

    return Preset(make, iterations, about, takes_data)


def _points(name: str, kind: Any, settings: Any, width: int, iterations: int, about: str
            ) -> dict[str, Preset]:
    """On 2,000 points of 25 Gaussians."""
    return {name: _preset(name, kind, settings, lambda _: GridPoints(2_000, width), iterations,
                          f"{about}; 25 Gaussians, width {width}.", takes_data=False)}


def _digits(name: str, kind: Any, settings: Any, hidden: tuple[int, ...], latents: int,
            iterations: int, about: str) -> dict[str, Preset]:
    """On MNIST, with the widths of H's perceptron or less."""
    return {name: _preset(name, kind, settings,
                          lambda data: FlatDigits(data, None, hidden, latents), iterations,
                          f"{about}; MNIST, widths {', '.join(map(str, hidden))}.",
                          takes_data=True)}


def _all(name: str, kind: Any, plane: Any, digits: Any, quick: dict[str, Any], about: str
         ) -> dict[str, Preset]:
    """A baseline on both sets, and its quick versions, whose settings `quick` changes."""
    sooner = f"{about}; {', '.join(f'{key} {value:g}' for key, value in quick.items())}" if (
        quick) else about
    return {
        **_points(f"{name}-gaussians25", kind, plane, 256, ITERATIONS, about),
        **_points(f"{name}-gaussians25-quick", kind, replace(plane, **quick), 128, QUICK, sooner),
        **_digits(f"{name}-mnist", kind, digits, (256, 512, 1024), 128, ITERATIONS, about),
        **_digits(f"{name}-mnist-quick", kind, replace(digits, **quick), (128, 256, 256), 32,
                  QUICK, sooner),
    }


PRESETS: dict[str, Preset] = {
    **_all("mmd-energy", MMDGenerator, ENERGY, ENERGY, {},
           "MMD with the energy distance (kernel -|x - y|)"),
    **_all("mmd-gaussian", MMDGenerator, GAUSSIAN, GAUSSIAN_DIGITS, {},
           "MMD with a Gaussian kernel, bandwidth 1 in the plane and 5 on MNIST"),
    **_all("wgan-clip", ClippedWGAN, ClippedSettings(), ClippedSettings(), {"rate": 5e-4},
           "WGAN with weight clipping (H-13; Arjovsky et al. 2017)"),
    **_all("wgan-gp", PenalisedWGAN, PenalisedSettings(), PenalisedSettings(), {"rate": 5e-4},
           "WGAN with a gradient penalty (H-13; Gulrajani et al. 2017)"),
}
