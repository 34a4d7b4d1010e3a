"""Problems on which solvers have failed to converge: smooth histograms on grids, uneven weights.

Each random problem depends on its seed alone.
"""

from __future__ import annotations

from typing import Any

import numpy as np

import refot
from refot.costs.operands import Cost

Drawn = tuple[Cost, Any, Any, float]
"""A problem (C, a, b, eps), in the order of the arguments of `solve`."""


def grid(n: int, d: int) -> Any:
    """About n points of a uniform grid in [0, 1]^d, d = 1 or 2."""
    if d == 1:
        return np.linspace(0, 1, n)[:, None]
    side = np.linspace(0, 1, max(2, round(n**0.5)))
    return np.stack(np.meshgrid(side, side, indexing="ij"), -1).reshape(-1, 2)


def histogram(x: Any, rng: np.random.Generator, background: float) -> Any:
    """One to three Gaussians at the points x, over a background."""
    w = np.full(len(x), float(background))
    for _ in range(rng.integers(1, 4)):
        centre, width = rng.random(x.shape[1]), rng.uniform(0.03, 0.3)
        w += rng.random() * np.exp(-((x - centre) ** 2).sum(axis=1) / (2 * width**2))
    return w / w.sum()


def size(rng: np.random.Generator) -> int:
    """A number of points from 5 to 400, whose logarithm is uniform."""
    return int(np.exp(rng.uniform(np.log(5), np.log(400))))


def smooth(seed: int) -> Drawn:
    """Two grids in one or two dimensions, with uniform weights or histograms; eps from 1e-6 to 1e-2
    of max C."""
    rng = np.random.default_rng(seed)
    d, n = int(rng.integers(1, 3)), size(rng)
    x, y = grid(n, d), grid(n if rng.random() < 0.5 else size(rng), d)
    if rng.integers(3) == 0:
        a, b = np.full(len(x), 1 / len(x)), np.full(len(y), 1 / len(y))
    else:
        background = [0, 1e-3, 1e-2][rng.integers(3)]
        a, b = histogram(x, rng, background), histogram(y, rng, background)
    eps = 10 ** rng.uniform(-6, -2)
    C = refot.point_cost(x, y, "sqeuclidean" if rng.random() < 0.8 else "euclidean")
    return C, a, b, float(eps * C.dense().max())


def uneven_weights(n: int, rng: np.random.Generator) -> Any:
    """Weights (n,) of one of six kinds, down to 1e-300 and to 0."""
    kind = rng.integers(6)
    w = rng.random(n) + 1e-3
    if kind == 0:
        w = rng.dirichlet(np.full(n, 10 ** rng.uniform(np.log10(0.05), 1)))
    elif kind == 1:
        w = np.exp(rng.uniform(0, 5) * rng.normal(size=n))
    elif kind == 2:  # one light atom
        w[rng.integers(n)] *= 10 ** rng.uniform(-300, -3)
    elif kind == 3:
        w[1:][rng.random(n - 1) < 0.3] = 0
    elif kind == 4:  # half of them light
        w[1:] *= 10 ** (-rng.uniform(0, 20, n - 1) * (rng.random(n - 1) < 0.5))
    else:
        w = np.ones(n)
    return w / w.sum()


def uneven(seed: int) -> Drawn:
    """Random points or a random matrix, with uneven weights; eps from 1e-6 to 1 of max C."""
    rng = np.random.default_rng(10_000 + seed)
    n = size(rng)
    m = n if rng.random() < 0.3 else size(rng)
    d, eps = int(rng.integers(1, 4)), 10 ** rng.uniform(-6, 0)
    if rng.random() < 0.7:
        C: Cost = refot.point_cost(rng.normal(size=(n, d)), rng.normal(size=(m, d)) + 0.3)
    else:
        C = refot.DenseCost(rng.random((n, m)))
    return C, uneven_weights(n, rng), uneven_weights(m, rng), float(eps * C.dense().max())


def dirichlet(seed: int, eps: float) -> Drawn:
    """500 x 400 points in the plane, with weights drawn from Dirichlet(.1); eps in units of max C.
    """
    rng = np.random.default_rng(seed)
    x, y = rng.normal(size=(500, 2)), rng.normal(size=(400, 2)) + 0.3
    a, b = rng.dirichlet(np.full(500, 0.1)), rng.dirichlet(np.full(400, 0.1))
    C = refot.point_cost(x, y)
    return C, a / a.sum(), b / b.sum(), float(eps * C.dense().max())


def lognormal(seed: int, n: int, eps: float) -> Drawn:
    """n points in the plane on each side; the logarithms of the weights are normal with standard
    deviation 4; eps in units of max C."""
    rng = np.random.default_rng(seed)
    x, y = rng.normal(size=(n, 2)), rng.normal(size=(n, 2)) + 0.3
    a, b = np.exp(4 * rng.normal(size=n)), np.exp(4 * rng.normal(size=n))
    C = refot.point_cost(x, y)
    return C, a / a.sum(), b / b.sum(), float(eps * C.dense().max())


def image(side: int, eps: float, background: float) -> Drawn:
    """The transport of an image of two blobs to itself; all other pixels have the weight
    `background` before normalisation; eps in cost units."""
    t = (np.arange(side) + 0.5) / side
    X, Y = np.meshgrid(t, t, indexing="ij")
    w = sum(weight * np.exp(-((X - cx) ** 2 + (Y - cy) ** 2) / (2 * s * s))
            for weight, cx, cy, s in ((1, 0.3, 0.3, 0.08), (0.5, 0.7, 0.2, 0.05)))
    a = np.where(w < 1e-3, background, w).ravel()
    points = np.c_[X.ravel(), Y.ravel()]
    return refot.point_cost(points, points), a / a.sum(), a / a.sum(), eps


def gaussians(eps: float) -> Drawn:
    """Two Gaussian histograms of 100 bins, with weights down to 1e-20 and less; eps in cost units.
    """
    x = np.linspace(0, 1, 100)
    a, b = (np.exp(-((x - c) ** 2) / (2 * s * s)) for c, s in ((0.3, 0.07), (0.6, 0.05)))
    C = refot.point_cost(x[:, None], x[:, None])
    return C, a / a.sum(), b / b.sum(), eps
