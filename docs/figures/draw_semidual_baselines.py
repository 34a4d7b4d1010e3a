"""The figures of systems-semidual.md and systems-baselines.md, from the folders of their runs.

    python docs/figures/draw_semidual_baselines.py RUNS

RUNS holds the --out folders, named as the presets without "-quick".
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np

from refot.plots.figures import new_figure, save_figure
from refot.plots.training import tiled
from refot.systems.training.folder import RunFolder, held_by
from refot.systems.training.load import load_system

HERE = Path(__file__).parent
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
    figure = new_figure(3.1 * (len(names) + 1), 3.3)
    *grids, curves = figure.subplots(1, len(names) + 1)
    for axes, (name, title) in zip(grids, names.items(), strict=True):
        axes.imshow(tiled(samples(runs, name, 36), 6, 0.0), cmap="gray", vmin=0, vmax=1)
        axes.set(title=title, xticks=[], yticks=[])
        curves.plot(*measured(runs, name, DISTANCE), marker="o", markersize=3, label=title)
    curves.set(yscale="log", xlabel="step", title="Fréchet distance of features")
    curves.grid(color="0.92")
    curves.legend(fontsize=8)
    save_figure(figure, HERE / out)


def points(runs: Path) -> None:
    """A thousand points of each run over the data."""
    figure = new_figure(3.1 * len(POINTS), 3.4)
    for axes, (name, title) in zip(figure.subplots(1, len(POINTS)), POINTS.items(), strict=True):
        real = load_system(runs / name).task.data  # type: ignore[attr-defined]
        axes.scatter(*real.T, s=12, color="0.75", linewidths=0)
        axes.scatter(*samples(runs, name, 1_000).T, s=4, linewidths=0)
        axes.set(title=title, xlim=(-5.5, 5.5), ylim=(-5.5, 5.5), aspect="equal")
    save_figure(figure, HERE / "baselines-points.png")


def main(runs: Path) -> None:
    """All of them, and the numbers of the pages' tables."""
    digits(runs, SEMIDUAL, "semidual-digits.png")
    digits(runs, DIGITS, "baselines-digits.png")
    points(runs)
    for name in SEMIDUAL | DIGITS:
        print(name, *zip(*measured(runs, name, DISTANCE), strict=True))
    for name in POINTS:
        print(name, *zip(*measured(runs, name, "W"), strict=True))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
