"""The figures of EOTGAN with the data in its cost, in systems-eot.md, from the folders of the runs.

    python docs/figures/draw_eot_joint.py RUNS

RUNS holds the --out folders eotgm, joint and wgan-gp, each with the number of its seed behind a
dash. The pictures and the curves over r are those of the seeds in SHOWN. Prints the curves
over r.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
from sheets import curves, pictures, save
from style import styled

from refot.plots.figures import WIDTH, new_figure
from refot.plots.training import tiled
from refot.systems.base.generator_system import GeneratorSystem
from refot.systems.tasks.digits import Digits
from refot.systems.training.folder import RunFolder, held_by
from refot.systems.training.load import load_system

RATIOS = [0.0, 0.25, 0.5, 0.75, 1.0]
DISTANCE = "classifier_frechet_distance"
SHOWN = {"eotgm-1": "EOTGM, 800 steps", "joint-0": "pixels and features, seed 0",
         "joint-1": "pixels and features, seed 1", "wgan-gp-0": "WGAN-GP, 2,400 steps"}


def measured(folder: Path) -> tuple[list[int], list[float]]:
    """(steps, distances) of a run, without its start."""
    held = held_by(folder)
    assert held is not None
    rows = [row for row in RunFolder(folder, held.identity).rows() if row.get("measures")][1:]
    return [row["iteration"] for row in rows], [row["measures"][DISTANCE] for row in rows]


def main(runs: Path) -> None:
    """Samples and curves over r of the runs in SHOWN; the distance against the step of all."""
    samples: dict[str, Any] = {}
    scores: dict[str, dict[str, Any]] = {}
    for name, title in SHOWN.items():
        system = load_system(runs / name)
        assert isinstance(system, GeneratorSystem)
        assert isinstance(system.task, Digits)
        samples[title] = tiled(system.sample(100, np.random.default_rng(0)), 10, 0.0)
        found = system.task.mixing(system.generate, RATIOS, np.random.default_rng(0))
        for measure, values in found.items():
            scores.setdefault(measure.replace("_", " "), {})[title] = (RATIOS, values)
            print(title, measure, " ".join(f"{value:.2f}" for value in values))
    save(pictures(samples)[0], "eot-joint-samples")

    figure = new_figure(WIDTH, 9.6)
    *above, last = figure.subplots(3, 1)
    for axes, (measure, each) in zip(above, scores.items(), strict=True):
        curves(axes, each, measure, xlabel="share r of generated images")
    against = {f"pixels and features, seed {k}": measured(runs / f"joint-{k}") for k in range(3)}
    curves(last, against | {"WGAN-GP, seed 0": measured(runs / "wgan-gp-0")},
           "classifier frechet distance", xlabel="step of g", yscale="log")
    save(figure, "eot-joint-curves")


if __name__ == "__main__":
    with styled():
        main(Path(sys.argv[1]))
