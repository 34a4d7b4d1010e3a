"""What refot's own code raises is told as that, in every report, and of no subject."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from rich.console import Console

import refot
from refot.verification.cases.case import Case, synthetic
from refot.verification.checks.trial import CHECKS, Check, Finding, Trial
from refot.verification.diagnosis.vote import MISTAKES
from refot.verification.pytest_refot import plugin as pytest_plugin
from refot.verification.reports import terminal as report
from refot.verification.reports.compare import compare
from refot.verification.reports.html import page as html_report
from refot.verification.reports.short import print_short
from refot.verification.runs import run
from refot.verification.runs.run import CheckResult, Report, examine, run_check
from refot.verification.subjects.loading import as_subject
from refot.verification.subjects.probe import Probe
from refot.verification.subjects.subject import Part
from refot.verification.truth.solution import solution_of

CASES = {case.name: case for case in synthetic()}
CHECK, CASE = "value.certified", "gaussian"


def right(*problem: Any) -> float:
    return refot.entropic_value(*problem, backend="numpy")


def broken(trial: Trial) -> Finding:
    raise refot.arrays.WeightError("a", "sum [bold]2", "sum 1")


@pytest.fixture
def judged(monkeypatch: pytest.MonkeyPatch) -> Report:
    """A right subject, judged by a refot one check of which is broken."""
    old = CHECKS[CHECK]
    monkeypatch.setitem(CHECKS, CHECK, Check(old.id, old.sentence, broken, old.applies))
    subject = as_subject(right, "mine", "value")
    probes = [Probe(part) for part in subject.parts]
    return run.report(subject, "quick", list(examine(probes, [CASES[CASE]])), {}, probes)


def own(report: Report) -> CheckResult:
    (result,) = (each for each in report.checks if each.status == "refot_error")
    return result


def test_it_is_no_error_of_the_subject_and_has_an_exit_status_of_its_own(judged: Report) -> None:
    assert (own(judged).id, own(judged).case) == (CHECK, CASE)
    assert (judged.count("failed"), judged.count("error")) == (0, 0)
    assert judged.count("passed") > 10
    assert judged.exit_status == 3
    assert judged.checks[0] is own(judged)


def test_the_reports_tell_it_with_its_traceback(judged: Report, tmp_path: Path) -> None:
    printed = io.StringIO()
    print_short(judged, Console(file=printed, width=200))
    html_report.write_html(judged, tmp_path / "r.html", ["mine"])
    report.write_json(judged, tmp_path / "r.json")
    written = json.loads((tmp_path / "r.json").read_text())
    assert written["summary"]["refot_errors"] == 1
    (line,) = (each for each in written["checks"] if each["status"] == "refot_error")
    for text in (printed.getvalue(), (tmp_path / "r.html").read_text(), json.dumps(line)):
        assert "please report it" in text
        assert "WeightError: a: sum [bold]2; allowed: sum 1" in text
        assert "in broken" in text
    assert "1 errors of refot" in printed.getvalue()


def test_compare_says_that_it_is_not_known(judged: Report, tmp_path: Path) -> None:
    old, new = tmp_path / "old.json", tmp_path / "new.json"
    report.write_json(judged, new)
    old.write_text(new.read_text().replace("refot_error\"", "passed\""))
    found = compare(old, new)
    assert found.exit_status == 3
    assert found.broken == []
    assert found.lost == found.not_judged == [("mine", CHECK, CASE)]
    assert any("not judged, by an error of refot: 1" in line for line in found.report())
    assert compare(new, old).exit_status == 0


def test_a_test_of_the_plugin_fails_with_the_traceback(
    judged: Report, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> None:
    probe = Probe(Part("mine", {"value": right}))
    test = pytest_plugin.Test(CHECK, CASE, "name", "", probe, CASES[CASE])
    item = pytest_plugin.TestItem.from_parent(request.session, name="name", test=test)
    with pytest.raises(pytest_plugin.RefotError) as raised:
        item.runtest()
    assert "in broken" in item.repr_failure(raised)


def test_a_diagnosis_that_raises_accuses_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    def raises(*problem: Any) -> float:
        raise KeyError("a defect of the catalogue")

    monkeypatch.setitem(MISTAKES["value"], "a mistake", raises)
    case = CASES[CASE]
    part = Part("mine", {"value": lambda *problem: 0.0})
    result = run_check(CHECKS[CHECK], Trial(Probe(part), case, solution_of(case))).result
    assert result.status == "refot_error"
    assert "a defect of the catalogue" in result.traceback


# ------------------------------------------------------------------ float32
def wrong(case: Case) -> Iterator[CheckResult]:
    """Every capability, with answers that are all wrong: each failure is looked into."""
    matrix = case.C
    answers: dict[str, Any] = {
        "plan": np.full(matrix.shape, 0.5), "potentials": (case.a, case.b),
        "informative_plan": np.full(matrix.shape, 0.5), "softmin": case.a,
        "semidual_gradient": case.b, "scaling_loss_gradient": matrix, "divergence_gradient": case.x,
        "unbalanced_plan": np.full(matrix.shape, 0.5), "unbalanced_potentials": (case.a, case.b),
        "unbalanced_mass_gradient": case.a, "unbalanced_divergence_gradient": case.x}
    for capability in {check.capability for check in CHECKS.values()} - {"train_step", "converged"}:
        answer = answers.get(capability, np.float32(0.7))
        probe = Probe(Part("mine", {capability: lambda *_, answer=answer: answer}))
        yield from (each.result for each in examine([probe], [case]))


def test_float32_cases_are_compared_and_diagnosed() -> None:
    found = list(wrong(CASES["float32"]))
    asks_for_a_plan_too = [each for each in found if each.id == "unbalanced_value.mass"]
    assert {each.status for each in asks_for_a_plan_too} == {"not_provided"}
    assert {each.status for each in found if each not in asks_for_a_plan_too} <= {
        "failed", "passed"}
    assert sum(each.status == "failed" for each in found) > 25
