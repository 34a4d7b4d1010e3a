"""Fig. 1 of B: what W does to clusters, and S does not, with points in place of a generator."""

from __future__ import annotations

import numpy as np
import pytest

import refot
from refot.arrays import Array, InputError
from refot.datasets.gaussians import GaussianGrid
from refot.scores.scores import nearest_modes, within_cluster_variance
from refot.systems.particles import particle_flow

GRID = GaussianGrid(side=2, spacing=4.0, std=0.5)


@pytest.mark.parametrize(("cost", "steps", "rate"), [("l1", 200, 0.3), ("sqeuclidean", 100, 0.2)])
def test_clusters_collapse_under_W_and_not_under_S(cost: str, steps: int, rate: float) -> None:
    """eps = 1.5, wider than the clusters: variance within 20 % of the data's under S, and under W
    less than a tenth of it (0 at the mean; near 0 at the median)."""
    rng = np.random.default_rng(0)
    n, eps = 60, 1.5
    y, _ = GRID.sample(n, rng)
    start = GRID.sample(n, rng)[0] + 0.5 * rng.normal(size=(n, 2))
    a = np.full(n, 1 / n)

    def of_W(x: Array) -> Array:
        C = refot.point_cost(x, y, cost)
        return refot.entropic_value_gradient_points(C, a, a, eps, tol=1e-6)

    def of_S(x: Array) -> Array:
        return refot.sinkhorn_divergence_gradient(x, a, y, a, eps, cost, tol=1e-6)

    def variance(x: Array) -> float:
        return within_cluster_variance(x, nearest_modes(x, GRID.modes)[0])

    assert variance(particle_flow(start, of_W, steps, rate)) < 0.1 * variance(y)
    assert abs(variance(particle_flow(start, of_S, steps, rate)) / variance(y) - 1) < 0.2


def test_a_quadratic_is_descended_exactly() -> None:
    """Of mean |x|^2 / 2 the gradient is x / n: one step of rate 1 ends at 0."""
    x = np.arange(6.0).reshape(3, 2)
    assert (particle_flow(x, lambda x: x / 3, steps=1, rate=1.0) == 0).all()


@pytest.mark.parametrize(("steps", "rate"), [(0, 1.0), (3, 0.0), (3, np.nan)])
def test_wrong_numbers(steps: int, rate: float) -> None:
    with pytest.raises(InputError):
        particle_flow(np.zeros((2, 2)), lambda x: x, steps, rate)
