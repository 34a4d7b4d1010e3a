"""Plans between minibatches in POT, OTT and GeomLoss."""

import jax
import ot
from geomloss import ot as geomloss_ot
from ott.geometry.pointcloud import PointCloud
from ott.solvers import linear


def pot(x, y, size):
    """All at once."""
    x, y = x.reshape(-1, size, 2), y.reshape(-1, size, 2)
    return ot.solve_sample_batch(x, y, reg=0.05, tol=1e-6, max_iter=10_000).plan


def ott(x, y, size):
    """All at once, by vmap."""
    return plans(x.reshape(-1, size, 2), y.reshape(-1, size, 2))


@jax.jit
@jax.vmap
def plans(x, y):
    """The plan between two minibatches."""
    return linear.solve(PointCloud(x, y, epsilon=0.05), threshold=1e-6,
                        max_iterations=10_000).matrix


def geomloss(x, y, size):
    """All at once."""
    x, y = x.reshape(-1, size, 2), y.reshape(-1, size, 2)
    return geomloss_ot.solve_sample_batch(x, y, reg=0.05, max_iter=100).plan
