"""`refot solve`: from files of each kind to a solution, and what it says of wrong calls."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner, Result

import refot
from refot.cli.app import app
from refot.datasets.problem_file import FileError

RNG = np.random.default_rng(2)
X, Y = RNG.normal(size=(7, 2)), RNG.normal(size=(5, 2)) + 0.5
A, B = RNG.dirichlet(np.ones(7)), RNG.dirichlet(np.ones(5))
C, EPS = ((X[:, None] - Y) ** 2).sum(-1), 0.2


def run(*arguments: object) -> Result:
    return CliRunner().invoke(app, ["solve", *map(str, arguments)])


def test_a_problem_is_solved_and_written(tmp_path: Path) -> None:
    np.savez(tmp_path / "problem.npz", x=X, y=Y, a=A, b=B, eps=EPS)
    done = run(tmp_path / "problem.npz", "--out", tmp_path / "solution.npz")
    assert done.exit_code == 0, done.output
    assert "converged: stopped by tolerance" in done.output
    read = refot.load_solution(tmp_path / "solution.npz")
    assert read.value() == pytest.approx(refot.entropic_value(C, A, B, EPS), rel=1e-9)
    assert f"F in [{read.certificate().lower!r}" in done.output


def test_tables_of_costs_and_of_points(tmp_path: Path) -> None:
    for name, table in {"C": C, "x": X, "y": Y, "a": A[:, None], "b": B[None]}.items():
        header = ",".join(f"column {k}" for k in range(table.shape[1])) if name != "a" else ""
        np.savetxt(tmp_path / f"{name}.csv", table, delimiter=",", header=header, comments="",
                   fmt="%.17g")
    file = {name: tmp_path / f"{name}.csv" for name in "Cxyab"}
    weights = ("--a", file["a"], "--b", file["b"], "--eps", EPS)
    of_costs = run(file["C"], *weights, "--out", tmp_path / "C.npz")
    of_points = run(file["x"], file["y"], *weights, "--out", tmp_path / "xy.npz")
    assert (of_costs.exit_code, of_points.exit_code) == (0, 0), of_costs.output + of_points.output
    expected = refot.entropic_value(C, A, B, EPS)
    for name in ("C", "xy"):
        found = refot.load_solution(tmp_path / f"{name}.npz")
        assert found.value() == pytest.approx(expected, rel=1e-9)


def test_tables_of_parquet_give_what_text_gives(tmp_path: Path) -> None:
    polars = pytest.importorskip("polars")
    for name, table in {"x": X, "y": Y, "a": A[:, None]}.items():
        polars.DataFrame(table).write_parquet(tmp_path / f"{name}.parquet")
    done = run(tmp_path / "x.parquet", tmp_path / "y.parquet", "--a", tmp_path / "a.parquet",
               "--eps", EPS, "--out", tmp_path / "s.npz")
    assert done.exit_code == 0, done.output
    found = refot.load_solution(tmp_path / "s.npz")
    np.testing.assert_array_equal(found.f, refot.solve(refot.point_cost(X, Y), A, None, EPS).f)


def test_a_broken_table_of_parquet_is_one_clear_error(tmp_path: Path) -> None:
    polars = pytest.importorskip("polars")
    polars.DataFrame({"x": [1.0, 2.0], "name": ["a", "b"]}).write_parquet(tmp_path / "C.parquet")
    assert "not a table of numbers" in str(run(tmp_path / "C.parquet", "--eps", EPS).exception)
    (tmp_path / "C.parquet").write_bytes(b"no parquet")
    assert "not a table of numbers" in str(run(tmp_path / "C.parquet", "--eps", EPS).exception)
    assert "no such file" in str(run(tmp_path / "none.parquet", "--eps", EPS).exception)


def test_counts_are_divided_by_their_sum_if_asked(tmp_path: Path) -> None:
    np.savez(tmp_path / "problem.npz", C=C, a=7 * A, b=B, eps=EPS)
    assert "a: sum 7" in str(run(tmp_path / "problem.npz").exception)
    done = run(tmp_path / "problem.npz", "--normalise", "--out", tmp_path / "s.npz")
    assert done.exit_code == 0, done.output
    np.testing.assert_allclose(refot.load_solution(tmp_path / "s.npz").problem.a, A, rtol=1e-15)
    beside = run(tmp_path / "problem.npz", "--normalise", "--rho", 1)
    assert "--normalise: given beside rho" in str(beside.exception)


def test_a_folder_of_parts_is_solved_into_a_folder(tmp_path: Path) -> None:
    for name, whole in {"x": X, "y": Y, "a": A}.items():
        (tmp_path / "problem" / name).mkdir(parents=True)
        for k, part in enumerate(np.array_split(whole, 3)):
            np.save(tmp_path / "problem" / name / f"{k}.npy", part)
    done = run(tmp_path / "problem", "--eps", EPS, "--out", tmp_path / "solution")
    assert done.exit_code == 0, done.output
    f, g = (np.concatenate([np.load(tmp_path / "solution" / name / f"{k}.npy") for k in range(3)])
            for name in "fg")
    uniform = np.full(5, 1 / 5)
    assert A @ f + uniform @ g == pytest.approx(refot.entropic_value(C, A, uniform, EPS), rel=1e-9)
    (tmp_path / "problem" / "x" / "1.npy").write_bytes(b"no array")
    broken = run(tmp_path / "problem", "--eps", EPS)
    assert isinstance(broken.exception, FileError)
    assert "1.npy" in str(broken.exception)


def test_weights_are_uniform_by_default(tmp_path: Path) -> None:
    np.savetxt(tmp_path / "C.csv", C, delimiter=",", fmt="%.17g")
    assert run(tmp_path / "C.csv", "--eps", EPS, "--out", tmp_path / "s.npz").exit_code == 0
    found = refot.load_solution(tmp_path / "s.npz")
    assert found.value() == pytest.approx(
        refot.entropic_value(C, np.full(7, 1 / 7), np.full(5, 1 / 5), EPS), rel=1e-9)


def test_an_unbalanced_problem_says_its_mass(tmp_path: Path) -> None:
    np.savez(tmp_path / "problem.npz", C=C, a=2 * A, b=B, eps=EPS)
    done = run(tmp_path / "problem.npz", "--rho", 1.5)
    mass = refot.solve(C, 2 * A, B, EPS, rho=1.5).mass
    assert done.exit_code == 0, done.output
    assert f"mass of the plan {mass:.6}"[:22] in done.output
    assert "U in [" in done.output


def test_backend_and_checkpoint(tmp_path: Path) -> None:
    np.savez(tmp_path / "problem.npz", x=X, y=Y, a=A, b=B, eps=EPS)
    done = run(tmp_path / "problem.npz", "--backend", "numpy", "--checkpoint", tmp_path / "run",
               "--out", tmp_path / "solution.npz")
    assert done.exit_code == 0, done.output
    assert "backend numpy" in done.output
    assert not list((tmp_path / "run").iterdir())  # it has converged: nothing is left to go on from
    stopped = run(tmp_path / "problem.npz", "--checkpoint", tmp_path / "run", "--max-iter", 1,
                  "--method", "sinkhorn")
    assert stopped.exit_code == 1
    assert (tmp_path / "run" / "potentials.npz").exists()


def test_a_solve_that_does_not_arrive_says_so(tmp_path: Path) -> None:
    np.savez(tmp_path / "problem.npz", C=C, a=A, b=B, eps=1e-3)
    with pytest.warns(refot.ConvergenceWarning):
        done = run(tmp_path / "problem.npz", "--max-iter", 1, "--method", "sinkhorn")
    assert done.exit_code == 1
    assert "NOT CONVERGED: stopped by max_iter" in done.output


@pytest.mark.parametrize(("text", "message"), [
    ("", "no row of numbers"), ("1,2\n3\n", "not a table of numbers"),
    ("a,b\n", "no row of numbers"), ("1,x\n2,y\n", "not a table of numbers"),
])
def test_a_broken_table_is_one_clear_error(text: str, message: str, tmp_path: Path) -> None:
    (tmp_path / "C.csv").write_text(text)
    done = run(tmp_path / "C.csv", "--eps", EPS)
    assert done.exit_code != 0
    assert message in str(done.exception)


def test_what_is_missing_is_named(tmp_path: Path) -> None:
    np.savetxt(tmp_path / "C.csv", C, delimiter=",")
    assert "lacks eps" in str(run(tmp_path / "C.csv").exception)
    assert "no such file" in str(run(tmp_path / "none.npz").exception)
    three = run(*[tmp_path / "C.csv"] * 3, "--eps", EPS)
    assert three.exit_code == 2
    assert "two tables of points" in three.output


def test_a_number_of_sweeps_and_a_gauge_are_those_of_the_function(tmp_path: Path) -> None:
    np.savez(tmp_path / "problem.npz", C=C, a=A, b=B, eps=EPS)
    done = run(tmp_path / "problem.npz", "--iterations", 3, "--gauge", "mean-zero",
               "--out", tmp_path / "s.npz")
    assert (done.exit_code, "after 3 iterations" in done.output) == (1, True), done.output
    found = refot.load_solution(tmp_path / "s.npz")
    asked = refot.solve(C, A, B, EPS, iterations=3, gauge="mean-zero")
    np.testing.assert_array_equal(found.f, asked.f)
    assert abs(found.f.mean()) < 1e-15
    for wrong in (("--gauge", "nought"), ("--iterations", 3, "--method", "newton")):
        refused = run(tmp_path / "problem.npz", *wrong)
        assert (refused.exit_code, wrong[0].lstrip("-") in str(refused.exception)) == (1, True)
