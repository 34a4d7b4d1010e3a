"""Domain adaptation: labels of one scanner for the images of another.

Digits are labelled in one domain. In the other they are taller, paler and on a grey ground, and
nobody has labelled them. A classifier of neighbours that was trained on the first domain fails on
the second; trained on the same digits *after* they were moved onto the second domain, it works. The
picture shows digits, the same digits moved, and digits of the second domain.
"""

import matplotlib.pyplot as plt
import numpy as np
from scipy.ndimage import grey_dilation
from sklearn.datasets import load_digits
from sklearn.neighbors import KNeighborsClassifier

import refot
from refot.sklearn import EntropicTransport

plt.style.use("refot.plots.pages")
refot.use_backend("numba")  # compiled kernels


def data():
    """Labelled digits Xs (n, 64) with ys, and digits of the other domain Xt (m, 64) with yt."""
    X, y = load_digits(return_X_y=True)
    images = X.reshape(-1, 8, 8) / 16
    other = 0.3 + 0.5 * grey_dilation(images, (1, 2, 1)) + 0.2 * np.linspace(0, 1, 8)
    return images[:600].reshape(-1, 64), y[:600], other[600:1200].reshape(-1, 64), y[600:1200]


def transport(Xs, Xt):
    """The digits Xs (n, 64) as they would look in the domain of Xt (m, 64)."""
    return EntropicTransport(eps=0.5).fit(Xs, Xt=Xt).transform(Xs)


def picture(rows):
    """Ten digits of each domain, a row each."""
    figure, axes = plt.subplots(len(rows), 1, figsize=(5.6, 2.3))
    for each, (title, X) in zip(axes, rows.items(), strict=True):
        digits = np.pad(X[:10].reshape(-1, 8, 8), ((0, 0), (0, 0), (0, 1)), constant_values=1)
        each.imshow(np.hstack(digits), cmap="gray", vmin=0, vmax=1)
        each.set_title(title, loc="left")
        each.axis("off")
    return figure


if __name__ == "__main__":
    Xs, ys, Xt, yt = data()
    moved = transport(Xs, Xt)
    before, after = (KNeighborsClassifier(3).fit(X, ys).score(Xt, yt) for X in (Xs, moved))
    print(f"right in the other domain: {before:.0%} as it is, {after:.0%} after the map")
    picture({"labelled": Xs, "the same, moved": moved, "the other domain": Xt}
            ).savefig("domain_adaptation.png")
