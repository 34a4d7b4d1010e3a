"""What the pages of the scoreboard share: the document, cells with right digits, and tables."""

from __future__ import annotations

import base64
import hashlib
import re
from importlib import resources
from typing import TypeAlias
from xml.etree.ElementTree import Element

import refot
from refot.verification.cases.case import Difficulty
from refot.verification.reports.html.elements import Child, page, tag
from refot.verification.runs.levels import Level

from .record import Record
from .summary import WORDS, Cell

Rows: TypeAlias = list[tuple[Child, list[tuple[str, list[Child]]]]]
"""The rows of a table: a heading and, for each column, the class of a cell and what is in it."""

MOST_DIGITS = 16
"""The length of a bar, in right digits: a double has no more."""

MARKS = {Level.WRONG: "✗", Level.SILENT: "?", Level.SAID: "!", Level.RIGHT: "✓"}
"""A level as one letter, for the table of cases."""

MEANINGS = {
    Level.RIGHT: "every answer lies in its certified interval, up to its tolerance",
    Level.WRONG: "an answer to an ordinary problem is wrong",
    Level.SILENT: "right on ordinary problems; an answer to a hard or extreme one is wrong, and "
                  "nothing says so",
    Level.SAID: "the same, with a warning, an error or a NaN",
    Level.LAX: "bad input (a NaN, eps < 0, weights that do not fit) is answered with a number",
}
"""The levels, as the legend of a page explains them."""


def document(title: str, *content: Child) -> str:
    """A whole page. Its Content-Security-Policy allows its own style and nothing else, so that the
    page loads nothing from a network."""
    style = (resources.files(__package__) / "templates" / "scoreboard.css").read_text("utf-8")
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    policy = (f"default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; "
              "form-action 'none'")
    head = tag("head", tag("meta", charset="utf-8"),
               tag("meta", http_equiv="Content-Security-Policy", content=policy),
               tag("meta", name_="viewport", content="width=device-width, initial-scale=1"),
               tag("title", title), tag("style", style))
    foot = tag("footer", f"Made by refot {refot.__version__}. Each number is compared with an "
               "interval that certainly contains the right one.")
    return page(tag("html", head, tag("body", *content, foot), lang="en"))


def slug(text: str) -> str:
    """The text as a part of a file name or of an anchor: small letters, digits, dots, dashes."""
    return re.sub(r"[^a-z0-9.]+", "-", text.lower()).strip("-.") or "x"


def page_of(record: Record) -> str:
    """The file name of the page of a record."""
    return f"{slug(record.title)}.html"


def anchor(record: Record, part: str, what: str = "") -> str:
    """The place of a part, or of a capability or check of it, on the page of its record."""
    return f"part-{record.parts.index(part)}" + (f"-{what}" if what else "")


# ------------------------------------------------------------------ cells
def cell(found: Cell, href: str, *, more: str = "") -> list[Child]:
    """The content of a cell: right digits with a bar, the levels in words, and the text `more`. It
    is a link to `href`."""
    digits = found.digits()
    shown: list[Child] = [] if digits is None else [
        tag("b", f"{digits[0]:.1f}"), tag("small", f" / {digits[1]:.1f}"), _bar(*digits)]
    link = tag("a", *shown, tag("span", found.words(), class_="words"), href=href)
    lax = found.counts[Level.LAX]
    rest = "; ".join(filter(None, (more, f"{WORDS[Level.LAX]} {lax}" if lax else "")))
    return [link, *([tag("span", rest, class_="more")] if rest else [])]


def _bar(worst: float, median: float) -> Element:
    """The worst and the median digits as one bar: full up to the worst, paler up to the median."""
    def part(kind: str, length: float) -> Element:
        return tag("rect", class_=kind, width=f"{length:.1f}", height="4")

    return tag("svg", part("room", MOST_DIGITS), part("median", median), part("worst", worst),
               class_="bar", viewBox=f"0 0 {MOST_DIGITS} 4", preserveAspectRatio="none",
               aria_hidden="true")


def by_difficulty(found: Cell) -> str:
    """The digits at each difficulty: "ordinary 11.2 / 13.0, hard 8.1 / 9.0"."""
    return ", ".join(f"{at.value} {digits[0]:.1f} / {digits[1]:.1f}" for at in Difficulty
                     if (digits := found.digits(at)))


# ------------------------------------------------------------------ tables
def breakable(name: str) -> Element:
    """The name of a function or capability, in which a browser may break the line after `_`, `.`,
    `(` or `,`."""
    words: list[Child] = []
    for word in re.findall(r"[^_.(,]*[_.(,]?", name):
        words += [word, tag("wbr")]
    return tag("span", *words[:-2])


def matrix(
    corner: str, columns: list[Child], labels: list[str], rows: Rows, class_: str
) -> Element:
    """A table with headings on two sides. `labels` name the columns where a narrow screen shows
    each row as a card."""
    head = tag("tr", tag("th", corner, scope="col"),
               *(tag("th", column, scope="col") for column in columns))
    body = [tag("tr", tag("th", heading, scope="row"),
                *(tag("td", *content, class_=kind or "empty", data_label=label)
                  for (kind, content), label in zip(cells, labels, strict=True)))
            for heading, cells in rows]
    return tag("div", tag("table", tag("thead", head), tag("tbody", *body), class_=class_),
               class_="scrolls", tabindex="0")


def legend() -> Element:
    """What the levels and the numbers of a cell mean."""
    rows = [tag("div", tag("dt", f"{MARKS.get(level, '')} {WORDS[level]}".strip(),
                           class_=level.value), tag("dd", meaning))
            for level, meaning in MEANINGS.items()]
    digits = tag("div", tag("dt", "11.2 / 13.0"), tag(
        "dd", "right decimal digits on ordinary problems, the worst and the median: -log10 of the "
        "relative error against the interval"))
    return tag("dl", digits, *rows, class_="legend")
