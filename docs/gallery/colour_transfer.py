"""Colour transfer: a photograph in the colours of another.

The pixels of a photograph are points in the cube of red, green and blue. Transport between 1,008
pixels of each photograph says which colour becomes which, and the entropic map recolours all 17,120
pixels, also those that the solve has not seen. With exact marginals every colour of the palette has
to be used up, so that the sky breaks into two; at a price of rho its colours may be used in other
amounts. The picture shows both photographs and both maps.
"""

import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_sample_images

import refot

plt.style.use("refot.plots.pages")
refot.use_backend("numba")  # compiled kernels


def data():
    """Two photographs (h, w, 3), with numbers from 0 to 1."""
    return [image[::4, ::4] / 255 for image in load_sample_images().images]


def transport(pixels, x, y, rho=0.05):
    """All `pixels` (k, 3), moved as the sample x (n, 3) of them is moved to y (m, 3)."""
    return refot.solve(refot.point_cost(x, y), None, None, eps=0.02, rho=rho).transform(pixels)


def picture(titled):
    """Four images."""
    figure, axes = plt.subplots(2, 2, figsize=(5.6, 4.2))
    for each, (title, image) in zip(axes.flat, titled.items(), strict=True):
        each.imshow(np.clip(image, 0, 1))
        each.set_title(title)
        each.axis("off")
    return figure


if __name__ == "__main__":
    photograph, palette = data()
    pixels, others = photograph.reshape(-1, 3), palette.reshape(-1, 3)
    exact = transport(pixels, pixels[::17], others[::17], rho=None)
    free = transport(pixels, pixels[::17], others[::17])
    for name, colours in {"photograph": pixels, "palette": others, "exact": exact,
                          "rho = 0.05": free}.items():
        print(f"{name:10}: mean red, green, blue {colours.mean(axis=0).round(2)}")
    picture({"photograph": photograph, "palette": palette,
             "exact marginals": exact.reshape(photograph.shape),
             "rho = 0.05": free.reshape(photograph.shape)}).savefig("colour_transfer.png")
