"""Matching shapes in POT, OTT and GeomLoss."""

import jax
import numpy as np
import ot
import torch
from geomloss import ot as geomloss_ot
from jax import numpy as jnp
from ott.geometry.pointcloud import PointCloud
from ott.solvers import linear


def pot(x, y):
    """By the plan."""
    R = np.eye(2)
    for eps in np.geomspace(0.3, 0.003, 12):
        plan = ot.solve_sample(x @ R, y, reg=eps, tol=1e-6, max_iter=10_000).plan
        U, _, V = np.linalg.svd(x.T @ (len(x) * plan @ y))
        R = U @ V
    return R


@jax.jit
def ott(x, y):
    """By the plan as an operator."""
    R = jnp.eye(2)
    for eps in np.geomspace(0.3, 0.003, 12):
        found = linear.solve(PointCloud(x @ R, y, epsilon=eps), threshold=1e-6,
                             max_iterations=10_000)
        U, _, V = jnp.linalg.svd(x.T @ (len(x) * found.apply(y.T, axis=1).T))
        R = U @ V
    return R


def geomloss(x, y):
    """By the plan."""
    R = torch.eye(2, dtype=x.dtype)
    for eps in np.geomspace(0.3, 0.003, 12):
        plan = geomloss_ot.solve_sample(x @ R, y, reg=eps, max_iter=100).plan
        U, _, V = torch.linalg.svd(x.T @ (len(x) * plan @ y))
        R = U @ V
    return R
