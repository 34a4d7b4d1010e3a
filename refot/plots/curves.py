"""Losses and measures of training runs against the iteration, one panel for each.

A loss or measure that stays constant gets no panel; its value is written below the figure instead.
An axis is logarithmic if its values are positive and span more than two decades. Several runs are
drawn in the same panels.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from refot.arrays import Array
from refot.plots.figures import STYLES, new_figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Rows: TypeAlias = Sequence[Mapping[str, Any]]
"""The lines of a file metrics.jsonl, which training writes, as dicts."""

Curve: TypeAlias = tuple[Array, Array]
"""Iterations and values, (k,) each."""

KINDS = {"losses": "loss: {}", "measures": "{}"}
"""The kinds of numbers in a row, each with the title of its panels."""

DECADES = 2
"""The powers of ten that positive values must span to get a logarithmic axis."""


def plot_curves(rows: Rows) -> Figure:
    """The losses and measures of one run. Over a loss with many values, its running mean over a
    fiftieth of the run is drawn."""
    return plot_compared({"": rows})


def plot_compared(runs: Mapping[str, Rows]) -> Figure:
    """The same for several runs by name, with a legend."""
    found = {(kind, name): {run: curve(rows, kind, name) for run, rows in runs.items()}
             for kind in KINDS for rows in runs.values() for name in names(rows, kind)}
    moving = {key: curves for key, curves in found.items() if not stands_still(curves)} or found
    height = max(1, math.ceil(len(moving) / 3))
    columns = max(1, math.ceil(len(moving) / height))
    figure = new_figure(4.0 * columns, 2.9 * height)
    for k, ((kind, name), curves) in enumerate(moving.items()):
        axes = figure.add_subplot(height, columns, k + 1)
        for (run, points), (colour, marker, _) in zip(curves.items(), STYLES, strict=False):
            if kind == "losses":
                _plot_loss(axes, *points, colour, run)
            else:
                axes.plot(*points, color=colour, marker=marker, markersize=4, label=run)
        axes.set(title=KINDS[kind].format(name), xlabel="iteration",
                 yscale="log" if spans_decades(curves) else "linear")
        axes.grid(color="0.92")
        axes.set_axisbelow(True)
    still = [f"{KINDS[kind].format(name)} = {next(iter(curves.values()))[1][0]:.4g}"
             for (kind, name), curves in found.items() if (kind, name) not in moving]
    if still:
        figure.supxlabel("constant: " + ", ".join(still), fontsize=8.5)
    if len(runs) > 1 and moving:
        figure.legend(*figure.axes[0].get_legend_handles_labels(), loc="outside upper center",
                      ncols=2, fontsize=8.5)
    return figure


def names(rows: Rows, kind: str) -> list[str]:
    """The names of the losses or measures, in the order in which they first appear."""
    return list(dict.fromkeys(name for row in rows for name in row.get(kind, {})))


def curve(rows: Rows, kind: str, name: str) -> Curve:
    """The values of a loss or measure where it is defined, with their iterations."""
    found = [(row["iteration"], row[kind][name]) for row in rows
             if row.get(kind, {}).get(name) is not None]
    iterations, values = np.array(found, dtype=float).reshape(-1, 2).T
    return iterations, values


def stands_still(curves: Mapping[str, Curve]) -> bool:
    """Whether the curves have more than one value, and all values are the same."""
    values = np.concatenate([values for _, values in curves.values()])
    return len(values) > 1 and bool((values == values[0]).all())


def spans_decades(curves: Mapping[str, Curve]) -> bool:
    """Whether all values are positive and span more than DECADES powers of ten."""
    values = np.concatenate([values for _, values in curves.values()])
    return len(values) > 0 and values.min() > 0 and values.max() > 10**DECADES * values.min()


def _plot_loss(axes: Axes, iterations: Array, losses: Array, colour: str, run: str) -> None:
    """Draw a loss and, if there are at least 100 values, over them the running mean."""
    window = len(losses) // 50
    if window < 2:
        axes.plot(iterations, losses, color=colour, label=run)
        return
    axes.plot(iterations, losses, color=colour, alpha=0.3, linewidth=0.6)
    means = np.convolve(losses, np.full(window, 1 / window), mode="valid")
    axes.plot(iterations[window - 1:], means, color=colour, label=run)
