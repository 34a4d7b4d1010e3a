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
from sheets import curves, panels, pictures, save
from style import styled

from refot.datasets.scikit import IRIS_SPECIES
from refot.plots.figures import BLUE, GREEN, ORANGE, WIDTH, new_figure
from refot.plots.training import tiled
from refot.systems.base.generator_system import GeneratorSystem
from refot.systems.tasks.digits import Digits
from refot.systems.tasks.ellipses import ELLIPSES, IrisEllipses
from refot.systems.training.load import load_system

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


def iris(runs: Path) -> None:
    """Samples of the ellipses over the flowers, and Table 1."""
    figure, each = panels(list(IRIS.values()), 0.5, columns=1)
    for axes, name in zip(each, IRIS, strict=True):
        system = trained(runs, name)
        assert isinstance(system.task, IrisEllipses)
        z = system.task.latent(np.random.default_rng(0), 900)
        x, ellipse = system.generate(z), z[:, :ELLIPSES].argmax(axis=1)
        from_left = np.argsort([x[ellipse == k, 0].mean() for k in range(ELLIPSES)])
        for row, (k, colour) in enumerate(zip(from_left, (BLUE, ORANGE, GREEN), strict=True), 1):
            axes.scatter(*x[ellipse == k, :2].T, s=3, color=colour, alpha=0.5, linewidths=0,
                         label=f"ellipse {row}", rasterized=True)
        for (species, label), marker in zip(IRIS_SPECIES.items(), "o^s", strict=True):
            axes.scatter(*system.task.data[system.task.species == label, :2].T, s=14,
                         facecolors="none", edgecolors="0.2", linewidths=0.7, marker=marker,
                         label=species)
        axes.set(xlim=(-4.2, 4.8), ylim=(-2.2, 2.2))
        axes.set_aspect("equal")
        print(name, table(json.loads((runs / name / "report.json").read_text(encoding="utf-8"))))
    figure.legend(*each[0].get_legend_handles_labels(), loc="outside lower center", ncols=3,
                  markerscale=1.6)
    save(figure, "autodiff-iris")


def digits(runs: Path) -> None:
    """The manifolds of Fig. 3, and samples under the learned cost."""
    t = (np.arange(15) + 0.5) / 15
    z = np.stack(np.meshgrid(t, t, indexing="ij"), axis=-1).reshape(-1, 2)
    found = {}
    for name, title in MANIFOLDS.items():
        system = trained(runs, name)
        found[title] = tiled(system.task.shown(system.generate(z)), 15, 0.0)
    save(pictures(found, columns=1)[0], "autodiff-manifold")

    samples = trained(runs, "learned-cost-quick").sample(100, np.random.default_rng(0))
    save(pictures({"learned cost": tiled(samples, 10, 0.0)}, columns=1)[0],
         "autodiff-learned-cost")


def eot(runs: Path) -> None:
    """Samples of EOTGM and EOTGAN, and both scores against r."""
    samples: dict[str, Any] = {}
    scores: dict[str, dict[str, Any]] = {}
    for name, title in (("eotgm", "EOTGM"), ("eotgan", "EOTGAN")):
        system = trained(runs, name)
        assert isinstance(system.task, Digits)
        samples[title] = tiled(system.sample(100, np.random.default_rng(0)), 10, 0.0)
        found = system.task.mixing(system.generate, RATIOS, np.random.default_rng(0))
        for measure, values in found.items():
            scores.setdefault(measure.replace("_", " "), {})[title] = (RATIOS, values)
            print(title, measure, " ".join(f"{value:.2f}" for value in values))
    save(pictures(samples)[0], "eot-samples")
    figure = new_figure(WIDTH, 6.4)
    for axes, (measure, each) in zip(figure.subplots(2, 1), scores.items(), strict=True):
        curves(axes, each, measure, xlabel="share r of generated images")
    save(figure, "eot-mixing")


if __name__ == "__main__":
    runs = Path(sys.argv[1])
    with styled():
        iris(runs)
        digits(runs)
        eot(runs)
