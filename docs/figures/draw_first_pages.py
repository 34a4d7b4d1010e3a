"""The pictures of what-is-entropic-transport.md and first-training.md, out of the pages' own code.

    python docs/figures/draw_first_pages.py

Each page is run as a reader would run it; the pictures are drawn from the names that are left.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from draw import BLOCK
from style import styled, themed

import refot
from refot.arrays import Array
from refot.plots.figures import BLUE, ORANGE, WIDTH, new_figure, save_figure
from refot.verification.certificates.certify import certify

HERE = Path(__file__).parent
EPS = 0.3


def run(page: str, blocks: slice = slice(None)) -> dict[str, Any]:
    """The names that the blocks of a page leave."""
    names: dict[str, Any] = {}
    for block in BLOCK.findall((HERE.parent / page).read_text(encoding="utf-8"))[blocks]:
        exec(compile(block, page, "exec"), names)
    return names


def save(figure: Any, name: str) -> None:
    themed(save_figure(figure, HERE / f"{name}.svg"))


def draw_plan(axes: Any, x: Array, y: Array, P: Array, title: str) -> None:
    """Points, and a line between two for what is sent, as thick as it is much."""
    for i, j in zip(*np.nonzero(P > 2e-3), strict=True):
        axes.plot(*np.stack([x[i], y[j]], 1), color="#999999", linewidth=30 * P[i, j], zorder=1,
                  solid_capstyle="round")
    axes.scatter(*x.T, s=45, color=BLUE, zorder=2)
    axes.scatter(*y.T, s=45, color=ORANGE, marker="s", zorder=2)
    axes.set(title=title, xticks=[], yticks=[], aspect="equal", xlim=(-0.15, 2.55),
             ylim=(-0.15, 1.15))


def plans(at: dict[str, Any]) -> None:
    """Three plans, for three eps."""
    x, y, a, b, C = (at[name] for name in ("x", "y", "a", "b", "C"))
    figure = new_figure(WIDTH, 7.6)
    for axes, eps in zip(figure.subplots(3, 1), (0.05, 0.3, 3.0), strict=True):
        found = refot.solve(C, a, b, eps)
        draw_plan(axes, x, y, refot.plan(found.f, found.g, C, a, b, eps), f"eps = {eps:g}")
    save(figure, "first-plans")


def debiasing(at: dict[str, Any]) -> None:
    """F and S between x and a copy of x that is scaled about its mean."""
    x, a = at["x"], at["a"]
    scales, middle = np.linspace(0, 2, 41), x.mean(axis=0)
    copies = [middle + scale * (x - middle) for scale in scales]
    F = [refot.entropic_value(refot.point_cost(x, copy), a, a, EPS) for copy in copies]
    S = [refot.sinkhorn_divergence(x, a, copy, a, EPS) for copy in copies]
    figure = new_figure(WIDTH, 3.2)
    axes = figure.subplots()
    for values, colour, line, name in ((F, ORANGE, "--", "F"), (S, BLUE, "-", "S")):
        k = int(np.argmin(values))
        axes.plot(scales, values, color=colour, linestyle=line)
        axes.plot(scales[k], values[k], color=colour, marker="o")
        axes.text(scales[k], values[k] + 0.03, f" {name} is smallest at {scales[k]:.2g}",
                  color=colour)
    axes.set(xlabel="the copy is as large as x, times this factor", ylabel="cost units")
    axes.grid(color="#ebebeb")
    save(figure, "first-debiasing")


def certificate(at: dict[str, Any]) -> None:
    """The interval for F after each sweep of Sinkhorn's algorithm."""
    C, a, b = at["C"], at["a"], at["b"]
    g, lower, upper = np.zeros(len(b)), [], []
    for _ in range(6):
        proved = certify(C, a, b, EPS, g).value
        lower.append(proved.lower)
        upper.append(proved.upper)
        g = refot.c_eps_transform(refot.c_eps_transform(g, C, b, EPS), C.T, a, EPS)
    sweeps = np.arange(len(lower))
    figure = new_figure(WIDTH, 3.2)
    axes = figure.subplots()
    axes.vlines(sweeps, lower, upper, color=BLUE, linewidth=3)
    axes.plot(sweeps, upper, color=BLUE, marker="_", markersize=14, linestyle="")
    axes.plot(sweeps, lower, color=BLUE, marker="_", markersize=14, linestyle="")
    axes.axhline(refot.entropic_value(C, a, b, EPS), color=ORANGE, linestyle="--", label="F")
    axes.set(xlabel="sweeps of Sinkhorn's algorithm", ylabel="cost units", xticks=sweeps)
    axes.legend(loc="upper right")
    axes.grid(color="#ebebeb", axis="y")
    save(figure, "first-certificate")


def gradient(at: dict[str, Any]) -> None:
    """Where the gradient sends the points, and where the descent ends."""
    x, y, arrows, moved = (at[name] for name in ("x", "y", "gradient", "moved"))
    figure = new_figure(WIDTH, 2.7)
    axes = figure.subplots()
    axes.quiver(*x.T, *-arrows.T, angles="xy", scale_units="xy", scale=1, width=0.007, color=BLUE)
    axes.scatter(*x.T, s=45, color=BLUE, label="x")
    axes.scatter(*moved.T, s=60, facecolors="none", edgecolors=BLUE, linewidths=1.6,
                 label="x after 30 steps")
    axes.scatter(*y.T, s=45, color=ORANGE, marker="s", label="y")
    axes.set(xticks=[], yticks=[], aspect="equal", xlim=(-0.15, 2.55), ylim=(-0.15, 1.45))
    axes.legend(loc="upper center", ncols=3)
    save(figure, "first-gradient")


def training() -> None:
    """What the generator makes before, during and after its training."""
    at = run("first-training.md", slice(0, 2))
    figure = new_figure(WIDTH, 1.9)
    done = 0
    for axes, steps in zip(figure.subplots(1, 3), (0, 20, 200), strict=True):
        for _ in range(done, steps):
            at["step"]()
        done = steps
        axes.scatter(*at["circle"](150).T, s=3, color="#999999", linewidths=0)
        axes.scatter(*at["generator"].forward(at["rng"].normal(size=(150, 2)))[0].T, s=4,
                     color=BLUE, linewidths=0)
        axes.set(title=f"{steps} steps", xticks=[], yticks=[], aspect="equal", xlim=(-1.4, 1.4),
                 ylim=(-1.4, 1.4))
    save(figure, "first-training")


if __name__ == "__main__":
    with styled():
        first = run("what-is-entropic-transport.md")
        plans(first)
        debiasing(first)
        certificate(first)
        gradient(first)
        training()
