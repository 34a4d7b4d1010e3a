"""Single cells: which early cells become what.

A cell is measured once, and destroyed. Between four days only clouds are known; transport couples
each day to the next, and carries what the cells of the last day have become back to the first. The
cells of one fate divide twice as often here, so that masses do not match: with exact marginals
transport must take the excess from cells of the other fate, with a price rho it need not. The
picture shows the four days, coloured by the chance of the upper fate.
"""

import matplotlib.pyplot as plt
import numpy as np

import refot

plt.style.use("refot.plots.pages")
refot.use_backend("numba")  # compiled kernels


def data(n=300, days=4):
    """For each day: positions (n, 2) of cells in a plane, and which of them have the upper fate."""
    rng = np.random.default_rng(0)
    cells, fates = [], []
    for day in range(days):
        upper = rng.random(n) < 2**day / (2**day + 1)
        height = np.where(upper, 1, -1) * (0.4 + 0.5 * day)
        cells.append(np.stack([np.full(n, 0.8 * day), height], 1) + rng.normal(0, 0.2, (n, 2)))
        fates.append(upper.astype(float))
    return cells, fates


def transport(cells, fate, rho=1.0):
    """The chance of the fate for the cells of each day, from what those of the last day are."""
    chances = [fate]
    for early, late in zip(cells[-2::-1], cells[:0:-1], strict=True):
        found = refot.solve(refot.point_cost(early, late), None, None, eps=0.05, rho=rho)
        chances.insert(0, found.barycentric_map(chances[0]))
    return chances


def picture(cells, titled):
    """All days in one plane, for each way of coupling them."""
    figure, axes = plt.subplots(1, len(titled), sharey=True, figsize=(5.6, 3.0))
    for each, (title, chances) in zip(axes, titled.items(), strict=True):
        shown = each.scatter(*np.concatenate(cells).T, s=3, c=np.concatenate(chances),
                             cmap="coolwarm")
        each.set(title=title, xlabel="day", xticks=[0, 0.8, 1.6, 2.4], yticks=[])
        each.set_xticklabels(range(len(cells)))
    figure.colorbar(shown, ax=axes, label="chance of the upper fate")
    return figure


if __name__ == "__main__":
    cells, fates = data()
    titled = {"rho = 1": transport(cells, fates[-1]),
              "exact marginals": transport(cells, fates[-1], rho=None)}
    for title, chances in titled.items():
        right = np.mean((chances[0] > 0.5) == fates[0])
        print(f"{title:15}: fates of day 0 right for {right:.0%} of the cells")
    picture(cells, titled).savefig("single_cell.png")
