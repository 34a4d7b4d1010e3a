"""The entropic map: where new points go, without solving again.

A solve between two samples gives a map that is defined everywhere, by one softmin of the potential
(B-25). Between two normal laws the optimal map is known in closed form, so that the error can be
measured at points that the solve has not seen. The picture shows both maps at new points, and how
the error falls with the number of samples.
"""

import matplotlib.pyplot as plt
import numpy as np
from scipy.linalg import sqrtm

import refot

plt.style.use("refot.plots.pages")
refot.use_backend("numba")  # compiled kernels
COVARIANCE, MEAN = np.array([[1.2, 0.6], [0.6, 0.5]]), np.array([3.0, 0.0])


def data(n=1000, new=500):
    """Samples x (n, 2) of N(0, I), y (n, 2) of N(MEAN, COVARIANCE); new points of N(0, I)."""
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(n, 2)), rng.multivariate_normal(MEAN, COVARIANCE, n)
    return x, y, rng.normal(size=(new, 2))


def transport(x, y, new, eps=0.05):
    """The images (k, 2) of `new` (k, 2) under the entropic map from x (n, 2) to y (m, 2)."""
    return refot.solve(refot.point_cost(x, y), None, None, eps).transform(new)


def exact(x):
    """The optimal map between the laws themselves."""
    return MEAN + x @ np.real(sqrtm(COVARIANCE))


def picture(new, moved, errors):
    """The images of new points under both maps, and the errors."""
    figure, axes = plt.subplots(1, 2, figsize=(5.6, 2.8))
    axes[0].plot(*np.stack([exact(new), moved], axis=1)[:100].T, color="0.6", linewidth=0.8)
    axes[0].scatter(*exact(new)[:100].T, s=10, color="C1", marker="^", label="exact")
    axes[0].scatter(*moved[:100].T, s=10, color="C0", label="estimated")
    axes[0].set(aspect="equal", xticks=[], yticks=[], title="images of new points")
    axes[0].legend(loc="upper left")
    axes[1].loglog(errors.keys(), errors.values(), marker="o")
    sizes, ticks = [30, 100, 300, 1000], [0.1, 0.2, 0.4]
    axes[1].set(xlabel="samples", title="root mean square error", xticks=sizes, xticklabels=sizes,
                yticks=ticks, yticklabels=ticks)
    axes[1].minorticks_off()
    return figure


if __name__ == "__main__":
    x, y, new = data()
    errors = {}
    for n in (30, 100, 300, 1000):
        moved = transport(x[:n], y[:n], new)
        errors[n] = np.sqrt(((moved - exact(new)) ** 2).sum(axis=1).mean())
        print(f"{n:4} samples: error {errors[n]:.3f}")
    picture(new, moved, errors).savefig("entropic_map.png")
