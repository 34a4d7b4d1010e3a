"""Pictures of training: what they show, where each tile lies, and what is refused."""

from __future__ import annotations

import numpy as np
import pytest

from refot.arrays import ShapeError
from refot.plots.curves import plot_compared, plot_curves
from refot.plots.training import plot_images, plot_points, plot_samples, tiled


def test_tiles_lie_row_by_row_a_pixel_apart() -> None:
    images = np.arange(5.0)[:, None, None] * np.ones((5, 2, 3))
    sheet = tiled(images, columns=3, background=-1.0)
    assert sheet.shape == (2 * 3 - 1, 3 * 4 - 1)
    for k in range(5):
        row, column = divmod(k, 3)
        assert (sheet[3 * row:3 * row + 2, 4 * column:4 * column + 3] == k).all()
    assert (sheet == -1).sum() == sheet.size - 5 * 6


def test_images_reach_from_black_to_white() -> None:
    axes = plot_images(np.array([[[-1.0, 1.0]], [[0.0, 1.0]]]), columns=1).axes[0]
    shown = np.asarray(axes.images[0].get_array())
    np.testing.assert_allclose(shown, [[0, 1], [0, 0], [0.5, 1]])
    labelled = plot_images(np.zeros((4, 2, 2)), 2, ["code 0", "code 1"]).axes[0]
    assert [text.get_text() for text in labelled.get_yticklabels()] == ["code 0", "code 1"]
    assert labelled.get_yticks().tolist() == [1.25, 3.75]


def test_points_are_coloured_by_code_over_the_real_ones() -> None:
    points = np.random.default_rng(0).normal(size=(60, 2))
    axes = plot_points(points, real=points + 1, codes=np.repeat([0, 3, 7], 20)).axes[0]
    real, *generated = axes.collections
    assert len(real.get_offsets()) == 60
    assert [len(each.get_offsets()) for each in generated] == [20, 20, 20]
    assert len({tuple(each.get_facecolor()[0]) for each in generated}) == 3


@pytest.mark.parametrize(("shape", "what"), [
    ((12, 2), "collections"), ((12, 4), "collections"), ((12, 5, 5), "images"),
    ((12, 5, 5, 3), "images"),
])
def test_samples_are_drawn_by_their_shape(shape: tuple[int, ...], what: str) -> None:
    samples = np.random.default_rng(0).random(shape)
    assert len(getattr(plot_samples(samples).axes[0], what)) == 1


@pytest.mark.parametrize("shape", [(12,), (12, 1), (12, 3, 5, 5)])
def test_samples_of_other_shapes_are_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(ShapeError, match="samples"):
        plot_samples(np.zeros(shape))


def test_curves_have_a_panel_each_and_skip_what_is_undefined() -> None:
    rows = [{"iteration": k, "losses": {"W": 1 / k} if k else {}} for k in range(151)]
    for k in (0, 75, 150):
        rows[k]["measures"] = {"modes": k, "nmi": None if k == 0 else 0.5 + k / 1000}
    figure = plot_curves(rows)
    assert [axes.get_title() for axes in figure.axes] == ["loss: W", "modes", "nmi"]
    values, means = figure.axes[0].lines
    assert len(values.get_xdata()) == 150
    last = np.asarray(means.get_ydata())[-1]
    np.testing.assert_allclose(last, np.mean([1 / 148, 1 / 149, 1 / 150]))
    assert np.asarray(figure.axes[2].lines[0].get_xdata()).tolist() == [75, 150]
    assert plot_curves([]).axes == []


def test_a_curve_that_stands_still_is_named_and_not_drawn() -> None:
    rows = [{"iteration": k, "losses": {"W": 1.0 + k, "penalty": 0.25}} for k in range(9)]
    figure = plot_curves(rows)
    assert [axes.get_title() for axes in figure.axes] == ["loss: W"]
    assert figure.get_supxlabel() == "constant: loss: penalty = 0.25"
    still = plot_curves([{"iteration": k, "losses": {"W": 2.0}} for k in range(9)])
    assert [axes.get_title() for axes in still.axes] == ["loss: W"]


def test_an_axis_is_logarithmic_where_positive_values_span_decades() -> None:
    rows = [{"iteration": k, "losses": {"falls": 10.0**-k, "crosses": 1.0 - k, "near": 1.0 + k}}
            for k in range(5)]
    scales = {axes.get_title(): axes.get_yscale() for axes in plot_curves(rows).axes}
    assert scales == {"loss: falls": "log", "loss: crosses": "linear", "loss: near": "linear"}


def test_two_runs_are_drawn_over_each_other() -> None:
    runs = {name: [{"iteration": k, "losses": {"W": slope * k}} for k in range(5)]
            for name, slope in (("slow", 1.0), ("fast", 3.0))}
    figure = plot_compared(runs)
    (axes,) = figure.axes
    assert [np.asarray(line.get_ydata())[-1] for line in axes.lines] == [4.0, 12.0]
    (legend,) = figure.legends
    assert [text.get_text() for text in legend.get_texts()] == ["slow", "fast"]
