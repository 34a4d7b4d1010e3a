"""The verifier itself: it passes what is right, fails what is wrong, and trusts no subject."""

from __future__ import annotations

import json
import math
import warnings
from pathlib import Path

import numpy as np
import pytest
from flint import arb

import refot
from refot.arrays import InputError
from refot.verification.cases.case import REAL, Case, collect
from refot.verification.certificates.intervals import Interval
from refot.verification.checks import CHECKS
from refot.verification.checks.trial import Finding, Trial
from refot.verification.checks.trial import check as register_check
from refot.verification.enclosures.enclose import enclose_values
from refot.verification.reports.terminal import write_json
from refot.verification.runs import run as running
from refot.verification.runs.levels import LEVELS, Level
from refot.verification.subjects.adapters.refot_itself import subject as itself
from refot.verification.subjects.capabilities import CAPABILITIES, Role, names_of
from refot.verification.subjects.loading import as_subject
from refot.verification.subjects.probe import Probe, SubjectError
from refot.verification.subjects.subject import Part, Subject
from refot.verification.truth.solution import Truth

AVAILABLE = [status.name for status in refot.backend_status() if status.available]


@pytest.mark.parametrize("backend", AVAILABLE)
def test_refot_passes_its_own_checks(backend: str) -> None:
    report = running.run(itself(refot.get_backend(backend)))
    assert [c for c in report.checks if c.status in ("failed", "error")] == []
    assert report.exit_status_of(strict=True) == 0
    assert report.count("passed") > 700
    assert {check.status for check in report.checks} <= {"passed", "not_provided"}


def test_it_passes_the_full_profile() -> None:
    report = running.run(itself(refot.get_backend("numpy")), "full")
    assert [c for c in report.checks if c.status in ("failed", "error")] == []
    assert report.exit_status_of(strict=True) == 0
    assert report.count("passed") > 2500


def test_no_two_checks_have_one_id() -> None:
    register = register_check("value.certified", "The same id for something else")
    with pytest.raises(InputError, match=r"^id: 'value\.certified', which another check has"):
        register(lambda trial: trial.mass_error(0.0))


# ------------------------------------------------------------------ conventions, diagnosis
def test_a_right_answer_in_a_declared_convention_passes() -> None:
    class Sharp:
        convention = "G"

        def value(self, C, a, b, eps):  # type: ignore[no-untyped-def]
            return refot.sharp_value(C, a, b, eps, backend="numpy")

    class Entropic:
        convention = "L"

        def value(self, C, a, b, eps):  # type: ignore[no-untyped-def]
            F = refot.entropic_value(C, a, b, eps, backend="numpy")
            return F - eps * (refot.entropy(a) + refot.entropy(b))

    for declared in (Sharp, Entropic):
        report = running.run(as_subject(declared, "mine"))
        assert [c for c in report.checks if c.status == "failed"] == []


def test_an_error_of_no_known_kind_gets_no_diagnosis() -> None:
    def wrong(C, a, b, eps):  # type: ignore[no-untyped-def]
        return 1.2345 * refot.entropic_value(C, a, b, eps, backend="numpy") + 0.01

    report = running.run(as_subject(wrong, "wrong", "value"))
    failed = [c for c in report.checks if c.id == "value.certified" and c.status == "failed"]
    assert failed
    assert {check.diagnosis for check in failed} == {""}


# ------------------------------------------------------------------ what a subject may do
def gaussian() -> Case:
    return collect("quick")[0][0]


def probe(function) -> Probe:  # type: ignore[no-untyped-def]
    return Probe(Part("mine", {"value": function, "plan": function, "potentials": function}))


@pytest.mark.parametrize(("answer", "complaint"), [
    (None, "not numbers"), ("0.5", "not numbers"), (object(), "not numbers"), (1j, "not numbers"),
    (np.zeros((2, 2)), "where a number is due"), ([], "where a number is due"),
])
def test_answers_that_are_no_numbers(answer: object, complaint: str) -> None:
    with pytest.raises(SubjectError, match=complaint):
        probe(lambda *_: answer).number("value", 1.0)


def test_a_number_may_come_as_an_array_of_one() -> None:
    assert probe(lambda *_: np.array([[0.5]], dtype=np.float32)).number("value", 1.0) == 0.5


def test_wrong_shapes_and_pairs_are_errors() -> None:
    with pytest.raises(SubjectError, match=r"\(3,\) where \(2, 2\) is due"):
        probe(lambda *_: np.zeros(3)).array("plan", (2, 2))
    with pytest.raises(SubjectError, match="pair"):
        probe(lambda *_: np.zeros(3)).pair("potentials", np.zeros((2, 2)))


def test_an_exception_is_an_error_with_its_name_and_the_run_goes_on() -> None:
    def broken(C, a, b, eps):  # type: ignore[no-untyped-def]
        raise RuntimeError("no " * 200)

    report = running.run(as_subject(broken, "broken", "value"))
    assert report.count("passed") == 0
    assert report.count("error") > 50
    errors = [check.message for check in report.checks if check.status == "error"]
    assert all(message.startswith("RuntimeError: no no") for message in errors)
    assert max(map(len, errors)) < 200


def test_a_subject_cannot_change_the_arguments_of_the_next_call() -> None:
    def vandal(C, a, b, eps):  # type: ignore[no-untyped-def]
        value = refot.entropic_value(C.copy(), a.copy(), b.copy(), eps, backend="numpy")
        C[:], a[:], b[:] = 7, 0, 0
        return value

    report = running.run(as_subject(vandal, "vandal", "value"))
    failed = {check.id for check in report.checks if check.status == "failed"}
    assert failed == {"value.keeps-arguments"}
    assert report.count("error") == 0


def test_warnings_and_prints_are_kept_with_the_part(capsys: pytest.CaptureFixture[str]) -> None:
    def noisy(C, a, b, eps):  # type: ignore[no-untyped-def]
        warnings.warn("did not converge", RuntimeWarning, stacklevel=1)
        print("hello from inside")
        return refot.entropic_value(C, a, b, eps, backend="numpy")

    report = running.run(as_subject(noisy, "noisy", "value"))
    assert report.warnings["noisy"] == ("did not converge",)
    assert report.printed["noisy"] == ("hello from inside",)
    assert capsys.readouterr().out == ""


def test_one_call_serves_several_checks() -> None:
    calls: list[tuple[int, int]] = []

    def counted(C, a, b, eps):  # type: ignore[no-untyped-def]
        calls.append(C.shape)
        return np.outer(a, b)

    case = gaussian()
    mine = Probe(Part("mine", {"plan": counted}))
    for name in ("plan.marginals", "plan.nonnegative", "plan.entries"):
        CHECKS[name].run(Trial(mine, case, Truth(case)))
    assert len(calls) == 1


def test_nan_never_passes() -> None:
    report = running.run(as_subject(lambda *_: math.nan, "nan", "value"))
    passed = {check.id for check in report.checks if check.status == "passed"}
    assert passed == {"value.keeps-arguments"}  # which looks at no answer
    assert not Finding(math.nan, Interval(0, 0), math.nan, math.inf).passed


def test_not_provided_is_named() -> None:
    report = running.run(as_subject(refot.mmd_squared, "mmd", "mmd"))
    missing = {check.capability for check in report.checks if check.status == "not_provided"}
    assert missing == set(names_of(Role.ANSWER, Role.TRAINING)) - {"mmd"}
    assert report.exit_status == 0


def test_failures_come_first() -> None:
    sharp = as_subject(lambda *problem: refot.sharp_value(*problem), "sharp", "value")
    order = [check.level for check in running.run(sharp).checks]
    assert order == sorted(order, key=LEVELS.index)
    assert order[0] is Level.WRONG


# ------------------------------------------------------------------ checks, cases, truth
def test_every_check_belongs_to_a_capability_and_has_a_sentence() -> None:
    for check in CHECKS.values():
        assert check.capability in CAPABILITIES
        assert len(check.sentence) > 20


def test_every_capability_with_an_answer_here_has_checks() -> None:
    checked = {check.capability for check in CHECKS.values()}
    assert set(CAPABILITIES) - checked <= {"scaling_loss_gradient"}


def test_case_names_are_unique_and_derived_cases_say_what_was_done() -> None:
    names = [case.name for case in collect("full")[0]]
    assert len(names) == len(set(names))
    case = gaussian()
    derived = {case.transposed().name, case.scaled(2).name, case.shifted(1).name, case.split().name}
    assert derived == {"gaussian.T", "gaussian*2", "gaussian+1", "gaussian.split"}


def test_left_out_cases_say_why(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "sklearn", None)
    cases, left_out = collect("quick")
    assert set(left_out) == set(REAL)
    assert all("pip install" in reason for reason in left_out.values())
    assert not {case.name for case in cases} & set(REAL)


@pytest.mark.parametrize("case", collect("quick")[0], ids=lambda case: case.name)
def test_truth_is_consistent(case: Case) -> None:
    truth = Truth(case)
    assert truth.value.relative_width < 1e-7
    assert truth.transport_cost.lower <= truth.value.upper
    slack = 1e-9 * case.spread + 1e-9
    assert truth.kantorovich <= truth.transport_cost.upper + slack


@pytest.mark.parametrize("case", collect("quick")[0], ids=lambda case: case.name)
def test_certificates_contain_the_value_to_30_digits(case: Case) -> None:
    truth = Truth(case)
    a, b = (weights.astype(np.float64) for weights in (case.a, case.b))
    F, s = enclose_values(truth.C, a / a.sum(), b / b.sum(), case.eps)
    assert F.rad() < 1e-28 * abs(truth.C).max()
    for certified, true in ((truth.value, F), (truth.transport_cost, s)):
        assert arb(certified.lower) <= true
        assert true <= arb(certified.upper)


# ------------------------------------------------------------------ the published JSON
def test_json_is_strict_and_whole(tmp_path: Path) -> None:
    part = Part("half", {"value": lambda C, a, b, eps: math.nan if len(a) > 9 else 1.0})
    report = running.run(Subject("half", "1.0", (part,)))
    target = tmp_path / "report.json"
    write_json(report, target)
    read = json.loads(target.read_text(), parse_constant=pytest.fail)
    assert list(read) == ["format", "refot", "subject", "backend", "profile", "summary", "levels",
                          "digits", "checks", "left_out", "warnings", "printed", "scaling",
                          "arguments"]
    assert sum(read["levels"].values()) == len(read["checks"])
    assert read["subject"] == {"name": "half", "version": "1.0", "convention": "refot"}
    assert sum(read["summary"].values()) == len(read["checks"])
    assert {"nan"} <= {check["measured"] for check in read["checks"]}
    assert [path.name for path in tmp_path.iterdir()] == ["report.json"]
