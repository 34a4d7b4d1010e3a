"""Barycentric interpolation in POT, OTT and GeomLoss."""

import jax
import numpy as np
import ot
import torch
from geomloss import ot as geomloss_ot
from jax import numpy as jnp
from ott.geometry.pointcloud import PointCloud
from ott.solvers import linear


def pot(x, y, times):
    """By the plan."""
    end = len(x) * ot.solve_sample(x, y, reg=0.001, tol=1e-6, max_iter=10_000).plan @ y
    return np.array([(1 - t) * x + t * end for t in times])


@jax.jit
def ott(x, y, times):
    """By the entropic map."""
    found = linear.solve(PointCloud(x, y, epsilon=0.001), threshold=1e-6, max_iterations=10_000)
    end = found.to_dual_potentials().transport(x)
    return jnp.array([(1 - t) * x + t * end for t in times])


def geomloss(x, y, times):
    """By the plan."""
    end = len(x) * geomloss_ot.solve_sample(x, y, reg=0.001, max_iter=100).plan @ y
    return torch.stack([(1 - t) * x + t * end for t in times])
