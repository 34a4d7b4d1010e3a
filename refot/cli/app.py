"""The command line `refot`: the app, its short commands, and the exit status of each error.

The longer commands are functions in the files beside this one. Nothing in refot imports this file,
and commands import what they need when they are called, so that `refot --help` is quick.
"""

from __future__ import annotations

import sys
import traceback
import warnings
from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table

import refot
from refot.backend_contract import VARIABLE, backend_status, get_backend
from refot.cli.bench import bench
from refot.cli.certify import certify
from refot.cli.recorded import trajectories, vectors
from refot.cli.sample import sample
from refot.cli.scoreboard import scoreboard
from refot.cli.shared import complaints, console
from refot.cli.solve import solve
from refot.cli.train import train
from refot.cli.verify import compare, verify
from refot.cli.warm import warm
from refot.terminal import complaint, foreign, plain_lines, plain_warnings

app = typer.Typer(
    help="Entropic optimal transport: certified values, and a verifier for implementations.",
    no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False,
)


def _version(wanted: bool) -> None:
    """Print the version and stop, if `--version` was given."""
    if wanted:
        console.print(f"refot {refot.__version__}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[bool, typer.Option("--version", callback=_version, is_eager=True,
                                          help="Print the version.")] = False,
) -> None:
    """The options that stand before the command."""


def plan(
    out: Annotated[Path, typer.Argument(metavar="OUT.png", help="Where the picture goes.")],
    eps: Annotated[float, typer.Option(help="Entropic regularisation, in cost units.")] = 5.0,
    lam: Annotated[float, typer.Option(help="Weight of the informative term.")] = 5.0,
) -> None:
    """Draw Fig. 2 of Bréchet et al.: the plan without and with the informative term."""
    from refot.plots.figure_2 import draw_figure_2

    for line in draw_figure_2(out, eps=eps, lam=lam):
        console.print(foreign(line))


def backends() -> None:
    """What is installed, which backend is used, and why another is not.

    Exit status: 0, or 2 if the default backend is unknown or cannot run.
    """
    table = Table("backend", "usable", "default", "remarks", pad_edge=False)
    for status in backend_status():
        table.add_row(foreign(status.name), "yes" if status.available else "no",
                      "*" if status.default else "", foreign(status.reason or status.rule))
    console.print(table)
    console.print(f"The default is set by {VARIABLE}, or refot.use_backend(...) in a program.")
    get_backend()  # raises if the default backend is unknown or cannot run


for command in (solve, verify, compare, scoreboard, certify, plan, train, sample, bench, backends,
                warm):
    app.command()(command)
app.add_typer(vectors, name="vectors")
app.add_typer(trajectories, name="trajectories")


def main() -> None:
    """Run the command line, and turn errors into an exit status.

    2: the call was wrong; stderr has one sentence. 3: a defect of refot itself; stderr has its
    traceback. 130: interrupted by Ctrl-C.
    """
    warnings.simplefilter("default")
    plain_warnings()
    try:
        app()
    except KeyboardInterrupt as interrupt:
        complaints.print("\n".join(["interrupted", *getattr(interrupt, "__notes__", [])]))
        sys.exit(130)
    except Exception as error:  # noqa: BLE001 - all are reported, none is lost
        if not _is_a_wrong_call(error):
            complaints.print("[bold red]refot:[/bold red] a defect of refot itself; please report:")
            sys.stderr.write(plain_lines(traceback.format_exc()))
            sys.exit(3)
        notes: list[str] = getattr(error, "__notes__", [])
        complaints.print(complaint("\n".join([str(error), *notes])), soft_wrap=True)
        sys.exit(2)


def _is_a_wrong_call(error: Exception) -> bool:
    """Whether the error is one that refot raises for a wrong call, or of the operating system."""
    return isinstance(error, OSError) or type(error).__module__.partition(".")[0] == "refot"
