"""The figure of systems-flow-matching.md, from the folders of the runs.

    python docs/figures/draw_flow_matching.py RUNS

RUNS holds the --out folders of the presets on 25 Gaussians, named as these.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
from sheets import panels, save
from style import styled

from refot.plots.figures import BLUE
from refot.systems.flow_matching import FlowMatching
from refot.systems.training.load import load_system

COUPLINGS = {"independent": "independent pairs", "semidiscrete": "semi-discrete pairs"}


def trained(runs: Path, name: str) -> FlowMatching:
    """The system of that run."""
    system = load_system(runs / name)
    assert isinstance(system, FlowMatching)
    return system


def plane(runs: Path) -> None:
    """The paths of 150 noises under both velocities."""
    figure, each = panels(list(COUPLINGS.values()))
    for axes, coupling in zip(each, COUPLINGS, strict=True):
        system = trained(runs, f"{coupling}-gaussians25")
        z = system.on_device(np.random.default_rng(0).normal(size=(150, 2)))
        x = np.stack([system.backend.to_numpy(x) for x in system.path(z)])
        axes.scatter(*system.task.data.T, s=10, color="#bfbfbf", linewidths=0)
        axes.plot(*x.transpose(2, 0, 1), color=BLUE, linewidth=0.5)
        axes.scatter(*x[-1].T, s=5, color=BLUE, linewidths=0)
        axes.set(xlim=(-5, 5), ylim=(-5, 5), aspect="equal")
    save(figure, "flow-matching-paths")


if __name__ == "__main__":
    with styled():
        plane(Path(sys.argv[1]))
