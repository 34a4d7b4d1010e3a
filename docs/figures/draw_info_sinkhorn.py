"""The figures of systems-info-sinkhorn.md, from the folders of the runs that the page lists.

    python docs/figures/draw_info_sinkhorn.py RUNS [FIGURE ...]

RUNS holds the --out folders gaussians25-quick, mnist-quick and mnist-features, each also with
-baseline. FIGURE is a name of FIGURES; without one all are drawn.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from sheets import panels, pictures, save
from style import styled

import refot
from refot.arrays import Array
from refot.datasets.gaussians import GaussianGrid
from refot.plots.figures import BLUE
from refot.plots.training import tiled
from refot.scores.scores import nearest_modes, within_cluster_variance
from refot.systems.info_sinkhorn import InfoSinkhorn
from refot.systems.particles import particle_flow
from refot.systems.tasks.latent import Latent, vary_category, vary_uniform
from refot.systems.tasks.plane import GridLaw
from refot.systems.training.load import load_system


def trained(runs: Path, preset: str) -> InfoSinkhorn:
    """The system of that preset's run."""
    system = load_system(runs / preset)
    assert isinstance(system, InfoSinkhorn)
    return system


def scatter(axes: Any, system: InfoSinkhorn, count: int) -> None:
    """Data in grey, generated points coloured by their code."""
    rng = np.random.default_rng(0)
    assert isinstance(system.task, GridLaw)
    z = system.task.latent(rng, count)
    x, codes = system.generate(z), system.task.law.category(z)
    real = system.task.draw(rng, count)
    axes.scatter(*real.T, s=5, color="0.8", linewidths=0)
    axes.scatter(*x.T, s=4, c=codes, cmap="hsv", linewidths=0)
    axes.set_aspect("equal")


def digits(system: InfoSinkhorn, z: Any) -> Array:
    """Images of latents (rows, columns, size), row by row, from 0 to 1."""
    columns, size = z.shape[1:]
    images = system.task.shown(system.generate(z.reshape(-1, size)))
    return (tiled(images, columns, -1.0) + 1) / 2


def collapse(panels: Iterator[Any], cost: str, steps: int, rate: float) -> None:
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
        axes.set_aspect("equal")


def gaussians(runs: Path) -> None:
    """B Fig. 3a, b."""
    presets = {"Sinkhorn, lam = 0": "gaussians25-quick-baseline",
               "Info-Sinkhorn, lam = 1": "gaussians25-quick"}
    figure, each = panels(list(presets))
    for axes, preset in zip(each, presets.values(), strict=True):
        scatter(axes, trained(runs, preset), 2_000)
    save(figure, "info-sinkhorn-gaussians")


def collapses(runs: Path) -> None:
    """B Fig. 1, with points in place of a network; no run is needed."""
    figure, each = panels(["W, l1", "S, l1", "W, sqeuclidean", "S, sqeuclidean"])
    left = iter(each)
    for cost, steps, rate in (("l1", 300, 0.3), ("sqeuclidean", 150, 0.2)):
        collapse(left, cost, steps, rate)
    save(figure, "info-sinkhorn-collapse")


def mnist(runs: Path, preset: str, informative: str, name: str) -> None:
    """B Fig. 3c, d and 4: `preset` and its baseline; `informative` is its title."""
    noise, codes = {}, {}
    for each, title in ((f"{preset}-baseline", "lam = 0"), (preset, informative)):
        system = trained(runs, each)
        rng, latent = np.random.default_rng(1), system.task.law  # type: ignore[attr-defined]
        assert isinstance(latent, Latent)
        noise[f"{title};\nacross: category, down: noise"] = digits(
            system, vary_category(latent, 10, rng))
        codes[f"{title}; across: first\nuniform code, down: category"] = digits(
            system, vary_uniform(latent, 0, 10, rng))
    save(pictures(noise | codes)[0], name)


FIGURES: dict[str, Callable[[Path], None]] = {
    "gaussians": gaussians,
    "collapse": collapses,
    "mnist": lambda runs: mnist(runs, "mnist-quick", "lam = eps = .05", "info-sinkhorn-mnist"),
    "mnist-features": lambda runs: mnist(
        runs, "mnist-features", "lam = eps = .15", "info-sinkhorn-mnist-features"),
}


if __name__ == "__main__":
    with styled():
        for name in sys.argv[2:] or FIGURES:
            FIGURES[name](Path(sys.argv[1]))
