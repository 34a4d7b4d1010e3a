"""Outliers in POT, OTT and GeomLoss."""

import jax
import ot
from geomloss import ot as geomloss_ot
from jax import numpy as jnp
from ott.geometry.geometry import Geometry
from ott.solvers import linear


def pot(x, y, rho=2.0):
    """In one call."""
    return ot.solve_sample(x, y, reg=0.05, unbalanced=rho, tol=1e-6, max_iter=10_000).plan


@jax.jit
def ott(x, y, rho=2.0):
    """Its entropy is that of P alone; a cost with 2 eps log n more makes it KL to a(x)b."""
    eps, tau = 0.05, rho / (rho + 0.05)
    C = ((x[:, None] - y) ** 2).sum(axis=2) + 2 * eps * jnp.log(len(x))
    return linear.solve(Geometry(C, epsilon=eps), tau_a=tau, tau_b=tau, threshold=1e-6,
                        max_iterations=10_000).matrix


def geomloss(x, y, rho=2.0):
    """In one call."""
    return geomloss_ot.solve_sample(x, y, reg=0.05, unbalanced=rho, max_iter=100).plan
