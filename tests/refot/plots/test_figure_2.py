"""The numbers behind Fig. 2 of B, and its picture."""

from __future__ import annotations

import warnings

import numpy as np
import pytest

from refot.arrays import ConvergenceWarning, InputError
from refot.information import mutual_information
from refot.informative_plans import (
    IllPosedWarning,
    InformativeResult,
    entries_with_mass,
    solve_informative,
)
from refot.plots.figure_2 import draw_figure_2, figure_2_problem


# ------------------------------------------------------------------ the figures of Fig. 2
@pytest.fixture(scope="module")
def figure():
    return figure_2_problem()


def run(figure, eps, lam, **options):
    return solve_informative(figure.C, figure.a, figure.b, eps, lam, figure.codes, **options)


@pytest.mark.parametrize(("lam", "rate", "step", "limit"), [
    (0.1, 0.188, 8, 0.1879), (0.25, 0.476, 16, 0.4756), (0.45, 0.893, 40, 0.8947)])
def test_linear_rates_on_the_grid(figure, lam, rate, step, limit):
    """eps = .5: the steps shrink by `rate` after `step` of them, and by `limit` in the end (the
    third is not there yet at 40 steps)."""
    found = run(figure, 0.5, lam, tol=1e-10)
    ratios = np.array(found.steps[1:]) / found.steps[:-1]
    assert ratios[step - 1] == pytest.approx(rate, abs=6e-4)
    sound = np.array(found.steps[1:]) > 1e-7  # a solve to 1e-11 blurs the later ratios
    assert ratios[sound][-1] == pytest.approx(limit, abs=6e-4)
    assert (np.diff(found.objectives) < 1e-11).all()


@pytest.fixture(scope="module")
def at_the_edge(figure):
    """lam = eps = .5, 1000 steps: slow, and not converged to 1e-8."""
    with pytest.warns(ConvergenceWarning, match="after 1000 steps"):
        return run(figure, 0.5, 0.5)


def test_lam_equal_to_eps_already_shows_the_sparsity(figure, at_the_edge):
    """MI .033 -> 1.973, entries that carry 99 % of the (z1, y) law 152 -> 23 of 240."""
    diffuse, sparse = figure.joint(run(figure, 0.5, 0.0).P), figure.joint(at_the_edge.P)
    assert diffuse.size == sparse.size == 240
    assert mutual_information(diffuse) == pytest.approx(0.033, abs=5e-4)
    assert mutual_information(sparse) == pytest.approx(1.973, abs=5e-4)
    assert (entries_with_mass(diffuse), entries_with_mass(sparse)) == (152, 23)
    with pytest.raises(InputError, match=r"^fraction: 2"):
        entries_with_mass(diffuse, 2.0)
    assert isinstance(at_the_edge, InformativeResult)
    assert not at_the_edge.converged
    assert (np.diff(at_the_edge.objectives) < 0).all()


@pytest.mark.parametrize(("eps", "steps", "information"), [
    (10.0, 21, 0.0004), (1.0, 7, 1.9812), (0.1, 3, 1.9812)])
def test_lam_five_is_diffuse_above_and_collapses_below(figure, eps, steps, information):
    """eps = 10 stays diffuse; eps = 1 and .1 end within 7 steps."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", IllPosedWarning)
        found = run(figure, eps, 5.0)
    assert found.converged
    assert found.iterations == steps
    assert mutual_information(figure.joint(found.P)) == pytest.approx(information, abs=6e-5)


def test_local_minima_for_lam_above_eps_depend_on_the_start(figure):
    """Two starts, two ends, where lam < eps has one."""
    start = 5 * np.random.default_rng(0).normal(size=(10, 24))
    with pytest.warns(IllPosedWarning):
        first, second = run(figure, 1.0, 5.0), run(figure, 1.0, 5.0, Q=start)
    assert first.converged
    assert second.converged
    assert abs(first.objectives[-1] - second.objectives[-1]) > 0.1


def test_figure_2_side_by_side(tmp_path):
    """eps = lam = 5: (a) diffuse, (b) sparse after 1000 steps, and the words say how it ended."""
    lines = draw_figure_2(tmp_path / "plan.png")
    assert "lam = 0: MI 0.000406 nats, 99 % of the mass in 153 of 240 entries; conv" in lines[0]
    assert "lam = 5: MI 1.34 nats, 99 % of the mass in 42 of 240 entries; not conv" in lines[1]
    assert (tmp_path / "plan.png").read_bytes().startswith(b"\x89PNG")


def test_figure_2_refuses_a_path_before_any_work(tmp_path):
    with pytest.raises(InputError, match="path"):
        draw_figure_2(tmp_path / "plan.txt")
    with pytest.raises(InputError, match="folder"):
        draw_figure_2(tmp_path / "missing" / "plan.png")
    assert not list(tmp_path.iterdir())
