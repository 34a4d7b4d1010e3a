"""The page of `refot verify --html`: what is on it, that nothing escapes, and Chromium opens it."""

from __future__ import annotations

import base64
import hashlib
import math
import re
import shlex
import warnings
from dataclasses import dataclass, field
from html.parser import HTMLParser
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from browser import Visit, needs_chromium
from browser import visit as visit_file

import refot
from refot.verification.cases.case import collect
from refot.verification.reports.html import results as html_report_results
from refot.verification.reports.html.page import html, write_html
from refot.verification.reports.html.pictures import Axis, Point, error_picture, interval_picture
from refot.verification.reports.html.source import Source
from refot.verification.reports.rerun import Rerun, words
from refot.verification.runs.asked import Selection
from refot.verification.runs.run import Report, run
from refot.verification.runs.selection import run_selection
from refot.verification.subjects.loading import as_subject
from refot.verification.subjects.subject import Part, Subject

EVIL = ("<script>alert(1)</script><img src='http://127.0.0.1:9/x.png' onerror=alert(2)>"
        "&\"'\x00\ud800")
"""A name that would be a script, a request and a broken file, if it were not only text."""


def value(C, a, b, eps):
    """Wrong in each way that a page has to show, and hostile in what it says."""
    if len(b) == 1:
        raise ZeroDivisionError(EVIL)
    if (a == 0).any():
        return math.nan
    if C.shape == (12, 12):
        raise NotImplementedError(EVIL)
    print(EVIL)
    warnings.warn(EVIL, stacklevel=1)
    return refot.sharp_value(C, a, b, eps)


@pytest.fixture(scope="module")
def report() -> Report:
    subject = SimpleNamespace(name=EVIL, version=EVIL, value=value,
                              mutual_information=refot.mutual_information)
    return run(as_subject(subject, EVIL))


@pytest.fixture(scope="module")
def text(report: Report, tmp_path_factory: pytest.TempPathFactory) -> str:
    file = tmp_path_factory.mktemp("page") / "report.html"
    write_html(report, file, words(f"{EVIL}.py:x", None, None, "quick", 0))
    return file.read_text(encoding="utf-8")


# ------------------------------------------------------------------ what is on the page
@dataclass
class Seen(HTMLParser):
    """Every element with its attributes, and the text of scripts, styles and the rest."""

    elements: list[tuple[str, dict[str, str | None]]] = field(default_factory=list)
    words: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        super().__init__()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        last = self.elements[-1][0] if self.elements else ""
        kind = last if last in ("script", "style") and data.strip() else "text"
        self.words[kind] = self.words.get(kind, "") + data


def parsed(text: str) -> Seen:
    seen = Seen()
    seen.feed(text)
    seen.close()
    return seen


def test_what_a_subject_says_is_text_and_nothing_else(text: str) -> None:
    seen = parsed(text)
    names = [name for name, _ in seen.elements]
    assert names.count("script") == names.count("style") == 1
    assert not {"img", "iframe", "object", "embed", "link", "base", "form"} & set(names)
    assert not [key for _, attributes in seen.elements for key in attributes
                if key.startswith("on") or key in ("src", "style")]
    assert "alert" not in seen.words["script"]
    assert seen.words["text"].count("alert(1)") > 10  # the name, a message, a warning, a print


def test_the_policy_allows_the_style_and_the_script_of_the_page_only(text: str) -> None:
    seen = parsed(text)
    (policy,) = [attributes["content"] for name, attributes in seen.elements
                 if attributes.get("http-equiv") == "Content-Security-Policy"]
    assert policy is not None
    directives = dict(part.split(" ", 1) for part in policy.split("; "))
    own, closed = {"style-src", "script-src"}, {"default-src", "base-uri", "form-action"}
    assert directives.keys() == own | closed
    assert {directives[name] for name in closed} == {"'none'"}
    for kind in ("style", "script"):
        digest = base64.b64encode(hashlib.sha256(seen.words[kind].encode()).digest()).decode()
        assert directives[f"{kind}-src"] == f"'sha256-{digest}'"


def test_the_page_has_every_result(report: Report, text: str) -> None:
    shown = parsed(text).words["text"]
    for status in ("passed", "failed", "not_provided"):
        assert f"{report.count(status)} {status.replace('_', ' ')}" in shown
    wrong = [result for result in report.checks if result.status in ("failed", "error")]
    assert text.count("<article") == len(wrong)
    assert "the sharp cost <C,P>: eps KL(P | a(x)b) is missing" in shown
    assert all(result.diagnosis in shown for result in wrong)
    assert "The KL-inclusive value lies in its certified interval" in shown
    answered = [result for result in wrong if result.measured is not None]
    passed = {result.id for result in report.checks if result.status == "passed"}
    assert text.count('class="interval"') == len(answered) + len(passed)
    assert text.count('class="errors"') == 2 * len({"value", "mutual_information"})
    assert refot.__version__ in shown
    assert np.__version__ in shown


def test_the_command_that_runs_one_check_again_is_one_for_a_shell() -> None:
    again = Rerun(words("it's/mine.py:f", None, "value", "full", 3))
    result = SimpleNamespace(id="value.certified", case="gaussian#4")
    assert shlex.split(again.one(result, ("--part", "f(x='y')"))) == [
        "refot", "verify", "it's/mine.py:f", "--as", "value", "--profile", "full", "--seed", "3",
        "--part", "f(x='y')", "--check", "value.certified", "--case", "gaussian#4", "--debug"]
    assert words(None, "prog {in} {out}", None, "quick", 0) == ("--command", "prog {in} {out}")


@pytest.mark.parametrize("unfolded", [1, 2])
def test_parts_are_told_apart_and_many_failures_are_folded(
    unfolded: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(html_report_results, "OPEN", unfolded)
    parts = tuple(Part(name, {"value": lambda C, a, b, eps: 1.0}) for name in ("one", "two"))
    selection = Selection("value.certified", "gaussian")
    found = run_selection(Subject("two parts", "", parts), selection)
    cases = {case.name: case for case in collect("quick")[0]}
    page = html(Source(found, cases, Rerun(("x.py:f",))))
    assert "--part two" in page
    assert 'id="part-1"' in page
    assert 'href="#part-1"' in page
    assert page.count(' open=""') == (2 if unfolded == 2 else 0)


# ------------------------------------------------------------------ the pictures
def bars(measured: float, expected: tuple[float, float], tolerance: float) -> dict[str, float]:
    """x of the measured line, and the middle and width of the two bars."""
    picture = interval_picture(measured, expected, tolerance, "")
    found = {}
    for element in picture:
        kind = element.get("class", "")
        if element.tag == "rect":
            x, width = float(element.get("x", "")), float(element.get("width", ""))
            found |= {kind: x + width / 2, f"{kind} width": width}
        elif kind == "measured":
            found[kind] = float(element.get("x1", ""))
    return found


def test_an_interval_is_drawn_to_scale() -> None:
    found = bars(3.0, (1.0, 2.0), 0.5)  # from 0.5 to 3.0 on 216 units after a margin of 12
    assert found["measured"] == pytest.approx(228, abs=0.1)
    assert found["certified"] == pytest.approx(12 + 216 * (1.5 - 0.5) / 2.5, abs=0.1)
    assert found["certified width"] == pytest.approx(216 / 2.5, abs=0.1)
    assert found["allowed width"] == pytest.approx(216 * 2 / 2.5, abs=0.1)
    inside = bars(1.5, (1.0, 2.0), 0.5)
    assert inside["measured"] == pytest.approx(inside["certified"], abs=0.1)


@pytest.mark.parametrize("offset", [0.0, 1e6])
def test_an_interval_narrower_than_a_pixel_is_seen(offset: float) -> None:
    found = bars(offset + 1.0, (offset, offset), 0.0)
    assert found["certified width"] == 3
    assert found["certified"] < found["measured"]
    assert bars(offset, (offset, offset), 0.0)["measured"] == pytest.approx(12)


@pytest.mark.parametrize("measured", [math.nan, math.inf])
def test_what_is_not_finite_is_written(measured: float) -> None:
    picture = interval_picture(measured, (0.0, 1.0), 0.1, "")
    assert [element.text for element in picture if element.tag == "text"] == [
        f"measured: {measured}"]


def test_errors_are_drawn_on_decades_and_failures_on_top() -> None:
    axis = Axis(-2, 2, 0.0, 100.0)
    assert [axis.at(x) for x in (0.0, 0.01, 1.0, 10.0, 1e9, math.inf, math.nan)] == [
        0, 0, 50, 75, 100, 100, 100]
    points = [Point(1.0, 10.0, False, "failed"), Point(1.0, 0.1, True, "passed"),
              Point(1.0, 10.0, True, "hidden")]
    marks = [element for element in error_picture(points, "n")
             if element.get("class") in ("passed", "failed")]
    assert [mark.get("class") for mark in marks] == ["passed", "failed"]
    assert marks[1][0].text == "failed"


# ------------------------------------------------------------------ in a real browser
def visit(page: str, width: int, folder: Path) -> Visit:
    """Open a page in headless Chromium in a window of that width."""
    folder.mkdir()
    (folder / "page.html").write_text(page, encoding="utf-8")
    return visit_file(folder / "page.html", width, folder)


def with_script(page: str, script: str) -> str:
    """The page with a script of the test, which its policy would not let run."""
    without = re.sub(r'<meta http-equiv="Content-Security-Policy"[^>]*>', "", page)
    assert without != page
    return without.replace("</body>", f"<script>{script}</script></body>")


@needs_chromium
@pytest.mark.parametrize("width", [400, 1600])
def test_a_browser_shows_it_without_a_word_and_asks_for_nothing(
    width: int, text: str, tmp_path: Path
) -> None:
    seen = visit(text, width, tmp_path / "plain")
    assert seen.console == []
    assert seen.requests == []
    assert seen.picture.shape[1] == width
    assert seen.picture[:, :, :3].std() > 0.02  # it is not blank


@needs_chromium
@pytest.mark.parametrize("width", [400, 1600])
def test_nothing_is_wider_than_the_window_and_the_filter_works(
    width: int, text: str, tmp_path: Path
) -> None:
    script = """
      const root = document.documentElement;
      console.log("wide " + (root.scrollWidth <= root.clientWidth));
      const count = () => [...document.querySelectorAll("article")]
        .filter(row => row.offsetParent !== null).length;
      const box = document.getElementById("filter");
      console.log("all " + count());
      box.value = "ZERO-weights";
      box.dispatchEvent(new Event("input"));
      console.log("some " + count());
      const sizes = [...document.querySelectorAll("p, td, dd, h1, h2, h3, li, summary")]
        .map(row => parseFloat(getComputedStyle(row).fontSize));
      console.log("small " + sizes.some(size => size < 12));
    """
    seen = visit(with_script(text, script), width, tmp_path / "measured")
    wrong = text.count("<article")
    filtered = len(re.findall(r"<article(?:(?!</article>).)*zero-weights", text, re.DOTALL))
    assert 0 < filtered < wrong
    assert seen.console == ["wide true", f"all {wrong}", f"some {filtered}", "small false"]


@needs_chromium
def test_an_error_and_a_request_would_be_seen(text: str, tmp_path: Path) -> None:
    """The policy stops what markup would have done; without it, the test sees it happen."""
    markup = '<img src="http://127.0.0.1:9/x.png">'
    stopped = visit(text.replace("<main>", f"<main>{markup}"), 400, tmp_path / "stopped")
    assert stopped.requests == []
    assert any("Content Security Policy" in line for line in stopped.console)
    page = with_script(text, "nothing.at.all").replace("<main>", f"<main>{markup}")
    happened = visit(page, 400, tmp_path / "happened")
    assert "http://127.0.0.1:9/x.png" in happened.requests
    assert any("nothing is not defined" in line for line in happened.console)
