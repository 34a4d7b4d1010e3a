"""The failures behind the cells of one version of a library, and the commands that repeat them."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import groupby
from xml.etree.ElementTree import Element

from refot.verification.checks import CHECKS
from refot.verification.reports.html.elements import Child, table, tag
from refot.verification.reports.terminal import interval_text
from refot.verification.runs.levels import LEVELS, Level

from .frame import anchor, by_difficulty
from .record import Record, Result
from .summary import BREAKS, WORDS, Cell, by_capability, count

HEADINGS = ("case", "level", "measured", "certified", "off by", "allowed", "why")

CASES_SHOWN = 12
"""The most cases shown of one check at one level. The record file has all of them."""


def evidence(record: Record) -> Iterator[Element]:
    """A section for each part, folded until a link to a place in it is followed."""
    for part in record.parts:
        cells = by_capability(record.of(part))
        counts = ", ".join(f"{WORDS[level]} {n}" for level in (*BREAKS, Level.LAX, Level.RIGHT)
                           if (n := count(record.of(part), level)))
        yield tag("details", tag("summary", part, " ", tag("small", counts)),
                  tag("p", "Again: ", tag("code", _again(record, part)), id=anchor(record, part)),
                  *(_capability(record, part, name, cell) for name, cell in cells.items()),
                  class_="part")


def _again(record: Record, part: str) -> str:
    """The command that repeats all checks of a part."""
    return record.rerun.whole(*_named(record, part))


def _named(record: Record, part: str) -> tuple[str, ...]:
    return ("--part", part) if len(record.parts) > 1 else ()


def _capability(record: Record, part: str, name: str, cell: Cell) -> Element:
    """The results of one capability of a part: a summary, and the failures check by check."""
    wrong = sorted((result for result in cell.results if result.level in BREAKS),
                   key=lambda each: (LEVELS.index(each.level), each.id))
    lax = [result for result in cell.results if result.level is Level.LAX]
    digits = by_difficulty(cell)
    return tag(
        "section", tag("h3", name),
        tag("p", cell.words(), f"; digits, worst / median: {digits}" if digits else ""),
        *(_check(record, id, list(group))
          for id, group in groupby(wrong, key=lambda each: each.id)),
        *([_lax(record, lax)] if lax else []), id=anchor(record, part, name))


def _check(record: Record, id: str, results: list[Result]) -> Element:
    """The failures of one check at one level."""
    rows = [_row(result) for result in results[:CASES_SHOWN]]
    more = len(results) - CASES_SHOWN
    sentence = CHECKS[id].sentence if id in CHECKS else ""
    return tag("div", tag("h4", id), tag("p", sentence, class_="key"), table(HEADINGS, rows),
               *([tag("p", f"and {more} more cases")] if more > 0 else []),
               _debug(record, results[0]))


def _row(result: Result) -> list[Child]:
    measured, low, high, error, tolerance = result.numbers
    certified = "" if low is None or high is None else interval_text(low, high)
    return [result.case, tag("span", WORDS[result.level], class_=result.level.value),
            "no answer" if measured is None else f"{measured:.8g}", certified,
            *("" if number is None else f"{number:.2g}" for number in (error, tolerance)),
            result.why]


def _lax(record: Record, results: list[Result]) -> Element:
    """Bad input that is answered with a number."""
    said = dict.fromkeys(result.id.partition(".refuses-")[2].replace("-", " ")
                         for result in results)
    return tag("p", tag("span", WORDS[Level.LAX], class_=Level.LAX.value),
               f" {len(results)}: a number is answered to {', '.join(said)}. ",
               _debug(record, results[0]))


def _debug(record: Record, result: Result) -> Element:
    """The command that shows one result with its arrays."""
    return tag("code", record.rerun.one(result, _named(record, result.part)), class_="again")
