"""`refot verify` checks an implementation, `refot compare` tells what changed between reports."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from refot.cli.shared import complaints, console, verification
from refot.terminal import plain


def verify(
    target: Annotated[str | None, typer.Argument(
        help="pot, ott, geomloss, keops, mdot-tnt, regot, curegot, torchgw, flash-sinkhorn, a "
             "backend (`refot backends`), package.module:attr or path/file.py:attr"),
    ] = None,
    capability: Annotated[str | None, typer.Option(
        "--as", metavar="CAPABILITY", help="What a bare function computes; see --list.")] = None,
    command: Annotated[str | None, typer.Option(
        metavar='"PROG [{in} {out}]"',
        help="A program in any language, see docs/any-language.md, in place of TARGET.")] = None,
    time_limit: Annotated[float, typer.Option(
        metavar="SECONDS", min=0.001, max=1e6, help="One call may take this long.")] = 120.0,
    run_limit: Annotated[float, typer.Option(
        metavar="SECONDS", min=0.001, max=1e6,
        help="All calls of a --command together may take this long.")] = 1200.0,
    memory_limit: Annotated[float, typer.Option(
        metavar="GIB", min=0.01, max=1e6,
        help="Memory of a --command, or of one call, on Linux.")] = 4.0,
    profile: Annotated[str, typer.Option(help="quick (one seed) or full (five).")] = "quick",
    seed: Annotated[int, typer.Option(min=0, help="Draw other synthetic cases.")] = 0,
    processes: Annotated[int | None, typer.Option(
        min=1, help="Processes to share the cases; by default two where that is quicker.")] = None,
    json: Annotated[Path | None, typer.Option(help="Write the report to this file.")] = None,
    html: Annotated[Path | None, typer.Option(
        help="Write it as a page for a browser, too; see docs/reports.md.")] = None,
    check: Annotated[str | None, typer.Option(
        metavar="ID", help="This check only; see --list.")] = None,
    case: Annotated[str | None, typer.Option(metavar="NAME", help="This case only.")] = None,
    part: Annotated[str | None, typer.Option(metavar="NAME", help="This function only.")] = None,
    debug: Annotated[bool, typer.Option(
        "--debug", help="Stop at the first failure, in a Python console with its arrays.")] = False,
    scaling: Annotated[bool, typer.Option(
        "--scaling", help="Measure time and memory against n, as profile full does.")] = False,
    strict: Annotated[bool, typer.Option(
        "--strict", help="Exit status 1 also for failures that the code itself reports, and for "
        "bad input that is answered with a number.")] = False,
    verbose: Annotated[bool, typer.Option(
        "--verbose", help="Print each failure, not the verdict alone.")] = False,
    list_: Annotated[bool, typer.Option(
        "--list", help="List the capabilities and the checks, and stop.")] = False,
) -> None:
    """Check an implementation against certified numbers.

    Exit status: 0 what is provided is right on ordinary problems, and says so where it breaks on
    others; 1 it is wrong, or breaks silently (with --strict, if any check failed); 2 the target
    could not be loaded, offers nothing that can be checked, or the call was wrong; 3 refot's own
    code raised; 130 interrupted.
    """
    if list_:
        verification("reports.terminal").print_list(console)
        return
    if (target is None) == (command is None):
        raise typer.BadParameter("say what to verify, e.g. `refot verify pot`, or --command, "
                                 "or --list")
    _refuse_files(json, html, debug, scaling)
    limits = verification("subjects.limits").Limits(1e6 if debug else time_limit, run_limit,
                                            int(memory_limit * 2**30))
    asked = verification("verify").VerifyOptions(
        target, command, capability, limits, profile, seed,
        verification("runs.asked").Selection(check, case, part), processes, scaling)
    if debug:
        status = asked.stopped().status
        raise typer.Exit({"failed": 1, "error": 1, "refot_error": 3}.get(status, 0))
    with _progress() as progress:
        found = asked.found(progress)
    verification("reports.short").print_short(found, console, asked.rerun, strict=strict,
                                              verbose=verbose)
    asked.write(found, json, html)
    raise typer.Exit(found.exit_status_of(strict))


def _refuse_files(json: Path | None, html: Path | None, debug: bool, scaling: bool) -> None:
    """Raise BadParameter if a report cannot be written to these files, and if --debug, which writes
    no report and measures no --scaling, is beside one of these options."""
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
    """A progress bar on stderr, as a function of (what is being done, steps done, steps in all)."""
    with Progress(TextColumn("{task.description}", markup=False), BarColumn(), TimeElapsedColumn(),
                  console=complaints, transient=True) as bar:
        task = bar.add_task("loading", total=None)

        def tell(what: str, done: int, steps: int) -> None:
            bar.update(task, description=plain(what), completed=done, total=steps)

        yield tell


def compare(
    old: Annotated[Path, typer.Argument(metavar="A.json", help="A report of refot verify --json.")],
    new: Annotated[Path, typer.Argument(metavar="B.json", help="A later one.")],
    factor: Annotated[float, typer.Option(
        min=1.0, help="Errors that changed by more than this factor are listed.")] = 10.0,
) -> None:
    """Tell what changed between two reports.

    Exit status: 0 nothing is worse; 1 a check fails that did not fail before, or one that passed is
    missing now; 2 a file is no report.
    """
    found = verification("reports.compare").compare(old, new, factor)
    for line in found.report():
        typer.echo(line)
    raise typer.Exit(found.exit_status)
