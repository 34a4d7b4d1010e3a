"""Fates of cells in POT, OTT and GeomLoss."""

import jax
import ot
from geomloss import ot as geomloss_ot
from jax import numpy as jnp
from ott.geometry.geometry import Geometry
from ott.solvers import linear


def pot(cells, fate, rho=1.0):
    """By plans."""
    chances = [fate]
    for early, late in zip(cells[-2::-1], cells[:0:-1], strict=True):
        plan = ot.solve_sample(early, late, reg=0.05, unbalanced=rho, tol=1e-6,
                               max_iter=10_000).plan
        chances.insert(0, plan @ chances[0] / plan.sum(axis=1))
    return chances


@jax.jit
def ott(cells, fate, rho=1.0):
    """Its entropy is that of P alone; a cost with 2 eps log n more makes it KL to a(x)b."""
    chances, eps, tau = [fate], 0.05, rho / (rho + 0.05)
    for early, late in zip(cells[-2::-1], cells[:0:-1], strict=True):
        C = ((early[:, None] - late) ** 2).sum(axis=2) + 2 * eps * jnp.log(len(early))
        plan = linear.solve(Geometry(C, epsilon=eps), tau_a=tau, tau_b=tau, threshold=1e-6,
                            max_iterations=10_000).matrix
        chances.insert(0, plan @ chances[0] / plan.sum(axis=1))
    return chances


def geomloss(cells, fate, rho=1.0):
    """By plans."""
    chances = [fate]
    for early, late in zip(cells[-2::-1], cells[:0:-1], strict=True):
        plan = geomloss_ot.solve_sample(early, late, reg=0.05, unbalanced=rho, max_iter=100).plan
        chances.insert(0, plan @ chances[0] / plan.sum(dim=1))
    return chances
