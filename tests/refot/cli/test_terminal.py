"""Text that somebody else wrote is shown as text: no markup, nothing that a terminal obeys."""

from __future__ import annotations

import io
import subprocess
import sys
import warnings
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console
from rich.table import Table

from refot import terminal
from refot.terminal import complaint, foreign, plain, plain_lines
from refot.verification.reports.short import print_short
from refot.verification.runs.run import CheckResult, Report
from refot.verification.subjects.subject import Part, Subject

NASTY = ["[/red]", "[red]", "[bold", "\\[/red]", "end\\", "end\\\\\\", "[link=x]y", ":boom:",
         "[[a]]", "\x1b[2J\x1b]0;title\x07", "\u202egnirts", "\x9b31m", "a\nb\rc\td", "\ud800",
         "\x00", "{task.description}", "%s {0}", "", " "]
ESCAPED = {"\x1b[2J": r"\x1b[2J", "\u202egnirts": r"\u202egnirts", "a\nb\rc\td": r"a\nb\rc\td",
           "\x9b31m": r"\x9b31m", "\ud800": r"\ud800", "[/red] :boom: é 漢": "[/red] :boom: é 漢"}


@pytest.mark.parametrize("text", ESCAPED)
def test_what_is_not_printable_is_its_escape(text: str) -> None:
    assert plain(text) == ESCAPED[text]


@given(st.text() | st.sampled_from(NASTY))
def test_any_text_is_printable_and_can_be_written(text: str) -> None:
    assert plain(text).isprintable()
    plain(text).encode("utf-8")
    assert all(line.isprintable() for line in plain_lines(text).split("\n"))


def shown(what: Any) -> str:
    text = io.StringIO()
    Console(file=text, width=200, force_terminal=False).print(what, soft_wrap=True)
    return text.getvalue()


@given(st.text(max_size=40) | st.sampled_from(NASTY))
def test_rich_shows_it_as_it_is(text: str) -> None:
    assert shown(foreign(text, "bold red")) == plain(text) + "\n"
    assert shown(complaint(text)) == f"refot: {plain_lines(text)}\n"


@pytest.mark.parametrize("text", NASTY)
@pytest.mark.parametrize("width", [80, 200])
def test_a_report_is_printed_whatever_is_in_it(text: str, width: int) -> None:
    """Narrow: blocks; wide: tables."""
    parts = (Part(text, {"value": len}), Part("other", {"value": len}))
    checks = tuple(CheckResult("value.certified", text, "value", text, status, 1.0, (2.0, 3.0), 1.0,
                               1e-9, text, text) for status in ("failed", "error", "passed"))
    report = Report(Subject(text, text, parts), text, "numpy", checks, {text: text},
                    {text: (text,) * 5}, {text: (text,)})
    stream = io.StringIO()
    print_short(report, Console(file=stream, width=width), verbose=True)
    said = stream.getvalue()
    assert all(line.isprintable() for line in said.split("\n"))
    assert plain(text).strip()[:20] in said
    assert "1 failed, 1 errors" in said


def test_warnings_are_plain(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(warnings, "formatwarning", warnings.formatwarning)
    terminal.plain_warnings()
    said = warnings.formatwarning("\x1b[2J", UserWarning, "\x1b.py", 1, "")
    assert "\x1b" not in said
    assert r"\x1b[2J" in said


@pytest.mark.parametrize("words", [
    ["verify", "no\x1b[2J/[/red]file.py:f"], ["compare", "\x1b[2J[/red]", "b"],
    ["certify", "\x1b[2J[/red].npz"], ["vectors", "check", "\x1b[2J[/red].json"],
    ["vectors", "show", "\x1b[2J[/red]"], ["trajectories", "show", "\x1b[2J[/red]"],
    ["train", "\x1b[2J[/red]", "--preset", "x"], ["bench", "--peers", "\x1b[2J[/red]"],
    ["train", "classifier", "--preset", "digits", "--backend", "\x1b[2J[/red]"],
    ["verify", "numpy", "--json", "/nowhere/\x1b[2J[/red]"],
])
def test_no_error_of_the_command_steers_a_terminal(words: list[str], tmp_path: Path) -> None:
    done = subprocess.run([sys.executable, "-m", "refot", *words], cwd=tmp_path,
                          capture_output=True, check=False)
    assert done.returncode in (1, 2)
    assert b"Traceback" not in done.stderr
    assert b"\x1b[2J" not in done.stderr + done.stdout
    assert rb"\x1b[2J" in done.stderr + done.stdout


MINE = r'''
import warnings
class Mine:
    name = version = "\x1b[2J[/red]"
    def mutual_information(self, P):
        warnings.warn("\x1b[2J[/red]")
        print("\x1b[2J[/red]")
        if P.shape[0] > 4:
            raise ValueError("\x1b[2J[/red]")
        return float('nan')
def defect(*_):
    raise RuntimeError("\x1b[2J[/red]")
'''


def test_a_subject_cannot_steer_a_terminal(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(MINE)
    done = subprocess.run([sys.executable, "-m", "refot", "verify", "mine.py:Mine"], cwd=tmp_path,
                          capture_output=True, check=False)
    assert done.returncode == 1, done.stderr
    assert b"\x1b[2J" not in done.stderr + done.stdout
    assert rb"\x1b[2J[/red]" in done.stdout


def test_the_traceback_of_a_defect_cannot_either(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(MINE)
    broken = ("import mine\nfrom refot.verification import verify\n"
              "verify.VerifyOptions.found = mine.defect\nfrom refot.cli.app import main\nmain()")
    done = subprocess.run([sys.executable, "-c", broken, "verify", "numpy"], cwd=tmp_path,
                          capture_output=True, check=False)
    assert b"a defect of refot itself" in done.stderr
    assert rb"\x1b[2J[/red]" in done.stderr
    assert b"\x1b[2J" not in done.stderr


def test_the_bar_of_a_run_shows_names_as_they_are() -> None:
    from refot.cli.verify import _progress

    with _progress() as tell:
        for text in NASTY:
            tell(text, 1, 2)


def test_rich_itself_would_fail() -> None:
    """What the function above is for: without it, the table of a subject of this name raises."""
    table = Table("part")
    table.add_row("[/red]")
    with pytest.raises(Exception, match="closing tag"):
        shown(table)
