"""Colour transfer in POT, OTT and GeomLoss."""

import jax
import ot
import torch
from geomloss import ot as geomloss_ot
from jax import numpy as jnp
from ott.geometry.geometry import Geometry
from ott.solvers import linear


def pot(pixels, x, y, rho=0.05):
    """Its unbalanced map moves a new point as it moves the nearest point of x."""
    solver = ot.da.UnbalancedSinkhornTransport(reg_e=0.02, reg_m=rho, tol=1e-6, max_iter=10_000)
    return solver.fit(Xs=x, Xt=y).transform(Xs=pixels)


@jax.jit
def ott(pixels, x, y, rho=0.05):
    """Its entropy is that of P alone; a cost with 2 eps log n more makes it KL to a(x)b."""
    eps, tau = 0.02, rho / (rho + 0.02)
    C = ((x[:, None] - y) ** 2).sum(axis=2) + 2 * eps * jnp.log(len(x))
    g = linear.solve(Geometry(C, epsilon=eps), tau_a=tau, tau_b=tau, threshold=1e-6,
                     max_iterations=10_000).g
    return jax.nn.softmax((g - ((pixels[:, None] - y) ** 2).sum(axis=2)) / eps, axis=1) @ y


def geomloss(pixels, x, y, rho=0.05):
    """Its potentials are known at the points only."""
    g = geomloss_ot.solve_sample(x, y, reg=0.02, unbalanced=rho, max_iter=100).potential_b
    C = ((pixels[:, None] - y) ** 2).sum(dim=2)
    return torch.softmax((g - C) / 0.02, dim=1) @ y
