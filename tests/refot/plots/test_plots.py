"""Figures: each shows the numbers it was given, on labelled axes, without pyplot."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
from matplotlib.patches import StepPatch

from refot.arrays import InputError, ShapeError
from refot.informative_plans import solve_informative
from refot.limits import SampleComplexity, divergence_limits, eps_sweep
from refot.plots.figures import (
    plot_descent,
    plot_joint_laws,
    plot_limits,
    plot_rates,
    plot_sample_complexity,
    plot_softmin_bias,
    save_figure,
)


@pytest.fixture(scope="module")
def swept():
    rng = np.random.default_rng(0)
    x, y, a, b = rng.random((4, 2)), rng.random((3, 2)) + 1, np.full(4, 0.25), np.full(3, 1 / 3)
    return eps_sweep(x, a, y, b, [0.1, 1.0, 10.0, 100.0]), divergence_limits(x, a, y, b)


def curves(axes):
    """The y data of every line of an axis, by label."""
    return {line.get_label(): np.asarray(line.get_ydata()) for line in axes.get_lines()}


def labelled(axes):
    return axes.get_xlabel() and axes.get_ylabel() and axes.get_title()


def test_joint_laws_are_drawn_side_by_side_with_their_marginals():
    P = np.array([[0.3, 0.1, 0.0], [0.0, 0.2, 0.4]])
    figure = plot_joint_laws({"(a)": np.outer(P.sum(1), P.sum(0)), "(b)": P},
                             np.array([0.25, 0.75]), np.array([0.1, 0.5, 0.9]))
    plans = [axes for axes in figure.axes if axes.get_xlabel() == "informative code $z_1$"]
    assert len(plans) == 2
    mesh = plans[1].collections[0].get_array()
    np.testing.assert_allclose(mesh, np.maximum(P.T / 0.4, 1e-4))
    assert [axes.get_title() for axes in figure.axes if axes.get_title().startswith("(")] == [
        "(a)", "(b)"]
    stairs = [patch.get_data().values for axes in figure.axes for patch in axes.patches
              if isinstance(patch, StepPatch)]
    np.testing.assert_allclose(stairs[2], P.sum(axis=1))
    np.testing.assert_allclose(stairs[3], P.sum(axis=0))


def test_joint_laws_must_fit_their_positions():
    with pytest.raises(ShapeError, match=r"laws\['\(a\)'\]"):
        plot_joint_laws({"(a)": np.full((2, 2), 0.25)}, np.array([0.0, 1.0]), np.arange(3.0))


def test_descent_shows_steps_and_falls():
    C, a = np.array([[0.0, 1.0], [1.0, 0.2]]), np.array([0.5, 0.5])
    found = solve_informative(C, a, a, 1.0, 0.5, [0, 1])
    falls, steps = plot_descent({"one": found}).axes
    np.testing.assert_allclose(curves(steps)["one"], found.steps)
    drawn = curves(falls)["one"]
    seen = np.isfinite(drawn)
    np.testing.assert_allclose(drawn[seen], -np.diff(found.objectives)[seen])
    assert seen[0]
    assert labelled(falls)
    assert labelled(steps)


def test_limits_show_the_values_both_limits_and_the_bounds(swept):
    sweep, limits = swept
    figure = plot_limits(sweep, limits)
    value, sharp, divergence, loss = figure.axes
    mmd = limits.mmd_squared
    for axes, name, values, ends, bounds in (
        (value, "$F$", sweep.value, (limits.xy.exact, limits.xy.independent),
         limits.xy.value_bounds),
        (sharp, "$s$", sweep.sharp, (limits.xy.exact, limits.xy.independent),
         limits.xy.sharp_bounds),
        (divergence, "$S$", sweep.divergence, (limits.xy.exact, mmd / 2),
         limits.divergence_bounds),
        (loss, "loss", sweep.loss, (2 * limits.xy.exact, mmd), limits.loss_bounds),
    ):
        np.testing.assert_array_equal(curves(axes)[name], values)
        constants = [line.get_ydata()[0] for line in axes.get_lines()[1:]]
        np.testing.assert_allclose(constants, ends)
        band = axes.collections[0].get_paths()[0].vertices[:, 1]
        expected = np.array([bounds(eps) for eps in sweep.eps])
        np.testing.assert_allclose([band.min(), band.max()], [expected.min(), expected.max()])
        assert axes.get_ylim()[0] < values.min() < values.max() < axes.get_ylim()[1]
        assert axes.get_legend() is not None


def test_rates_show_both_distances_below_their_bounds(swept):
    sweep, limits = swept
    near, far = plot_rates(sweep, limits.xy).axes
    np.testing.assert_allclose(curves(near)["$F - W_0$"], sweep.value - limits.xy.exact)
    bound = curves(near)[r"bound $\varepsilon\,\min(H(a), H(b))$"]
    assert (curves(near)["$F - W_0$"] <= bound).all()
    distance = limits.xy.independent - sweep.sharp
    np.testing.assert_allclose(curves(far)[r"$\langle C, a\otimes b\rangle - s$"], distance)
    assert labelled(near)
    assert far.get_xlabel()


def test_softmin_bias_shows_measured_and_predicted():
    axes, = plot_softmin_bias([4, 16], np.array([0.3, 0.05]), np.array([0.01, 0.002]),
                              np.array([0.2, 0.05])).axes
    drawn = [line.get_ydata() for line in axes.get_lines()]
    np.testing.assert_array_equal(drawn[0], [0.2, 0.05])
    np.testing.assert_array_equal(drawn[1], [0.3, 0.05])
    assert [tick.get_text() for tick in axes.get_xticklabels()] == ["4", "16"]
    assert labelled(axes)


def test_sample_complexity_has_a_panel_for_each_dimension_with_slopes():
    sizes = np.array([10, 100, 1000])
    table = SampleComplexity(sizes, np.array([0.5]), 3.0 / sizes[None] ** 0.5, 2.0 / sizes,
                             np.zeros((2, 3)))
    figure = plot_sample_complexity({2: table, 5: table})
    assert [axes.get_title() for axes in figure.axes] == ["dimension 2", "dimension 5"]
    labels = [text.get_text() for text in figure.axes[0].get_legend().get_texts()]
    assert labels == [r"$\varepsilon = 0.5$, slope $-0.50$",
                      r"$\varepsilon = \infty$: energy / 2, slope $-1.00$"]
    assert figure.axes[0].get_ylabel()


# ------------------------------------------------------------------ writing
def test_a_figure_is_written_whole_or_not_at_all(tmp_path, swept):
    figure = plot_rates(swept[0], swept[1].xy)
    path = save_figure(figure, tmp_path / "rates.png")
    assert path.read_bytes().startswith(b"\x89PNG")
    before = path.read_bytes()
    figure.savefig = _broken
    with pytest.raises(OSError, match="disk full"):
        save_figure(figure, path)
    assert path.read_bytes() == before
    assert [each.name for each in tmp_path.iterdir()] == ["rates.png"]


def _broken(file, format, dpi):
    file.write(b"half")
    raise OSError("disk full")


@pytest.mark.parametrize("name", ["rates.txt", "rates", "missing/rates.png"])
def test_a_path_that_cannot_be_written_is_refused(tmp_path, swept, name):
    with pytest.raises(InputError, match="path"):
        save_figure(plot_rates(swept[0], swept[1].xy), tmp_path / name)


def test_plots_neither_load_matplotlib_early_nor_pyplot_at_all():
    """`import refot` stays fast, and a figure needs no display."""
    program = (
        "import sys, numpy as np, refot.plots.figures\n"
        "assert 'matplotlib' not in sys.modules\n"
        "refot.plots.figures.plot_softmin_bias([2, 4], np.ones(2), np.ones(2), np.ones(2))\n"
        "assert 'matplotlib.pyplot' not in sys.modules\n"
    )
    subprocess.run([sys.executable, "-W", "error", "-c", program], check=True, timeout=120)
