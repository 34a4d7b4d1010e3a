"""A whole report on the terminal (`--verbose`): after the verdict each failure, with what was
measured, what is certified, and why. The short report is in `short.py`."""

from __future__ import annotations

import json
from pathlib import Path

from rich.console import Console
from rich.table import Table
from rich.text import Text

from refot.files import write_text
from refot.terminal import foreign, plain_lines
from refot.verification.checks import CHECKS
from refot.verification.runs import scaling
from refot.verification.runs.run import CheckResult, Report
from refot.verification.subjects.capabilities import CAPABILITIES

TABLE_WIDTH = 158
"""Columns that the table of failures needs; a narrower terminal gets blocks of lines instead."""

HEADINGS = ("measured", "certified", "off by", "allowed")
"""The headings of the columns with numbers."""

COLOURS = {"passed": "green", "failed": "red", "error": "magenta", "not_provided": "dim",
           "not_converged": "yellow", "refot_error": "bold magenta"}
"""The colour of each status."""


def print_report(report: Report, console: Console) -> None:
    """The whole report, for a person."""
    failures = [check for check in report.checks if check.status in ("failed", "error")]
    for part in report.subject.parts:
        _print_failures(part.name, [check for check in failures if check.part == part.name],
                        report.warnings.get(part.name, ()), report.printed.get(part.name, ()),
                        console)
    _print_summary(report, console)
    for check in report.checks:
        if check.status == "not_converged":
            console.print(foreign(f"did not converge, and says so: {check.part}: {check.id} on "
                                  f"{check.case}: {check.message}", "yellow"))


def print_own_errors(report: Report, console: Console) -> None:
    """The checks in which refot's own code raised, each with its traceback."""
    for check in report.checks:
        if check.status == "refot_error":
            console.print(foreign(f"{check.id} on {check.case}: not judged: {check.message}",
                                  "bold magenta"))
            console.print(Text(plain_lines(check.traceback)), soft_wrap=True)


def _print_failures(
    part: str, failures: list[CheckResult], warned: tuple[str, ...], printed: tuple[str, ...],
    console: Console,
) -> None:
    if not failures:
        return
    if console.width < TABLE_WIDTH:
        _print_blocks(part, failures, console)
    else:
        _print_table(part, failures, console)
    for sentence in sorted({f"{check.id}: {CHECKS[check.id].sentence}" for check in failures}):
        console.print(foreign(f"  {sentence}", "dim"))
    _print_said("warned", warned, console)
    _print_said("printed", printed, console)
    console.print()


def _print_said(how: str, lines: tuple[str, ...], console: Console) -> None:
    for line in lines[:3]:
        console.print(foreign(f"  it {how}: {line}", "yellow"))
    if len(lines) > 3:
        console.print(f"  [yellow]... and {how} {len(lines) - 3} other lines[/yellow]")


def _print_table(part: str, failures: list[CheckResult], console: Console) -> None:
    """A line for each failure."""
    table = Table(title=foreign(part), title_justify="left", title_style="bold red",
                  show_lines=False, pad_edge=False)
    for heading in ("level", "check", "case"):
        table.add_column(heading, no_wrap=True)
    for heading in HEADINGS:
        table.add_column(heading, justify="right", no_wrap=True)
    table.add_column("diagnosis", ratio=1)
    for check in failures:
        table.add_row(*map(foreign, (check.level.value, check.id, check.case, *_numbers(check),
                                     _why(check))))
    console.print(table)


def _print_blocks(part: str, failures: list[CheckResult], console: Console) -> None:
    """A few lines for each failure, for a terminal that is too narrow for the table."""
    console.print(foreign(part, "bold red"))
    for check in failures:
        console.print(Text.assemble(f"{check.level.value}: ", foreign(check.id, "bold"), " on ",
                                    foreign(check.case)))
        if check.measured is not None:
            for heading, number in zip(HEADINGS, _numbers(check), strict=True):
                console.print(foreign(f"  {heading + ':':10} {number}"))
        if why := _why(check):
            console.print(foreign(f"  {why}"))


def _why(check: CheckResult) -> str:
    return check.diagnosis or check.message


def _numbers(check: CheckResult) -> tuple[str, str, str, str]:
    if check.measured is None:
        return ("-",) * 4
    certified = "-" if check.expected is None else interval_text(*check.expected)
    return f"{check.measured:.8g}", certified, f"{check.error:.1e}", f"{check.tolerance:.1e}"


def interval_text(lower: float, upper: float) -> str:
    """An interval with the fewest digits, at least eight, in which its two ends differ."""
    if lower == upper:
        return f"{lower:.8g}"
    for digits in range(8, 18):
        low, high = f"{lower:.{digits}g}", f"{upper:.{digits}g}"
        if low != high:
            break
    return f"[{low}, {high}]"


def _print_summary(report: Report, console: Console) -> None:
    subject = f"{report.subject.name} {report.subject.version}".strip()
    table = Table(title=foreign(f"{subject}, profile {report.profile}"), title_justify="left",
                  pad_edge=False)
    table.add_column("part")
    table.add_column("capabilities")
    for heading in ("passed", "failed", "errors"):
        table.add_column(heading, justify="right")
    for part in report.subject.parts:
        counts = {status: sum(check.part == part.name and check.status == status
                              for check in report.checks) for status in COLOURS}
        colour = "red" if counts["failed"] + counts["error"] else "green"
        table.add_row(foreign(part.name, colour), foreign(", ".join(part.capabilities)),
                      *(str(counts[status]) for status in ("passed", "failed", "error")))
    console.print(table)


def print_scaling(report: Report, console: Console) -> None:
    """Time and memory at the largest size, and how they grow."""
    if not report.scaling:
        return
    table = Table(title="time and memory of n points against n, not judged", title_justify="left",
                  pad_edge=False)
    for k, heading in enumerate(scaling.HEADINGS):
        table.add_column(heading, justify="left" if k < 2 else "right")
    for row in scaling.rows(report.scaling):
        table.add_row(*map(foreign, row))
    console.print(table)


def print_list(console: Console) -> None:
    """The capabilities with their signatures, and every check with its sentence."""
    capabilities = Table("capability", "returns (refot's convention)", pad_edge=False)
    for capability in CAPABILITIES.values():
        capabilities.add_row(capability.name, foreign(capability.signature))
    checks = Table("check", "what it means", pad_edge=False)
    order = list(CAPABILITIES)
    for check in sorted(CHECKS.values(), key=lambda check: order.index(check.capability)):
        checks.add_row(check.id, foreign(check.sentence))
    console.print(capabilities)
    console.print(checks)


def write_json(report: Report, path: Path, arguments: tuple[str, ...] = ()) -> None:
    """Write the report as strict JSON, with a number that is not finite as a string; the file is
    written whole or not at all. `arguments` are the words after `refot verify` that repeat it."""
    found = _strict({**report.as_dict(), "arguments": arguments})
    write_text(path, json.dumps(found, indent=1, allow_nan=False) + "\n")


def _strict(value: object) -> object:
    """`value` with NaN and infinities as the strings "nan", "inf", "-inf": JSON has no such
    numbers."""
    if isinstance(value, dict):
        return {key: _strict(entry) for key, entry in value.items()}
    if isinstance(value, list | tuple):
        return [_strict(entry) for entry in value]
    if isinstance(value, float) and (value != value or abs(value) == float("inf")):
        return str(value)
    return value
