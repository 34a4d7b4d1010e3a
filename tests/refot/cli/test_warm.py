"""`refot warm`: every step that a backend names is taken, and no later solve has to compile."""

from __future__ import annotations

import numpy as np
import pytest
from typer.testing import CliRunner

import refot
from refot.backends.numba import launch, warm
from refot.cli.app import app


def test_every_step_is_taken_once(monkeypatch: pytest.MonkeyPatch) -> None:
    taken: list[object] = []

    def steps(on: object, everything: bool) -> list[object]:
        return [(f"kernel {k}", lambda k=k: taken.append((k, everything))) for k in range(3)]

    monkeypatch.setattr(warm, "steps", steps)
    for arguments, everything in ((["warm"], False), (["warm", "--all"], True)):
        taken.clear()
        done = CliRunner().invoke(app, arguments)
        assert done.exit_code == 0, done.output
        assert taken == [(k, everything) for k in range(3)]
        assert "numba: 3 kinds of kernels" in done.output


def test_all_costs_are_more_than_the_usual_ones() -> None:
    usual, every = ([name for name, _ in warm.steps(refot.get_backend("numba"), everything)]
                    for everything in (False, True))
    assert len(set(usual)) == len(usual)
    assert set(usual) < set(every)
    assert any("euclidean in 3" in name for name in set(every) - set(usual))


@pytest.mark.slow
def test_no_solve_compiles_after_it() -> None:
    """Minutes of compilation, where nothing is compiled yet."""
    for _, step in warm.steps(refot.get_backend("numba"), False):
        step()
    known, rng = set(launch._compiled), np.random.default_rng(0)
    for d, dtype in ((1, np.float64), (2, np.float64), (3, np.float32), (5, np.float64)):
        x, y = rng.random((2, 2000, d)).astype(dtype)
        refot.solve(refot.point_cost(x, y), None, None, 0.05, tol=1e-4, backend="numba")
        refot.sinkhorn_divergence_value_and_gradient(
            x[:500], None, y[:500], None, 0.05, tol=1e-4, backend="numba", wrt="xayb")
    refot.solve_batch(rng.random((4, 20, 20)), None, None, 0.1, backend="numba")
    assert {kernel.py_func.__name__ for kernel, _ in launch._compiled - known} == set()
