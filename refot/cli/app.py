"""The command line, above everything: verify, compare, certify, vectors, trajectories, plan,
train, backends."""

from __future__ import annotations

import importlib
import os
import sys
import traceback
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

import refot
from refot.backend_contract import VARIABLE, backend_status, get_backend
from refot.cli.train import train
from refot.terminal import complaint, foreign, plain, plain_lines, plain_warnings

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
        help="pot, ott, geomloss, keops, mdot-tnt, regot, flash-sinkhorn, numpy, numba, cupy, "
             "package.module:attr or path/file.py:attr"),
    ] = None,
    capability: Annotated[str | None, typer.Option(
        "--as", metavar="CAPABILITY", help="What a bare function is; see --list.")] = None,
    command: Annotated[str | None, typer.Option(
        metavar='"PROG [{in} {out}]"',
        help="A program in any language, see docs/any-language.md, in place of TARGET.")] = None,
    time_limit: Annotated[float, typer.Option(
        metavar="SECONDS", min=0.001, max=1e6, help="One call may take this long.")] = 120.0,
    run_limit: Annotated[float, typer.Option(
        metavar="SECONDS", min=0.001, max=1e6, help="All calls of a --command together.")] = 1200.0,
    memory_limit: Annotated[float, typer.Option(
        metavar="GIB", min=0.01, max=1e6,
        help="Memory of a --command, or of one call, on Linux.")] = 4.0,
    profile: Annotated[str, typer.Option(help="quick (one seed) or full (five).")] = "quick",
    seed: Annotated[int, typer.Option(min=0, help="Draw other synthetic cases.")] = 0,
    processes: Annotated[int | None, typer.Option(
        min=1, help="Spread the cases over so many; by default two where it is worth it.")] = None,
    json: Annotated[Path | None, typer.Option(help="Write the report to this file.")] = None,
    html: Annotated[Path | None, typer.Option(
        help="Write it as one page for a browser, too, see docs/reports.md.")] = None,
    check: Annotated[str | None, typer.Option(
        metavar="ID", help="This check only; see --list.")] = None,
    case: Annotated[str | None, typer.Option(metavar="NAME", help="This case only.")] = None,
    part: Annotated[str | None, typer.Option(metavar="NAME", help="This part only.")] = None,
    debug: Annotated[bool, typer.Option(
        "--debug", help="Stop at the first failure, in a Python console with its arrays.")] = False,
    scaling: Annotated[bool, typer.Option(
        "--scaling", help="Measure time and memory against n, as profile full does.")] = False,
    list_: Annotated[bool, typer.Option(
        "--list", help="List the capabilities and the checks, and stop.")] = False,
) -> None:
    """Check an implementation against certified numbers.

    Exit status: 0 all provided checks pass, 1 some failed, 2 the target could not be loaded, offers
    nothing that can be checked, or the call was wrong, 3 refot's own code raised, 130 interrupted.
    """
    if list_:
        _verification("report").print_list(console)
        return
    if (target is None) == (command is None):
        raise typer.BadParameter("say what to verify, e.g. `refot verify pot`, or --command, "
                                 "or --list")
    _refuse_files(json, html, debug, scaling)
    limits = _verification("limits").Limits(1e6 if debug else time_limit, run_limit,
                                            int(memory_limit * 2**30))
    asked = _verification("verify_command").Asked(
        target, command, capability, limits, profile, seed,
        _verification("debug").Selection(check, case, part), processes, scaling)
    if debug:
        status = asked.stopped().status
        raise typer.Exit({"failed": 1, "error": 1, "refot_error": 3}.get(status, 0))
    with _progress() as progress:
        found = asked.found(progress)
    _verification("report").print_report(found, console)
    asked.write(found, json, html)
    raise typer.Exit(found.exit_status)


def _refuse_files(json: Path | None, html: Path | None, debug: bool, scaling: bool) -> None:
    """Raise BadParameter where a report cannot be written to these files, or there is none."""
    if debug and (json is not None or html is not None or scaling):
        raise typer.BadParameter("--debug stops at one check: it writes no report, and measures "
                                 "no --scaling")
    for option, file in (("--json", json), ("--html", html)):
        if file is not None and (file.is_dir() or not file.resolve().parent.is_dir()):
            raise typer.BadParameter(f"{option} {plain(file)}: not a file in a folder that exists")
    if json is not None and html is not None and json.resolve() == html.resolve():
        raise typer.BadParameter(f"--json {plain(json)}, --html {plain(html)}: one file for two "
                                 "reports")


@contextmanager
def _progress() -> Iterator[Callable[[str, int, int], None]]:
    """A bar on stderr, and what it is to be told: what is done, how many steps are, of how many."""
    with Progress(TextColumn("{task.description}", markup=False), BarColumn(), TimeElapsedColumn(),
                  console=complaints, transient=True) as bar:
        task = bar.add_task("loading", total=None)

        def tell(what: str, done: int, steps: int) -> None:
            bar.update(task, description=plain(what), completed=done, total=steps)

        yield tell


@app.command()
def compare(
    old: Annotated[Path, typer.Argument(metavar="A.json", help="Of refot verify --json.")],
    new: Annotated[Path, typer.Argument(metavar="B.json", help="A later one.")],
    factor: Annotated[float, typer.Option(
        min=1.0, help="Errors that changed by more than this are told.")] = 10.0,
) -> None:
    """What changed between two reports.

    Exit status: 0 nothing is worse, 1 a check fails that did not or one that passed is not there
    any more, 2 a file is no report.
    """
    found = _verification("compare").compare(old, new, factor)
    for line in found.report():
        typer.echo(line)
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
    if value is not None:
        judge.value_convention(convention)  # refused before any work
    p, g = _verification("certify_file").read_problem(file)
    judged = judge.certified(p, g)
    for line in judged.lines():
        console.print(foreign(line), soft_wrap=True)
    if value is not None:
        verdict = judged.verdict(value, convention)
        console.print(foreign(verdict.sentence, "green" if verdict.inside else "bold red"),
                      soft_wrap=True)
        raise typer.Exit(int(not verdict.inside))


@app.command()
def plan(
    out: Annotated[Path, typer.Argument(metavar="OUT.png", help="Where the picture goes.")],
    eps: Annotated[float, typer.Option(help="Entropic regularisation, in cost units.")] = 5.0,
    lam: Annotated[float, typer.Option(help="Weight of the informative term.")] = 5.0,
) -> None:
    """Draw Fig. 2 of Bréchet et al.: the plan without and with the informative term."""
    from refot.plots.figure_2 import draw_figure_2

    for line in draw_figure_2(out, eps=eps, lam=lam):
        console.print(foreign(line))


app.command()(train)


@app.command()
def bench(
    full: Annotated[bool, typer.Option(
        "--full/--quick", help="Every size, for hours; or n = 1,000, for minutes.")] = False,
    peers: Annotated[str | None, typer.Option(
        metavar="A,B", help="Whom to run beside refot; see --list. Or module:attribute.")] = None,
    only: Annotated[list[str] | None, typer.Option(
        metavar="TEXT", help="Problems whose name has these words: \"gaussians n=1000\".")] = None,
    repeats: Annotated[int, typer.Option(min=1, help="Pairs of runs.")] = 5,
    time_limit: Annotated[float, typer.Option(
        metavar="SECONDS", min=0.1, help="One run of a peer may take this long.")] = 60.0,
    memory_limit: Annotated[float, typer.Option(
        metavar="GIB", min=0.1, help="Memory of one peer, on Linux.")] = 12.0,
    threads: Annotated[int, typer.Option(
        min=1, help="Cores and threads of each peer [all].")] = os.cpu_count() or 1,
    data: Annotated[Path | None, typer.Option(help="Folder of MNIST's IDX files.")] = None,
    json: Annotated[Path | None, typer.Option(help="Write the report to this file.")] = None,
    plot: Annotated[Path | None, typer.Option(help="Draw time against n: a PNG.")] = None,
    markdown: Annotated[Path | None, typer.Option(help="Write the tables for a page.")] = None,
    training: Annotated[bool, typer.Option(
        "--training", help="Only: steps of Info-Sinkhorn beside PyTorch's.")] = False,
    list_: Annotated[bool, typer.Option("--list", help="List peers and problems.")] = False,
) -> None:
    """Time refot beside POT, OTT-JAX, GeomLoss and others, held to one criterion.

    Exit status: 0, whoever wins; 2 if the call was wrong.
    """
    command = _verification("bench.command")
    if list_:
        command.print_list(console)
    elif training:
        command.print_training(console)
    else:
        asked = command.Asked("full" if full else "quick", peers, tuple(only or ()), repeats,
                              time_limit, memory_limit, threads, data, json, plot, markdown)
        command.run(asked, console, complaints)


@app.command()
def backends() -> None:
    """What is installed, which backend is used, and why another is not.

    Exit status: 0, or 2 if the default backend is unknown or cannot run.
    """
    table = Table("backend", "usable", "default", "why not", pad_edge=False)
    for status in backend_status():
        table.add_row(foreign(status.name), "yes" if status.available else "no",
                      "*" if status.default else "", foreign(status.reason))
    console.print(table)
    console.print(f"The default is set by {VARIABLE}, or refot.use_backend(...) in a program.")
    get_backend()  # one that is not there, or cannot run, is an error here too


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
        typer.echo(plain(line))
    raise typer.Exit(status)


trajectories = typer.Typer(help="Golden trajectories: three steps of each training algorithm.",
                           no_args_is_help=True)
app.add_typer(trajectories, name="trajectories")


@trajectories.command("list")
def list_trajectories() -> None:
    """Every algorithm, a line each."""
    for line in _verification("trajectories").list_trajectories():
        typer.echo(line)


@trajectories.command("show")
def show_trajectory(algorithm: Annotated[str, typer.Argument(help="Its name.")]) -> None:
    """One trajectory: settings, weights, batches, and the losses and gradients of each step."""
    typer.echo(_verification("trajectories").show(algorithm))


def main() -> None:
    """Run the command line. Exit status 2: a wrong call, one sentence on stderr; 3: a defect of
    refot itself, with its traceback; 130: interrupted."""
    warnings.simplefilter("default")
    plain_warnings()
    try:
        app()
    except KeyboardInterrupt:
        complaints.print("interrupted")
        sys.exit(130)
    except Exception as error:  # noqa: BLE001 - told apart, and told
        if not _is_a_wrong_call(error):
            complaints.print("[bold red]refot:[/bold red] a defect of refot itself; please report:")
            sys.stderr.write(plain_lines(traceback.format_exc()))
            sys.exit(3)
        complaints.print(complaint(error), soft_wrap=True)
        sys.exit(2)


def _is_a_wrong_call(error: Exception) -> bool:
    """Whether it is one of the errors with which refot answers a wrong call, by their classes."""
    return isinstance(error, OSError) or type(error).__module__.partition(".")[0] == "refot"
