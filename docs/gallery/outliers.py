"""Outliers: masses that need not move.

A cloud was moved upwards, and a tenth of either cloud is junk. Balanced transport has to send all
junk somewhere, and pulls good points along. In unbalanced transport a plan may leave mass behind at
a price rho: what costs far more than 2 rho stays, and of a pair that costs 2 rho a third still
moves. The picture shows the pairs that share mass; all good points have moved straight up.
"""

import matplotlib.pyplot as plt
import numpy as np

import refot

plt.style.use("refot.plots.pages")
refot.use_backend("numba")  # compiled kernels
CLEAN, STEP = 180, [0.0, 1.5]


def data(junk=20):
    """Two clouds (200, 2); the last 20 points of each are junk."""
    rng = np.random.default_rng(0)
    x, y = rng.normal(0, [0.8, 0.3], (2, CLEAN, 2))
    far_x, far_y = rng.normal([-5, 0], 0.2, (junk, 2)), rng.normal([5, 1.5], 0.2, (junk, 2))
    return np.concatenate([x, far_x]), np.concatenate([y + STEP, far_y])


def transport(x, y, rho=2.0):
    """The plan (n, m)."""
    return refot.solve(refot.point_cost(x, y), None, None, eps=0.05, rho=rho).plan()


def mean_step(P, x, y):
    """The mean of y - x over the pairs of good points, weighed by the plan."""
    return (P @ y - P.sum(axis=1)[:, None] * x)[:CLEAN].sum(axis=0) / P[:CLEAN].sum()


def picture(plans, x, y):
    """Both plans: a line for each pair that has some mass."""
    figure, axes = plt.subplots(2, 1, sharex=True, figsize=(5.6, 3.8))
    for each, (title, P) in zip(axes, plans.items(), strict=True):
        i, j = np.nonzero(len(x) * P > 0.05)
        each.plot(*np.stack([x[i], y[j]], axis=1).T, color="0.7", linewidth=0.4)
        each.scatter(*x.T, s=7, label="from", zorder=2)
        each.scatter(*y.T, s=7, label="to", marker="^", zorder=2)
        each.set(title=title, aspect="equal")
        each.axis("off")
    axes[0].legend(loc="upper left")
    return figure


if __name__ == "__main__":
    x, y = data()
    plans = {"balanced": transport(x, y, rho=None), "rho = 2": transport(x, y)}
    for title, P in plans.items():
        print(f"{title:8}: mean step {mean_step(P, x, y).round(2)}, true {STEP}; "
              f"{P[CLEAN:].sum() / 0.1:.0%} of the junk moves")
    picture(plans, x, y).savefig("outliers.png")
