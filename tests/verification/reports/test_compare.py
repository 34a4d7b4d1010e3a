"""`refot compare`: what changed between two reports, and what its exit status says."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path

import pytest
from typer.testing import CliRunner

from refot.cli.app import app
from refot.verification.reports.compare import CompareError, Line, ReadReport, cause, compare, read
from refot.verification.reports.compare import Comparison as Changes
from refot.verification.reports.terminal import write_json
from refot.verification.runs.levels import Level
from refot.verification.runs.run import STATUSES, run
from refot.verification.subjects.loading import as_subject


def line(status="passed", error=0.0, tolerance=1e-6, diagnosis="", message="") -> Line:
    return Line(status, error, tolerance, diagnosis, message)


def changes(old: dict[str, Line], new: dict[str, Line], factor: float = 10.0) -> Changes:
    def judged(lines: dict[str, Line]) -> ReadReport:
        return ReadReport("s", {("part", "value.certified", case): each
                            for case, each in lines.items()})

    return Changes(judged(old), judged(new), factor)


def cases(keys) -> list[str]:
    return [case for _, _, case in keys]


EVERYTHING = ("broken", "lost", "mended", "gone", "said_otherwise", "moved", "added")
WRONG, RIGHT = line("failed", 1.0, diagnosis="sharp (off by 1)"), line()

GROUPS = [
    ("broken", RIGHT, WRONG, 1), ("broken", RIGHT, line("error", math.nan), 1),
    ("broken", None, WRONG, 1), ("broken", line("not_provided", math.nan), WRONG, 1),
    ("lost", RIGHT, None, 1), ("lost", RIGHT, line("not_provided", math.nan), 1),
    ("mended", WRONG, RIGHT, 0), ("gone", WRONG, None, 0),
    ("gone", WRONG, line("not_provided", math.nan), 0),
    ("said_otherwise", WRONG, line("failed", 1.0, diagnosis="entropy (off by 1)"), 0),
    ("moved", WRONG, line("failed", 11.0, diagnosis="sharp (off by 11)"), 0),
    ("moved", line(error=2e-8), line(error=5e-7), 0),
    ("moved", WRONG, line("failed", math.nan, diagnosis="sharp (off by 1)"), 0),
    ("moved", line("failed", math.inf), line("failed", 1.0), 0),
    ("added", None, RIGHT, 0), ("added", line("not_provided", math.nan), RIGHT, 0),
]


@pytest.mark.parametrize(("group", "old", "new", "status"), GROUPS)
def test_each_change_is_in_its_group_alone(group, old, new, status) -> None:
    same = {"same": WRONG}
    found = changes(same | ({"x": old} if old else {}), same | ({"x": new} if new else {}))
    assert {name: cases(getattr(found, name)) for name in EVERYTHING} == {
        name: ["x"] if name == group else [] for name in EVERYTHING}
    assert found.exit_status == status
    assert any("value.certified on x" in said for said in found.report())
    assert not any("on same" in said for said in found.report())


@pytest.mark.parametrize(("old", "new"), [
    (WRONG, line("failed", 9.0, diagnosis="sharp (off by 9)")),
    (line(error=0.0), line(error=9e-10)),  # less than a thousandth of what is allowed
    (line("failed", math.nan), line("failed", math.nan)),
    (line("failed", math.inf), line("failed", math.inf)),
    (RIGHT, RIGHT), (line("not_provided", math.nan), line("not_provided", math.nan)),
    (line("not_provided", math.nan), None), (None, line("not_provided", math.nan)),
])
def test_what_is_no_change_is_in_no_group(old, new) -> None:
    found = changes({"x": old} if old else {}, {"x": new} if new else {})
    assert [cases(getattr(found, name)) for name in EVERYTHING] == [[]] * len(EVERYTHING)
    assert found.exit_status == 0
    assert list(found.report())[2].startswith("nothing changed")


def test_a_failure_that_is_not_said_any_more_is_worse() -> None:
    said, silent = (replace(WRONG, level=level) for level in (Level.SAID, Level.SILENT))
    found = changes({"x": said}, {"x": silent})
    assert cases(found.worse) == ["x"]
    assert found.exit_status == 1
    assert any("said => silent" in said for said in found.report())
    back = changes({"x": silent}, {"x": said})
    assert (back.worse, back.exit_status) == ([], 0)


def test_the_worst_of_what_fails_now_comes_first() -> None:
    levels = {"a": Level.LAX, "b": Level.WRONG, "c": Level.SAID, "d": Level.SILENT}
    found = changes({}, {case: replace(WRONG, level=level) for case, level in levels.items()})
    told = [said for said in found.report() if "value.certified on" in said]
    assert [said.split(": ")[2] for said in told] == ["wrong", "silent", "said", "lax"]


def test_digits_that_were_gained_and_lost_are_told() -> None:
    def lines(*digits: float) -> dict[str, Line]:
        return {str(k): replace(RIGHT, part="p", capability="value", difficulty="hard", digits=d)
                for k, d in enumerate(digits)}

    found = changes(lines(6.0, 9.0, 9.5), lines(8.0, 9.0, 9.5))
    assert list(found.digits()) == [
        "  gained: p: value, hard: worst 6.0 => 8.0, median 9.0 => 9.0"]
    assert list(changes(lines(8.0, 9.0), lines(6.0, 9.0)).digits()) == [
        "  lost: p: value, hard: worst 8.0 => 6.0, median 8.5 => 7.5"]
    assert not list(changes(lines(8.0, 9.0), lines(8.5, 9.0)).digits())
    assert list(changes(lines(8.0, 9.0), lines(8.5, 9.0), factor=2.0).digits())


def test_a_report_of_an_older_format_is_refused(files: tuple[Path, Path], tmp_path: Path) -> None:
    found = json.loads(files[0].read_text())
    del found["format"]
    file = tmp_path / "old.json"
    file.write_text(json.dumps(found))
    with pytest.raises(CompareError, match="format 1, and this refot reads format 2"):
        read(file)


def test_the_factor_is_the_users() -> None:
    old, new = {"x": line("failed", 1.0)}, {"x": line("failed", 3.0)}
    assert not changes(old, new).moved
    assert changes(old, new, factor=2.0).moved


# ------------------------------------------------------------------ files
@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Reports of a right and of a wrong function, with NaN, errors and all."""
    folder = tmp_path_factory.mktemp("reports")

    def independent(P):
        return 0.0

    def information(P):
        import refot

        return refot.mutual_information(P)

    for name, function in (("right", information), ("wrong", independent)):
        write_json(run(as_subject(function, "s", "mutual_information")), folder / f"{name}.json")
    return folder / "right.json", folder / "wrong.json"


def test_the_command_compares_files(files: tuple[Path, Path]) -> None:
    right, wrong = map(str, files)
    worse = CliRunner().invoke(app, ["compare", right, wrong])
    assert worse.exit_code == 1
    assert "fails now:" in worse.output
    assert "mutual_information.plan on gaussian" in worse.output
    better = CliRunner().invoke(app, ["compare", wrong, right])
    assert better.exit_code == 0
    assert "mended:" in better.output
    same = CliRunner().invoke(app, ["compare", wrong, wrong])
    assert same.exit_code == 0
    assert "nothing changed in" in same.output


def test_a_report_is_read_whole(files: tuple[Path, Path]) -> None:
    found = read(files[1])
    written = json.loads(files[1].read_text())
    assert len(found.lines) == len(written["checks"])
    assert {each.status for each in found.lines.values()} <= set(STATUSES)


@pytest.mark.parametrize("text", [
    "", "[", "[]", "{}", "null", '{"subject": 1, "checks": []}', "[" * 100_000,
    '{"subject": {"name": "", "version": ""}, "profile": "", "refot": "", "checks": [{}]}',
    '{"subject": {"name": "", "version": ""}, "profile": "", "refot": "", "checks": 1}',
])
def test_what_is_no_report_is_refused(text: str, tmp_path: Path) -> None:
    file = tmp_path / "bad.json"
    file.write_text(text)
    with pytest.raises(CompareError, match=r"bad\.json: not a report"):
        compare(file, file)


@pytest.mark.parametrize(("name", "entry"), [
    ("status", "lied"), ("error", "one"), ("tolerance", []), ("part", 1), ("id", None),
    ("case", {}),
])
def test_a_field_of_another_kind_is_refused(
    name: str, entry: object, files: tuple[Path, Path], tmp_path: Path
) -> None:
    found = json.loads(files[0].read_text())
    found["checks"][0][name] = entry
    file = tmp_path / "bad.json"
    file.write_text(json.dumps(found))
    with pytest.raises(CompareError, match="not a report"):
        read(file)


def test_what_a_file_says_cannot_steer_a_terminal(files: tuple[Path, Path], tmp_path: Path) -> None:
    found = json.loads(files[1].read_text())
    found["subject"]["name"] = "\x1b[2J\x1b]0;title\x07"
    for check in found["checks"]:
        check["message"] = check["diagnosis"] = "\x1b[31m\nfake line"
    file = tmp_path / "evil.json"
    file.write_text(json.dumps(found))
    lines = list(compare(files[0], file).report())
    assert len(lines) > 3
    assert all(said.isprintable() for said in lines)


@pytest.mark.parametrize(("diagnosis", "said"), [
    ("not converged: marginal errors 0.4 (rows) and 1e-14 (columns)",
     "not converged: marginal errors … (rows) and … (columns)"),
    ("not converged: marginal errors 0.04 (rows) and 1 (columns)",
     "not converged: marginal errors … (rows) and … (columns)"),
    ("the plan has mass 1.9e+28, not 1", "the plan has mass …, not 1"),
    ("not converged: below W0 = 0.0174, so the marginals of its plan are not a and b",
     "not converged: below W0 = …, so the marginals of its plan are not a and b"),
    ("the cost |x - y|^2 is halved: 1 / 2 of it (off by 0.3, fits 3 of 4 failed calls)",
     "the cost |x - y|^2 is halved: 1 / 2 of it"),
    ("bad input is not refused (zero eps): a number comes back",
     "bad input is not refused (zero eps): a number comes back"),
])
def test_a_cause_is_a_diagnosis_without_what_was_measured(diagnosis: str, said: str) -> None:
    assert cause(diagnosis) == said
