"""Domain adaptation in POT, OTT and GeomLoss."""

import jax
import ot
from geomloss import ot as geomloss_ot
from ott.geometry.pointcloud import PointCloud
from ott.solvers import linear


def pot(Xs, Xt):
    """The transformer of POT."""
    return ot.da.SinkhornTransport(reg_e=0.5, tol=1e-6).fit(Xs=Xs, Xt=Xt).transform(Xs=Xs)


@jax.jit
def ott(Xs, Xt):
    """The entropic map of OTT."""
    found = linear.solve(PointCloud(Xs, Xt, epsilon=0.5), threshold=1e-6)
    return found.to_dual_potentials().transport(Xs)


def geomloss(Xs, Xt):
    """The barycentric map by the plan."""
    plan = geomloss_ot.solve_sample(Xs, Xt, reg=0.5, max_iter=100).plan
    return plan @ Xt / plan.sum(dim=1, keepdim=True)
