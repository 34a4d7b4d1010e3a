"""The figures of systems-autodiff.md and systems-eot.md, from the folders of the runs they list.

    python docs/figures/draw_autodiff_eot.py RUNS

RUNS holds the --out folders, named as the presets: iris-ellipses, iris-ellipses-eps0.1,
iris-ellipses-eps0.001, iris-ellipses-mmd, mnist-manifold-quick, mnist-manifold-eps0.1,
mnist-manifold-m10, learned-cost-quick, eotgm, eotgan. Prints Table 1 and the curves over r.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np

from refot.datasets.scikit import IRIS_SPECIES
from refot.plots.figures import STYLES, new_figure, save_figure
from refot.plots.training import tiled
from refot.systems.base.generator_system import GeneratorSystem
from refot.systems.tasks.digits import Digits
from refot.systems.tasks.ellipses import ELLIPSES, IrisEllipses
from refot.systems.training.load import load_system

HERE = Path(__file__).parent
RATIOS = [0.0, 0.25, 0.5, 0.75, 1.0]
IRIS = {"iris-ellipses-mmd": "MMD", "iris-ellipses": "eps = 1",
        "iris-ellipses-eps0.1": "eps = .1", "iris-ellipses-eps0.001": "eps = .001"}
MANIFOLDS = {"mnist-manifold-quick": "eps = 1, L = 10, m = 200",
             "mnist-manifold-eps0.1": "eps = .1, L = 100, m = 200",
             "mnist-manifold-m10": "eps = 1, L = 10, m = 10"}


def trained(runs: Path, name: str) -> GeneratorSystem:
    """The system of that run."""
    system = load_system(runs / name)
    assert isinstance(system, GeneratorSystem)
    return system


def table(report: Any) -> str:
    """Table 1 of one run: a row for each ellipse."""
    rows = ["  ".join(f"{report['measures'][f'{name} in {i + 1}']:3.0f}" for name in IRIS_SPECIES)
            for i in range(ELLIPSES)]
    return " | ".join(rows)


def images(axes: Any, x: Any, columns: int, title: str) -> None:
    """Images (n, h, w) row by row."""
    axes.imshow(tiled(x, columns, 0.0), cmap="gray", vmin=0, vmax=1)
    axes.set(title=title, xticks=[], yticks=[])


def iris(runs: Path) -> None:
    """Samples of the ellipses over the flowers, and Table 1."""
    figure = new_figure(8.8, 4.9)
    for axes, (name, title) in zip(figure.subplots(2, 2).flat, IRIS.items(), strict=True):
        system = trained(runs, name)
        assert isinstance(system.task, IrisEllipses)
        z = system.task.latent(np.random.default_rng(0), 900)
        x = system.generate(z)
        axes.scatter(*x[:, :2].T, s=3, c=z[:, :ELLIPSES].argmax(axis=1), cmap="Set1", vmax=8,
                     alpha=0.5, linewidths=0)
        for label, marker in zip(IRIS_SPECIES.values(), "o^s", strict=True):
            axes.scatter(*system.task.data[system.task.species == label, :2].T, s=14,
                         facecolors="none", edgecolors="0.2", linewidths=0.7, marker=marker)
        axes.set(title=title, xlim=(-4.2, 4.8), ylim=(-2.2, 2.2))
        axes.set_aspect("equal")
        print(name, table(json.loads((runs / name / "report.json").read_text(encoding="utf-8"))))
    save_figure(figure, HERE / "autodiff-iris.png")


def digits(runs: Path) -> None:
    """The manifolds of Fig. 3, and samples under the learned cost."""
    figure = new_figure(12.6, 4.5)
    t = (np.arange(15) + 0.5) / 15
    z = np.stack(np.meshgrid(t, t, indexing="ij"), axis=-1).reshape(-1, 2)
    for axes, (name, title) in zip(figure.subplots(1, 3), MANIFOLDS.items(), strict=True):
        system = trained(runs, name)
        images(axes, system.task.shown(system.generate(z)), 15, title)
    save_figure(figure, HERE / "autodiff-manifold.png")

    figure = new_figure(5.0, 5.2)
    system = trained(runs, "learned-cost-quick")
    images(figure.subplots(), system.sample(100, np.random.default_rng(0)), 10, "learned cost")
    save_figure(figure, HERE / "autodiff-learned-cost.png")


def eot(runs: Path) -> None:
    """Samples of EOTGM and EOTGAN, and both scores against r."""
    figure, curves = new_figure(8.8, 4.8), new_figure(8.6, 3.4)
    panels, axes = figure.subplots(1, 2), curves.subplots(1, 2)
    for k, (name, title) in enumerate((("eotgm", "EOTGM"), ("eotgan", "EOTGAN"))):
        system = trained(runs, name)
        assert isinstance(system.task, Digits)
        images(panels[k], system.sample(100, np.random.default_rng(0)), 10, title)
        found = system.task.mixing(system.generate, RATIOS, np.random.default_rng(0))
        for panel, (measure, values) in zip(axes, found.items(), strict=True):
            colour, marker = STYLES[k][:2]
            panel.plot(RATIOS, values, color=colour, marker=marker, label=title)
            panel.set(xlabel="share r of generated images", title=measure.replace("_", " "))
            print(title, measure, " ".join(f"{value:.2f}" for value in values))
    for panel in axes:
        panel.grid(color="0.92")
        panel.legend()
    save_figure(figure, HERE / "eot-samples.png")
    save_figure(curves, HERE / "eot-mixing.png")


if __name__ == "__main__":
    runs = Path(sys.argv[1])
    iris(runs)
    digits(runs)
    eot(runs)
