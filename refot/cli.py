"""The command line: verify, certify, vectors, plan, backends. Stands above everything."""

from __future__ import annotations

import importlib
import sys
import warnings
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

import refot
from refot.arrays import InputError
from refot.backend_contract import VARIABLE, backend_status

app = typer.Typer(
    help="Entropic optimal transport: certified values, and a verifier for implementations.",
    no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False,
)
console = Console(width=None if sys.stdout.isatty() else 160)  # a pipe has no width of its own
complaints = Console(stderr=True)


def _verification(module: str) -> Any:
    """A module of refot.verification, loaded when a command needs it."""
    return importlib.import_module(f"refot.verification.{module}")


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


@app.command()
def verify(
    target: Annotated[str | None, typer.Argument(
        help="pot, ott, geomloss, numpy, numba, cupy, package.module:attr or path/file.py:attr"),
    ] = None,
    capability: Annotated[str | None, typer.Option(
        "--as", metavar="CAPABILITY", help="What a bare function is; see --list.")] = None,
    profile: Annotated[str, typer.Option(help="quick (one seed) or full (five).")] = "quick",
    json: Annotated[Path | None, typer.Option(help="Write the report to this file.")] = None,
    list_: Annotated[bool, typer.Option(
        "--list", help="List the capabilities and the checks, and stop.")] = False,
) -> None:
    """Check an implementation against certified numbers.

    Exit status: 0 all provided checks pass, 1 some failed, 2 the target could not be loaded or the
    call was wrong.
    """
    report, loading, run = map(_verification, ("report", "loading", "run"))
    if list_:
        report.print_list(console)
        return
    if target is None:
        raise typer.BadParameter("say what to verify, e.g. `refot verify pot`; or --list")
    if json is not None and (json.is_dir() or not json.resolve().parent.is_dir()):
        raise typer.BadParameter(f"--json {json}: not a file in a folder that exists")
    subject = loading.load(target, capability)
    with Progress(TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn(),
                  console=complaints, transient=True) as bar:
        task = bar.add_task("loading", total=None)

        def progress(what: str, done: int, steps: int) -> None:
            bar.update(task, description=escape(what), completed=done, total=steps)

        found = run.run(subject, profile, progress)
    report.print_report(found, console)
    if json is not None:
        report.write_json(found, json)
    raise typer.Exit(found.exit_status)


@app.command()
def certify(
    file: Annotated[Path, typer.Argument(
        metavar="PROBLEM.npz", help="a, b, eps and C, or x and y (and cost); optionally g")],
    value: Annotated[float | None, typer.Option(help="A value to judge.")] = None,
    convention: Annotated[str, typer.Option(help="The convention of that value.")] = "refot",
) -> None:
    """Certify the value of a problem: an interval that contains the true one.

    Exit status: 0, or 1 if a --value lies outside, or 2 if the call was wrong.
    """
    judge = _verification("judge")
    p, g = _verification("certify_file").read_problem(file)
    judged = judge.certified(p, g)
    for line in judged.lines():
        console.print(line, highlight=False, soft_wrap=True)
    if value is not None:
        verdict = judged.verdict(value, convention)
        console.print(verdict.sentence, style="green" if verdict.inside else "bold red",
                      highlight=False, soft_wrap=True)
        raise typer.Exit(int(not verdict.inside))


@app.command()
def plan(
    out: Annotated[Path, typer.Argument(metavar="OUT.png", help="Where the picture goes.")],
    eps: Annotated[float, typer.Option(help="Entropic regularisation, in cost units.")] = 5.0,
    lam: Annotated[float, typer.Option(help="Weight of the informative term.")] = 5.0,
) -> None:
    """Draw Fig. 2 of Bréchet et al.: the plan without and with the informative term."""
    from refot.plan_command import draw_figure_2

    for line in draw_figure_2(out, eps=eps, lam=lam):
        console.print(line, highlight=False)


@app.command()
def backends() -> None:
    """What is installed, which backend is used, and why another is not."""
    table = Table("backend", "usable", "default", "why not", pad_edge=False)
    for status in backend_status():
        table.add_row(status.name, "yes" if status.available else "no",
                      "*" if status.default else "", escape(status.reason))
    console.print(table)
    console.print(f"The default is set by {VARIABLE}, or refot.use_backend(...) in a program.")


vectors = typer.Typer(help="Certified vectors: problems with answers enclosed to 30 digits.",
                      no_args_is_help=True)
app.add_typer(vectors, name="vectors")


@vectors.command("list")
def list_vectors() -> None:
    """Every case, a line each."""
    for line in _verification("vectors").list_vectors():
        typer.echo(line)


@vectors.command("show")
def show_vector(case: Annotated[str, typer.Argument(help="The id of a case.")]) -> None:
    """One case: its inputs, its enclosed answer, the mistakes it catches."""
    typer.echo(_verification("vectors").show(case))


@vectors.command("check")
def check_answers(
    file: Annotated[Path, typer.Argument(help="A JSON object: case id to answer.")],
) -> None:
    """Compare somebody's answers with the enclosures. Exit status: 0 all right, 1 some wrong."""
    lines, status = _verification("vectors").check(file)
    for line in lines:
        typer.echo(line)
    raise typer.Exit(status)


def main() -> None:
    """Run the command line; a wrong call is one sentence on stderr and exit status 2."""
    warnings.simplefilter("default")
    try:
        app()
    except (InputError, ValueError) as error:
        complaints.print(f"[bold red]refot:[/bold red] {escape(str(error))}", highlight=False,
                         soft_wrap=True)
        sys.exit(2)
