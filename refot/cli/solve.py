"""`refot solve`: the potentials of a problem in a file, and a proof of how near they are to
optimal."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer

from refot.arrays import InputError, as_weights
from refot.cli.shared import console
from refot.terminal import foreign


def solve(
    files: Annotated[list[Path], typer.Argument(
        metavar="PROBLEM.npz | COST.csv | X.csv Y.csv | FOLDER",
        help="An .npz file with C, or x and y, then a, b, eps; or a table of costs; or two tables "
             "of points, .csv or .parquet; or a folder with parts of them in the folders x, y, and "
             "of weights in a, b.")],
    eps: Annotated[float | None, typer.Option(help="Regularisation, in cost units.")] = None,
    a: Annotated[Path | None, typer.Option(
        metavar="FILE", help="Weights of the rows, a table of one column; uniform by default.")]
    = None,
    b: Annotated[Path | None, typer.Option(
        metavar="FILE", help="Weights of the columns, likewise.")] = None,
    normalise: Annotated[bool, typer.Option(
        "--normalise", help="The weights are counts: divide them by their sum.")] = False,
    cost: Annotated[str | None, typer.Option(help="The ground cost of points.")] = None,
    rho: Annotated[float | None, typer.Option(
        help="Marginals may be missed, at this price in cost units (unbalanced).")] = None,
    penalty: Annotated[str | None, typer.Option(help='"kl" or "tv", beside --rho.')] = None,
    method: Annotated[str, typer.Option(help="A method of docs/solvers.md.")] = "auto",
    tol: Annotated[float | None, typer.Option(help="Marginal error to reach.")] = None,
    gap: Annotated[float | None, typer.Option(
        help="Stop at this relative gap of the value, proved.")] = None,
    max_iter: Annotated[int, typer.Option(help="Iterations at most.")] = 10_000,
    iterations: Annotated[int | None, typer.Option(
        help="Run exactly so many sweeps of Sinkhorn's algorithm instead.")] = None,
    time_limit: Annotated[float | None, typer.Option(
        metavar="SECONDS", help="Stop after so long.")] = None,
    memory: Annotated[str | None, typer.Option(
        metavar="BYTES", help='Memory it may take, as in "2G".')] = None,
    backend: Annotated[str | None, typer.Option(
        metavar="NAME", help="What to compute with; see `refot backends`.")] = None,
    checkpoint: Annotated[Path | None, typer.Option(
        metavar="FOLDER", help="Keep results there: if interrupted, this call goes on.")] = None,
    gauge: Annotated[str | None, typer.Option(
        help="Rule for the t in (f + t, g - t): mean-zero, weighted-zero, symmetric, last-zero.")]
    = None,
    out: Annotated[Path | None, typer.Option(
        metavar="SOLUTION.npz", help="Write problem and potentials to this file; for a FOLDER also "
        "a folder: potentials in as many parts as the points.")] = None,
) -> None:
    """Solve the problem of a file, and prove how far the answer is from the optimum.

    Examples:

      refot solve problem.npz --out solution.npz

      refot solve cost.csv --eps 0.1 --gap 1e-6

      refot solve x.csv y.csv --cost euclidean --eps 0.1 --rho 2

      refot solve problem.npz --checkpoint interrupted --out solution.npz

      refot solve folder --eps 0.1 --backend dask --out solution

    Exit status: 0, or 1 if the solve did not converge, or 2 if the call was wrong.
    """
    from refot.backend_contract import whereabouts
    from refot.datasets.problem_file import FileError, problem_of
    from refot.solvers.solve import solve_problem
    from refot.solvers.stopping import Control

    arrays = _arrays(files) | _given(eps=eps, rho=rho, cost=cost, penalty=penalty)
    for name, file in (("a", a), ("b", b)):
        if file is not None:
            arrays[name] = _weights(file, name)
    if "eps" not in arrays:
        raise FileError(f"{files[0]}: lacks eps, which --eps sets")
    _with_uniform(arrays)
    if normalise:
        _normalise(arrays)
    p = problem_of(arrays, files[0], backend)
    if where := whereabouts(p.backend):
        console.print(foreign(where), soft_wrap=True)
    found = solve_problem(p, method=method, tol=tol, max_iter=max_iter, memory=memory,
                          g=arrays.get("g"), gauge=gauge, checkpoint=checkpoint,
                          rescue=None if out is None else out.with_suffix(".last.npz"),
                          control=Control(time_limit, gap, certified=True, progress=True,
                                          iterations=iterations))
    for line in _summary(found):
        console.print(foreign(line), soft_wrap=True)
    if out is not None:
        to_folder = files[0].is_dir() and not out.suffix
        written = _written_in_parts(found, arrays, out) if to_folder else found.save(out)
        console.print(foreign(f"written: {written}"), soft_wrap=True)
    raise typer.Exit(int(not found.converged))


def _arrays(files: list[Path]) -> dict[str, Any]:
    """The arrays that the files hold, by name: one problem or cost, or two clouds of points."""
    from refot.datasets.problem_file import TABLES, read_problem_arrays, read_table

    if len(files) == 1 and files[0].is_dir():
        from refot.datasets.parts import problem_in_parts

        return problem_in_parts(files[0])
    if len(files) == 1:
        return dict(read_problem_arrays(files[0]))
    if len(files) == 2 and all(file.suffix in TABLES for file in files):
        return {"x": read_table(files[0]), "y": read_table(files[1])}
    raise typer.BadParameter(
        "one file of a problem or of costs, two tables of points, or a folder of parts")


def _written_in_parts(found: Any, arrays: dict[str, Any], out: Path) -> Path:
    """Write the potentials f and g into the folders `f` and `g` of a folder, which is returned."""
    from refot.datasets.parts import write_parts

    write_parts(found.f, arrays["x"], out / "f")
    write_parts(found.g, arrays["y"], out / "g")
    return out


def _given(**options: Any) -> dict[str, Any]:
    """The options that were given, as the arrays that a file would hold."""
    return {name: np.array(value) for name, value in options.items() if value is not None}


def _weights(file: Path, name: str) -> Any:
    """The weights `name` from a table of one column or one row."""
    from refot.datasets.problem_file import FileError, read_table

    table = read_table(file)
    if 1 not in table.shape:
        raise FileError(f"{file}: a table of {table.shape[0]} x {table.shape[1]}; "
                        f"the weights {name} are one column")
    return table.ravel()


def _with_uniform(arrays: dict[str, Any]) -> None:
    """Add uniform weights as a, or as b, where none are given."""
    sides = {"a": ("x", 0), "b": ("y", 1)}
    for name, (points, axis) in sides.items():
        if name not in arrays and ("C" in arrays or points in arrays):
            n = arrays["C"].shape[axis] if "C" in arrays else len(arrays[points])
            arrays[name] = np.full(n, 1 / n)


def _normalise(arrays: dict[str, Any]) -> None:
    """Divide a and b by their sums. Raises InputError for an unbalanced problem, whose masses may
    have any total."""
    if "rho" in arrays:
        raise InputError("--normalise", "given beside rho", "without it: masses may have any total")
    for name in ("a", "b"):
        arrays[name] = as_weights(arrays[name], None, name, normalise=True)


def _summary(found: Any) -> list[str]:
    """The result, in a few lines of text."""
    p = found.problem
    n, m = p.C.shape
    unbalanced = hasattr(found, "mass")
    value = "U" if unbalanced else "F"
    lines = [
        f"n = {n}, m = {m}, eps = {p.eps:g}, backend {p.backend.name}",
        f"{'converged' if found.converged else 'NOT CONVERGED'}: stopped by {found.stopped_by} "
        f"after {found.iterations} iterations, {found.seconds:.3g} s",
        f"{'residual' if unbalanced else 'L1 marginal error'} {found.marginal_error:.2g}, "
        f"tolerance {found.tolerance:g}",
        f"{value} in [{found.gap.lower!r}, {found.gap.upper!r}], proved  "
        f"(relative gap {found.gap.relative:.1g})",
    ]
    return [*lines, f"mass of the plan {found.mass:.10g}"] if unbalanced else lines
