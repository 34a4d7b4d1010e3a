"""`refot certify`: an interval that contains the value of a problem, read from a file."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from refot.cli.shared import console, verification
from refot.terminal import foreign


def certify(
    file: Annotated[Path, typer.Argument(
        metavar="PROBLEM.npz", help="a, b, eps and C, or x and y (and cost); if unbalanced rho "
        "(and penalty); optionally g")],
    value: Annotated[float | None, typer.Option(help="A value to judge.")] = None,
    convention: Annotated[str, typer.Option(
        help="What that value means; see docs/conventions.md.")] = "refot",
    potentials: Annotated[Path | None, typer.Option(
        metavar="FILE", help="g (.npy), or g or f (.npz), from any program.")] = None,
    out: Annotated[Path | None, typer.Option(
        metavar="CERTIFICATE.json", help="Write a proof that others can check.")] = None,
) -> None:
    """Certify the value of a problem, balanced or with rho: an interval that contains the true one.

    Exit status: 0, or 1 if a --value lies outside, or 2 if the call was wrong.
    """
    runs = verification("runs.certify")
    problem, g = runs.read_problem(file)
    if value is not None:
        runs.require_convention(problem, convention)  # raises for an unknown one, before any work
    files = verification("runs.certificate_files")
    if out is not None:
        files.require_balanced(problem)
    if potentials is not None:
        g = files.read_potentials(potentials, problem)
    certified = runs.certified(problem, g)
    for line in certified.lines():
        console.print(foreign(line), soft_wrap=True)
    if out is not None:
        files.travelling(certified, file.name).save(out)
        console.print(foreign(f"written: {out}"), soft_wrap=True)
    if value is not None:
        verdict = certified.verdict(value, convention)
        console.print(foreign(verdict.sentence, "green" if verdict.inside else "bold red"),
                      soft_wrap=True)
        raise typer.Exit(int(not verdict.inside))
