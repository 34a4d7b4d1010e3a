"""The report of `refot bench --quick` as JSON, as a table in Markdown, and as a figure."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from refot.arrays import InputError
from refot.files import write_text
from refot.plots.figures import BLUE, ORANGE, WIDTH, new_figure
from refot.verification.bench.figures import beyond
from refot.verification.bench.problems import FAMILIES
from refot.verification.bench.report import short, spread
from refot.verification.bench.timing import Range

from .rows import SCHEMA, QuickReport

if TYPE_CHECKING:
    from matplotlib.figure import Figure

HEADS = ("problem", "both reach", "peer", "refot, ms", "peer, ms", "ratio by the clock",
         "ratio by processor time", "reached: refot; peer")


def write_json(report: QuickReport, path: Path) -> None:
    """Write the report to a file."""
    write_text(path, json.dumps(report.as_dict(), indent=1) + "\n")


def read_json(path: Path) -> dict[str, Any]:
    """A report as plain data. Raises InputError for a file of another kind."""
    found = json.loads(path.read_text(encoding="utf-8"))
    if not isinstance(found, dict) or found.get("schema") != SCHEMA:
        raise InputError("file", f"{path}", f"a report whose schema is {SCHEMA}")
    return found


# ------------------------------------------------------------------ the table
def markdown(report: Mapping[str, Any]) -> str:
    """The table of a report, after the machine and the date."""
    lines = [preface(report), "", f"| {' | '.join(HEADS)} |", "|---" * len(HEADS) + "|"]
    lines += [f"| {' | '.join(cells(row))} |" for row in report["rows"]]
    return "\n".join(lines) + "\n"


def preface(report: Mapping[str, Any]) -> str:
    """Where and when the numbers were measured, in one line."""
    about, loads = report["machine"], report["loads"]
    return (f"refot {report['refot']}, {report['date']}; {about['processor']}, {about['cores']} "
            f"cores, {about['memory_GiB']} GiB; Python {about['python']}, NumPy {about['numpy']}; "
            f"load average {min(loads):.1f} to {max(loads):.1f}; {report['seconds']:.0f} s in all")


def cells(row: Mapping[str, Any]) -> tuple[str, ...]:
    """The row of a peer: milliseconds are medians, ratios have the least and the most in brackets.
    """
    start = (f"{row['kind']}: {row['problem']}", row["criterion"],
             f"{row['peer']} {row['version']}".strip())
    if row["failure"]:
        return (*start, "", "", row["failure"], "", "")
    clock, processor = row["clock"], row["processor"]
    ours, theirs = row["reached"]
    return (*start, short(1e3 * clock["refot"]["median"]), short(1e3 * clock["peer"]["median"]),
            spread(Range(**clock["ratio"])), spread(Range(**processor["ratio"])),
            f"{ours:.0e}; {theirs:.0e}")


# ------------------------------------------------------------------ the figure
def plot(report: Mapping[str, Any]) -> Figure:
    """How many times refot's processor time each peer takes: a point for each row that has times,
    with the least and the most. Where refot is the slower one, it has another colour."""
    rows = [row for row in report["rows"] if not row["failure"]][::-1]
    figure = new_figure(WIDTH, 1.4 + 0.42 * len(rows))
    axes = figure.subplots()
    for place, row in enumerate(rows):
        ratio = Range(**row["processor"]["ratio"])
        below, above = beyond([ratio])
        axes.errorbar([ratio.median], [place], xerr=(below, above), fmt="o", capsize=3,
                      color=BLUE if ratio.median >= 1 else ORANGE)
    axes.axvline(1, color="0.6", linewidth=1)
    axes.set(xscale="log", xlabel="times refot's processor time")
    axes.set_yticks(range(len(rows)), [f"{row['peer']}\n{row['kind']}{place_of(row)}"
                                       for row in rows], fontsize=8)
    axes.grid(color="0.92", axis="x")
    axes.set_axisbelow(True)
    return figure


def place_of(row: Mapping[str, Any]) -> str:
    """The family and eps of a row's problem, where it names them: ", gaussians, eps=1e-01"."""
    words = [word for word in row["problem"].split() if word in FAMILIES or "eps=" in word]
    return "".join(f", {word}" for word in words)
