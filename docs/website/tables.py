"""Tables that fit a telephone: each row becomes a card, each cell is told apart by its heading.

The style sheet does that below a width. What it needs is written into the pages here: the heading
of each cell, and places where a long name in code may be broken.
"""

from __future__ import annotations

import re
from html import escape, unescape

TABLE = re.compile(r'<table class="docutils[^"]*">.*?</table>', re.DOTALL)
HEAD = re.compile(r"<thead>.*?</thead>", re.DOTALL)
HEADING = re.compile(r"<th\b[^>]*>(.*?)</th>", re.DOTALL)
ROW = re.compile(r"<tr\b.*?</tr>", re.DOTALL)
CELL = re.compile(r"<td\b")
CODE = re.compile(r'<code class="docutils literal[^"]*">.*?</code>', re.DOTALL)
PIECE = re.compile(r"(?<=[._/(=:])(?=\w)")
EMPTY = re.compile(r"<th\b[^>]*>(<p></p>)?</th>")
"""The corner of a table: a heading without words is none."""

FEWEST = 3
"""How many columns a table of cards has at least: with fewer it fits as it is."""

ROLES = {"<thead": "rowgroup", "<tbody": "rowgroup", "<tr": "row", "<th": "columnheader",
         "<td": "cell"}
"""A row that is shown as a block is no row to a screen reader unless it says so."""


def with_cards(page: str) -> str:
    """A page of HTML whose tables are ready to be shown as cards."""
    page = TABLE.sub(lambda found: prepared(found[0]), page)
    return EMPTY.sub("<td></td>", page)


def prepared(table: str) -> str:
    """One table. Without a head it stays as it is."""
    table = CODE.sub(lambda found: breakable(found[0]), table)
    head = HEAD.search(table)
    labels = [text_of(cell) for cell in HEADING.findall(head[0])] if head else []
    if len(labels) < FEWEST:
        return table
    table = ROW.sub(lambda found: labelled(found[0], labels), table)
    for tag, role in ROLES.items():
        table = re.sub(rf"{tag}(?=[\s>])", f'{tag} role="{role}"', table)
    return table.replace('<table class="docutils', '<table role="table" class="cards docutils', 1)


def labelled(row: str, labels: list[str]) -> str:
    """A row whose cells carry the headings of their columns."""
    left = iter(labels)
    return CELL.sub(lambda found: f'<td data-label="{escape(next(left, ""))}"', row)


def breakable(code: str) -> str:
    """Code with a possible end of line after each point, underscore or bracket."""
    return "".join(part if part.startswith("<") else PIECE.sub("<wbr>", part)
                   for part in re.split(r"(<[^>]*>)", code))


def text_of(html: str) -> str:
    """The words of a piece of HTML."""
    return " ".join(unescape(re.sub(r"<[^>]*>", "", html)).split())
