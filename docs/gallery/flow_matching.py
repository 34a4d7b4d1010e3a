"""Minibatch couplings for flow matching, and how far they are from the true one.

Flow matching trains a velocity field on pairs of noise and data. Pairs drawn from a transport plan
are short, and their paths hardly cross; but one solves between minibatches, and the mean of their
plans is not the plan. It costs more: the bias. It is measured here for minibatches of 8 to 256
points beside the plan between all 1,024, whose value is certified. The picture shows pairs from
small and from large minibatches, and the bias.
"""

import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import make_moons

import refot

plt.style.use("refot.plots.pages")
refot.use_backend("numba")  # compiled kernels
EPS = 0.05


def data(n=1024):
    """Noise x (n, 2), and points y (n, 2) of two half moons, twice as large."""
    x = np.random.default_rng(0).normal(size=(n, 2))
    return x, 2 * make_moons(n, noise=0.05, random_state=0)[0] - [1, 0.5]


def transport(x, y, size):
    """The plans (n / size, size, size) between minibatches of x (n, 2) and y (n, 2)."""
    C = ((x.reshape(-1, size, 1, 2) - y.reshape(-1, 1, size, 2)) ** 2).sum(axis=-1)
    return np.array([one.plan() for one in refot.solve_batch(C, None, None, EPS)])


def mean_cost(x, y, plans):
    """The mean of |x - y|^2 over pairs drawn from the plans."""
    (k, i, j), size = np.nonzero(plans), plans.shape[1]
    steps = x[k * size + i] - y[k * size + j]
    return (plans[k, i, j] @ (steps**2).sum(axis=1)) / len(plans)


def picture(x, y, plans, bias):
    """A pair for each of 256 points, from small and from large minibatches; the bias."""
    figure, axes = plt.subplots(1, 3, figsize=(5.6, 2.4), width_ratios=[1, 1, 1.2])
    for each, size in zip(axes, (8, 256), strict=False):
        j = np.concatenate([k * size + P.argmax(axis=1) for k, P in enumerate(plans[size])])[:256]
        each.plot(*np.stack([x[:256], y[j]], axis=1).T, color="C0", linewidth=0.5, alpha=0.6)
        each.scatter(*y[j].T, s=3, color="C1", zorder=2)
        each.set(title=f"minibatch {size}", aspect="equal", xlim=(-3, 3.2), ylim=(-3, 3))
        each.axis("off")
    axes[2].loglog(bias.keys(), bias.values(), marker="o")
    axes[2].set(xlabel="minibatch", title="cost, % too much", xticks=[8, 32, 128],
                xticklabels=[8, 32, 128], yticks=[5, 20, 100], yticklabels=[5, 20, 100])
    axes[2].minorticks_off()
    return figure


if __name__ == "__main__":
    x, y = data()
    whole = refot.solve(refot.point_cost(x, y), None, None, EPS)
    plans = {size: transport(x, y, size) for size in (8, 16, 32, 64, 128, 256)}
    bias = {size: 100 * (mean_cost(x, y, P) / whole.transport_cost() - 1)
            for size, P in plans.items()}
    for size, percent in bias.items():
        print(f"minibatch {size:3}: pairs cost {percent:.1f} % too much")
    gap = whole.certificate()
    print(f"all 1,024: they cost {whole.transport_cost():.4f}; F is {gap.upper:.6f}, "
          f"proved to {gap.absolute:.0e}")
    picture(x, y, plans, bias).savefig("flow_matching.png")
