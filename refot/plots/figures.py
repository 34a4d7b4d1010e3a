"""Figures: Fig. 2 of B, limits in eps with their bounds, the bias of batches, sample complexity.

B = Bréchet et al. 2019, G = Genevay, Peyré, Cuturi 2018. F is the value with its KL term (B-10), s
the sharp value <C,P>, S the Sinkhorn divergence (B-9); the loss of G-4 is made of s. Each function
draws numbers that other modules have computed, and returns a Figure, which `save_figure` writes to
a file. pyplot is not used, so that no window opens and no global state changes. Colours are those
of Okabe and Ito, which colour-blind people can tell apart; line styles and markers differ too.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from refot.arrays import Array, InputError, as_plan
from refot.files import whole_file

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from refot.informative_plans import InformativeResult
    from refot.limits import CostLimits, DivergenceLimits, EpsSweep, SampleComplexity

BLUE, ORANGE, GREEN, PURPLE, SKY, BLACK = (
    "#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#000000")
STYLES = [(BLUE, "o", "-"), (ORANGE, "s", "--"), (GREEN, "^", "-."), (PURPLE, "D", ":"),
          (SKY, "v", (0, (5, 1, 1, 1)))]
"""(colour, marker, line style) of the first, second, ... curve of a panel."""

WIDTH = 4.6
"""The width of figures in inches: readable in a column of text and on a telephone. Panels stand
below each other to keep it."""


def as_figure_path(path: str | os.PathLike[str]) -> Path:
    """`path`, checked: its suffix is a format of Matplotlib and its folder exists. Raises
    InputError."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    target, formats = Path(path), FigureCanvasAgg.get_supported_filetypes()
    if target.suffix[1:].lower() not in formats:
        raise InputError("path", f"{target.name!r}", "a name that ends in ." + ", .".join(formats))
    if not target.absolute().parent.is_dir():
        raise InputError("path", f"{str(target)!r}", "a file in a folder that exists")
    return target


def save_figure(figure: Figure, path: str | os.PathLike[str], dpi: int = 100) -> Path:
    """Write the figure, in the format of the suffix, whole or not at all."""
    target = as_figure_path(path)
    with whole_file(target) as file:
        figure.savefig(file, format=target.suffix[1:].lower(), dpi=dpi)
    return target


# ------------------------------------------------------------------ Fig. 2 of B
def plot_joint_laws(
    laws: Mapping[str, Any], z1: Array, y: Array, y_label: str = "position of $y$ on the diagonal"
) -> Figure:
    """Joint laws of (z1, y), one below the other, each a matrix P (n1, m) under its title, drawn
    with its marginals. Fig. 2.

    z1 (n1,) and y (m,) are the positions of the atoms, increasing. The colour of an entry shows its
    ratio to the largest entry of the same law; entries below 1e-3 of that are white.
    """
    from matplotlib.colors import LogNorm

    figure = new_figure(WIDTH, 4.2 * len(laws))
    grid = figure.add_gridspec(2 * len(laws), 2, height_ratios=[1, 5] * len(laws),
                               width_ratios=[5, 1])
    x_edges, y_edges = _edges(z1), _edges(y)
    for k, (title, law) in enumerate(laws.items()):
        P = as_plan(law, f"laws[{title!r}]", (len(z1), len(y)))
        axes = figure.add_subplot(grid[2 * k + 1, 0])
        mesh = axes.pcolormesh(x_edges, y_edges, np.maximum(P.T / P.max(), 1e-4),
                               norm=LogNorm(1e-3, 1), cmap=_map_with_white())
        axes.set(xlabel="informative code $z_1$", ylabel=y_label)
        above, beside = grid[2 * k, 0], grid[2 * k + 1, 1]
        codes = _bars(figure.add_subplot(above, sharex=axes), x_edges, P.sum(axis=1), "vertical")
        data = _bars(figure.add_subplot(beside, sharey=axes), y_edges, P.sum(axis=0), "horizontal")
        codes.set(title=title, ylabel=r"$\zeta_1$")
        data.set_title(r"$\nu$", fontsize=10)
    figure.colorbar(mesh, ax=figure.axes, shrink=0.75, extend="min", location="bottom",
                    label="mass of an entry / largest entry")
    return figure


def _bars(
    axes: Axes, edges: Array, mass: Array, direction: Literal["vertical", "horizontal"]
) -> Axes:
    """Draw a marginal beside a plan, as bars without axes."""
    axes.stairs(mass, edges, orientation=direction, fill=True, color="0.6")
    axes.tick_params(labelbottom=False, labelleft=False, bottom=False, left=False)
    axes.spines[:].set_visible(False)
    return axes


def plot_descent(results: Mapping[str, InformativeResult]) -> Figure:
    """Two panels, with a curve for each result: by how much the objective J of B-19 falls in each
    step, and how far M P moves in L1, the plan summed over the noise (`informative_plans`)."""
    figure = new_figure(WIDTH, 7.0)
    falls, steps = figure.subplots(2, 1, sharex=True)
    for (label, result), (colour, _, line) in zip(results.items(), STYLES, strict=False):
        k, fall = np.arange(1, 1 + result.iterations), -np.diff(result.objectives)
        resolved = np.logical_and.accumulate(fall > 1e-12 * abs(result.objectives[0]))
        # From the first fall that may be rounding of the objective on, nothing is drawn.
        visible = np.where(resolved, fall, np.nan)
        for axes, values in ((falls, visible), (steps, result.steps)):
            axes.loglog(k, values, color=colour, linestyle=line, label=label)
    falls.set(xlabel="step $k$", ylabel="$J(P_{k-1}) - J(P_k)$  [cost units]",
              title="fall of the objective B-19")
    steps.set(xlabel="step $k$", ylabel="$|MP_k - MP_{k-1}|_1$", title="size of the step")
    _finish(falls, "lower left")
    _finish(steps, "lower left")
    return figure


# ------------------------------------------------------------------ limits in eps
def plot_limits(sweep: EpsSweep, limits: DivergenceLimits) -> Figure:
    """F, s, S and the loss of G-4 as functions of eps: for each a panel with its curve, its limits
    as eps -> 0 and infinity, and the interval that its bounds allow (`limits.bounds`)."""
    figure = new_figure(WIDTH, 13.0)
    value, sharp, divergence, loss = panels = figure.subplots(4, 1, sharex=True)
    xy, mmd = limits.xy, limits.mmd_squared
    _panel(value, sweep.eps, sweep.value, xy.value_bounds, xy.exact, xy.independent,
           ("$F$ (B-10, H-2): KL-inclusive", "$F$", "$W_0$", r"$\langle C, a\otimes b\rangle$"))
    _panel(sharp, sweep.eps, sweep.sharp, xy.sharp_bounds, xy.exact, xy.independent,
           ("$s$ (G): sharp", "$s$", "$W_0$", r"$\langle C, a\otimes b\rangle$"))
    _panel(divergence, sweep.eps, sweep.divergence, limits.divergence_bounds, xy.exact, mmd / 2,
           ("$S$ (B-9): KL-inclusive, halves", "$S$", "$W_0$", r"$\mathrm{MMD}^2_{-c}/2$"))
    _panel(loss, sweep.eps, sweep.loss, limits.loss_bounds, 2 * xy.exact, mmd,
           ("loss of G-4: sharp, twice the scale", "loss", "$2 W_0$", r"$\mathrm{MMD}^2_{-c}$"))
    for axes in panels:
        axes.set(xlabel=r"$\varepsilon$  [cost units]", ylabel="cost units")
    return figure


def _panel(
    axes: Axes, eps: Array, values: Array, bounds: Callable[[float], tuple[float, float]],
    at_zero: float, at_infinity: float, words: tuple[str, str, str, str],
) -> None:
    """Draw one value as a function of eps, the interval between its bounds, and its two limits.
    `words` are the title and the names of the value and of the two limits."""
    title, name, zero, infinity = words
    lower, upper = np.array([bounds(each) for each in eps]).T
    axes.fill_between(eps, lower, upper, color="0.88", label="bounds")
    axes.semilogx(eps, values, color=BLUE, marker="o", markersize=3, label=name)
    axes.axhline(at_zero, color=ORANGE, linestyle="--", label=rf"{zero}  ($\varepsilon\to 0$)")
    axes.axhline(at_infinity, color=GREEN, linestyle="-.",
                 label=rf"{infinity}  ($\varepsilon\to\infty$)")
    low = min(values.min(), at_zero, at_infinity)
    high = max(values.max(), at_zero, at_infinity)
    span = high - low
    axes.set(title=title, xlim=(eps[0], eps[-1]), ylim=(low - 0.3 * span, high + 0.55 * span))
    _finish(axes, "upper center", columns=2)  # the y axis leaves room for it above the curves


def plot_rates(sweep: EpsSweep, limits: CostLimits) -> Figure:
    """How fast F and s approach their limits as eps -> 0 and as eps -> infinity: the distances from
    the limits, the bounds of these distances, and the exact rate of F as eps -> infinity."""
    figure = new_figure(WIDTH, 8.6)
    near, far = figure.subplots(2, 1)
    eps, A = sweep.eps, limits.independent
    for name, values, divisor, (colour, marker, line) in (
        ("F", sweep.value, 8, STYLES[0]), ("s", sweep.sharp, 2, STYLES[1])
    ):
        for axes, distance, label in (
            (near, values - limits.exact, f"${name} - W_0$"),
            (far, A - values, rf"$\langle C, a\otimes b\rangle - {name}$"),
        ):
            visible = np.where(distance > 1e-9 * A, distance, np.nan)  # smaller ones are rounding
            axes.loglog(eps, visible, color=colour, marker=marker, linestyle=line, markersize=4,
                        label=label)
        far.loglog(eps, limits.oscillation**2 / (divisor * eps), color=colour, linestyle=line,
                   linewidth=0.8,
                   label=rf"bound $\mathrm{{osc}}^2/({divisor}\varepsilon)$ of ${name}$")
    near.loglog(eps, eps * limits.entropy, color=BLACK, linewidth=1,
                label=r"bound $\varepsilon\,\min(H(a), H(b))$")
    far.loglog(eps, limits.variance / (2 * eps), color=BLACK, linewidth=1, linestyle=":",
               label=r"rate $\mathrm{Var}/(2\varepsilon)$ of $F$")
    for axes in (near, far):
        axes.set(xlabel=r"$\varepsilon$  [cost units]",
                 ylabel="distance to the limit  [cost units]")
    near.set(title=r"to $W_0$, as $\varepsilon\to 0$", ylim=(1e-6 * A, 10 * A))
    far.set(ylim=(0.1 * limits.variance / eps[-1], 100 * A),
            title=r"to $\langle C, a\otimes b\rangle$, as $\varepsilon\to\infty$")
    _finish(near, "lower right")
    _finish(far, "lower left")
    return figure


# ------------------------------------------------------------------ batches and samples
def plot_softmin_bias(
    sizes: Sequence[int], means: Array, errors: Array, predicted: Array
) -> Figure:
    """The bias of the softmin over a batch against the size of the batch. `means` and `errors` are
    the measured biases and their standard errors, `predicted` the biases that theory predicts; (k,)
    each."""
    figure = new_figure(WIDTH, 3.8)
    axes = figure.subplots()
    axes.loglog(sizes, predicted, color=BLACK, linewidth=1,
                label=r"$\varepsilon\,\mathrm{Var}/(2B\,\mathrm{mean}^2)$")
    axes.errorbar(sizes, means, yerr=2 * np.asarray(errors), color=BLUE, marker="o", linestyle="",
                  capsize=3, label="measured, two standard errors")
    axes.set(xlabel="batch size $B$", ylabel="bias of the softmin  [cost units]",
             title="a batch softmin lies too high")
    axes.set_xticks(list(sizes), [str(size) for size in sizes])
    axes.minorticks_off()
    _finish(axes, "upper right")
    return figure


def plot_sample_complexity(tables: Mapping[int, SampleComplexity]) -> Figure:
    """The mean of S between two samples of the same law against their size n, with the slopes of
    the curves. There is a panel for each dimension (a key of `tables`), and in it a curve for each
    eps."""
    from refot.limits import decay_rate

    figure = new_figure(WIDTH, 4.2 * len(tables))
    panels = np.atleast_1d(figure.subplots(len(tables), 1, sharex=True, sharey=True))
    for axes, (d, table) in zip(panels, tables.items(), strict=True):
        curves = [(rf"$\varepsilon = {eps:g}$", values) for eps, values in
                  zip(table.epsilons, table.divergence, strict=True)]
        curves.append((r"$\varepsilon = \infty$: energy / 2", table.energy))
        for (label, values), error, (colour, marker, line) in zip(
            curves, table.errors, STYLES, strict=False
        ):
            slope = decay_rate(table.sizes, values)
            axes.errorbar(table.sizes, values, yerr=2 * error, color=colour, marker=marker,
                          linestyle=line, markersize=5, capsize=2,
                          label=rf"{label}, slope ${slope:.2f}$")
        axes.set(xscale="log", yscale="log", xlabel="points $n$ in each sample",
                 ylabel="mean of $S$  [cost units]", title=f"dimension {d}")
        axes.set_xticks(list(table.sizes), [str(n) for n in table.sizes])
        axes.minorticks_off()
        _finish(axes, "lower left")
    panels[0].set(ylim=(_lowest(tables) / 20, None))
    return figure


# ------------------------------------------------------------------ parts
def new_figure(width: float, height: float) -> Figure:
    """An empty figure, its size in inches, laid out so that nothing overlaps."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def _finish(
    axes: Axes, place: Literal["upper center", "upper right", "lower left", "lower right"],
    columns: int = 1,
) -> None:
    """Draw the legend, and a light grid behind the curves."""
    axes.grid(color="0.92")
    axes.set_axisbelow(True)
    axes.legend(loc=place, ncols=columns, fontsize=8.5)


def _lowest(tables: Mapping[int, SampleComplexity]) -> float:
    """The smallest mean that is drawn in any panel."""
    return min(float(min(t.energy.min(), t.divergence.min())) for t in tables.values())


def _edges(positions: Array) -> Array:
    """The borders (k + 1,) of cells around increasing positions (k,), k >= 2. Inner borders are
    half way between two positions; the first and the last cell are symmetric around theirs."""
    middles = (positions[1:] + positions[:-1]) / 2
    return np.concatenate([[2 * positions[0] - middles[0]], middles,
                           [2 * positions[-1] - middles[-1]]])


def _map_with_white() -> Any:
    """The colour map viridis, reversed: the largest values are dark, and those below its range are
    white."""
    from matplotlib import colormaps

    return colormaps["viridis_r"].with_extremes(under="white")
