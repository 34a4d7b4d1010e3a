"""The built website, and what a browser makes of it.

The fast tests build the pages of PART. The slow ones build all of them, as docs.yml does.
"""

from __future__ import annotations

import random
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("sphinx", reason="needs the `docs` extra")

from browser import Visit, needs_chromium, visit
from website import names
from website.figures import FIGURES
from website.names import functions
from website.register import register
from website.stage import texts

ROOT = Path(__file__).resolve().parents[2]
TABLE = register()
PART = ["index", "equations", "equations/b", "equations/b-10", "equations/b-13", "equations/b-24",
        "equations/b-29", "equations/h-8", "errata", "notation", "figures", "solvers",
        "api/index", "api/refot.objectives"]


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
@pytest.mark.parametrize(("query", "page", "among"), [
    ("semi-dual", "equations/b-24.html", 3), ("B-24", "equations/b-24.html", 1),
    ("h-8", "equations/h-8.html", 1), ("E3", "errata.html", 1)])
def test_search_works_from_a_file(query: str, page: str, among: int, site: Path,
                                  tmp_path: Path) -> None:
    """A number leads to its own page first, a word to it among the first."""
    script = """setTimeout(() => {
      const found = [...document.querySelectorAll("#search-results li a")];
      console.log(found.map(a => a.href.split("/site/")[1].split(/[?#]/)[0]).join(" "));
    }, 4000);"""
    seen = visited(site, "search.html", 800, tmp_path, script, query=f"?q={query}", wait=5000)
    assert len(seen.console) == 1
    assert page in seen.console[0].split()[:among]
    assert seen.requests == []


# ------------------------------------------------------------------ all of it
@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The whole site; a warning, a dead link or something loaded from elsewhere is an error."""
    folder = tmp_path_factory.mktemp("whole")
    assert built(folder) == ""
    return folder / "site"


@pytest.mark.slow
def test_the_whole_site_has_no_warning_no_dead_link_and_no_request(whole: Path) -> None:
    for row in random.Random(1).sample(TABLE, 10):
        page = (whole / "equations" / f"{row.slug}.html").read_text(encoding="utf-8")
        assert "<math" in page
        assert 'class="reference internal" href="../api/' in page


CLICKS = """addEventListener("load", () => {
  const shown = node => node !== undefined && node.offsetHeight > 0;
  let clicks = 0;
  const reach = text => {
    const block = [...document.querySelectorAll("pre")].find(p => p.textContent.includes(text));
    if (block && !shown(block)) { block.closest("details").querySelector("summary").click();
                                  clicks += 1; }
    return shown(block);
  };
  console.log(`formula ${document.querySelector(".formula math").clientWidth > 0}`,
              `function ${reach("FUNCTION")} test ${reach("TEST")} clicks ${clicks <= 2}`);
});"""


@pytest.mark.slow
@needs_chromium
def test_from_a_formula_to_its_function_and_test_in_two_clicks(whole: Path, tmp_path: Path) -> None:
    for row in random.Random(2).sample(TABLE, 10):
        first = names.source(functions(row)[0]).text
        name = re.search(r"^(?:def|class) (\w+)", first, re.MULTILINE)
        assert name is not None
        test = names.tests(row)[0].rpartition("::")[2]
        script = (CLICKS.replace("FUNCTION", name[0]).replace("TEST", f"def {test}("))
        seen = visited(whole, f"equations/{row.slug}.html", 1200, tmp_path, script)
        assert seen.console == ["formula true function true test true clicks true"], row.slug


AXE = next((path for path in (ROOT / "node_modules" / "axe-core" / "axe.min.js",
                              Path("/usr/share/javascript/axe-core/axe.min.js")) if path.exists()),
           None)
"""Deque's rules for accessible pages: `npm install --no-save axe-core` puts them there."""

JUDGE = """</script><script src="axe.min.js"></script><script>
addEventListener("load", async () => {
  const found = await axe.run({preload: false});
  for (const each of found.violations)
    if (["serious", "critical"].includes(each.impact))
      console.log(`${each.id}: ${each.nodes[0].target}`);
  console.log(`rules that hold: ${found.passes.length > 20}`);
});"""

JUDGED = ["index.html", "what-is-entropic-transport.html", "first-training.html", "equations.html",
          "equations/b-24.html", "figures.html", "api/refot.objectives.html", "notation.html",
          "conventions.html", "benchmarks.html"]


@pytest.mark.slow
@needs_chromium
@pytest.mark.skipif(AXE is None, reason="axe-core is not here: npm install --no-save axe-core")
@pytest.mark.parametrize("theme", ["light", "dark"])
def test_axe_finds_no_serious_fault(theme: str, whole: Path, tmp_path: Path) -> None:
    assert AXE is not None
    for name in JUDGED:
        shutil.copy(AXE, (whole / name).parent)
        seen = visited(whole, name, 400 if theme == "dark" else 1200, tmp_path, JUDGE, theme,
                       wait=20_000)
        assert seen.console == ["rules that hold: true"], name
