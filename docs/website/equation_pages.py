"""The pages of the equations: one for each row of the register, and one for each work."""

from __future__ import annotations

from collections.abc import Iterator

from website.errata import Erratum, errata_page
from website.figures import FIGURES
from website.libraries import conventions_table
from website.names import canonical, functions, source, test_source, tests
from website.register import DOCS, Note, Row, errata, notes, register, works

LONG = 45
"""A function or test of more lines is folded."""


def equation_pages() -> dict[str, str]:
    """The text of each page by its path, without the suffix: "equations/b-13"."""
    table, said = register(), notes()
    pages = {f"equations/{row.slug}": page(k, table, said) for k, row in enumerate(table)}
    for letter, title in works().items():
        mine = [row for row in table if row.work == letter]
        pages[f"equations/{letter.lower()}"] = work_page(f"{letter}: {title}", mine, said)
    return pages


# ------------------------------------------------------------------ one equation
def page(k: int, table: list[Row], said: dict[tuple[str, str], Note]) -> str:
    """The page of row k of the table."""
    row = table[k]
    note = said[row.work, row.labels[0]]
    parts = ["---\norphan: true\n---", f"# {', '.join(row.names)}: {note.title}",
             index_of(row), f"*{note.meaning}*", *formulas(row, note), *wrong(row), *figure(note),
             *code(row), *held_by(row)]
    if note.conventions:
        parts += ["## In other libraries", conventions_table(note.conventions)]
    return "\n\n".join([*parts, *neighbours(k, table, note)]) + "\n"


def index_of(row: Row) -> str:
    """Entries of the index, by which the search finds a number, such as "B-24". The `!` makes them
    main entries, which the search puts first."""
    return "\n".join(f"```{{index}} ! single: {name}\n```" for name in row.names)


def formulas(row: Row, note: Note) -> Iterator[str]:
    """The formula as it is printed and as refot computes it, and the line of the register."""
    if note.printed:
        yield f"## As it is printed in {row.work}"
        yield display(note.printed)
    elif row.work != REFOTS_OWN:
        yield f"{row.work} prints no formula for this; what follows is refot's."
    yield "## As refot computes it" if note.printed else "## In one formula"
    yield display(note.discrete)
    if note.more:
        yield note.more
    yield f"In plain text: {row.form.replace(chr(92) + '|', '|')}. {SYMBOLS}"


REFOTS_OWN = "U"
"""The equations that are numbered by refot, and printed in no work."""

SYMBOLS = "The symbols are those of [notation](../notation.md)."


def display(latex: str) -> str:
    """A formula on its own line."""
    return f"```{{math}}\n{latex}\n```"


def wrong(row: Row) -> Iterator[str]:
    """What is wrong with the print: the errata of the row, and both numbers."""
    known = errata_page()
    for name in errata(row):
        erratum = known[name]
        yield f"## What to watch: erratum {name}"
        yield f"| printed, and right | off by |\n|---|---|\n| {erratum.change} | {erratum.size} |"
        yield erratum.text
        yield from numbers(erratum)
    if not errata(row) and notes()[row.work, row.labels[0]].printed:
        yield "No erratum is known: the print is right."


def numbers(erratum: Erratum) -> Iterator[str]:
    """The numbers that the code of an erratum compares, and a link to that code."""
    if erratum.values:
        rows = "\n".join(f"| {what} | {value} |" for what, value in erratum.values.items())
        yield f"| in an example | |\n|---|---|\n{rows}"
    if erratum.has_code:
        yield (f"The code that computes these numbers is under [{erratum.name}]"
               f"(../errata.md#{erratum.name.lower()}); it runs with the tests.")
    else:
        yield f"More under [{erratum.name}](../errata.md#{erratum.name.lower()})."


def figure(note: Note) -> Iterator[str]:
    """The interactive figure of the note."""
    if note.figure:
        yield "## To play with"
        yield FIGURES[note.figure].as_markdown()


def code(row: Row) -> Iterator[str]:
    """The source of each function of the row."""
    yield "## The code"
    for name in dict.fromkeys(map(canonical, functions(row))):
        text = source(name)
        yield f"{{py:obj}}`{name}`, `{text.file}` line {text.line}"
        yield folded(f"{text.lines} lines", text.text, text.lines)


def held_by(row: Row) -> Iterator[str]:
    """The tests of the row."""
    yield f"(tests-{row.slug})=\n## The tests that hold it"
    for name in tests(row):
        text = test_source(name)
        file, _, test = name.partition("::")
        yield f"`{test}`, in `{file}` line {text.line}"
        yield folded("the test", text.text, LONG + 1)


def folded(title: str, text: str, lines: int) -> str:
    """A block of Python, folded if it is long."""
    block = f"````python\n{text}````"
    return f":::{{dropdown}} {title}\n{block}\n:::" if lines > LONG else block


def neighbours(k: int, table: list[Row], note: Note) -> Iterator[str]:
    """Links to related equations, and to the rows before and after."""
    by_name = {name: row for row in table for name in row.names}
    yield "## Near it"
    yield "\n".join(f"- {link(by_name[name], '')}" for name in note.near)
    row = table[k]
    around = [(word, table[other]) for word, other in (("before", k - 1), ("after", k + 1))
              if 0 <= other < len(table)]
    yield " · ".join(f"{word}: [{', '.join(other.names)}]({other.slug}.md)"
                     for word, other in around) + f" · [all of {row.work}]({row.work.lower()}.md)"


def link(row: Row, folder: str) -> str:
    """A link to the page of a row, with its title."""
    title = notes()[row.work, row.labels[0]].title
    return f"[{', '.join(row.names)}]({folder}{row.slug}.md): {title}"


# ------------------------------------------------------------------ the lists
def work_page(title: str, mine: list[Row], said: dict[tuple[str, str], Note]) -> str:
    """All equations of one work."""
    return f"# {title}\n\n{short_table(mine, said, '')}\n"


def short_table(mine: list[Row], said: dict[tuple[str, str], Note], folder: str) -> str:
    """Equation, title, errata: narrow enough for a telephone."""
    lines = ["| equation | what it is | errata |", "|---|---|---|"]
    up = "" if folder else "../"
    for row in mine:
        names = ", ".join(f"[{name}]({up}errata.md#{name.lower()})" for name in errata(row))
        lines.append(f"| [{', '.join(row.names)}]({folder}{row.slug}.md) | "
                     f"{said[row.work, row.labels[0]].title} | {names} |")
    return "\n".join(lines)


def overview() -> str:
    """docs/equations.md as a page of the site: its prose, and short tables with links."""
    table, said = register(), notes()
    prose = (DOCS / "equations.md").read_text(encoding="utf-8").partition("\n## ")[0]
    parts = [prose.strip(), "Each equation has a page: the formula as printed and as it is right, "
             "the code, the test, and what libraries make of it."]
    for letter, title in works().items():
        parts += [f"## {letter}: {title}", said_of(letter),
                  short_table([row for row in table if row.work == letter], said, "equations/")]
    return "\n\n".join(parts) + "\n"


def said_of(letter: str) -> str:
    """What docs/equations.md says below the heading of a work, before its table."""
    text = (DOCS / "equations.md").read_text(encoding="utf-8")
    return text.partition(f"\n## {letter}: ")[2].partition("\n")[2].partition("\n|")[0].strip()


def equations_of_figures() -> dict[str, list[str]]:
    """For each figure, links to the equations that show it."""
    found: dict[str, list[str]] = {}
    for row in register():
        name = notes()[row.work, row.labels[0]].figure
        found.setdefault(name, []).append(f"[{row.names[0]}](equations/{row.slug}.md)")
    return found
