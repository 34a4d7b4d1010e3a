"""Presets of flow matching, with independent and with semi-discrete couplings.

Mousavi-Hosseini et al. 2025 train convolutional networks on images of 32 x 32 and more. Networks,
rates and sizes here are chosen for a processor. The settings of the potential were chosen by
how even the shares of the data are (docs/systems-flow-matching.md).
"""

from __future__ import annotations

from refot.systems.flow_matching import (
    FlowMatching,
    SemiDiscreteFlowMatching,
    SemiDiscreteSettings,
    Settings,
)
from refot.systems.presets.recipe import preset
from refot.systems.registry import Preset
from refot.systems.tasks.plane import GridPoints
from refot.systems.tasks.small_digits import SmallDigits


def points() -> GridPoints:
    """500 points of the 25 Gaussians, and networks of width 128."""
    return GridPoints(500, 128)


PRESETS: dict[str, Preset] = {
    "independent-gaussians25": preset(
        FlowMatching, points, Settings(m=256, rate=1e-3), 5_000,
        "Flow matching with independent pairs, on 500 points of the 25 Gaussians, width 128."),
    "semidiscrete-gaussians25": preset(
        SemiDiscreteFlowMatching, points,
        SemiDiscreteSettings(m=256, rate=1e-3, K=1_000, gamma=10.0, rounds=6), 5_000,
        "The same with semi-discrete pairs, lam = 0. Mousavi-Hosseini et al. 2025."),
    "independent-digits": preset(
        FlowMatching, SmallDigits, Settings(m=128, rate=1e-3), 5_000,
        "Flow matching with independent pairs, on 1,000 digits of 8 x 8 pixels, width 256."),
    "semidiscrete-digits": preset(
        SemiDiscreteFlowMatching, SmallDigits,
        SemiDiscreteSettings(m=128, rate=1e-3, K=500, gamma=10.0, rounds=4), 5_000,
        "The same with semi-discrete pairs, lam = 0. Mousavi-Hosseini et al. 2025."),
}
