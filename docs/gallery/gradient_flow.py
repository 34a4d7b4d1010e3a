"""Gradient flow: particles that flow down a Sinkhorn divergence.

Four hundred particles start in a blob and follow the negative gradient of the divergence S (B-9)
to two letters. S is debiased: it is 0 where the particles are spread like
the letters, and only there, so that nothing shrinks. The picture shows the particles on the way.
"""

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.path import Path
from matplotlib.textpath import TextPath

import refot

plt.style.use("refot.plots.pages")
refot.use_backend("numba")  # compiled kernels


def data(n=400):
    """A blob x (n, 2), and points y (n, 2) spread over two letters."""
    rng = np.random.default_rng(0)
    y = rng.uniform([0, 0], [1.5, 0.8], (20 * n, 2))
    outlines = TextPath((0, 0), "OT", size=1).to_polygons()
    inside = np.sum([Path(outline).contains_points(y) for outline in outlines], axis=0)
    return rng.normal([0.7, 0.4], 0.05, (n, 2)), y[inside == 1][:n]  # in the hole of O it is 2


def transport(x, y, steps=40, eps=0.002):
    """The positions (steps + 1, n, 2) of the particles."""
    flow, step = [x], None
    for _ in range(steps):
        step = refot.sinkhorn_divergence_value_and_gradient(flow[-1], y=y, eps=eps, warm=step)
        flow.append(flow[-1] - 0.1 * len(x) * step.gradient.x)
    return np.array(flow)


def picture(flow, y, times):
    """The particles at some times."""
    figure, axes = plt.subplots(2, 2, sharex=True, sharey=True, figsize=(5.6, 3.6))
    for each, k in zip(axes.flat, times, strict=True):
        each.scatter(*y.T, s=3, color="0.75")
        each.scatter(*flow[k].T, s=5, color="C0")
        each.set(title=f"step {k}", aspect="equal")
        each.axis("off")
    return figure


if __name__ == "__main__":
    x, y = data()
    flow = transport(x, y)
    for k in (0, 5, 15, 40):
        S = refot.sinkhorn_divergence(flow[k], y=y, eps=0.002)
        print(f"step {k:2}: S = {S:.6f}")
    picture(flow, y, (0, 5, 15, 40)).savefig("gradient_flow.png")
