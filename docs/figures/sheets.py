"""Figures of several pictures under their titles, two beside each other, for draw_*.py."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from style import themed

from refot.arrays import Array
from refot.plots.figures import STYLES, WIDTH, new_figure, save_figure

HERE = Path(__file__).parent
COLUMNS = 2


def save(figure: Any, name: str) -> None:
    """The figure as docs/figures/name.svg, in the style of the docs."""
    themed(save_figure(figure, HERE / f"{name}.svg", dpi=200))


def panels(titles: Sequence[str], height: float = 1.0, columns: int = COLUMNS,
           below: float = 0.0) -> tuple[Any, list[Any]]:
    """A figure with an axis for each title, `height` times as high as wide, two to a row, and
    `below` inches at the bottom for one more axis, which is the last of the list."""
    rows, side = math.ceil(len(titles) / columns), WIDTH / columns
    heights = [side * height + 0.3] * rows + [below] * (below > 0)
    figure = new_figure(WIDTH, sum(heights))
    grid = figure.add_gridspec(len(heights), columns, height_ratios=heights)
    places = [grid[k // columns, k % columns] for k in range(len(titles))]
    axes = [figure.add_subplot(place) for place in [*places, *([grid[-1, :]] if below else [])]]
    for axis, title in zip(axes, titles, strict=False):
        axis.set_title(title, fontsize=10)
        axis.set(xticks=[], yticks=[])
    return figure, axes


def pictures(images: Mapping[str, Array], columns: int = COLUMNS, below: float = 0.0
             ) -> tuple[Any, list[Any]]:
    """`panels` with an image (h, w) from 0 to 1, or (h, w, 3), in each."""
    first = next(iter(images.values()))
    figure, axes = panels(list(images), first.shape[0] / first.shape[1], columns, below)
    for axis, image in zip(axes, images.values(), strict=False):
        axis.imshow(image, cmap="gray", vmin=0, vmax=1, interpolation="none")
        axis.spines[:].set_visible(False)
    return figure, axes


def curves(axes: Any, values: Mapping[str, tuple[Sequence[float], Sequence[float]]],
           title: str, **settings: Any) -> None:
    """A curve (x, y) for each name."""
    for (name, (x, y)), (colour, marker, line) in zip(values.items(), STYLES, strict=False):
        axes.plot(x, y, color=colour, marker=marker, linestyle=line, markersize=4, label=name)
    axes.set_title(title, fontsize=10)
    axes.set(**settings)
    axes.grid(color="0.92")
    axes.legend()
