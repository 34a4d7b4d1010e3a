"""Two figures of a benchmark run: the time to a criterion, and the time of one half-iteration.

Both show ratios, not seconds: how many times refot's time a peer takes. A ratio is that of two runs
side by side, so that it stays right on a busy machine; error bars span the least and the largest.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from refot.plots.figures import BLUE, STYLES, WIDTH, new_figure

from .run import BenchReport
from .timing import REFERENCE, Range

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Curves = Mapping[str, Mapping[float, Range]]
"""The ratio of each peer at each eps."""

MOST_CURVES = len(STYLES)
"""The most peers that a panel shows. Those come first that met the criterion at the largest number
of values of eps, and among equals the fastest. The tables have all peers."""

WORDS = {"gaussians": "points of the plane", "mnist": "images"}
"""How the titles of panels name the families of problems."""


# ------------------------------------------------------------------ a whole solve
def plot_times(report: BenchReport, criterion: str) -> Figure:
    """How many times refot's time each peer takes to meet a criterion, against eps: a panel for
    each family of problems and size."""
    panels: dict[str, dict[str, dict[float, Range]]] = {}
    for name, entries in report.cells.items():
        cell = report.places[name]
        panel = panels.setdefault(f"{WORDS.get(cell.family, cell.family)}, n = {cell.n:,}", {})
        for entry in entries:
            timing = entry.timings.get(criterion)
            ratio = timing and (timing.processor_ratio or timing.ratio)
            if ratio and entry.peer != REFERENCE:
                panel.setdefault(entry.peer, {})[cell.eps] = ratio
    return plot_ratios(panels, f"times refot's time to {criterion}")


def plot_ratios(panels: Mapping[str, Curves], label: str) -> Figure:
    """A panel for each title, with a curve for each peer; the line at 1 is refot."""
    figure = new_figure(WIDTH, 0.8 + 3.4 * max(len(panels), 1))
    styles = dict(zip(dict.fromkeys(name for curves in panels.values() for name in shown(curves)),
                      STYLES * len(panels), strict=False))
    axes = figure.subplots(max(len(panels), 1), 1, squeeze=False)[:, 0]
    for panel, (title, curves) in zip(axes, panels.items(), strict=False):
        panel.axhline(1, color="0.6", linewidth=1)
        for name in shown(curves):
            colour, marker, line = styles[name]
            points = sorted(curves[name].items())
            panel.errorbar([eps for eps, _ in points], [ratio.median for _, ratio in points],
                           yerr=beyond([ratio for _, ratio in points]), color=colour,
                           marker=marker, linestyle=line, capsize=3, label=name)
        panel.set(xscale="log", yscale="log", title=title, xlabel="eps / max C", ylabel=label)
        panel.invert_xaxis()  # harder problems to the right
        panel.grid(color="0.92")
        panel.set_axisbelow(True)
    entries = {label: curve for panel in axes
               for curve, label in zip(*panel.get_legend_handles_labels(), strict=True)}
    figure.legend(entries.values(), entries.keys(), loc="outside lower center", ncols=2)
    return figure


def shown(curves: Curves) -> list[str]:
    """The peers that a panel shows."""
    def rank(name: str) -> tuple[int, float]:
        ratios = [ratio.median for ratio in curves[name].values()]
        return -len(ratios), sum(ratios) / len(ratios)

    return sorted(curves, key=rank)[:MOST_CURVES]


# ------------------------------------------------------------------ one half-iteration
def plot_half_iterations(ratios: Mapping[str, Range]) -> Figure:
    """How many times refot's time each peer takes for one half-iteration: a bar for each."""
    names = sorted(ratios, key=lambda name: -ratios[name].median)
    figure = new_figure(WIDTH, 1.4 + 0.34 * len(names))
    axes = figure.subplots()
    axes.barh(names, [ratios[name].median for name in names], color=BLUE, alpha=0.75,
              xerr=beyond([ratios[name] for name in names]), capsize=3, ecolor="0.6")
    axes.axvline(1, color="0.6", linewidth=1)
    axes.set(xscale="log", xlabel="times refot's time for one half-iteration")
    axes.grid(color="0.92", axis="x")
    axes.set_axisbelow(True)
    return figure


# ------------------------------------------------------------------ parts
def beyond(ratios: list[Range]) -> tuple[list[float], list[float]]:
    """The lengths of error bars: how far the least and the largest are from the median."""
    return ([ratio.median - ratio.least for ratio in ratios],
            [ratio.most - ratio.median for ratio in ratios])
