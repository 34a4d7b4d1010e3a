"""The scoreboard: what a record keeps, what a cell says, and the site in a real browser."""

from __future__ import annotations

import json
import math
import re
import shlex
from collections.abc import Iterable
from dataclasses import replace
from html import unescape
from pathlib import Path
from typing import Any
from xml.etree.ElementTree import fromstring

import numpy as np
import pytest
from browser import needs_chromium, visit
from typer.testing import CliRunner

pytest.importorskip("fontTools", reason="needs the `docs` extra")

from website.finish import check as dead_links

from refot.cli.app import app
from refot.verification.reports.scoreboard.badge import COLOURS, endpoint, message, svg
from refot.verification.reports.scoreboard.frame import page_of
from refot.verification.reports.scoreboard.record import Record, RecordError, Result, read, write
from refot.verification.reports.scoreboard.site import write_scoreboard
from refot.verification.reports.scoreboard.summary import (
    Cell,
    by_library,
    changes,
    offers,
    version_order,
)
from refot.verification.reports.terminal import write_json
from refot.verification.runs.levels import Level
from refot.verification.runs.run import CheckResult, Report
from refot.verification.subjects.subject import Part, Subject
from refot.verification.tools.scoreboard import RUNS, in_time

ROOT = Path(__file__).resolve().parents[3]

EVIL = "<script>alert(1)</script>"

SAID = "it is <b>off</b> by a factor"


def found(part: str, id: str, case: str = "gaussian", status: str = "passed",
          difficulty: str = "ordinary", **rest: Any) -> CheckResult:
    numbers = {"measured": 1.5, "expected": (1.0, 1.0 + 2**-40), "error": 0.5, "tolerance": 1e-6}
    return CheckResult(part=part, id=id, capability=id.partition(".")[0], case=case, status=status,
                       difficulty=difficulty, **(numbers | rest))


def report(name: str, version: str, results: Iterable[CheckResult]) -> Report:
    results = tuple(results)
    parts = dict.fromkeys(result.part for result in results)
    return Report(Subject(name, version, tuple(Part(part, {}) for part in parts)), "quick", "numpy",
                  results)


def results(silent: bool) -> list[CheckResult]:
    """Two parts: `good` has a right value, and `bad` a wrong one; each level occurs."""
    hard = {"case": "small-eps", "difficulty": "hard"}
    return [
        found("good()", "value.certified", digits=11.234),
        found("good()", "value.certified", digits=13.0, case="l1"),
        found("good()", "value.offset"),
        found("good()", "value.certified", **hard, status="failed" if silent else "passed",
              digits=1.0, diagnosis="not converged" if silent else ""),
        found("good()", "value.refuses-nan-cost", status="failed", measured=math.nan,
              expected=None, error=math.inf, tolerance=0.0),
        found(EVIL, "value.certified", status="failed", digits=0.3, diagnosis=SAID),
        found(EVIL, "value.certified", case="l1", status="failed", digits=0.4, measured=-math.inf,
              error=math.inf),
        found(EVIL, "plan.rows", **hard, status="failed", said="it warns"),
        found(EVIL, "plan.columns", **hard, status="error", measured=None, expected=None,
              error=None, tolerance=None, message="MemoryError: no"),
        found(EVIL, "plan.rows", status="not_provided", measured=None, expected=None, error=None,
              tolerance=None, case="l1"),
        CheckResult("softmin.*", "a library", "softmin", "", "not_provided"),
    ]


@pytest.fixture
def reports(tmp_path: Path) -> list[Path]:
    """One library in two versions, and another one."""
    made = {"1": report("A library", "0.9", results(silent=True)),
            "2": report("A library", "0.10", results(silent=False)),
            "3": report(EVIL, EVIL, results(silent=True))}
    for name, each in made.items():
        write_json(each, tmp_path / f"{name}.json", ("a library", "--seed", "3"))
    return [tmp_path / f"{name}.json" for name in made]


def record(*results: Result) -> Record:
    parts = tuple(dict.fromkeys(result.part for result in results))
    return Record("a", "1", "0", "quick", (), parts, results)


def result(part: str = "f", level: Level = Level.RIGHT, digits: float | None = None,
           id: str = "value.certified", difficulty: str = "ordinary") -> Result:
    return Result(part, id, "gaussian", level, difficulty, digits)


# ------------------------------------------------------------------ the record
def test_a_record_has_every_result_of_the_report_and_is_read_back(
    reports: list[Path], tmp_path: Path
) -> None:
    first = read(reports[0])
    checks = json.loads(reports[0].read_text("utf-8"))["checks"]
    kept = {(each.part, each.id, each.case): each for each in first.results}
    asked = [check for check in checks if check["case"]]
    assert len(kept) == len(first.results) == len(asked) == 10
    for check in asked:
        each = kept[check["part"], check["id"], check["case"]]
        assert each.level.value == check["level"]
        assert each.difficulty == check["difficulty"]
        if each.level is not Level.RIGHT:
            assert each.why == (check["diagnosis"] or check["message"])
            assert each.numbers[0] == (None if check["measured"] is None
                                       else pytest.approx(float(check["measured"]), nan_ok=True))
    assert {each.level for each in first.results} == set(Level)
    write(first, tmp_path / "again.json")
    assert repr(sorted(read(tmp_path / "again.json").results, key=repr)) == repr(
        sorted(first.results, key=repr))  # by their text, since a NaN is not equal to itself
    assert replace(read(tmp_path / "again.json"), results=()) == replace(first, results=())


@pytest.mark.parametrize("text", [
    "", "[]", "{}", '{"format": 1}', '{"format": 2}', '{"format": "refot record 1"}',
    '{"format": 2, "checks": [{"case": "x", "level": "good"}]}',
    '{"format": "refot record 1", "parts": ["f"], "cases": [["x", "easy"]], "whys": [], '
    '"checks": [{"part": 0, "id": "value.certified", "right": [[0, 1]], "others": []}]}',
    '{"format": "refot record 1", "parts": [], "cases": [], "whys": [], '
    '"checks": [{"part": 3, "id": "value.certified", "right": [], "others": []}]}'])
def test_another_file_is_refused_by_name(text: str, tmp_path: Path) -> None:
    file = tmp_path / "x.json"
    file.write_text(text, "utf-8")
    with pytest.raises(RecordError, match=re.escape(str(file))):
        read(file)


# ------------------------------------------------------------------ what a cell says
def test_a_cell_counts_bad_input_apart_and_digits_on_ordinary_problems() -> None:
    cell = Cell((result(digits=3.0), result(digits=8.0), result(digits=9.0),
                 result(level=Level.SILENT, digits=0.0, difficulty="hard"),
                 result(level=Level.LAX, id="value.refuses-nan-cost"),
                 result(level=Level.UNKNOWN)))
    assert (cell.asked, cell.right) == (4, 3)
    assert cell.digits() == (3.0, 8.0)
    assert cell.level is Level.SILENT
    assert cell.words() == "silent 1 of 4"
    assert not cell.acceptable
    lax = Cell((result(), result(level=Level.LAX, id="value.refuses-nan-cost")))
    assert (lax.level, lax.words(), lax.acceptable) == (Level.RIGHT, "right 1/1", True)
    assert not Cell((result(level=Level.UNKNOWN),)).acceptable


def test_the_best_function_has_fewest_wrong_then_silent_then_most_digits() -> None:
    made = record(result("wrong", Level.WRONG, 15.0), result("silent", Level.SILENT, 15.0),
                  result("right", digits=9.0), result("better", digits=11.0))
    offer = offers(made)["value"]
    assert sorted(offer.cells, key=lambda part: offer.cells[part].quality) == [
        "wrong", "silent", "right", "better"]
    assert offer.best_part == "better"
    assert offer.acceptable == 2


def test_the_badge_says_what_the_best_function_gets() -> None:
    made = record(result("f", digits=11.24), result("f"), result("g", Level.WRONG))
    assert message(made) == "value 2/2, 11.2 digits"
    picture = fromstring(svg(made))
    assert picture.tag == "{http://www.w3.org/2000/svg}svg"
    assert COLOURS[Level.RIGHT] in svg(made)
    said = endpoint(made, "a-1.html")
    assert (said["schemaVersion"], said["label"], said["message"]) == (
        1, "refot", "value 2/2, 11.2 digits")
    assert said["part"] == "f"
    assert said["levels"] == {"right": 2, "wrong": 1, "silent": 0, "said": 0, "lax": 0,
                              "unknown": 0}
    assert COLOURS[Level.WRONG] in svg(record(result("g", Level.WRONG)))
    assert message(record(result(id="dual.certified", digits=3.0))) == "dual 1/1, 3.0 digits"
    assert message(record(result(level=Level.UNKNOWN))) == "not judged"


def test_versions_are_in_order_and_compared(reports: list[Path]) -> None:
    libraries = by_library(map(read, reports))
    old, new = libraries["A library"]
    assert (old.version, new.version) == ("0.9", "0.10")
    assert sorted(["0.9.7.post1", "0.10", "0.9.7", "0.9"], key=version_order) == [
        "0.9", "0.9.7", "0.9.7.post1", "0.10"]
    better, worse = changes(old, new)
    assert [(each.part, each.case) for each in better] == [("good()", "small-eps")]
    assert worse == []
    assert changes(new, old) == ([], [next(each for each in old.results
                                           if each.level is Level.SILENT)])


# ------------------------------------------------------------------ the site
@pytest.fixture
def site(reports: list[Path], tmp_path: Path) -> Path:
    write_scoreboard(reports, tmp_path / "site")
    return tmp_path / "site"


def test_links_resolve_and_each_cell_leads_to_its_evidence_and_command(site: Path) -> None:
    assert list(dead_links(site)) == []
    index = (site / "index.html").read_text("utf-8")
    newest = re.findall(r'<td class="\w+" data-label="A library 0.10"><a href="([^"]+)"', index)
    assert len(newest) == 2
    file, _, place = newest[0].partition("#")
    assert file == "a-library-0.10.html"
    text = (site / file).read_text("utf-8")
    assert f'<section id="{place}">' in text
    asked = [shlex.split(unescape(command))
             for command in re.findall(r"<code[^>]*>(refot .*?)</code>", text)]
    assert all(words[:5] == ["refot", "verify", "a library", "--seed", "3"] for words in asked)
    assert any(words[5:] == ["--part", EVIL, "--check", "value.certified", "--case", "gaussian",
                             "--debug"] for words in asked)


def test_the_site_says_what_the_report_says(site: Path) -> None:
    text = (site / "a-library-0.10.html").read_text("utf-8")
    assert EVIL not in text
    assert "it is &lt;b&gt;off&lt;/b&gt; by a factor" in text
    assert "better than in 0.9: 1 checks" in text
    assert "right 4/4" in text
    assert "[1, 1.000000000001]" in text
    assert "MemoryError: no" in text


def test_it_is_made_again_from_its_own_records(site: Path, tmp_path: Path) -> None:
    again = tmp_path / "again"
    write_scoreboard(sorted(site.glob("*.record.json")), again)
    assert {file.name: file.read_bytes() for file in again.iterdir()} == {
        file.name: file.read_bytes() for file in site.iterdir()}


def test_two_reports_of_one_version_are_refused(reports: list[Path], tmp_path: Path) -> None:
    with pytest.raises(RecordError, match=r"A library 0\.9 again"):
        write_scoreboard([reports[0], reports[0]], tmp_path / "site")


@pytest.mark.parametrize(("names", "file"), [
    ((("A library", "1"), ("a-library", "2")), "a-library.svg"), ((("index", ""),), "index.html"),
    ((("矩陣", "1"), ("行列", "1")), "1.html"), ((("x", ""), ("矩陣", "")), "x.html")])
def test_no_file_of_a_library_is_written_over_another(
    names: tuple[tuple[str, str], ...], file: str, tmp_path: Path
) -> None:
    """A file name has fewer signs than the name of a library."""
    made = [tmp_path / f"{k}.json" for k in range(len(names))]
    for path, (name, version) in zip(made, names, strict=True):
        write_json(report(name, version, results(silent=True)), path, ("it",))
    with pytest.raises(RecordError, match=f"{re.escape(file)} would be written twice"):
        write_scoreboard(made, tmp_path / "site")
    assert not (tmp_path / "site").exists()


def test_the_command_writes_the_site(reports: list[Path], tmp_path: Path) -> None:
    out = tmp_path / "made"
    done = CliRunner().invoke(app, ["scoreboard", *map(str, reports), "--out", str(out)])
    assert done.exit_code == 0
    badges = sorted(file.stem for file in out.glob("*.svg"))
    assert badges == sorted(file.stem for file in out.glob("*.json") if "record" not in file.name)
    assert {page_of(read(file)) for file in out.glob("*.record.json")} | {"index.html"} == {
        file.name for file in out.glob("*.html")}


LOOK = """
  const root = document.documentElement;
  console.log("wide " + (root.scrollWidth <= root.clientWidth));
  const seen = [...document.querySelectorAll("p, td, th, dd, dt, h1, h2, summary, a")]
    .filter(each => each.offsetParent !== null);
  console.log("small " + seen.some(each => parseFloat(getComputedStyle(each).fontSize) < 11.9));
  location.hash = "#part-0-value";
  const place = document.getElementById("part-0-value");
  setTimeout(() => console.log("open " + (!place || place.offsetParent !== null)), 50);
"""


@needs_chromium
@pytest.mark.parametrize("width", [400, 1600])
@pytest.mark.parametrize("name", ["index", "a-library-0.10"])
def test_a_browser_shows_it_without_a_word_and_asks_for_nothing(
    name: str, width: int, site: Path, tmp_path: Path
) -> None:
    page = site / f"{name}.html"
    plain = visit(page, width, tmp_path / "plain")
    assert plain.console == []
    assert plain.requests == []
    assert plain.picture.shape[1] == width
    assert np.std(plain.picture[:, :, :3]) > 0.02  # it is not blank
    without = re.sub(r'<meta http-equiv="Content-Security-Policy"[^>]*>', "",
                     page.read_text("utf-8"))
    page.write_text(without.replace("</body>", f"<script>{LOOK}</script></body>"), "utf-8")
    assert visit(page, width, tmp_path / "looked", wait=1000).console == [
        "wide true", "small false", "open true"]


# ------------------------------------------------------------------ the scoreboard of the libraries
RECORDS = sorted((ROOT / "docs" / "scoreboard").glob("*.record.json"))


def test_the_records_of_the_libraries_are_small_and_make_a_site(tmp_path: Path) -> None:
    assert sum(file.stat().st_size for file in RECORDS) < 2_000_000
    libraries = by_library(map(read, RECORDS))
    assert {"POT", "GeomLoss", "refot on numpy"} <= set(libraries)
    write_scoreboard(RECORDS, tmp_path)
    assert list(dead_links(tmp_path)) == []
    assert {record.arguments[0] for versions in libraries.values() for record in versions} <= {
        run.target for run in RUNS}


def test_what_came_too_late_is_asked_again_alone() -> None:
    late = replace(result("late", Level.LAX), why="not refused: no answer within 10 s")
    found = in_time(record(result("right"), late), lambda asked: result(asked.part))
    assert [(each.part, each.level) for each in found.results] == [
        ("right", Level.RIGHT), ("late", Level.RIGHT)]
