"""`refot certify`: the value of a problem in a file, enclosed."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from refot.cli.shared import console, verification


def certify(
    file: Annotated[Path, typer.Argument(
        metavar="PROBLEM.npz", help="a, b, eps and C, or x and y (and cost); optionally g")],
    value: Annotated[float | None, typer.Option(help="A value to judge.")] = None,
    convention: Annotated[str, typer.Option(help="The convention of that value.")] = "refot",
) -> None:
    """Certify the value of a problem: an interval that contains the true one.

    Exit status: 0, or 1 if a --value lies outside, or 2 if the call was wrong.
    """
    judge = verification("runs.certify")
    if value is not None:
        judge.value_convention(convention)  # refused before any work
    p, g = verification("runs.certify_file").read_problem(file)
    judged = judge.certified(p, g)
    for line in judged.lines():
        console.print(line, highlight=False, soft_wrap=True)
    if value is not None:
        verdict = judged.verdict(value, convention)
        console.print(verdict.sentence, style="green" if verdict.inside else "bold red",
                      highlight=False, soft_wrap=True)
        raise typer.Exit(int(not verdict.inside))
