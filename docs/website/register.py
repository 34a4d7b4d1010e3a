"""The register of equations as data: the rows of docs/equations.md, and a note on each.

The rows say which functions and tests an equation has. The notes, docs/website/equations/*.toml,
add what does not fit into a table: the formula as it is printed, the discrete form, what it means.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path

DOCS = Path(__file__).resolve().parents[1]
NOTES = Path(__file__).with_name("equations")

NAME = re.compile(r"`(refot(?:\.\w+)+)`")
TEST = re.compile(r"`(tests/[\w/]+\.py(?:::\w+)+)`")
HEADING = re.compile(r"## (?P<letter>[BGHLU]): (?P<title>.+)")
EQUATION = re.compile(r"\b([BGHU]-\d+)\b")


@dataclass(frozen=True)
class Row:
    """One row: the equations it is about (a label each), and its other cells as they stand."""

    work: str
    labels: tuple[str, ...]
    form: str
    functions: str
    tests: str
    errata: str

    def __str__(self) -> str:
        return f"{self.work}: {'; '.join(self.labels)}"

    @cached_property
    def names(self) -> list[str]:
        """The labels with the letter of the work: "B-13", "G Theorem 1"."""
        return [label if EQUATION.fullmatch(label) else f"{self.work} {label}"
                for label in self.labels]

    @cached_property
    def slug(self) -> str:
        """The name of its page: "b-13", "g-theorem-1"."""
        return re.sub(r"[^a-z0-9]+", "-", self.names[0].lower()).strip("-")


def rows(page: str) -> Iterator[Row]:
    """The rows of the tables below the headings `## B: ...`; each must have the five cells."""
    work, inside = "", False
    for line in page.splitlines():
        heading = HEADING.match(line)
        if heading or line.startswith("## "):
            work = heading["letter"] if heading else ""
        if not (work and line.startswith("|")):
            inside = False
            continue
        cells = [cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]]
        assert len(cells) == 5, f"{len(cells)} cells, not 5: {line}"
        if inside and not set(line) <= set("|- "):
            labels = tuple(label.strip() for label in cells[0].split(";"))
            yield Row(work, labels, *cells[1:])
        inside = True  # the first line of a table is its heading


def errata(row: Row) -> list[str]:
    """The errata that a row names."""
    return re.findall(r"\w+", row.errata)


@dataclass(frozen=True)
class Note:
    """What a page says beyond the row. `printed` and `discrete` are LaTeX.

    `printed` is empty where the work shows no formula (a figure, a table of settings). `near` names
    related equations by label, `conventions` the kind of number that libraries define differently:
    "value", "divergence" or "potentials". `figure` is the name of an interactive figure. `more` is
    a sentence in Markdown that leads to the page which uses it.
    """

    title: str
    meaning: str
    discrete: str
    printed: str = ""
    near: tuple[str, ...] = ()
    conventions: str = ""
    figure: str = ""
    more: str = ""


@cache
def notes(folder: Path = NOTES) -> dict[tuple[str, str], Note]:
    """The notes by (letter of the work, first label of the row)."""
    found = {}
    for path in sorted(folder.glob("*.toml")):
        for label, fields in tomllib.loads(path.read_text(encoding="utf-8")).items():
            near = tuple(fields.pop("near", ()))
            found[path.stem, label] = Note(near=near, **fields)
    return found


@cache
def register() -> list[Row]:
    """The rows of docs/equations.md."""
    return list(rows((DOCS / "equations.md").read_text(encoding="utf-8")))


def works() -> dict[str, str]:
    """The works by letter, with the titles of their headings."""
    text = (DOCS / "equations.md").read_text(encoding="utf-8")
    return {match["letter"]: match["title"] for match in HEADING.finditer(text)}
