"""`refot vectors` and `refot trajectories`: recorded answers for others to compare theirs with."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from refot.cli.shared import verification
from refot.terminal import plain

vectors = typer.Typer(help="Certified vectors: problems with answers enclosed to 30 digits.",
                      no_args_is_help=True)


@vectors.command("list")
def list_vectors() -> None:
    """List the cases, one in each line."""
    for line in verification("vectors.answers").list_vectors():
        typer.echo(line)


@vectors.command("show")
def show_vector(case: Annotated[str, typer.Argument(help="The id of a case.")]) -> None:
    """Show one case: its inputs, the enclosure of its answer, the mistakes that it catches."""
    typer.echo(verification("vectors.answers").show(case))


@vectors.command("check")
def check_answers(
    file: Annotated[Path, typer.Argument(help="A JSON object: an answer for each case id.")],
) -> None:
    """Compare answers with their enclosures. Exit status: 0 all right, 1 some wrong."""
    lines, status = verification("vectors.answers").check(file)
    for line in lines:
        typer.echo(plain(line))
    raise typer.Exit(status)


trajectories = typer.Typer(help="Golden trajectories: three steps of each training algorithm.",
                           no_args_is_help=True)


@trajectories.command("list")
def list_trajectories() -> None:
    """List the algorithms, one in each line."""
    for line in verification("trajectories.steps").list_trajectories():
        typer.echo(line)


@trajectories.command("show")
def show_trajectory(
    algorithm: Annotated[str, typer.Argument(help="The name of an algorithm.")],
) -> None:
    """Show a trajectory: settings, weights, batches, and the losses and gradients of each step."""
    typer.echo(verification("trajectories.steps").show(algorithm))
