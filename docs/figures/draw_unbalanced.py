"""Draw the figure of docs/unbalanced.md: `python docs/figures/draw_unbalanced.py`.

Two clouds with a tenth of junk in each, moved onto each other with exact marginals, and at a price.
"""

from __future__ import annotations

from pathlib import Path

import matplotlib as mpl

mpl.use("Agg")
import matplotlib.pyplot as plt
import numpy as np

import refot
from refot.arrays import Array

HERE = Path(__file__).parent
CLEAN, JUNK = 36, 4
EPS, RHO = 0.05, 2.0


def clouds() -> tuple[Array, Array]:
    """Two clouds of CLEAN points a step apart, and JUNK points far away beside each, (n, 2)."""
    rng = np.random.default_rng(0)
    x, y = 0.4 * rng.normal(size=(2, CLEAN, 2))
    y += [1.5, 0.0]
    far_x, far_y = 0.15 * rng.normal(size=(2, JUNK, 2))
    far_x += [0.0, 4.0]
    far_y += [1.5, -4.0]
    return np.concatenate([x, far_x]), np.concatenate([y, far_y])


def plans(x: Array, y: Array) -> tuple[Array, Array]:
    """The plans with exact marginals and with KL penalties."""
    a, b = np.full(len(x), 1 / len(x)), np.full(len(y), 1 / len(y))
    C = ((x[:, None] - y) ** 2).sum(-1)
    balanced = refot.solve(C, a, b, EPS)
    free = refot.solve(C, a, b, EPS, rho=RHO)
    return (refot.plan(balanced.f, balanced.g, C, a, b, EPS),
            refot.unbalanced_plan(free.f, free.g, C, a, b, EPS))


def draw(axes: plt.Axes, P: Array, x: Array, y: Array, title: str) -> None:
    """Both clouds, sized by the mass that is moved, and a line for each pair that has some."""
    for i, j in zip(*np.nonzero(len(x) * P > 0.02), strict=True):
        axes.plot(*zip(x[i], y[j], strict=True), color="0.6", lw=0.6 + 40 * P[i, j], zorder=1,
                  alpha=0.6)
    for points, mass, colour in ((x, P.sum(1), "tab:blue"), (y, P.sum(0), "tab:orange")):
        axes.scatter(*points.T, s=12, facecolors="none", edgecolors=colour, zorder=2)
        axes.scatter(*points.T, s=12 * len(points) * mass, color=colour, zorder=3)
    axes.set(title=title, xticks=[], yticks=[], aspect="equal")


def main() -> None:
    """Write outliers.png beside this file."""
    x, y = clouds()
    balanced, free = plans(x, y)
    figure, (left, right) = plt.subplots(1, 2, figsize=(7, 4.6))
    draw(left, balanced, x, y, "balanced: all mass has to move")
    draw(right, free, x, y, f"rho = {RHO:g}: junk stays behind")
    figure.tight_layout()
    figure.savefig(HERE / "outliers.png", dpi=110)


if __name__ == "__main__":
    main()
