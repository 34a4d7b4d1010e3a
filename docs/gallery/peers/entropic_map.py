"""The entropic map in POT, OTT and GeomLoss."""

import jax
import ot
import torch
from geomloss import ot as geomloss_ot
from ott.geometry.pointcloud import PointCloud
from ott.solvers import linear


def pot(x, y, new, eps=0.05):
    """The transformer of POT."""
    solver = ot.da.SinkhornTransport(reg_e=eps, tol=1e-6, max_iter=10_000).fit(Xs=x, Xt=y)
    return solver.transform(Xs=new)


@jax.jit
def ott(x, y, new, eps=0.05):
    """In one call."""
    found = linear.solve(PointCloud(x, y, epsilon=eps), threshold=1e-6, max_iterations=10_000)
    return found.to_dual_potentials().transport(new)


def geomloss(x, y, new, eps=0.05):
    """Its potentials are known at the points only."""
    g = geomloss_ot.solve_sample(x, y, reg=eps, max_iter=100).potential_b
    return torch.softmax((g - ((new[:, None] - y) ** 2).sum(dim=2)) / eps, dim=1) @ y
