"""Wrong calls of the command line: one sentence and exit status 2, before any work."""

from __future__ import annotations

import io
import math
import sys
import warnings
from pathlib import Path

import pytest
from rich.console import Console

from refot.cli import app
from refot.verification.reports.terminal import TABLE_WIDTH, print_report
from refot.verification.runs.run import CheckResult, Report
from refot.verification.subjects import loading
from refot.verification.subjects.subject import Part, Subject


@pytest.fixture
def refot(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]):  # type: ignore[no-untyped-def]
    """`refot WORDS` in this process: (exit status, what it printed to both streams)."""

    def call(*words: str) -> tuple[int, str]:
        monkeypatch.setattr(sys, "argv", ["refot", *words])
        with warnings.catch_warnings(), pytest.raises(SystemExit) as left:
            app.main()
        said = capsys.readouterr()
        return int(left.value.code or 0), said.out + said.err

    return call


@pytest.mark.parametrize(("out", "complaint"), [
    ("folder.png", "a folder; allowed: a file"), ("x", ".png, .pdf, .svg"),
    ("x.pgf", ".png, .pdf, .svg"), ("x.txt", "a name that ends in"), ("", "a name that ends in"),
    (".png", "a name that ends in"), ("no/x.png", "a folder that exists"),
    ("file/x.png", "a folder that exists"),
    ("n" * 300 + ".svg", "File name too long"),
])
def test_plan_with_a_bad_out(
    out: str, complaint: str, refot, tmp_path: Path, monkeypatch: pytest.MonkeyPatch  # type: ignore[no-untyped-def]
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "folder.png").mkdir()
    (tmp_path / "file").write_text("")
    status, said = refot("plan", out, "--eps", "50")
    assert status == 2
    assert said.startswith("refot: ")
    assert complaint in said
    assert len(said.splitlines()) == 1
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file", "folder.png"]


@pytest.mark.parametrize(("words", "complaint"), [
    (("--profile", "fast", "numpy"), "profile: 'fast'; allowed: one of full, quick"),
    (("--json", ".", "numpy"), "not a file in a folder that exists"),
    (("--json", "no/report.json", "numpy"), "not a file in a folder that exists"),
    ((), "say what to verify"), (("--command", "true", "numpy"), "say what to verify"),
    (("--time-limit", "0", "numpy"), "time-limit"), (("--time-limit", "nan", "numpy"), "time"),
    (("--memory-limit", "-1", "numpy"), "memory-limit"),
    (("--time-limit", "inf", "numpy"), "time-limit"), (("--run-limit", "inf", "numpy"), "run-lim"),
    (("--memory-limit", "inf", "numpy"), "memory-limit"),
    (("--json", "report", "--html", "./report", "numpy"), "one file for two reports"),
])
def test_verify_refuses_before_it_loads(
    words: tuple[str, ...], complaint: str, refot, monkeypatch: pytest.MonkeyPatch  # type: ignore[no-untyped-def]
) -> None:
    monkeypatch.setattr(loading, "load", lambda *_: pytest.fail("the subject was loaded"))
    status, said = refot("verify", *words)
    assert status == 2
    assert complaint in " ".join(said.split())
    assert "Traceback" not in said


@pytest.mark.parametrize(("name", "complaint"), [
    ("fortran", "backend: 'fortran'; allowed: one of "), ("numpy", ""),
])
def test_backends_says_that_the_default_is_none(
    name: str, complaint: str, refot, monkeypatch: pytest.MonkeyPatch  # type: ignore[no-untyped-def]
) -> None:
    monkeypatch.setenv("REFOT_BACKEND", name)
    status, said = refot("backends")
    assert status == (2 if complaint else 0)
    assert complaint in said
    assert "numba" in said  # the table is shown all the same


FAILURES = tuple(
    CheckResult("scaling_loss_gradient.value", "a part", "scaling_loss_gradient", case, status,
                *numbers, message="largest at [3, 4]", diagnosis=diagnosis)
    for case, status, numbers, diagnosis in [
        ("iris-versicolor-virginica", "failed", (-2 / 3, (1 / 3, 0.34), 1.0, 1e-6), "lam " * 30),
        ("gaussian#3", "failed", (math.nan, None, math.nan, 1e-6), ""),
        ("gaussian.[T]", "error", (), ""),
    ])


@pytest.mark.parametrize("width", [40, 60, TABLE_WIDTH - 1, TABLE_WIDTH, 160])
def test_a_report_is_readable_at_any_width(width: int) -> None:
    """No column is cut: every number, name and word is there in full."""
    part = Part("a part", {"scaling_loss_gradient": math.fsum})
    text = io.StringIO()
    print_report(Report(Subject("it", "1", (part,)), "quick", "numpy", FAILURES),
                 Console(file=text, width=width))
    printed = text.getvalue()
    failures, _, _ = printed.partition("it 1, profile quick")
    assert max(map(len, printed.splitlines())) <= width
    for whole in ("-0.66666667", "[0.33333333, 0.34]", "1.0e+00", "1.0e-06", "nan",
                  *(check.case for check in FAILURES), FAILURES[0].id):
        assert whole in failures
    assert failures.count("lam") == 30
    assert "…" not in failures
