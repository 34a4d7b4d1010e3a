"""The page of one version of a library: its history, a table of parts by capabilities, and one of
parts by cases."""

from __future__ import annotations

from collections.abc import Iterator
from xml.etree.ElementTree import Element

from refot.verification.reports.html.elements import Child, tag
from refot.verification.subjects.capabilities import CAPABILITIES

from .badge import badge
from .evidence import evidence
from .frame import MARKS, Rows, anchor, breakable, cell, document, legend, matrix
from .overview import capabilities
from .record import Record, Result
from .summary import WORDS, Cell, by_capability, changes

CHANGES_SHOWN = 200
"""The most changed results that are listed; the others are only counted."""


def library(record: Record, versions: list[Record], record_file: str) -> str:
    """The page of a record; `versions` are all records of the library, and `record_file` is the
    file with every result."""
    about = tag("p", f"Profile {record.profile}, refot {record.refot}. The whole run again: ",
                tag("code", record.rerun.whole()), " Every result: ",
                tag("a", record_file, href=record_file))
    header = tag("header", tag("p", tag("a", "All libraries", href="index.html")),
                 tag("h1", record.title), tag("p", badge(record)), about, legend())
    main = tag("main", *_history(record, versions),
               tag("h2", "Functions by capability"), _parts(record),
               tag("h2", "Functions by case"),
               tag("p", "The worst level on each case, bad input aside. The cases are described in "
                   "refot's documentation.", class_="key"), _cases(record),
               tag("h2", "Evidence"), *evidence(record))
    return document(f"refot: {record.title}", header, main)


# ------------------------------------------------------------------ history
def _history(record: Record, versions: list[Record]) -> Iterator[Element]:
    """The results of each version, and what changed from the version before this one."""
    if len(versions) < 2:
        return
    yield tag("h2", "By version")
    yield capabilities(versions)
    at = versions.index(record)
    if at:
        old = versions[at - 1]
        for word, results in zip(("better", "worse"), changes(old, record), strict=True):
            title = f"{word} than in {old.version}: {len(results)} checks"
            yield _changed(title, record, old, results)


def _changed(title: str, record: Record, old: Record, results: list[Result]) -> Element:
    if not results:
        return tag("p", title)
    before = {(each.part, each.id, each.case): each.level for each in old.results}
    rows: list[Child] = [
        tag("li", f"{WORDS[before[each.part, each.id, each.case]]} → {WORDS[each.level]}: ",
            tag("a", each.part, href=f"#{anchor(record, each.part, each.capability)}"),
            f" {each.id} on {each.case}") for each in results[:CHANGES_SHOWN]]
    more = len(results) - CHANGES_SHOWN
    if more > 0:
        rows.append(tag("li", f"and {more} more"))
    return tag("details", tag("summary", title), tag("ul", *rows))


# ------------------------------------------------------------------ parts
def _parts(record: Record) -> Element:
    """A table of parts by capabilities with their right digits. The rows are parts, or capabilities
    if there are more of these."""
    found = {part: by_capability(record.of(part)) for part in record.parts}
    names = [name for name in CAPABILITIES
             if any(name in cells and cells[name].asked for cells in found.values())]

    def shown(part: str, name: str) -> tuple[str, list[Child]]:
        if name not in found[part] or not found[part][name].asked:
            return "", []
        own = found[part][name]
        return own.level.value, cell(own, f"#{anchor(record, part, name)}")

    links: list[Child] = [_link(record, part) for part in found]
    if len(found) < len(names):
        rows: Rows = [(tag("code", name), [shown(part, name) for part in found])
                      for name in names]
        return matrix("capability", links, list(found), rows, "cells cards")
    rows = [(link, [shown(part, name) for name in names])
            for link, part in zip(links, found, strict=True)]
    return matrix("function", [*map(breakable, names)], names, rows, "cells cards")


def _link(record: Record, part: str) -> Element:
    return tag("a", breakable(part), href=f"#{anchor(record, part)}")


def _cases(record: Record) -> Element:
    """A table of parts by cases, with one letter for the worst level on each case."""
    rows: Rows = []
    for part in record.parts:
        by_case: dict[str, list[Result]] = {case: [] for case in record.cases}
        for result in record.of(part):
            if not result.about_bad_input:
                by_case[result.case].append(result)
        rows.append((_link(record, part),
                     [_case(record, case, Cell(tuple(own))) for case, own in by_case.items()]))
    heads: list[Child] = [tag("span", case, title=difficulty)
                          for case, difficulty in record.cases.items()]
    return matrix("function", heads, list(record.cases), rows, "cases")


def _case(record: Record, case: str, found: Cell) -> tuple[str, list[Child]]:
    level = found.level
    if level not in MARKS:
        return "", []
    worst = next(result for result in found.results if result.level is level)
    says = f"{case}: {found.words()}"
    link = tag("a", MARKS[level], title=says, aria_label=says,
               href=f"#{anchor(record, worst.part, worst.capability)}")
    return level.value, [link]
