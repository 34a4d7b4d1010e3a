"""Pictures of the samples that a training run generates: grids of images, points coloured by code.

Each function returns a Figure, made without pyplot as in `refot.plots.figures`, whose `save_figure`
writes it to a file.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from refot.arrays import Array, ShapeError
from refot.plots.figures import BLUE, new_figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

CODE_COLOURS = 10
"""The number of colours for codes. Further codes have the same colours again, with other
markers."""


def plot_samples(samples: Any) -> Figure:
    """Draw generated samples: images (n, h, w) or (n, h, w, 3) as a grid, points (n, d) as dots.

    Points of more than two dimensions are shown by their first two. Raises ShapeError for others.
    """
    shape = np.shape(samples)
    if len(shape) == 2 and shape[1] >= 2:
        return plot_points(samples)
    if len(shape) == 3 or (len(shape) == 4 and shape[3] == 3):
        return plot_images(samples)
    raise ShapeError("samples", f"shape {shape}", "(n, d) with d >= 2, (n, h, w), (n, h, w, 3)")


# ------------------------------------------------------------------ images
def plot_images(
    images: Any, columns: int | None = None, row_labels: Sequence[str] = (),
    low: float | None = None, high: float | None = None,
) -> Figure:
    """Images (n, h, w) or (n, h, w, 3) in a grid with `columns` columns, by default about a square.

    The value `low` is black (by default the smallest value), and `high` is white (the largest).
    """
    images = np.asarray(images)
    columns = columns or math.ceil(math.sqrt(len(images)))
    low = float(images.min()) if low is None else low
    high = float(images.max()) if high is None else high
    grid = (tiled(images, columns, low) - low) / ((high - low) or 1.0)
    height, width = grid.shape[:2]
    side = 0.55 * columns
    figure = new_figure(side + (0.6 if row_labels else 0), side * height / width)
    axes = figure.subplots()
    axes.imshow(np.clip(grid, 0, 1), cmap="gray", vmin=0, vmax=1, interpolation="nearest")
    axes.set_xticks([])
    step = height / max(1, len(row_labels))
    axes.set_yticks([step * (k + 0.5) for k in range(len(row_labels))], list(row_labels))
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
    return figure


def tiled(images: Array, columns: int, background: float) -> Array:
    """One image that shows the images (n, h, w[, 3]) row by row, with a pixel of background between
    them."""
    n, h, w = images.shape[:3]
    rows = math.ceil(n / columns)
    sheet = np.full((rows * columns, h + 1, w + 1, *images.shape[3:]), background, images.dtype)
    sheet[:n, :h, :w] = images
    sheet = sheet.reshape(rows, columns, *sheet.shape[1:]).swapaxes(1, 2)
    return sheet.reshape(rows * (h + 1), columns * (w + 1), *images.shape[3:])[:-1, :-1]


# ------------------------------------------------------------------ points
def plot_points(
    points: Any, real: Any | None = None, codes: Any | None = None,
    axis_names: tuple[str, str] = ("first coordinate", "second coordinate"),
) -> Figure:
    """Generated points (n, d >= 2), drawn over real ones (m, d) in grey by their first two
    coordinates.

    Generated points are coloured by `codes` (n,), whole numbers, if given; the legend says how many
    codes there are.
    """
    points = np.asarray(points)
    figure = new_figure(6.2, 5.4)
    axes = figure.subplots()
    if real is not None:
        axes.scatter(*_plane(real), s=14, color="0.8", linewidths=0, label="real")
    if codes is None:
        axes.scatter(*_plane(points), s=9, color=BLUE, linewidths=0, label="generated")
    else:
        _scatter_by_code(axes, points, np.asarray(codes))
    axes.set(xlabel=axis_names[0], ylabel=axis_names[1])
    axes.set_aspect("equal", adjustable="datalim")
    axes.grid(color="0.92")
    axes.set_axisbelow(True)
    figure.legend(loc="outside upper center", ncols=3, fontsize=8.5)
    return figure


def _plane(points: Any) -> tuple[Array, Array]:
    """The first two coordinates of points (n, d)."""
    x, y = np.asarray(points)[:, :2].T
    return x, y


def _scatter_by_code(axes: Axes, points: Array, codes: Array) -> None:
    """Draw the points, with a colour and a marker for each code."""
    from matplotlib import colormaps

    present = np.unique(codes)
    for k, code in enumerate(present):
        colour = colormaps["tab10"](k % CODE_COLOURS)
        marker = "os^Dv"[(k // CODE_COLOURS) % 5]
        label = f"generated, by its code ({len(present)})" if k == 0 else None
        axes.scatter(*_plane(points[codes == code]), s=11, color=colour, marker=marker,
                     linewidths=0, label=label)
