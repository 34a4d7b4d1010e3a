"""Matching shapes: a rotation found without knowing which point belongs to which.

The second outline is the first, turned by 50 degrees, sampled at other points, with noise. The plan
matches each point softly, and the rotation that fits the matched points best has a closed form (an
SVD). Both take turns, while eps falls from coarse to fine. The picture shows the shapes before and
after, and the pairs that the last plan matches.
"""

import matplotlib.pyplot as plt
import numpy as np

import refot

plt.style.use("refot.plots.pages")
refot.use_backend("numba")  # compiled kernels


def turn(degrees):
    """The matrix (2, 2) of a rotation, to be multiplied from the right."""
    c, s = np.cos(np.deg2rad(degrees)), np.sin(np.deg2rad(degrees))
    return np.array([[c, s], [-s, c]])


def data(n=200, m=300):
    """Points x (n, 2) and y (m, 2) of one outline, both about 0."""
    rng = np.random.default_rng(0)
    angle = 2 * np.pi * np.concatenate([(np.arange(k) + rng.random(k)) / k for k in (n, m)])
    radius = 1 + 0.4 * np.cos(3 * angle) + 0.3 * np.cos(angle)
    outline = radius[:, None] * np.stack([np.cos(angle), np.sin(angle)], axis=1)
    x, y = outline[:n], outline[n:] @ turn(50) + 0.02 * rng.normal(size=(m, 2))
    return x - x.mean(axis=0), y - y.mean(axis=0)


def transport(x, y):
    """The rotation R (2, 2) for which x @ R lies on y."""
    R = np.eye(2)
    for eps in np.geomspace(0.3, 0.003, 12):
        targets = refot.solve(refot.point_cost(x @ R, y), None, None, eps).barycentric_map()
        U, _, V = np.linalg.svd(x.T @ targets)
        R = U @ V
    return R


def picture(x, y, R):
    """The shapes before and after, with the pairs that are matched."""
    figure, axes = plt.subplots(1, 2, sharex=True, sharey=True, figsize=(5.6, 3.0))
    j = refot.solve(refot.point_cost(x @ R, y), None, None, 0.003).matching()
    for each, points, title in zip(axes, (x, x @ R), ("before", "after"), strict=True):
        each.plot(*np.stack([points, y[j]], axis=1).T, color="0.75", linewidth=0.8)
        each.scatter(*points.T, s=9, label="x")
        each.scatter(*y.T, s=9, label="y", marker="^")
        each.set(title=title, aspect="equal")
        each.axis("off")
    axes[1].legend(loc="lower left")
    return figure


if __name__ == "__main__":
    x, y = data()
    R = transport(x, y)
    print(f"found: {np.rad2deg(np.arctan2(R[0, 1], R[0, 0])):.2f} degrees; true: 50")
    picture(x, y, R).savefig("matching_shapes.png")
