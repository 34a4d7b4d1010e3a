"""The matrix of divergences in POT, OTT and GeomLoss."""

import jax
import numpy as np
import ot
import torch
from geomloss import SamplesLoss
from jax import numpy as jnp
from ott.geometry.pointcloud import PointCloud
from ott.tools.sinkhorn_divergence import sinkhorn_divergence


def pot(clouds):
    """Pair by pair."""
    S = np.zeros((len(clouds), len(clouds)))
    for k, (x, a) in enumerate(clouds):
        for l, (y, b) in enumerate(clouds[:k]):
            S[k, l] = S[l, k] = ot.solve_sample(x, y, a, b, reg=0.5, debias=True, tol=1e-6).value
    return S


def ott(clouds):
    """Compiled for one size: clouds are padded by points without mass."""
    most = max(len(a) for _, a in clouds)
    x = jnp.array([np.pad(x, ((0, most - len(x)), (0, 0))) for x, _ in clouds])
    a = jnp.array([np.pad(a, (0, most - len(a))) for _, a in clouds])
    k, l = np.triu_indices(len(clouds), 1)
    found = divergences(x[k], x[l], a[k], a[l])
    return jnp.zeros((len(clouds), len(clouds))).at[k, l].set(found).at[l, k].set(found)


@jax.jit
@jax.vmap
def divergences(x, y, a, b):
    """S between pairs of clouds."""
    return sinkhorn_divergence(PointCloud, x, y, a=a, b=b, epsilon=0.5,
                               solve_kwargs={"threshold": 1e-6})[0]


def geomloss(clouds):
    """Pair by pair; of half the squared distance."""
    loss, S = SamplesLoss(blur=0.5, scaling=0.9, backend="tensorized"), torch.zeros(
        len(clouds), len(clouds), dtype=torch.float64)
    for k, (x, a) in enumerate(clouds):
        for l, (y, b) in enumerate(clouds[:k]):
            S[k, l] = S[l, k] = 2 * loss(a, x, b, y)
    return S
