"""The website: a page for every equation, figures, links, and what a browser makes of them.

The fast tests build the pages of PART. The slow one builds all of them, as docs.yml does.
"""

from __future__ import annotations

import json
import random
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("sphinx", reason="needs the `docs` extra")

from browser import Visit, needs_chromium, visit
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
from website.stage import NAVIGATION, navigation, site_target, texts

ROOT = Path(__file__).resolve().parents[2]
TABLE = register()
PART = ["index", "equations", "equations/b", "equations/b-10", "equations/b-13", "equations/b-24",
        "equations/b-29", "equations/h-8", "errata", "notation", "figures", "solvers",
        "api/index", "api/refot.objectives"]


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
    assert known["E1"].values == {"as_printed": "0.837566", "corrected": "1.337566",
                                  "F": "1.337566"}
    assert (known["E11"].values, known["E11"].has_code) == ({}, False)
    assert {name for row in TABLE for name in errata(row)} == set(known)
    for name, erratum in known.items():
        assert erratum.values or not erratum.has_code or name in {"E9", "G6", "H2"}
    assert "| 0.837566 | 1.337566 | 1.337566 |" in equation_pages()["equations/b-13"]


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


# ------------------------------------------------------------------ the built pages
@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The pages of PART, built without a warning; no link is dead, nothing comes from elsewhere."""
    folder = tmp_path_factory.mktemp("website")
    assert built(folder, "--only", ",".join(PART)) == ""
    return folder / "site"


def built(folder: Path, *options: str) -> str:
    """Build into folder/site by a process of its own; what is wrong with the result."""
    done = subprocess.run([sys.executable, ROOT / "docs" / "build.py", "--out", folder / "site",
                           "--kept", folder / "kept", *options],
                          capture_output=True, text=True, check=False, timeout=900)
    return done.stdout + done.stderr if done.returncode else ""


def test_formulas_are_in_the_pages_as_mathml(site: Path) -> None:
    page = (site / "equations" / "b-13.html").read_text(encoding="utf-8")
    assert page.count('class="formula"') == 2
    assert not re.search(r"<script[^>]*(mathjax|katex)", page.lower())
    assert 'role="heading" aria-level="2"' in page
    assert "<pre>" not in page
    assert (site / "_static" / "math.woff").stat().st_size < 700_000
    api = (site / "api" / "refot.objectives.html").read_text(encoding="utf-8")
    assert "<math" in api
    assert 'href="../equations/b-13.html"' in api


def test_from_formula_to_function_and_test_in_two_clicks(site: Path) -> None:
    overview = (site / "equations.html").read_text(encoding="utf-8")
    built = [row for row in TABLE if (site / "equations" / f"{row.slug}.html").exists()]
    assert len(built) >= 5
    for row in random.Random(0).sample(built, 5):
        assert f'href="equations/{row.slug}.html"' in overview  # the first click
        page = (site / "equations" / f"{row.slug}.html").read_text(encoding="utf-8")
        for name in (*functions(row), *names.tests(row)):
            assert re.split(r"\W", name)[-1] in page  # the source is on the page
        assert "<math" in page


def test_the_example_of_the_first_page_shows_what_it_prints() -> None:
    text = texts(["index"])["index"]
    assert re.search(r"converged: True after \d+ iterations\nF = [\d.]+, S = [\d.]+\nproved", text)


def visited(site: Path, name: str, width: int, folder: Path, script: str = "",
            theme: str = "", query: str = "", wait: int = 0) -> Visit:
    """Open a page of the site, in a theme and with a script of the test where asked for."""
    page = site / name
    if script or theme:
        text = page.read_text(encoding="utf-8")
        first = f'<script>document.body.dataset.theme = "{theme or "light"}";</script>'
        page = page.with_name(f"with-script-{theme}-{width}-{page.name}")
        text = text.replace("</body>", f"{first}<script>{script}</script></body>")
        page.write_text(text, encoding="utf-8")
    return visit(page, width, folder, query, wait)


FITS = """addEventListener("load", () => {
  const root = document.documentElement;
  console.log("wide " + (root.scrollWidth <= root.clientWidth));
});"""


@needs_chromium
@pytest.mark.parametrize(("name", "width", "theme"), [
    ("index.html", 400, "light"), ("equations.html", 400, "dark"),
    ("equations/b-24.html", 400, "light"), ("equations/b-10.html", 1600, "dark"),
    ("figures.html", 400, "dark"), ("api/refot.objectives.html", 400, "light"),
    ("errata.html", 1600, "light"), ("notation.html", 400, "dark")])
def test_a_browser_shows_it_without_a_word_and_nothing_is_too_wide(
    name: str, width: int, theme: str, site: Path, tmp_path: Path
) -> None:
    seen = visited(site, name, width, tmp_path, FITS, theme)
    assert seen.console == ["wide true"]
    assert seen.requests == []
    background = float(seen.picture[:40, :, :3].mean())
    assert (background > 0.7) == (theme == "light")


SLIDE = """
  const figure = document.querySelector("figure.play[data-start]");
  const slider = figure.querySelector("input");
  const before = figure.querySelector("[data-k]").outerHTML;
  slider.focus();
  console.log("focus " + (document.activeElement === slider));
  slider.value = 0;
  slider.dispatchEvent(new Event("input"));
  console.log("moved " + (figure.querySelector("[data-k]").outerHTML !== before));
  console.log(slider.getAttribute("aria-valuetext").slice(0, 5));
"""


@needs_chromium
def test_a_slider_moves_its_figure(site: Path, tmp_path: Path) -> None:
    script = f'addEventListener("load", () => {{{SLIDE}}});'
    seen = visited(site, "equations/b-10.html", 800, tmp_path, script)
    assert seen.console == ["focus true", "moved true", "eps →"]
    assert FIGURES["plan"].svg().count("<path") == 24 * 24  # the picture without scripts


@needs_chromium
def test_search_works_from_a_file(site: Path, tmp_path: Path) -> None:
    script = """setTimeout(() => {
      const found = [...document.querySelectorAll("#search-results li a")];
      console.log("found " + found.some(a => a.href.includes("b-24")));
    }, 4000);"""
    seen = visited(site, "search.html", 800, tmp_path, script, query="?q=semi-dual", wait=5000)
    assert seen.console == ["found true"]
    assert seen.requests == []


# ------------------------------------------------------------------ all of it
@pytest.mark.slow
def test_the_whole_site_has_no_warning_no_dead_link_and_no_request(tmp_path: Path) -> None:
    assert built(tmp_path) == ""
    for row in random.Random(1).sample(TABLE, 10):
        page = (tmp_path / "site" / "equations" / f"{row.slug}.html").read_text(encoding="utf-8")
        assert "<math" in page
        assert 'class="reference internal" href="../api/' in page  # the second click
