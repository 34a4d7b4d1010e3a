"""The command line `refot`, above everything: each command is a function in a file beside it."""

from __future__ import annotations

import sys
import traceback
import warnings
from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape
from rich.table import Table

import refot
from refot.backend_contract import VARIABLE, backend_status, get_backend
from refot.cli.bench import bench
from refot.cli.certify import certify
from refot.cli.recorded import trajectories, vectors
from refot.cli.shared import complaints, console
from refot.cli.train import train
from refot.cli.verify import compare, verify

app = typer.Typer(
    help="Entropic optimal transport: certified values, and a verifier for implementations.",
    no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False,
)


def _version(asked: bool) -> None:
    if asked:
        console.print(f"refot {refot.__version__}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[bool, typer.Option("--version", callback=_version, is_eager=True,
                                          help="Print the version.")] = False,
) -> None:
    """Options before the command."""


def plan(
    out: Annotated[Path, typer.Argument(metavar="OUT.png", help="Where the picture goes.")],
    eps: Annotated[float, typer.Option(help="Entropic regularisation, in cost units.")] = 5.0,
    lam: Annotated[float, typer.Option(help="Weight of the informative term.")] = 5.0,
) -> None:
    """Draw Fig. 2 of Bréchet et al.: the plan without and with the informative term."""
    from refot.plots.figure_2 import draw_figure_2

    for line in draw_figure_2(out, eps=eps, lam=lam):
        console.print(line, highlight=False)


def backends() -> None:
    """What is installed, which backend is used, and why another is not.

    Exit status: 0, or 2 if the default backend is unknown or cannot run.
    """
    table = Table("backend", "usable", "default", "why not", pad_edge=False)
    for status in backend_status():
        table.add_row(status.name, "yes" if status.available else "no",
                      "*" if status.default else "", escape(status.reason))
    console.print(table)
    console.print(f"The default is set by {VARIABLE}, or refot.use_backend(...) in a program.")
    get_backend()  # one that is not there, or cannot run, is an error here too


for command in (verify, compare, certify, plan, train, bench, backends):
    app.command()(command)
app.add_typer(vectors, name="vectors")
app.add_typer(trajectories, name="trajectories")


def main() -> None:
    """Run the command line. Exit status 2: a wrong call is one sentence on stderr, and a defect of
    refot itself a traceback; 130: interrupted."""
    warnings.simplefilter("default")
    try:
        app()
    except KeyboardInterrupt:
        complaints.print("interrupted")
        sys.exit(130)
    except Exception as error:  # noqa: BLE001 - told apart, and told
        if not _is_a_wrong_call(error):
            complaints.print("[bold red]refot:[/bold red] a defect of refot itself; please report:")
            traceback.print_exc()
            sys.exit(2)
        complaints.print(f"[bold red]refot:[/bold red] {escape(str(error))}", highlight=False,
                         soft_wrap=True)
        sys.exit(2)


def _is_a_wrong_call(error: Exception) -> bool:
    """Whether it is one of the errors with which refot answers a wrong call, by their classes."""
    return isinstance(error, OSError) or type(error).__module__.partition(".")[0] == "refot"
