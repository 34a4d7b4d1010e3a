"""`refot verify --check --case --part --debug`: what is run, and what is in hand where it stops."""

from __future__ import annotations

import io
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

import refot
from refot.arrays import InputError
from refot.cli.app import app
from refot.verification.checks import CHECKS
from refot.verification.runs.asked import Selection
from refot.verification.runs.debugger import stop
from refot.verification.runs.run import run
from refot.verification.runs.selection import SelectionError, run_selection
from refot.verification.subjects.loading import as_subject
from refot.verification.subjects.subject import Part, Subject

CONSOLE = "import sys; sys.argv[0] = 'refot'; from refot.cli.app import main; main()"


def sharp(C, a, b, eps):
    """Wrong: not the KL-inclusive value."""
    return refot.sharp_value(C, a, b, eps)


def broken(C, a, b, eps):
    inside = C.sum() / 0.0 if isinstance(C, float) else len(C)
    raise KeyError(inside)


def right(C, a, b, eps):
    return refot.entropic_value(C, a, b, eps)


def subject(*functions) -> Subject:
    return Subject("s", "", tuple(Part(f.__name__, {"value": f}) for f in functions))


def typed(monkeypatch: pytest.MonkeyPatch, *lines: str) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO("\n".join(lines) + "\n"))


# ------------------------------------------------------------------ what is run
def test_one_check_on_one_case_is_what_the_whole_run_says() -> None:
    whole = {(result.id, result.case): result
             for result in run(as_subject(sharp, "s", "value")).checks}
    one = run_selection(as_subject(sharp, "s", "value"), Selection("value.certified", "gaussian"))
    (result,) = one.checks
    expected = whole["value.certified", "gaussian"]
    assert result.status == "failed"
    assert (result.measured, result.expected) == (expected.measured, expected.expected)
    assert one.exit_status == 1


def test_a_part_and_a_case_select_too() -> None:
    found = run_selection(subject(sharp, right), Selection(case="gaussian", part="right"))
    assert {result.part for result in found.checks} == {"right"}
    assert {result.case for result in found.checks} == {"gaussian"}
    assert {result.id for result in found.checks} == {
        id for id in CHECKS if id.startswith("value.")}
    assert [part.name for part in found.subject.parts] == ["right"]
    assert found.exit_status == 0


@pytest.mark.parametrize(("selection", "error"), [
    (Selection(check="value.rihgt"), InputError), (Selection(case="gausian"), InputError),
    (Selection(part="sahrp"), InputError), (Selection(check="mmd.value"), SelectionError),
    (Selection("value.scaling", "tiny-eps"), SelectionError),
])
def test_what_is_not_there_is_told(selection: Selection, error: type[Exception]) -> None:
    with pytest.raises(error, match=r"--check|--case|--part|check .*does not offer it"):
        run_selection(subject(sharp), selection)


# ------------------------------------------------------------------ where it stops
def test_the_arrays_are_in_hand(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    typed(monkeypatch, "print('shapes', C.shape, a.shape, b.shape, x.shape, y.shape)",
          "print('right', abs(expected - refot_value(C, a, b, eps)) < 1e-8)",
          "print('answer', answer == raw == again() != expected)",
          "print('result', result.status)", "exit()")
    monkeypatch.setattr("builtins.refot_value", refot.entropic_value, raising=False)
    result = stop(subject(right, sharp), Selection(case="gaussian"))
    out, banner = capsys.readouterr()
    assert result.part == "sharp"  # the first failure
    for line in ("shapes (9, 6) (9,) (6,) (9, 2) (6, 2)", "right True", "answer True",
                 "result failed"):
        assert line in out
    assert "value.certified on gaussian: failed" in banner
    assert "the sharp cost <C,P>" in banner


def test_what_was_raised_is_in_hand(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    typed(monkeypatch, "print('raised', repr(raised))", "post_mortem()", "p 'inside', inside", "q")
    result = stop(subject(broken), Selection("value.certified", "gaussian"))
    out, banner = capsys.readouterr()
    assert result.status == "error"
    assert "raised KeyError(9)" in out
    assert "('inside', 9)" in out
    assert "post_mortem() opens pdb" in banner


def test_without_a_failure_it_stops_at_the_last(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    typed(monkeypatch, "print('status', result.status, np.abs(C).max() > 0)")
    result = stop(subject(right), Selection("value.certified", "gaussian"))
    assert result.status == "passed"
    assert "status passed True" in capsys.readouterr().out


def test_the_command_line_stops_and_says_how_it_ended(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text("def value(C, a, b, eps):\n    return 1.0\n")
    arguments = ["verify", "mine.py:value", "--as", "value", "--check", "value.certified",
                 "--case", "gaussian"]

    def refot_(*more: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run([sys.executable, "-c", CONSOLE, *arguments, *more], cwd=tmp_path,
                              input="print('n', len(a))\n", text=True, capture_output=True,
                              check=False, timeout=120)

    stopped = refot_("--debug")
    assert stopped.returncode == 1
    assert "n 9" in stopped.stdout
    assert "value.certified on gaussian: failed" in stopped.stderr
    for other in (["--html", "page.html"], ["--scaling"]):
        both = CliRunner().invoke(app, [*arguments, "--debug", *other])
        assert both.exit_code == 2
        assert "writes no report" in " ".join(both.output.split())
    ran = refot_("--html", "page.html")
    assert ran.returncode == 1
    assert "0 passed, 1 failed" in ran.stdout
    page = (tmp_path / "page.html").read_text(encoding="utf-8")
    assert page.count("<article") == 1
    assert "refot verify mine.py:value --as value --check value.certified" in page
