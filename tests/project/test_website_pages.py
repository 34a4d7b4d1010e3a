"""The pages before they are built: one for every equation, figures, docstrings, links."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("sphinx", reason="needs the `docs` extra")

from docutils.utils.math import MathError
from website import names
from website.docstrings import as_rst, used_in
from website.drawing import Axes, shades
from website.equation_pages import equation_pages
from website.errata import errata_page
from website.figures import FIGURES
from website.finish import check
from website.mathml import formula, side_by_side
from website.names import functions
from website.register import Row, errata, notes, register
from website.stage import NAVIGATION, navigation, site_target

ROOT = Path(__file__).resolve().parents[2]
TABLE = register()


# ------------------------------------------------------------------ every equation has its page
def test_every_row_of_the_register_has_its_page() -> None:
    pages = equation_pages()
    assert [row.slug for row in TABLE if f"equations/{row.slug}" not in pages] == []
    assert len(TABLE) > 90
    for row in TABLE:
        assert incomplete(row, pages[f"equations/{row.slug}"]) == []


def incomplete(row: Row, page: str) -> list[str]:
    """What the page of a row lacks: a formula, a function's source, a test, an erratum."""
    note = notes()[row.work, row.labels[0]]
    wanted = {note.discrete: "the formula", note.printed: "the printed formula",
              note.meaning: "what it means"}
    wanted |= {names.source(name).text: name for name in functions(row)}
    wanted |= {names.test_source(name).text: name for name in names.tests(row)}
    wanted |= {errata_page()[name].text: name for name in errata(row)}
    return [what for text, what in wanted.items() if text not in page]


def test_an_incomplete_page_would_be_found() -> None:
    row = next(row for row in TABLE if row.slug == "b-13")
    page = equation_pages()["equations/b-13"]
    assert incomplete(row, page.replace("def dual(", "def primal(")) == ["refot.objectives.dual"]
    assert incomplete(row, page.replace("lacks `+ eps`", "")) == ["E1"]
    assert incomplete(row, page.replace(r"\sup_{D_1,D_2}", "")) == ["the printed formula"]


def test_a_meaning_is_one_sentence() -> None:
    for note in notes().values():
        assert re.fullmatch(r"[A-Z][^.]*(\.\d[^.]*)*\.|[a-z][^.]*\.", note.meaning), note.meaning
        assert len(note.meaning) < 220


def test_every_formula_becomes_mathml() -> None:
    for note in notes().values():
        for latex in (note.printed, note.discrete):
            for part in side_by_side(latex) if latex else ():
                found = formula(part, display=True)
                assert re.fullmatch(r"<math.*</math>", found)
                assert "\\" not in re.sub(r"<[^>]*>", "", found)
    with pytest.raises(MathError):
        formula(r"\nosuchcommand", display=True)


def test_the_numbers_of_an_erratum_are_those_of_its_page() -> None:
    known = errata_page()
    assert known["E1"].values == {"B-13 as printed": "0.837566", "with `+ eps`": "1.337566",
                                  "F": "1.337566"}
    assert (known["E11"].values, known["E11"].has_code) == ({}, False)
    assert {name for row in TABLE for name in errata(row)} == set(known)
    for name, erratum in known.items():
        assert erratum.values or not erratum.has_code or name in {"E9", "G6", "H2"}
    assert "| B-13 as printed | 0.837566 |" in equation_pages()["equations/b-13"]
    of_b24 = equation_pages()["equations/b-24"]
    assert "| B-24 as printed, at its best potential | 1.837566 |" in of_b24
    assert "| B-24 with `C - lam Q` and without `+ eps` | 1.175081 |" in of_b24


def test_libraries_are_compared_by_numbers() -> None:
    page = equation_pages()["equations/b-10"]
    assert "| `pot.sinkhorn2` | reg = 0.5 | 1.118144 | the sharp value |" in page
    assert "| `L` | lambda = 0.5 | 0.053979 | the entropy value |" in page
    divergence = equation_pages()["equations/b-9"]
    assert "| `geomloss.SamplesLoss(p=2)` | blur = 0.5 | 0.405102 |" in divergence


# ------------------------------------------------------------------ figures
def test_there_are_twelve_figures_and_each_frame_is_whole() -> None:
    assert len(FIGURES) >= 12
    for figure in FIGURES.values():
        names = {layer.name for layer in figure.layers}
        assert len(figure.frames) >= 4
        assert all(frame.values.keys() == names for frame in figure.frames)
        assert len({frame.label for frame in figure.frames}) == len(figure.frames)
        for layer in (layer for layer in figure.layers if layer.kind == "cells"):
            assert {len(frame.values[layer.name]) for frame in figure.frames} == {
                layer.rows * layer.columns}
        data = re.search(r'<script type="application/json">(.*)</script>', figure.html())
        assert data is not None
        assert len(json.loads(data[1])) == len(figure.frames)
    assert {note.figure for note in notes().values()} - {""} == set(FIGURES)
    script = ROOT / "docs" / "website" / "static" / "figures.js"
    assert script.stat().st_size < 4_000


def test_axes_put_points_where_they_belong() -> None:
    axes = Axes((1, 100), (0, 1), log=(True, False), box=(0, 0, 200, 100))
    assert axes.line([1, 10, 100], [0, 0.5, 2]) == "0.0,100.0 100.0,50.0 200.0,0.0"
    assert shades(np.array([[0.0, 0.5, 1.0]])) == "0iz"


# ------------------------------------------------------------------ pages and links
def test_a_docstring_becomes_text_with_links() -> None:
    said = as_rst(["a_i |x| of B-12, `name`; erratum E1:", "    f = *g*", "more", "", "- one",
                   "  and on", "- two"])
    text = "\n".join(said)
    assert r"a\_i \|x\| of" in text
    assert ":doc:`B-12 </equations/b-10>`" in text
    assert "``name``" in text
    assert ":ref:`E1 <erratum-E1>`" in text
    assert "::\n\n    f = *g*\n\nmore" in text
    assert "\n\n- one\n  and on\n- two" in text


def test_a_function_is_linked_to_the_pages_that_use_it() -> None:
    assert "conventions" in used_in("value_to_refot")
    assert {"errata", "notation"} <= set(used_in("sinkhorn_divergence"))
    assert used_in("no_such_function") == []


def test_every_page_is_in_the_sidebar() -> None:
    pages = {path.stem for path in (ROOT / "docs").glob("*.md")} - {"index"}
    groups = navigation(pages | {"pages", "a-new-page"})
    assert pages <= {name for group in groups.values() for name in group}
    assert groups["More"][0] == "pages"
    assert "a-new-page" in groups["More"]  # a page that nobody has put into a group
    assert groups.keys() == {*NAVIGATION, "More"}


def test_links_to_files_of_the_repository_lead_to_copies() -> None:
    docs = ROOT / "docs"
    assert site_target("errata.md", docs) == "errata.md"
    assert site_target("../README.md", docs) == "index.md"
    assert site_target("../refot/arrays.py", docs) == "files/refot/arrays.py"
    assert site_target("docs/limits.md", ROOT) == "limits.md"
    assert site_target("figures/rates.png", docs) == "figures/rates.png"
    assert site_target("https://pythonot.github.io", docs) == "https://pythonot.github.io"


def test_a_dead_link_and_a_request_would_be_found(tmp_path: Path) -> None:
    (tmp_path / "a.html").write_text('<p id="here"><a href="#here">x</a><a href="b.html#no">x</a>'
                                     '<a href="c.html">x</a><a href="https://x.org">x</a>'
                                     '<img src="https://x.org/i.png"></p>', encoding="utf-8")
    (tmp_path / "b.html").write_text("<p>b</p>", encoding="utf-8")
    assert sorted(check(tmp_path)) == ["a.html: loads https://x.org/i.png",
                                       "a.html: no anchor b.html#no", "a.html: no file c.html"]
