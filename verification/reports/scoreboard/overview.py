"""The first page of the scoreboard: a table of capabilities by libraries, and all libraries."""

from __future__ import annotations

from xml.etree.ElementTree import Element

from refot.verification.reports.html.elements import Child, tag
from refot.verification.runs.levels import Level
from refot.verification.subjects.capabilities import CAPABILITIES

from .badge import badge
from .frame import Rows, anchor, cell, document, legend, matrix, page_of
from .record import Record
from .summary import BREAKS, WORDS, Offer, count, offers

LEVELS_SHOWN = (*BREAKS, Level.LAX)
"""The levels that are counted in the list of libraries."""


def overview(libraries: dict[str, list[Record]]) -> str:
    """The page as HTML. `libraries` has the records of each library, the newest version last."""
    newest = [versions[-1] for versions in libraries.values()]
    return document(
        "refot: the scoreboard of entropic optimal transport",
        tag("header", tag("h1", "Entropic optimal transport: who is right, and to how many digits"),
            tag("p", "Every library is asked the same questions, refot itself among them. A cell "
                "is about the best function of a library; it leads to the evidence, and to the "
                "command that repeats it."), legend()),
        tag("main", tag("h2", "Capabilities"), capabilities(newest),
            tag("h2", "Libraries"), _libraries(libraries)))


def capabilities(records: list[Record]) -> Element:
    """A table with a row for each capability and a column for each record. A cell is about the part
    of the record that is best at the capability."""
    found = [offers(record) for record in records]
    rows: Rows = []
    for name in CAPABILITIES:
        if any(name in offer for offer in found):
            rows.append((tag("code", name), [
                _offered(record, offer[name]) if name in offer else ("", [])
                for record, offer in zip(records, found, strict=True)]))
    heads: list[Child] = [tag("a", record.name, " ", tag("small", record.version),
                              href=page_of(record)) for record in records]
    return matrix("capability", heads, [record.title for record in records], rows, "cells cards")


def _offered(record: Record, offer: Offer) -> tuple[str, list[Child]]:
    several = len(offer.cells) > 1
    more = f"{offer.acceptable} of {len(offer.cells)} functions right" if several else ""
    href = f"{page_of(record)}#{anchor(record, offer.best_part, offer.capability)}"
    return offer.best.level.value, cell(offer.best, href, more=more)


def _libraries(libraries: dict[str, list[Record]]) -> Element:
    """A row for each library: its badge, its versions, and how many checks have which level."""
    rows: Rows = []
    for name, versions in libraries.items():
        record = versions[-1]
        links: list[Child] = []
        for each in versions:
            links += [tag("a", each.version or each.name, href=page_of(each)), " "]
        numbers = [len(record.parts), *(count(record.results, level) for level in LEVELS_SHOWN)]
        counts: list[tuple[str, list[Child]]] = [("number", [str(each)]) for each in numbers]
        rows.append((tag("a", name, href=page_of(record)), [
            ("text", [badge(record)]), ("text", links), *counts]))
    heads = ["badge", "versions", "functions", *(WORDS[level] for level in LEVELS_SHOWN)]
    return matrix("library", [*heads], heads, rows, "libraries cards")
