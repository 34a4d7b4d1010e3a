"""`refot vectors` and `refot trajectories`: what is recorded for others to compare with."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from refot.cli.shared import verification

vectors = typer.Typer(help="Certified vectors: problems with answers enclosed to 30 digits.",
                      no_args_is_help=True)

@vectors.command("list")
def list_vectors() -> None:
    """Every case, a line each."""
    for line in verification("vectors.answers").list_vectors():
        typer.echo(line)


@vectors.command("show")
def show_vector(case: Annotated[str, typer.Argument(help="The id of a case.")]) -> None:
    """One case: its inputs, its enclosed answer, the mistakes it catches."""
    typer.echo(verification("vectors.answers").show(case))


@vectors.command("check")
def check_answers(
    file: Annotated[Path, typer.Argument(help="A JSON object: case id to answer.")],
) -> None:
    """Compare somebody's answers with the enclosures. Exit status: 0 all right, 1 some wrong."""
    lines, status = verification("vectors.answers").check(file)
    for line in lines:
        typer.echo(line)
    raise typer.Exit(status)


trajectories = typer.Typer(help="Golden trajectories: three steps of each training algorithm.",
                           no_args_is_help=True)

@trajectories.command("list")
def list_trajectories() -> None:
    """Every algorithm, a line each."""
    for line in verification("trajectories.steps").list_trajectories():
        typer.echo(line)


@trajectories.command("show")
def show_trajectory(algorithm: Annotated[str, typer.Argument(help="Its name.")]) -> None:
    """One trajectory: settings, weights, batches, and the losses and gradients of each step."""
    typer.echo(verification("trajectories.steps").show(algorithm))
