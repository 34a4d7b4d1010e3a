"""A report on a terminal in at most forty lines: the verdict, each part, the causes, what to do.

Counted are the rows of the terminal. A command is never broken, so that it can be copied whole, and
a long one takes several of them.
"""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import accumulate

from rich.cells import cell_len
from rich.console import Console
from rich.text import Text

from refot.terminal import foreign, plain
from refot.verification.runs.levels import LEVELS, STRICTLY_COUNTED, Level
from refot.verification.runs.run import CheckResult, Report
from refot.verification.subjects.capabilities import CAPABILITIES

from . import terminal
from .rerun import Rerun
from .verdict import Cause, PartVerdict, causes, part_verdicts

MOST_LINES = 40
"""Rows of the whole short report, unless refot's own code raised."""

MOST_PARTS = 22
"""Rows for the parts, of which the others are counted only."""

LEAST_CAUSES = 8
"""Rows kept for the causes: a heading, a cause with its example, and how many are left out."""

NARROWEST = 20
"""Columns: on a narrower terminal the lines are as long as on this one."""

LINES_A_ENTRY = 3
"""A longer sentence is cut after this many lines."""

NAME_WIDTH = 48
"""Columns for the name of a part; a longer name pushes its verdict to the right."""

STYLES = {Level.WRONG: "bold red", Level.SILENT: "red", Level.SAID: "yellow", Level.LAX: "yellow",
          Level.UNKNOWN: "dim", Level.RIGHT: "green"}

HEADLINES = {
    Level.WRONG: "wrong on ordinary problems",
    Level.SILENT: "right on ordinary problems, breaks at extremes without a word",
    Level.SAID: "right on ordinary problems, breaks at extremes and says so",
    Level.LAX: "right; bad input is answered with a number",
    Level.RIGHT: "right", Level.UNKNOWN: "nothing was checked"}
"""The verdict on a subject, by the worst level of its parts."""


@dataclass(frozen=True)
class Line:
    """One line as it is printed."""

    text: str
    style: str = ""

    def rows(self, width: int) -> int:
        """How many rows of a terminal with this many columns it takes."""
        return max(1, -(-cell_len(self.text) // width))


def rows_of(lines: Iterable[Line], width: int) -> int:
    """How many rows these lines take together."""
    return sum(line.rows(width) for line in lines)


def print_short(
    report: Report, console: Console, rerun: Rerun | None = None, *, strict: bool = False,
    verbose: bool = False,
) -> None:
    """The verdict for a person; if `verbose`, each failure and the table of the parts, too."""
    terminal.print_own_errors(report, console)
    for line in short_lines(report, console.width, rerun, strict, verbose):
        console.print(foreign(line.text, line.style), soft_wrap=True)
    if verbose:
        terminal.print_report(report, console)
    terminal.print_scaling(report, console)
    console.print(counts(report, strict), soft_wrap=True)


def short_lines(
    report: Report, width: int, rerun: Rerun | None = None, strict: bool = False,
    verbose: bool = False,
) -> list[Line]:
    """The short report without its last line, the counts."""
    width = max(width, NARROWEST)
    verdicts = part_verdicts(report)
    headline = list(_headline(report, verdicts, width))
    tail = [*_next(report, rerun, strict, verbose, width), *_beside(report, width)]
    last = Line(Text.from_markup(counts(report, strict)).plain)
    room = MOST_LINES - rows_of([*headline, *tail, last], width)
    parts = list(_parts(verdicts, width, min(MOST_PARTS, room - LEAST_CAUSES)))
    found = list(_causes(report, len(verdicts) > 1, width, room - rows_of(parts, width)))
    return [*headline, *parts, *found, *tail]


# ------------------------------------------------------------------ the verdict
def _headline(report: Report, verdicts: list[PartVerdict], width: int) -> Iterator[Line]:
    subject = f"{report.subject.name} {report.subject.version}".strip()
    level = verdicts[0].level if verdicts else Level.UNKNOWN
    alike = sum(verdict.level is level for verdict in verdicts)
    where = f" ({alike} of {len(verdicts)} parts)" if len(verdicts) > 1 else ""
    yield from _lines(f"{subject}, profile {report.profile}: {HEADLINES[level]}{where}", "", width,
                      STYLES[level])


def _parts(verdicts: list[PartVerdict], width: int, room: int) -> Iterator[Line]:
    """A line for each part, and in the last row how many there was no room for."""
    names = [f"{plain(verdict.name)}" for verdict in verdicts]
    column = min(max(map(len, names), default=0), NAME_WIDTH, width // 2)
    entries = [list(_lines(f"  {name:{column}}  {verdict.sentence()}", " " * 6, width,
                           STYLES[verdict.level]))
               for verdict, name in zip(verdicts, names, strict=True)]
    shown = _fitting(entries, width, room)
    yield from (line for entry in entries[:shown] for line in entry)
    if rest := verdicts[shown:]:
        said = ", ".join(f"{count} {level.value}" for level in LEVELS
                         if (count := sum(each.level is level for each in rest)))
        yield Line(_cut(f"  and {len(rest)} other parts ({said}): see --verbose", width))


def _fitting(entries: list[list[Line]], width: int, room: int) -> int:
    """How many entries fit into this many rows. If not all do, a row is kept to say so."""
    ends = list(accumulate(rows_of(entry, width) for entry in entries))
    if not ends or ends[-1] <= room:
        return len(entries)
    return sum(end < room for end in ends)


# ------------------------------------------------------------------ causes
def _causes(report: Report, several: bool, width: int, room: int) -> Iterator[Line]:
    """A heading, the causes, and in the last row how many there was no room for."""
    entries = [list(_cause(cause, several, width)) for cause in causes(report)]
    shown = _fitting(entries, width, room - 1)
    if entries:
        yield Line("causes:")
    yield from (line for entry in entries[:shown] for line in entry)
    if left := len(entries) - shown:
        yield Line(f"  and {left} other causes: see --verbose")


def _cause(cause: Cause, several: bool, width: int) -> Iterator[Line]:
    nouns = ""
    if cause.level is Level.LAX:
        found = dict.fromkeys(result.id.partition(".refuses-")[2].replace("-", " ")
                              for result in cause.results)
        nouns = f": {', '.join(found)}"
    yield from _lines(f"  {cause.level.value:6} {cause.words}{nouns} ({cause.count()})", " " * 9,
                      width, STYLES[cause.level])
    if cause.level is not Level.LAX:
        yield from _lines(f"         {_example(cause.first, several)}", " " * 9, width, "dim")


def _example(result: CheckResult, several: bool) -> str:
    """One failure in words: where it is, and what was measured there."""
    place = f"{result.part}: " * several + f"{result.id} on {result.case}"
    if result.measured is None:
        return f"{place}: {result.message}"
    certified = "" if result.expected is None else (
        f", certified {terminal.interval_text(*result.expected)}")
    return (f"{place}: measured {result.measured:.6g}{certified}, off by {result.error:.1e}, "
            f"allowed {result.tolerance:.1e}")


# ------------------------------------------------------------------ what to do
def _next(
    report: Report, rerun: Rerun | None, strict: bool, verbose: bool, width: int
) -> Iterator[Line]:
    """The next command to run."""
    found = causes(report)
    if rerun is None or not found:
        return
    first = found[0].first
    if first.level is Level.LAX and not strict:
        yield Line(f"next: {plain(rerun.whole('--strict'))} (counts what is lax, too)")
        return
    part = ("--part", first.part) if len(report.subject.parts) > 1 else ()
    yield Line(f"next: {plain(rerun.one(first, part))}")
    if not verbose:
        yield Line(f"all:  {plain(rerun.whole('--verbose'))}, or --html report.html")


def _beside(report: Report, width: int) -> Iterator[Line]:
    """What the subject warned of or printed, what it does not provide, and the cases that could not
    be made on this machine."""
    if len(report.subject.parts) == 1 and report.at(*STRICTLY_COUNTED):
        for how, said in (("warned", report.warnings), ("printed", report.printed)):
            lines = said.get(report.subject.parts[0].name, ())
            more = f" (and {len(lines) - 1} more)" if len(lines) > 1 else ""
            if lines:
                yield Line(_cut(f"it {how}: {plain(lines[0])}", width - len(more)) + more, "yellow")
    missing = [check.capability for check in report.checks
               if check.status == "not_provided" and check.capability in CAPABILITIES
               and not check.case]
    if missing:
        yield Line(_cut(f"not provided: {', '.join(missing)}", width), "dim")
    for case, reason in list(report.left_out.items())[:3]:
        yield Line(_cut(f"left out: {plain(case)}: {plain(reason)}", width), "yellow")
    if len(report.left_out) > 3:
        yield Line(f"left out: {len(report.left_out) - 3} more, see --json", "yellow")


def counts(report: Report, strict: bool = False) -> str:
    """How many checks have which status, and which failures do not count."""
    passed, failed = report.count("passed"), report.count("failed")
    errors, missing = report.count("error"), report.count("not_provided")
    status = report.exit_status_of(strict)
    colour = "red" if status else "green"
    honest, own = report.count("not_converged"), report.count("refot_error")
    nothing = "nothing was checked: " if not passed + failed + errors + honest + own else ""
    others = f"{honest} not converged, " * bool(honest) + f"{own} errors of refot, " * bool(own)
    mild = report.at(Level.SAID, Level.LAX) and not strict and not status
    note = "; none of them counts without --strict" if mild else ""
    return (f"[bold {colour}]{nothing}{passed} passed, {failed} failed, {errors} errors, "
            f"{others}{missing} not provided{note}[/bold {colour}]")


# ------------------------------------------------------------------ fitting a terminal
def _lines(text: str, indent: str, width: int, style: str) -> Iterator[Line]:
    """The text on at most LINES_A_ENTRY lines of the terminal."""
    start = text[: len(text) - len(text.lstrip(" "))]  # a tab is a part of what follows
    lines = textwrap.wrap(plain(text.strip(" ")), width, initial_indent=start,
                          subsequent_indent=indent, max_lines=LINES_A_ENTRY, placeholder=" …",
                          break_on_hyphens=False, drop_whitespace=True)
    yield from (Line(line, style) for line in lines)


def _cut(text: str, width: int) -> str:
    return text if len(text) <= width else text[: max(width - 2, 0)] + " …"
