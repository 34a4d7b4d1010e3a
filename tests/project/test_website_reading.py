"""What a reader meets first: the sidebar, the libraries' letters, pictures, tables."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("sphinx", reason="needs the `docs` extra")

from website.stage import NAVIGATION, equations_linked
from website.stills import with_pictures
from website.tables import with_cards

from refot.conventions.convert import CONVENTIONS, eps_to_refot

DOCS = Path(__file__).resolve().parents[2] / "docs"


# ------------------------------------------------------------------ the sidebar
def test_only_what_to_type_first_stands_before_it_in_the_sidebar() -> None:
    assert next(iter(NAVIGATION.values()))[:2] == ["install", "what-is-entropic-transport"]


# ------------------------------------------------------------------ the letters
RELATIONS = {r"\mathrm{reg}": 0.3, r"\mathrm{epsilon}": 0.3, r"2\,\mathrm{blur}^2": 2 * 0.3**2,
             r"\mathrm{blur}": 0.3, r"\mathrm{blur}^2": 0.3**2, r"1/\mathrm{gamma\_f}": 1 / 0.3}
"""What eps is where their parameter is 0.3, for each formula of the page."""


def test_the_letters_of_the_libraries_are_those_of_the_conventions() -> None:
    page = (DOCS / "notation.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| `(?P<name>\w+\.[^`]+)` \| .*? \| `(?P<letter>\w+)` \| \$(?P<eps>.*?)\$",
                      page, re.MULTILINE)
    assert len(rows) >= 10
    for name, letter, formula in rows:
        assert CONVENTIONS[name].parameter.split(":")[0] == letter
        np.testing.assert_allclose(eps_to_refot(name, 0.3), RELATIONS[formula])
    assert {CONVENTIONS[name].library for name, _, _ in rows} >= {
        "POT", "OTT-JAX", "GeomLoss", "flash-sinkhorn", "MDOT-TNT", "regot"}


# ------------------------------------------------------------------ what the site makes of a page
def test_numbers_of_equations_become_links_but_not_in_code_links_or_headings() -> None:
    text = "# About B-9\n\nS of B-9, `B-9`, [B-9](b.md), B-12 and B-999.\n"
    assert equations_linked(text, "") == (
        "# About B-9\n\nS of [B-9](equations/b-9.md), `B-9`, [B-9](b.md), "
        "[B-12](equations/b-10.md) and B-999.\n")


def test_a_picture_is_in_the_page_without_what_would_hold_for_all_of_it(tmp_path: Path) -> None:
    (tmp_path / "figures").mkdir()
    (tmp_path / "figures" / "a.svg").write_text(
        '<?xml version="1.0"?>\n<svg width="9pt" height="9pt" viewBox="0 0 9 9">\n'
        '<style id="alone">svg { color: red }</style>\n<g id="axes_1"><path/></g></svg>',
        encoding="utf-8")
    page = with_pictures("before\n\n![a < b](figures/a.svg)\n", tmp_path)
    assert page == ('before\n\n```{raw} html\n<figure class="still"><svg role="img" '
                    'aria-label="a &lt; b" viewBox="0 0 9 9"> <g><path/></g></svg></figure>\n```\n')


def test_every_svg_picture_follows_the_page_into_the_dark() -> None:
    pictures = sorted((DOCS / "figures").glob("*.svg"))
    assert len(pictures) >= 10
    for path in pictures:
        text = path.read_text(encoding="utf-8").partition("</style>")[2]
        assert "currentColor" in text
        assert not re.search(r"(fill|stroke): #0000(00|01)", text), path.name


def test_cells_of_a_wide_table_carry_their_heading() -> None:
    row = "<tr><td>1</td><td><code class=\"docutils literal\">a_b.c</code></td><td>3</td></tr>"
    table = ('<table class="docutils x"><thead>'
             '<tr><th></th><th>two <b>words</b></th><th>C</th></tr>'
             f"</thead><tbody>{row}</tbody></table>")
    page = with_cards(table)
    assert re.findall(r'data-label="([^"]*)"', page) == ["", "two words", "C"]
    assert "a_<wbr>b.<wbr>c" in page
    assert 'role="table"' in page
    assert "<th></th>" not in page
    narrow = table.replace("<th>C</th>", "").replace("<td>3</td>", "")
    assert "data-label" not in with_cards(narrow)
