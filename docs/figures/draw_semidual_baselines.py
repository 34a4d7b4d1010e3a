"""The figures of systems-semidual.md and systems-baselines.md, from the folders of their runs.

    python docs/figures/draw_semidual_baselines.py RUNS

RUNS holds the --out folders, named as the presets without "-quick".
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
from sheets import curves, panels, pictures, save
from style import styled

from refot.plots.figures import BLUE
from refot.plots.training import tiled
from refot.systems.training.folder import RunFolder, held_by
from refot.systems.training.load import load_system

SEMIDUAL = {"sdot-mnist": "SDOT", "sdotnn-mnist": "SDOTNN", "sdot-mnist-dcgan": "SDOT, DCGAN-like"}
DIGITS = {"mmd-gaussian-mnist": "MMD, Gaussian kernel", "wgan-gp-mnist": "WGAN, gradient penalty"}
POINTS = {"sdot-gaussians25": "SDOT", "mmd-energy-gaussians25": "MMD, energy distance",
          "wgan-clip-gaussians25": "WGAN, clipping",
          "wgan-gp-gaussians25": "WGAN, gradient penalty"}
DISTANCE = "classifier_frechet_distance"


def samples(runs: Path, name: str, count: int) -> Any:
    """What the run's last checkpoint generates."""
    return load_system(runs / name).sample(count, np.random.default_rng(0))


def measured(runs: Path, name: str, measure: str) -> tuple[list[int], list[float]]:
    """(iterations, values) of a measure."""
    held = held_by(runs / name)
    assert held is not None
    rows = [row for row in RunFolder(runs / name, held.identity).rows() if row.get("measures")]
    return [row["iteration"] for row in rows], [row["measures"][measure] for row in rows]


def digits(runs: Path, names: dict[str, str], out: str) -> None:
    """Thirty-six images of each run, and the Fréchet distance against the step."""
    figure, axes = pictures({title: tiled(samples(runs, name, 36), 6, 0.0)
                             for name, title in names.items()}, below=2.8)
    curves(axes[-1], {title: measured(runs, name, DISTANCE) for name, title in names.items()},
           "Fréchet distance of features", xlabel="step", yscale="log")
    save(figure, out)


def points(runs: Path) -> None:
    """A thousand points of each run over the data."""
    figure, each = panels(list(POINTS.values()))
    for axes, name in zip(each, POINTS, strict=True):
        real = load_system(runs / name).task.data  # type: ignore[attr-defined]
        axes.scatter(*real.T, s=12, color="#bfbfbf", linewidths=0)
        axes.scatter(*samples(runs, name, 1_000).T, s=4, color=BLUE, linewidths=0)
        axes.set(xlim=(-5.5, 5.5), ylim=(-5.5, 5.5), aspect="equal")
    save(figure, "baselines-points")


def main(runs: Path) -> None:
    """All of them, and the numbers of the pages' tables."""
    digits(runs, SEMIDUAL, "semidual-digits")
    digits(runs, DIGITS, "baselines-digits")
    points(runs)
    for name in SEMIDUAL | DIGITS:
        print(name, *zip(*measured(runs, name, DISTANCE), strict=True))
    for name in POINTS:
        print(name, *zip(*measured(runs, name, "W"), strict=True))


if __name__ == "__main__":
    with styled():
        main(Path(sys.argv[1]))
