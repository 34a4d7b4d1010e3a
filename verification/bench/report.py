"""The results of a benchmark run as tables (terminal and Markdown) and as JSON."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.table import Table

from refot.files import write_text
from refot.terminal import foreign

from .criterion import CRITERIA
from .run import BenchReport
from .throughput import Rate
from .timing import REFERENCE, Entry, Range

MARGINAL, GAP = (criterion.name for criterion in CRITERIA)
"""The names of the two criteria."""


@dataclass(frozen=True)
class Sheet:
    """A table before it is drawn: its title, its heads, and its rows of text."""

    title: str
    heads: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


# ------------------------------------------------------------------ numbers as text
def short(number: float | None) -> str:
    """The number with two digits, or from 100 on as an integer: 0.042, 1.7, 350."""
    if number is None:
        return ""
    return f"{number:.0f}" if abs(number) >= 100 else f"{number:.2g}"


def spread(ratio: Range | None) -> str:
    """The median, and in brackets the least and the largest."""
    return "" if ratio is None else (
        f"{short(ratio.median)} ({short(ratio.least)}-{short(ratio.most)})")


# ------------------------------------------------------------------ the tables
def sheets(report: BenchReport) -> Iterator[Sheet]:
    """A table for each cell, and one for half-iterations if they were measured."""
    heads = ("peer", f"s to {MARGINAL}", "x refot (min-max)", "x refot, processor", "iterations",
             "ms an iteration", f"s to {GAP}", "x refot (min-max)", "peak MB")
    for name, entries in report.cells.items():
        yield Sheet(name, heads, tuple(cells(entry) for entry in entries))
    if report.throughput:
        yield Sheet("one half-iteration, n = 10,000, d = 2",
                    ("peer", "1e9 pairs a second", "refot is faster by (min-max)"),
                    tuple(half_cells(rate) for rate in report.throughput))


def cells(entry: Entry) -> tuple[str, ...]:
    """The row of a peer on a cell. Where it did not meet a criterion, the reason stands there."""
    marginal, gap = entry.timings.get(MARGINAL), entry.timings.get(GAP)
    left: tuple[str, ...] = (entry.failures.get(MARGINAL, ""), "", "", "", "")
    right: tuple[str, ...] = (entry.failures.get(GAP, ""), "")
    if marginal is not None:
        left = (short(marginal.seconds), spread(marginal.ratio),
                spread(marginal.processor_ratio), short_count(marginal.iterations),
                short(per_iteration(entry, 1e3)))
    if gap is not None:
        right = (short(gap.seconds), spread(gap.ratio))
    return (entry.peer, *left, *right, short(entry.peak / 1e6) if entry.timings else "")


def half_cells(rate: Rate) -> tuple[str, ...]:
    """The row of a peer in the table of half-iterations."""
    if rate.pairs_per_second is None:
        return rate.peer, rate.failure, ""
    return rate.peer, short(rate.pairs_per_second / 1e9), spread(rate.ratio)


def short_count(count: int | None) -> str:
    return "" if count is None else f"{count}"


def per_iteration(entry: Entry, unit: float = 1.0) -> float | None:
    """Seconds (times `unit`) of one iteration in the solve to the marginal error."""
    timing = entry.timings.get(MARGINAL)
    return unit * timing.seconds / timing.iterations if timing and timing.iterations else None


def preface(report: BenchReport) -> Iterator[str]:
    """The machine and the limits under which the numbers were measured, a line each."""
    about = report.machine
    yield (f"{about['processor']}, {about['cores']} cores, {about['memory_GiB']} GiB; "
           f"{about['system']}, Python {about['python']}, NumPy {about['numpy']}")
    yield (f"threads and cores for each: {report.limits.threads}; "
           f"limit {report.limits.seconds:g} s a run, {report.limits.memory / 2**30:g} GiB a "
           f"process; {report.repeats} pairs at most; compilation is not counted")
    yield f"load average meanwhile: {min(report.loads):.1f} to {max(report.loads):.1f}"
    for dtype, share in report.shares.items():
        yield (f"softmin, {dtype}, one processor: {share['pairs'] / 1e9:.2f}e9 pairs a second of "
               f"{share['slots']:.0f} slots, {share['multiply_adds'] / 1e9:.1f}e9 multiply-adds a "
               f"second: {100 * share['reached']:.0f} % of them")


def print_report(report: BenchReport, console: Console) -> None:
    """Every sheet, on the terminal."""
    for line in preface(report):
        console.print(foreign(line))
    for sheet in sheets(report):
        table = Table(*sheet.heads, title=sheet.title, title_justify="left", pad_edge=False)
        for row in sheet.rows:
            table.add_row(*map(foreign, row), style="bold" if row[0] == REFERENCE else None)
        console.print(table)


def markdown(report: BenchReport) -> str:
    """The same sheets in Markdown."""
    lines = [f"- {line}" for line in preface(report)]
    for sheet in sheets(report):
        lines += ["", f"### {sheet.title}", "", "| " + " | ".join(sheet.heads) + " |",
                  "|---" * len(sheet.heads) + "|"]
        lines += ["| " + " | ".join(text.replace("|", "\\|") for text in row) + " |"
                  for row in sheet.rows]
    return "\n".join(lines) + "\n"


def write_json(report: BenchReport, path: Path) -> None:
    """Write the whole report to the file as JSON."""
    write_text(path, json.dumps(report.as_dict(), indent=1) + "\n")


def write_markdown(report: BenchReport, path: Path) -> None:
    """Write the tables to the file as Markdown."""
    write_text(path, markdown(report))
