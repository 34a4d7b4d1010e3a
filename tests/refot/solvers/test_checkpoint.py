"""`checkpoint=`: a solve that was interrupted ends at the same bits when the same call is made."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import refot
from refot.arrays import InputError
from refot.backends.numpy.backend import NumpyBackend
from refot.solvers.resume import checkpoint
from refot.solvers.solve import solve_problem


@pytest.fixture(autouse=True)
def keep_everything(monkeypatch: pytest.MonkeyPatch) -> None:
    """Answers that took no time are kept too."""
    monkeypatch.setattr(checkpoint, "WORTH", 0.0)


class Counts(NumpyBackend):
    """Counts its passes, and fails in the one numbered `fails`."""

    def __init__(self, fails: int | None = None) -> None:
        self.passes: dict[str, int] = {}
        self.fails = fails

    def _count(self, operation: str) -> None:
        self.passes[operation] = self.passes.get(operation, 0) + 1
        if sum(self.passes.values()) == self.fails:
            raise OSError("the machine is gone")

    def softmin(self, *arguments: Any, **options: Any) -> Any:
        self._count("softmin")
        return super().softmin(*arguments, **options)

    def plan_apply(self, *arguments: Any, **options: Any) -> Any:
        self._count("plan_apply")
        return super().plan_apply(*arguments, **options)


def problem(n: int = 40, m: int = 30) -> tuple[Any, Any, Any]:
    rng = np.random.default_rng(3)
    a, b = rng.random(n) + 0.1, rng.random(m) + 0.1
    return refot.point_cost(rng.random((n, 2)), rng.random((m, 2))), a / a.sum(), b / b.sum()


@pytest.mark.parametrize("options", [{"method": "overrelaxed"}, {"method": "newton-cg"},
                                     {"method": "sinkhorn", "rho": 0.5}], ids=str)
def test_an_interrupted_solve_goes_on_to_the_same_bits(tmp_path: Path, options: Any) -> None:
    C, a, b = problem()
    given = {"eps": 0.02, "certified": True, **options}
    whole = Counts()
    expected = refot.solve(C, a, b, backend=whole, **given)
    for fails in (5, 9):
        with pytest.raises(OSError, match="the machine is gone") as raised:
            refot.solve(C, a, b, backend=Counts(fails), checkpoint=tmp_path / "run", **given)
    assert "the potentials of iteration" in str(raised.value.__notes__)
    assert "the solve had reached iteration" in str(raised.value.__notes__)
    with np.load(tmp_path / "run" / "potentials.npz") as last:
        assert (len(last["f"]), len(last["g"])) == C.shape

    rest = Counts()
    found = refot.solve(C, a, b, backend=rest, checkpoint=tmp_path / "run", **given)
    np.testing.assert_array_equal(found.f, expected.f)
    np.testing.assert_array_equal(found.g, expected.g)
    assert (found.gap, found.errors) == (expected.gap, expected.errors)
    # 4 passes were answered in the first run, and 4 more in the second, before it failed in its 5th
    # of its own at the 9th: so many are not made again.
    assert sum(whole.passes.values()) - sum(rest.passes.values()) == 4 + 8
    assert not list((tmp_path / "run").iterdir())  # done: nothing is left


def test_a_solve_that_did_not_converge_goes_on(tmp_path: Path) -> None:
    C, a, b = problem()
    given = {"eps": 0.02, "method": "overrelaxed", "checkpoint": tmp_path / "run"}
    with pytest.warns(refot.ConvergenceWarning):
        refot.solve(C, a, b, max_iter=8, backend=Counts(), **given)
    rest = Counts()
    found = refot.solve(C, a, b, backend=rest, **given)
    assert found.converged
    np.testing.assert_array_equal(found.f, refot.solve(C, a, b, 0.02, method="overrelaxed").f)
    assert rest.passes["softmin"] < 2 * found.iterations - 8


def test_another_problem_finds_no_answers(tmp_path: Path) -> None:
    C, a, b = problem()
    with pytest.raises(OSError, match="gone"):
        refot.solve(C, a, b, 0.1, method="sinkhorn", backend=Counts(8), checkpoint=tmp_path / "run")
    expected = refot.solve(C, a[::-1], b, 0.1, method="sinkhorn")
    found = refot.solve(C, a[::-1], b, 0.1, method="sinkhorn", checkpoint=tmp_path / "run")
    np.testing.assert_array_equal(found.f, expected.f)


def test_an_answer_that_cannot_be_read_is_computed_again(tmp_path: Path) -> None:
    C, a, b = problem()
    given = {"eps": 0.1, "method": "sinkhorn", "checkpoint": tmp_path / "run"}
    with pytest.raises(OSError, match="gone"):
        refot.solve(C, a, b, backend=Counts(8), **given)
    for file in (tmp_path / "run").glob("answer-*"):
        file.write_bytes(b"half")
    found = refot.solve(C, a, b, **given)
    np.testing.assert_array_equal(found.f, refot.solve(C, a, b, 0.1, method="sinkhorn").f)


def test_without_a_checkpoint_the_last_potentials_can_be_had(tmp_path: Path) -> None:
    C, a, b = problem()
    whole = refot.problem.problem(C, a, b, 0.1, Counts())
    expected = solve_problem(whole, method="sinkhorn", rescue=tmp_path / "last.npz")
    assert not (tmp_path / "last.npz").exists()
    with pytest.raises(OSError, match="gone") as raised:
        solve_problem(replace(whole, backend=Counts(9)), method="sinkhorn",
                      rescue=tmp_path / "last.npz")
    assert "the potentials of iteration 3 are in" in str(raised.value.__notes__)
    with np.load(tmp_path / "last.npz") as last:
        assert (int(last["iteration"]), float(last["error"])) == (3, expected.errors[2])
        found = solve_problem(whole, method="sinkhorn", g=last["g"])
    assert found.converged
    assert found.iterations < expected.iterations


def test_a_folder_of_the_user_is_refused(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").touch()
    with pytest.raises(InputError, match=r"checkpoint.*thesis\.tex"):
        refot.solve(*problem(), 0.1, checkpoint=tmp_path)
    with pytest.raises(InputError, match="a folder that can be made, in one that exists"):
        refot.solve(*problem(), 0.1, checkpoint=tmp_path / "a" / "b")
    assert (tmp_path / "thesis.tex").exists()
