"""docs/equations.md is complete and true: every equation has a row, every name in it exists.

A row is `| equation | discrete form | function | test | erratum |` below the heading of its work.
The function cell names functions, `refot.module.name`, or says `missing: ISSUE`; so does the test
cell, `tests/test_x.py::test_y`. Nothing is run: functions are imported, tests looked up by name.
"""

from __future__ import annotations

import ast
import importlib
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pytest

import refot

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs" / "equations.md"
ISSUES: frozenset[str] = frozenset()
"""The pieces of work that a row may wait for: none, everything is there."""


def numbered(work: str, last: int) -> list[str]:
    """B-1 ... B-32."""
    return [f"{work}-{k}" for k in range(1, last + 1)]


REGISTER = {
    "B": [*numbered("B", 32), "Theorem 1", "Algorithm 1", "Table 1", "Table 2", "Table 3",
          "Fig. 1", "Fig. 2", "Fig. 3", "Fig. 4", "properties (i)-(iii)", "ground costs",
          "latent split", "dot product Q"],
    "G": [*numbered("G", 8), "P_eps", "W_{c,eps}", "Theorem 1", "Algorithm 1", "Algorithm 2",
          "Table 1", "Table 2", "Fig. 1", "Fig. 2", "Fig. 3", "Fig. 4", "E_eps", "scaling form",
          "learned cost", "min-max", "gradient of E_0", "energy distance", "sample complexity",
          "positivity", "ellipses"],
    "H": [*numbered("H", 30), "Algorithm 1", "counter-example", "rate of ASGD",
          "cost normalisation", "generators", "SDOT, SDOTNN", "experiments"],
    "L": ["W(P, Q)", "cost matrix M", "polytope", "H(pi)", "modelling", "feature space", "EOTGM",
          "EOTGAN", "IS and FID against r"],
    "U": numbered("U", 9),
}
"""The numbered equations, theorems, algorithms, tables, figures and named definitions."""

ERRATA = {*(f"E{k}" for k in range(1, 14)), *(f"G{k}" for k in range(1, 9)),
          *(f"H{k}" for k in range(1, 5)), "L1"}
"""Where the print of a work is wrong or misleading: each has a row that says so."""

NAME = re.compile(r"`(refot(?:\.\w+)+)`")
TEST = re.compile(r"`(tests/[\w/]+\.py(?:::\w+)+)`")
MISSING = re.compile(r"missing: (\w+)")
CITED = re.compile(r"\b[BGHU]-\d+")


# ------------------------------------------------------------------ the tables
@dataclass(frozen=True)
class Row:
    """One row: the equations it is about (a label each), and its other cells as they stand."""

    work: str
    labels: tuple[str, ...]
    functions: str
    tests: str
    errata: str

    def __str__(self) -> str:
        return f"{self.work}: {'; '.join(self.labels)}"


def rows(page: str) -> Iterator[Row]:
    """The rows of the tables below the headings `## B: ...`; each must have the five cells."""
    work, inside = "", False
    for line in page.splitlines():
        heading = re.match(r"## ([BGHLU]): ", line)
        if heading or line.startswith("## "):
            work = heading[1] if heading else ""
        if not (work and line.startswith("|")):
            inside = False
            continue
        cells = [cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]]
        assert len(cells) == 5, f"{len(cells)} cells, not 5: {line}"
        if inside and not set(line) <= set("|- "):
            labels = tuple(label.strip() for label in cells[0].split(";"))
            yield Row(work, labels, *cells[2:])
        inside = True  # the first line of a table is its heading


# ------------------------------------------------------------------ what can be wrong with them
def defects(table: list[Row], issues: frozenset[str] = ISSUES) -> Iterator[str]:
    """Everything that is wrong with the rows, a sentence each; `issues` may be waited for."""
    for row in table:
        yield from (f"{row}: {what}" for what in row_defects(row, issues))
    labels = Counter((row.work, label) for row in table for label in row.labels)
    known = {(work, label) for work, names in REGISTER.items() for label in names}
    yield from (f"{work}: {label}: has no row" for work, label in sorted(known - labels.keys()))
    yield from (f"{work}: {label}: is no equation of it" for work, label in labels.keys() - known)
    yield from (f"{work}: {label}: has {count} rows"
                for (work, label), count in labels.items() if count > 1)
    named = {erratum for row in table for erratum in errata(row)}
    yield from (f"erratum {erratum}: has no row" for erratum in sorted(ERRATA - named))


def row_defects(row: Row, issues: frozenset[str]) -> Iterator[str]:
    """Everything that is wrong with one row."""
    functions, tests = NAME.findall(row.functions), TEST.findall(row.tests)
    yield from cell_defects("function", row.functions, functions, issues)
    yield from cell_defects("test", row.tests, tests, issues)
    yield from (f"{name} does not exist" for name in functions if not function_exists(name))
    yield from (f"{name} does not exist" for name in tests if not is_a_test(name))
    files = "".join(source(name) for name in tests if is_a_test(name))
    if tests:
        yield from (f"no test file it names mentions {name}" for name in functions
                    if not re.search(rf"\b{name.rpartition('.')[2]}\b", files))
    if tests and not functions:
        yield "says missing although it names a test"
    yield from (f"erratum {name} is not known" for name in errata(row) if name not in ERRATA)


def cell_defects(what: str, cell: str, names: list[str], issues: frozenset[str]) -> Iterator[str]:
    """A cell names something, or says `missing: ISSUE`, and nothing else."""
    missing = MISSING.findall(cell)
    if not names and not missing:
        yield f"neither a {what} nor `missing: ISSUE`"
    if names and missing:
        yield f"says missing although it names a {what}"
    yield from (f"missing: {issue} is no issue" for issue in missing if issue not in issues)
    rest = re.sub(r"[,\s]+", "", MISSING.sub("", TEST.sub("", NAME.sub("", cell))))
    if rest:
        yield f"{rest!r} in the {what} cell is no name"


def errata(row: Row) -> list[str]:
    """The errata that a row names."""
    return re.findall(r"\w+", row.errata)


def function_exists(name: str) -> bool:
    """Whether `refot.module.name` can be imported: a function, a class, or a method."""
    parts = name.split(".")
    for k in range(len(parts) - 1, 0, -1):
        try:
            found: object = importlib.import_module(".".join(parts[:k]))
        except ModuleNotFoundError:
            continue
        for part in parts[k:]:
            found = getattr(found, part, None)
        return callable(found)
    return False


@cache
def source(name: str) -> str:
    """The text of the file of a test, "" if there is none."""
    path = ROOT / name.partition("::")[0]
    return path.read_text(encoding="utf-8") if path.is_file() else ""


@cache
def parsed(text: str) -> ast.Module:
    """The syntax tree of a file, built once for all the tests that are looked up in it."""
    return ast.parse(text)


def is_a_test(name: str) -> bool:
    """Whether `tests/test_x.py::[Class::]test_y` is defined there."""
    _, *path = name.split("::")
    body = parsed(source(name)).body
    for part in path:
        found = [node for node in body
                 if isinstance(node, ast.FunctionDef | ast.ClassDef) and node.name == part]
        if not found:
            return False
        body = found[-1].body
    return isinstance(found[-1], ast.FunctionDef) and found[-1].name.startswith("test")


# ------------------------------------------------------------------ the page
def test_every_equation_has_its_function_and_its_test() -> None:
    assert list(defects(list(rows(PAGE.read_text(encoding="utf-8"))))) == []


def test_every_public_function_that_cites_an_equation_is_in_a_row() -> None:
    table = rows(PAGE.read_text(encoding="utf-8"))
    named = {name.rpartition(".")[2] for row in table for name in NAME.findall(row.functions)}
    public = {name: getattr(refot, name) for name in refot.__all__}
    citing = {name for name, found in public.items()
              if callable(found) and CITED.search(found.__doc__ or "")}
    assert sorted(citing - named) == []
    assert len(citing) > 20


# ------------------------------------------------------------------ the checker itself
WAITING = frozenset({"LATER"})
KL_TEST = "tests/refot/test_objectives.py::test_kl_and_entropy_are_their_sums"
GOOD = f"""## B: a work

| equation | discrete form | function | test | erratum |
|---|---|---|---|---|
| B-8; Theorem 1 | `KL(p \\| q)` | `refot.objectives.kl` | `{KL_TEST}` | E1 |
| Algorithm 1 | text | missing: LATER | missing: LATER | |

## Another heading

| not | a row |
|---|---|
"""


def test_good_rows_are_read() -> None:
    first, second = rows(GOOD)
    assert (first.work, first.labels, errata(first)) == ("B", ("B-8", "Theorem 1"), ["E1"])
    assert NAME.findall(first.functions) == ["refot.objectives.kl"]
    assert MISSING.findall(second.functions) == ["LATER"]
    assert list(row_defects(first, ISSUES)) == list(row_defects(second, WAITING)) == []
    assert "missing: LATER is no issue" in list(row_defects(second, ISSUES))


@pytest.mark.parametrize(("old", "new", "defect"), [
    ("refot.objectives.kl", "refot.objectives.lk", "refot.objectives.lk does not exist"),
    ("refot.objectives.kl", "refot.nowhere.kl", "refot.nowhere.kl does not exist"),
    ("refot.objectives.kl", "refot.objectives", "refot.objectives does not exist"),
    ("their_sums", "their_products", "test_kl_and_entropy_are_their_products does not exist"),
    ("test_objectives.py", "test_nothing.py", "tests/refot/test_nothing.py::test_kl"),
    ("test_kl_and_entropy_are_their_sums", "exact_plan", "does not exist"),
    ("`refot.objectives.kl`", "", "neither a function nor `missing: ISSUE`"),
    ("`refot.objectives.kl`", "kl", "neither a function nor `missing: ISSUE`"),
    ("`refot.objectives.kl`", "`refot.objectives.kl` and more", "'andmore' in the function cell"),
    ("`refot.objectives.kl`", "`refot.objectives.kl` missing: LATER", "it names a function"),
    ("`refot.objectives.kl`", "missing: LATER", "says missing although it names a test"),
    ("`refot.objectives.kl`", "`refot.semidiscrete.averaged_sgd`", "mentions"),
    ("| missing: LATER | missing", "| missing: LATE | missing", "missing: LATE is no issue"),
    ("| missing: LATER | missing", "| missing: KIT | missing", "missing: KIT is no issue"),
    ("| missing: LATER | |", "| | |", "neither a test nor `missing: ISSUE`"),
    ("| E1 |", "| E14 |", "erratum E14 is not known"),
    ("; Theorem 1", "", "Theorem 1: has no row"),
    ("Theorem 1", "Algorithm 1", "Algorithm 1: has 2 rows"),
    ("B-8", "B-33", "B-33: is no equation of it"),
    ("B-8", "B-9", "B-8: has no row"),
    ("| E1 |", "| |", "erratum E1: has no row"),
])
def test_a_bad_row_is_found(old: str, new: str, defect: str) -> None:
    assert GOOD.count(old) >= 1
    before = set(defects(list(rows(GOOD)), WAITING))
    after = set(defects(list(rows(GOOD.replace(old, new, 1))), WAITING))
    assert any(defect in found for found in after - before), after - before


def test_a_row_with_too_few_cells_is_refused() -> None:
    with pytest.raises(AssertionError, match="4 cells"):
        list(rows(GOOD.replace("| E1 |", "|")))


def test_tests_in_classes_are_found(monkeypatch: pytest.MonkeyPatch) -> None:
    text = "class TestX:\n    def test_y(self): pass\n    def other(self): pass\n"
    monkeypatch.setitem(globals(), "source", lambda name: text)
    assert is_a_test("tests/x.py::TestX::test_y")
    assert not is_a_test("tests/x.py::TestX::other")
    assert not is_a_test("tests/x.py::TestX")
    assert not is_a_test("tests/x.py::test_y")
