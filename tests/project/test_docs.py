"""The docs are true: every Python block runs, and what a block or a `$ refot` line prints stands on
the page.

A page is one session: its blocks share a namespace and a working folder, in order. The folder is a
copy of the repository's `docs/examples`, so that nothing is written into the repository. A page
whose first line holds `<!-- needs: EXTRA -->` is skipped where a package of that extra is missing.
"""

from __future__ import annotations

import json
import math
import os
import re
import sys
import warnings
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from sessions import (
    BLOCK,
    EXTRAS,
    Block,
    Session,
    blocks,
    difference,
    mismatch,
    missing_packages,
    prepare,
    with_outputs,
)

from refot.datasets import scikit
from refot.verification.cases.case import REAL
from refot.verification.checks import CHECKS
from refot.verification.reports.terminal import write_json
from refot.verification.runs.levels import LEVELS
from refot.verification.runs.run import STATUSES, run
from refot.verification.subjects.loading import as_subject

ROOT = Path(__file__).resolve().parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
EXAMPLES = sorted((ROOT / "docs" / "examples").glob("*.py"))

LINK = re.compile(r"\[[^\]]*\]\((?P<target>[^)\s]+)\)")


# ------------------------------------------------------------------ running them
@pytest.fixture
def session(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Session]:
    """A session in a copy of docs/examples and docs/checkers, from which Python imports as it does
    in a shell."""
    prepare(tmp_path)
    monkeypatch.chdir(tmp_path)
    before = set(sys.modules)
    sys.path.insert(0, "")  # by hand: what a library adds stays (KeOps, what it has compiled)
    yield Session("a page", tmp_path, {"__name__": "__main__"})
    sys.path.remove("")
    for name in set(sys.modules) - before:  # modules of the examples belong to the page
        file = getattr(sys.modules[name], "__file__", None)
        if file and Path(file).resolve().is_relative_to(tmp_path.resolve()):
            del sys.modules[name]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_block_of_a_page_runs(page: Path, session: Session) -> None:
    text = page.read_text(encoding="utf-8")
    missing = missing_packages(text)
    if missing:
        pytest.skip(f"needs {', '.join(missing)}")
    session.page = str(page.relative_to(ROOT))
    for block in blocks(text):
        printed = session.run(block)
        wrong = difference(block.shown, printed, block.about) if block.language == "python" else ""
        assert not wrong, (f"{session.page}:{block.line}: {wrong!r} is not printed or not shown "
                           f"(python docs/sessions.py {session.page}):\n{printed}")


# ------------------------------------------------------------------ links and examples
@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_relative_link_leads_somewhere(page: Path) -> None:
    prose = BLOCK.sub("", page.read_text(encoding="utf-8"))
    targets = {found["target"].partition("#")[0] for found in LINK.finditer(prose)}
    relative = {target for target in targets if target and "://" not in target}
    assert [target for target in sorted(relative) if not (page.parent / target).exists()] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_page_is_in_the_table_of_contents(page: Path) -> None:
    contents = "".join((ROOT / "docs" / name).read_text(encoding="utf-8")
                       for name in ("index.md", "defect-reports.md"))
    here = Path(os.path.relpath(page, ROOT / "docs")).as_posix()
    assert page.name == "index.md" or f"]({here})" in contents


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda example: example.name)
def test_an_example_is_shown_on_a_page_as_it_is(example: Path) -> None:
    shown = f"# {example.name}\n" + example.read_text(encoding="utf-8")
    assert any(shown == block.text for page in PAGES
               for block in blocks(page.read_text(encoding="utf-8")))


# ------------------------------------------------------------------ the format of the report
TYPES: dict[str, Callable[[Any], bool]] = {
    "string": lambda value: isinstance(value, str),
    "integer": lambda value: type(value) is int,
    "number": lambda value: type(value) in (int, float) or value in ("nan", "inf", "-inf"),
    "interval": lambda value: (isinstance(value, list) and len(value) == 2
                               and all(map(TYPES["number"], value))),
    "object": lambda value: isinstance(value, dict),
    "list": lambda value: isinstance(value, list),
    "null": lambda value: value is None,
}
"""What docs/report-format.md means by a type."""


def described(heading: str) -> dict[str, str]:
    """The first two columns of the table under a heading of the page: field and type."""
    page = (ROOT / "docs" / "report-format.md").read_text(encoding="utf-8")
    section = re.split(rf"^## {heading}$", page, flags=re.MULTILINE)[1].partition("\n## ")[0]
    return dict(re.findall(r"^\| `(\w+)` \| (.+?) \|", section, flags=re.MULTILINE))


def mistyped(value: dict[str, Any], fields: dict[str, str]) -> list[str]:
    """What in `value` is not as the page says: a field too many, too few, or of another type."""
    return [f"{name}: {value.get(name, 'missing')!r}" for name in sorted(value.keys() | fields)
            if name not in value or name not in fields
            or not any(TYPES[kind](value[name]) for kind in fields[name].split(" or "))]


@pytest.fixture
def report(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """A report in which everything occurs: each status, NaN, infinity, warnings, cases left out."""

    def without_package(name: str) -> Any:
        raise scikit.DataUnavailableError(f"{name}: not installed")

    def value(C: Any, a: Any, b: Any, eps: float) -> float:
        if len(b) == 1:
            raise ZeroDivisionError("a single atom")
        if eps == 1e-3:
            raise ArithmeticError("no convergence")
        if abs(C).max() > 1e3:
            raise NotImplementedError("large costs")
        if (a == 0).any():
            warnings.warn("a weight is 0", stacklevel=1)
            return math.nan
        return math.inf if C.shape[0] == C.shape[1] else float(a @ C @ b)

    def broken(trial: Any) -> Any:
        raise RuntimeError("a defect of refot")

    monkeypatch.setattr(scikit, "_load", without_package)
    monkeypatch.setitem(CHECKS, "value.split", replace(CHECKS["value.split"], run=broken))
    file = tmp_path / "report.json"
    write_json(run(as_subject(value, "all sorts", "value")), file)
    found: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
    return found


def test_a_report_is_what_its_page_says(report: dict[str, Any]) -> None:
    assert mistyped(report, described("The report")) == []
    assert mistyped(report["subject"], described("The subject")) == []
    assert mistyped(report["summary"], described("The summary")) == []
    fields = described("One check")
    assert [mistyped(check, fields) for check in report["checks"] if mistyped(check, fields)] == []
    fields = described("Right digits")
    assert report["digits"]
    assert [mistyped(row, fields) for row in report["digits"] if mistyped(row, fields)] == []


def test_a_report_means_what_its_page_says(report: dict[str, Any]) -> None:
    checks, summary = report["checks"], report["summary"]
    counted = Counter(check["status"] for check in checks)
    assert counted.keys() == described("The statuses").keys() == set(STATUSES)
    plural = {"error": "errors", "refot_error": "refot_errors"}
    assert counted == {status: summary[plural.get(status, status)] for status in STATUSES}
    assert {"nan", "inf"} <= {check["measured"] for check in checks if check["status"] == "failed"}
    numbers = ("measured", "expected", "error", "tolerance")
    for check in checks:
        assert ("RuntimeError" in check["traceback"]) == (check["status"] == "refot_error")
        if check["status"] in ("error", "not_provided", "not_converged", "refot_error"):
            assert [check[name] for name in numbers] == [None] * 4
        else:
            assert (check["status"] == "passed") == (float(check["error"]) <= check["tolerance"])
            assert check["id"].partition(".")[0] == check["capability"]
    judged = [check["level"] for check in checks if check["status"] != "refot_error"]
    assert judged == sorted(judged, key=LEVELS.index)
    assert Counter(check["level"] for check in checks) == Counter(
        {level: count for level, count in report["levels"].items() if count})
    assert report["levels"].keys() == described("The levels").keys()
    assert {"wrong", "silent", "said", "lax", "right"} <= set(judged)
    assert report["left_out"].keys() == REAL.keys()
    assert report["warnings"] == {"all sorts": ["a weight is 0"]}


def test_a_report_of_another_shape_would_be_found() -> None:
    fields = {"name": "string", "error": "number or null", "expected": "interval or null"}
    right = {"name": "x", "error": "nan", "expected": [0.0, "inf"]}
    assert mistyped(right, fields) == []
    assert mistyped(right | {"error": None, "expected": None}, fields) == []
    assert mistyped(right | {"error": "0.1"}, fields) == ["error: '0.1'"]
    assert mistyped(right | {"expected": [0.0]}, fields) == ["expected: [0.0]"]
    assert mistyped(right | {"more": 1}, fields) == ["more: 1"]
    assert mistyped({"error": 1.0, "expected": None}, fields) == ["name: 'missing'"]


# ------------------------------------------------------------------ the checker itself
def test_python_blocks_share_a_namespace_and_fail_on_their_own_line(session: Session) -> None:
    first, second = blocks("# Title\n\n```python\nx = 1\n```\n\ntext\n\n```python\n\nx / 0\n```\n")
    session.run(first)
    assert session.namespace["x"] == 1
    with pytest.raises(ZeroDivisionError) as caught:
        session.run(second)
    assert caught.traceback[-1].lineno == 11 - 1  # pytest counts from 0
    assert str(caught.traceback[-1].path).endswith("a page")


def test_what_a_block_prints_is_compared_with_what_the_page_shows() -> None:
    shown = "F = 1.25, width 3e-15, rate 2.0e-03\nin ... s, 12 steps\n"
    assert difference(shown, "F = 1.26,  width 8e-13, rate 2.1e-03\nin 0.3 s, 12 steps\n") == ""
    assert difference(shown, shown.replace("1.25", "1.27")).startswith("F = ")
    assert difference(shown, shown.replace("3e-15", "3e-08")).startswith("F = ")
    assert difference("3e-06\n", "9e-07\n") == "" != difference("3e-06\n", "2e-07\n")
    assert difference("0.12345678\n", "0.12345699\n") == "" != difference("0.1234\n", "0.1236\n")
    assert difference(shown, shown.replace("2.0e-03", "2.3e-03")).startswith("F = ")
    assert difference(shown, shown.replace("rate", "pace")).startswith("F = ")
    assert difference(shown, shown.replace("steps", "rounds")).startswith("in ")
    assert difference(shown, shown + "more\n") == "more"
    assert difference("loss 0.50\n", "loss 0.53\n") == "loss 0.50"
    assert difference("loss 0.50\n", "loss 0.53\n", about=True) == ""
    assert difference("loss 0.50\n", "loss 0.57\n", about=True) == "loss 0.50"
    assert difference("", "printed\n") == "printed"
    assert difference("shown\n", "") == "shown"


def test_what_a_block_prints_is_written_below_it(session: Session) -> None:
    page = "```python\nprint(1 / 3)\n```\n\n```python\nx = 1\n```\n\n```text\nold\n```\n\nend\n"
    written = page.replace("3)\n```", "3)\n```\n\n```text\n0.3333333333333333\n```")
    assert with_outputs(page, session) == written.replace("```text\nold\n```\n\n", "")
    kept = page.replace("old", "kept").replace("x = 1", "print('k' + 'ept')")
    assert "kept\n```\n\nend" in with_outputs(kept, session)


def test_output_is_compared() -> None:
    output = "a table │ of  1 row\n\nlast line: 3 passed\n"
    assert mismatch((), output) == ""
    assert mismatch(("a table │ of 1 row", "...", "last line: ... passed"), output) == ""
    assert mismatch(("table ... row",), output) == ""
    assert mismatch(("a table │ of 2 rows",), output) == "a table │ of 2 rows"
    assert mismatch(("last line", "a table"), output) == "a table"
    assert mismatch(("passed ... line",), output) == "passed ... line"


@pytest.mark.parametrize(("console", "complaint"), [
    ("refot --version\n", "begins with"),
    ("$ rm -rf .\n", "would not be run"),
    ("$ refot --version\nrefot 1234\n", "does not print"),
    ("$ refot verify no/such.py:thing\n$ echo $?\n0\n", "exit status 2"),
    ("$ cd .\nhere\n", "does not print"),
])
def test_a_console_block_that_is_not_true_fails(
    console: str, complaint: str, session: Session
) -> None:
    with pytest.raises(AssertionError, match=complaint):
        session.run(Block("console", console, 1))


def test_a_console_block_that_is_true_passes(session: Session) -> None:
    session.run(Block("console", "$ cd docs/examples\n", 1))
    session.run(Block("console", "$ refot --version\nrefot ...\n$ echo $?\n0\n", 5))
    assert session.folder.name == "examples"
    assert Path.cwd() == session.folder


def test_needs_are_read_from_the_first_line_only() -> None:
    EXTRAS["nothing"] = ("no_such_package",)
    try:
        assert missing_packages("<!-- needs: nothing -->\n# Title\n") == ["no_such_package"]
        assert missing_packages("# Title\n<!-- needs: nothing -->\n") == []
    finally:
        del EXTRAS["nothing"]
    with pytest.raises(KeyError):
        missing_packages("<!-- needs: peanuts -->\n")


def test_a_dead_link_would_be_found() -> None:
    found = [match["target"] for match in LINK.finditer("[a](b.md), [c](d.md#e) and ![f](g.png)")]
    assert found == ["b.md", "d.md#e", "g.png"]
