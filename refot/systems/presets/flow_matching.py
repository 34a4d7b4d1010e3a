"""Presets of flow matching, with independent and with semi-discrete couplings.

Mousavi-Hosseini et al. 2025 train convolutional networks on images of 32 x 32 and more. Networks,
rates and sizes here are chosen for a processor. The settings of the potential are those at which
the shares of the data no longer became more even (docs/systems-flow-matching.md).
"""

from __future__ import annotations

from refot.networks import ReLU
from refot.systems.flow_matching import (
    FlowMatching,
    SemiDiscreteFlowMatching,
    SemiDiscreteSettings,
    Settings,
)
from refot.systems.presets.recipe import preset, preset_on_images
from refot.systems.registry import Preset
from refot.systems.tasks.digits import Digits
from refot.systems.tasks.image_networks import dense
from refot.systems.tasks.latent import NormalLatent
from refot.systems.tasks.plane import GridPoints


def points() -> GridPoints:
    """500 points of the 25 Gaussians, and networks of width 128."""
    return GridPoints(500, 128)


def digits(data: str | None) -> Digits:
    """1,000 images of 28 x 28 in [-1, 1], noise of as many numbers, a dense velocity of width 512.

    1,000 other images are held out for the distance. `data` is the folder of `Digits`.
    """
    return Digits(data, NormalLatent(784), low=-1.0, count=1_000, held_out=1_000, judged=1_000,
                  velocity=dense([785, 512, 512, 784], ReLU()))


PRESETS: dict[str, Preset] = {
    "independent-gaussians25": preset(
        FlowMatching, points, Settings(m=256, rate=1e-3), 5_000,
        "Flow matching with independent pairs, on 500 points of the 25 Gaussians, width 128."),
    "semidiscrete-gaussians25": preset(
        SemiDiscreteFlowMatching, points,
        SemiDiscreteSettings(m=256, rate=1e-3, K=1_000, gamma=10.0, rounds=6), 5_000,
        "The same with semi-discrete pairs, lam = 0. Mousavi-Hosseini et al. 2025."),
    "independent-mnist-quick": preset_on_images(
        FlowMatching, digits, Settings(m=128, rate=5e-4), 3_000,
        "Flow matching with independent pairs, on 1,000 images of MNIST, dense networks of width "
        "512."),
    "semidiscrete-mnist-quick": preset_on_images(
        SemiDiscreteFlowMatching, digits,
        SemiDiscreteSettings(m=128, rate=5e-4, K=500, gamma=3.0, rounds=3), 3_000,
        "The same with semi-discrete pairs, lam = 0. Mousavi-Hosseini et al. 2025."),
}
