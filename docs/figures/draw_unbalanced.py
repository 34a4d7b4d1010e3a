"""Draw the figure of docs/unbalanced.md: `python docs/figures/draw_unbalanced.py`.

Two clouds with a tenth of junk in each, moved onto each other with exact marginals, and at a price.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from sheets import panels, save
from style import styled

import refot
from refot.arrays import Array
from refot.plots.figures import BLUE, ORANGE

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


def draw(axes: Any, P: Array, x: Array, y: Array) -> None:
    """Both clouds, sized by the mass that is moved, and a line for each pair that has some."""
    for i, j in zip(*np.nonzero(len(x) * P > 0.02), strict=True):
        axes.plot(*zip(x[i], y[j], strict=True), color="#999999",
                  lw=0.6 + 40 * P[i, j], zorder=1)
    for points, mass, colour in ((x, P.sum(1), BLUE), (y, P.sum(0), ORANGE)):
        axes.scatter(*points.T, s=12, facecolors="none", edgecolors=colour, zorder=2)
        axes.scatter(*points.T, s=12 * len(points) * mass, color=colour, zorder=3)
    axes.set_aspect("equal")


def main() -> None:
    """Write outliers.svg beside this file."""
    x, y = clouds()
    figure, each = panels(["exact marginals:\nall mass has to move",
                           f"rho = {RHO:g}:\njunk stays behind"], height=2.4)
    for axes, P in zip(each, plans(x, y), strict=True):
        draw(axes, P, x, y)
    save(figure, "outliers")


if __name__ == "__main__":
    with styled():
        main()
