"""Barycentric interpolation: one shape becomes another.

The plan splits the mass of each point of the first shape over many points of the second; the mean
of those is where the point goes. Half of the way there lies half of the way between the shapes, as
a mean of points and not of pictures: nothing fades. The picture shows five moments.
"""

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.textpath import TextPath

import refot

plt.style.use("refot.plots.pages")
refot.use_backend("numba")  # compiled kernels


def data(n=900):
    """Points x (n, 2) and y (n, 2), spread over a star and a heart."""
    rng = np.random.default_rng(0)
    inside = []
    for sign in "★♥":
        path = TextPath((0, 0), sign, size=1)
        points = rng.uniform(0, 1, (20 * n, 2)) * path.get_extents().size + path.get_extents().p0
        inside.append(points[path.contains_points(points)][:n])
    return inside


def transport(x, y, times):
    """The cloud at the times t, (len(times), n, 2): x at t = 0, near y at t = 1."""
    end = refot.solve(refot.point_cost(x, y), None, None, eps=0.001).barycentric_map()
    return np.array([(1 - t) * x + t * end for t in times])


def picture(clouds, times):
    """The clouds side by side; a point keeps its colour."""
    figure, axes = plt.subplots(1, len(times), sharex=True, sharey=True, figsize=(5.6, 1.8))
    for each, cloud, t in zip(axes, clouds, times, strict=True):
        each.scatter(*cloud.T, s=2, c=clouds[0][:, 0] + clouds[0][:, 1])
        each.set(title=f"t = {t:g}", aspect="equal")
        each.axis("off")
    return figure


if __name__ == "__main__":
    x, y = data()
    times = (0, 0.25, 0.5, 0.75, 1)
    clouds = transport(x, y, times)
    a = np.full(len(x), 1 / len(x))
    for name, cloud in (("start", x), ("end", clouds[-1])):
        S = refot.sinkhorn_divergence(cloud, a, y, a, eps=0.001)
        print(f"S between the {name:5} and the second shape: {S:.6f}")
    picture(clouds, times).savefig("barycentric_interpolation.png")
