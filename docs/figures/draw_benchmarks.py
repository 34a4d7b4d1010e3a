"""The figures of benchmarks.md, and its tables that are kept as JSON.

    python docs/figures/draw_benchmarks.py

Two figures are drawn from tables of the page. The table of `refot bench --quick`, and its figure,
are those of the newest report in docs/benchmarks/.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from style import styled, themed

from refot.plots.figures import save_figure
from refot.verification.bench.figures import plot_half_iterations, plot_ratios
from refot.verification.bench.quick import report as quick_report
from refot.verification.bench.timing import Range

HERE = Path(__file__).parent
PATH = HERE.parent / "benchmarks.md"
PAGE = PATH.read_text(encoding="utf-8")
QUICK = max(map(quick_report.read_json, (HERE.parent / "benchmarks").glob("*.json")),
            key=lambda report: str(report["date"]))
BEFORE, AFTER = "<!-- bench --quick: begin -->\n", "<!-- bench --quick: end -->"
RATIO = re.compile(r"([\d.]+) \(([\d.]+)-([\d.]+)\)")


def rows(after: str) -> Iterator[list[str]]:
    """The cells of the first table after some words: its heading, then its rows."""
    lines = PAGE[PAGE.index(after):].split("\n| ", 1)[1].split("\n\n")[0].splitlines()
    for line in lines:
        if not line.startswith("|---"):
            yield [cell.strip() for cell in line.strip("| ").split("|")]


def ratio(cell: str) -> Range | None:
    """ "2.2 (1.3-2.4)" as a median with its least and most."""
    found = RATIO.match(cell)
    return Range(float(found[2]), float(found[1]), float(found[3])) if found else None


def times() -> dict[str, dict[float, Range]]:
    """The ratios of the table after "To a certified gap", by peer and eps."""
    (_, *peers), *lines = rows("To a certified gap of 1e-4")
    found: dict[str, dict[float, Range]] = {peer: {} for peer in peers}
    for eps, *cells in lines:
        for peer, cell in zip(peers, cells, strict=True):
            if (each := ratio(cell)) is not None:
                found[peer][float(eps)] = each
    return {peer: curve for peer, curve in found.items() if curve}


def halves() -> dict[str, Range]:
    """The ratios of the table of half-iterations, without the variants in float32."""
    _, *lines = rows("### one half-iteration")
    found = {peer: ratio(cell) for peer, _, cell in lines}
    return {peer: each for peer, each in found.items() if each and "float32" not in peer}


def with_table(page: str) -> str:
    """The page with the table of QUICK between the two marks."""
    start, end = page.index(BEFORE) + len(BEFORE), page.index(AFTER)
    return page[:start] + quick_report.markdown(QUICK) + page[end:]


if __name__ == "__main__":
    PATH.write_text(with_table(PAGE), encoding="utf-8")
    with styled():
        for figure, name in (
            (plot_ratios({"points of the plane, n = 1,000": times()},
                         "times refot's processor time"), "benchmark-times.svg"),
            (plot_half_iterations(halves()), "benchmark-half-iterations.svg"),
            (quick_report.plot(QUICK), "benchmark-quick.svg"),
        ):
            themed(save_figure(figure, HERE / name))
