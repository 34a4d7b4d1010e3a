"""The figures of systems-info-sinkhorn.md, from the folders of the runs that the page lists.

    python docs/figures/draw_info_sinkhorn.py RUNS

RUNS holds the --out folders gaussians25-quick and mnist-quick, each also with -baseline.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np

import refot
from refot.datasets.gaussians import GaussianGrid
from refot.plots.figures import BLUE, new_figure, save_figure
from refot.plots.training import tiled
from refot.scores.scores import nearest_modes, within_cluster_variance
from refot.systems.info_sinkhorn import InfoSinkhorn
from refot.systems.particles import particle_flow
from refot.systems.tasks.latent import Latent, vary_category, vary_uniform
from refot.systems.tasks.plane import GridLaw
from refot.systems.training.load import load_system

HERE = Path(__file__).parent


def trained(runs: Path, preset: str) -> InfoSinkhorn:
    """The system of that preset's run."""
    system = load_system(runs / preset)
    assert isinstance(system, InfoSinkhorn)
    return system


def scatter(axes: Any, system: InfoSinkhorn, count: int, title: str) -> None:
    """Data in grey, generated points coloured by their code."""
    rng = np.random.default_rng(0)
    assert isinstance(system.task, GridLaw)
    z = system.task.latent(rng, count)
    x, codes = system.generate(z), system.task.law.category(z)
    real = system.task.draw(rng, count)
    axes.scatter(*real.T, s=5, color="0.8", linewidths=0)
    axes.scatter(*x.T, s=4, c=codes, cmap="hsv", linewidths=0)
    axes.set(xticks=[], yticks=[])
    axes.set_title(title, fontsize=9)
    axes.set_aspect("equal")


def digits(axes: Any, system: InfoSinkhorn, z: Any, title: str) -> None:
    """Images of latents (rows, columns, size), row by row."""
    columns, size = z.shape[1:]
    images = system.task.shown(system.generate(z.reshape(-1, size)))
    axes.imshow(tiled(images, columns, -1.0), cmap="gray", vmin=-1, vmax=1)
    axes.set(xticks=[], yticks=[])
    axes.set_title(title, fontsize=9)


def collapse(panels: Any, cost: str, steps: int, rate: float) -> None:
    """B Fig. 1 with 180 points: W on one panel, S on the next; prints the variance ratios."""
    grid, n, eps = GaussianGrid(side=3, spacing=4.0, std=0.5), 180, 1.5
    rng = np.random.default_rng(0)
    y, _ = grid.sample(n, rng)
    start = grid.sample(n, rng)[0] + 0.5 * rng.normal(size=(n, 2))
    a = np.full(n, 1 / n)
    losses = {
        "W": lambda x: refot.entropic_value_gradient_points(
            refot.point_cost(x, y, cost), a, a, eps, tol=1e-6),
        "S": lambda x: refot.sinkhorn_divergence_gradient(x, a, y, a, eps, cost, tol=1e-6),
    }
    for name, gradient in losses.items():
        x = particle_flow(start, gradient, steps, rate)
        spreads = [within_cluster_variance(z, nearest_modes(z, grid.modes)[0]) for z in (x, y)]
        print(f"{name} {cost}: variance ratio {spreads[0] / spreads[1]:.3g}")
        axes = next(panels)
        axes.scatter(*y.T, s=7, color="0.75", linewidths=0)
        axes.scatter(*x.T, s=7, color=BLUE, linewidths=0)
        axes.set(xticks=[], yticks=[])
        axes.set_title(f"{name}, {cost}", fontsize=9)
        axes.set_aspect("equal")


def main(runs: Path) -> None:
    figure = new_figure(8.6, 4.9)
    panels = figure.subplots(1, 2)
    for axes, preset, title in zip(
            panels, ("gaussians25-quick-baseline", "gaussians25-quick"),
            ("Sinkhorn, lam = 0", "Info-Sinkhorn, lam = 1"), strict=True):
        scatter(axes, trained(runs, preset), 2_000, title)
    save_figure(figure, HERE / "info-sinkhorn-gaussians.png")

    figure = new_figure(8.8, 2.9)
    panels = iter(figure.subplots(1, 4))
    for cost, steps, rate in (("l1", 300, 0.3), ("sqeuclidean", 150, 0.2)):
        collapse(panels, cost, steps, rate)
    save_figure(figure, HERE / "info-sinkhorn-collapse.png")

    figure = new_figure(8.8, 8.6)
    panels = figure.subplots(2, 2)
    for k, (preset, title) in enumerate(
            (("mnist-quick-baseline", "lam = 0"), ("mnist-quick", "lam = eps = .05"))):
        system = trained(runs, preset)
        rng, latent = np.random.default_rng(1), system.task.law  # type: ignore[attr-defined]
        assert isinstance(latent, Latent)
        digits(panels[0, k], system, vary_category(latent, 10, rng),
               f"{title}; across: category, down: noise")
        digits(panels[1, k], system, vary_uniform(latent, 0, 10, rng),
               f"{title}; across: first uniform code, down: category")
    save_figure(figure, HERE / "info-sinkhorn-mnist.png")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
