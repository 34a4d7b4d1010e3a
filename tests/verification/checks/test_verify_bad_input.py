"""Checks of bad input: each fault is one, what refuses it passes, what answers a number fails.

The zoo (test_zoo) shows that each kind is caught; here is what else may be answered, and hangs.
"""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

import refot
from refot.arrays import UnknownNameError
from refot.verification.cases.case import synthetic
from refot.verification.cases.faults import FAULTS, Fault
from refot.verification.checks import CHECKS, bad_input
from refot.verification.checks.arguments import ordinary
from refot.verification.checks.trial import Finding, Trial
from refot.verification.runs.run import run_check
from refot.verification.subjects.adapters import once
from refot.verification.subjects.capabilities import Role, names_of
from refot.verification.subjects.loading import TargetError, as_subject
from refot.verification.subjects.probe import NotOfferedError, Probe
from refot.verification.subjects.protocol import argument_names
from refot.verification.subjects.subject import Part
from refot.verification.truth.solution import solution_of

CASE = next(synthetic())


def trial(function: Callable[..., Any], capability: str = "value", **said: Any) -> Trial:
    """The trial of one function on the first case."""
    return Trial(Probe(Part("mine", {capability: function}, **said)), CASE, solution_of(CASE))


def judged(check: str, function: Callable[..., Any], **said: Any) -> Finding:
    """What a check finds of a function."""
    return CHECKS[check].run(trial(function, check.partition(".")[0], **said))


def value(*problem: Any) -> float:
    return refot.entropic_value(*problem, backend="numpy")


# ------------------------------------------------------------------ the faults themselves
@pytest.mark.parametrize(("fault", "capability"), [
    pytest.param(fault, capability, id=f"{capability}-{fault.name}")
    for fault in FAULTS for capability in fault.capabilities])
def test_a_fault_changes_one_thing_and_not_the_sound_arguments(
    fault: Fault, capability: str
) -> None:
    sound = dict(zip(argument_names(capability),
                     ordinary(trial(value), capability), strict=True))
    before = {name: np.array(argument) for name, argument in sound.items()}
    changed = fault.change(sound)
    assert list(changed) == list(sound)
    assert all((np.array(sound[name]) == before[name]).all() for name in sound)
    touched = [name for name in sound if not np.array_equal(changed[name], sound[name])]
    assert len(touched) == 1 or fault.name == "no-atoms"
    if fault.name.startswith("negative-weight"):
        side = "b" if fault.name.endswith("b") else "a"
        assert changed[side].min() < 0
        assert changed[side].sum() == pytest.approx(sound[side].sum())


def test_every_fault_is_a_check_of_its_capabilities() -> None:
    named = {f"{capability}.refuses-{fault.name}" for fault in FAULTS
             for capability in fault.capabilities}
    assert named == {id for id in CHECKS if ".refuses-" in id}
    assert {id.partition(".")[0] for id in named} == set(names_of(Role.ANSWER))


# ------------------------------------------------------------------ what passes
def test_an_error_and_a_nan_pass() -> None:
    def raises(C: Any, a: Any, b: Any, eps: float) -> float:
        if not eps > 0:
            raise ArithmeticError("eps")
        return value(C, a, b, eps)

    def nan(C: Any, a: Any, b: Any, eps: float) -> float:
        return value(C, a, b, eps) if eps > 0 else np.nan

    for function, told in ((raises, "it raises: ArithmeticError: eps"),
                           (nan, "its answer is not finite")):
        found = judged("value.refuses-negative-eps", function)
        assert found.passed
        assert found.message == told


def test_what_an_adapter_refuses_is_not_counted_for_the_library() -> None:
    with pytest.raises(NotOfferedError, match="refused by refot's conversion"):
        judged("value.refuses-negative-eps", value, calls="pot.solve")
    assert judged("value.refuses-negative-eps", value).passed  # refot itself


def test_what_is_not_called_with_bad_input_has_not_refused_it() -> None:
    def guarded(C: Any, a: Any, b: Any, eps: float) -> float:
        if not C.size:
            raise NotImplementedError("not called: no atoms end the process")
        return value(C, a, b, eps)

    with pytest.raises(NotOfferedError, match="not called"):
        judged("value.refuses-no-atoms", guarded)


def test_who_has_no_answer_to_sound_input_is_not_asked_and_fails_elsewhere() -> None:
    def nan(*_: Any) -> float:
        return np.nan

    with pytest.raises(NotOfferedError, match="sound input has no finite answer"):
        judged("value.refuses-nan", nan)
    assert not judged("value.certified", nan).passed
    with pytest.raises(NotOfferedError, match="ZeroDivisionError"):
        judged("value.refuses-nan", lambda *_: 1 // 0)


def forbidding(C: Any, a: Any, b: Any, eps: float) -> Any:
    """The plan, an infinite cost of which forbids a pair."""
    far = np.where(np.isfinite(C), C, 0).max() + 3e3 * eps
    solved = refot.solve(np.minimum(C, far), a, b, eps, tol=1e-12, backend="numpy")
    return refot.plan(solved.f, solved.g, np.minimum(C, far), a, b, eps, backend="numpy")


def test_a_forbidden_pair_may_be_answered_in_any_gauge() -> None:
    def potentials(C: Any, a: Any, b: Any, eps: float) -> Any:
        far = np.where(np.isfinite(C), C, 0).max() + 3e3 * eps
        solved = refot.solve(np.minimum(C, far), a, b, eps, tol=1e-12, backend="numpy")
        gauge = 5.0 if np.isinf(C).any() else 0.0
        return solved.f + gauge, solved.g - gauge

    found = judged("potentials.refuses-infinite-cost", potentials)
    assert found.passed
    assert found.message == "it takes it as a forbidden pair"
    shifted = judged("potentials.refuses-infinite-cost", lambda C, *rest: (
        potentials(C, *rest)[0] + np.isinf(C).any(), potentials(C, *rest)[1]))
    assert not shifted.passed


def shares(C: Any, a: Any, b: Any, eps: float) -> float:
    return value(C, a / a.sum(), b / b.sum(), eps)


def with_limit(C: Any, a: Any, b: Any, eps: float) -> float:
    return float(a @ C @ b) if eps == np.inf else value(C, a, b, eps)


@pytest.mark.parametrize(("check", "function", "told"), [
    ("plan.refuses-infinite-cost", forbidding, "it takes it as a forbidden pair"),
    ("value.refuses-unequal-masses", shares, "it takes weights as shares of their sum"),
    ("value.refuses-infinite-eps", with_limit, "it gives the limit"),
])
def test_a_number_with_a_meaning_passes_and_is_told(
    check: str, function: Callable[..., Any], told: str
) -> None:
    found = judged(check, function)
    assert found.passed
    assert found.message == told


def test_what_a_documentation_allows_passes_and_is_told() -> None:
    def exact(C: Any, a: Any, b: Any, eps: float) -> float:
        return value(C, a, b, eps) if eps else refot.kantorovich(C, a, b)[0]

    assert not judged("value.refuses-zero-eps", exact).passed
    found = judged("value.refuses-zero-eps", exact, allows={"zero-eps": "exact transport"})
    assert found.passed
    assert found.message == "documented: exact transport"


def test_a_subject_says_what_it_allows() -> None:
    allows = {"zero-eps": "exact transport"}
    said = as_subject(SimpleNamespace(value=value, allows=allows), "mine").parts[0].allows
    assert said == allows
    with pytest.raises(UnknownNameError, match="zero-eps"):
        as_subject(SimpleNamespace(value=value, allows={"zero-epsilon": ""}), "mine")
    with pytest.raises(TargetError, match="a list where a dict is due"):
        as_subject(SimpleNamespace(value=value, allows=["zero-eps"]), "mine")


def test_a_warning_with_other_numbers_is_no_other_warning() -> None:
    def reports(C: Any, a: Any, b: Any, eps: float) -> float:
        warnings.warn(f"stopped at an error of {abs(b.sum() - 1):.3g}", stacklevel=1)
        return value(C, a, b / b.sum(), eps) * b.sum()

    assert not judged("value.refuses-unequal-masses", reports).passed


def test_of_masses_without_coupling_a_flag_tells_as_a_warning_does() -> None:
    def scaled(C: Any, a: Any, b: Any, eps: float) -> float:
        return value(C, a, b / b.sum(), eps) * b.sum()

    assert not judged("value.refuses-unequal-masses", scaled).passed
    says = Part("mine", {"value": scaled, "converged": lambda C, a, b, eps: b.sum() < 1.5})
    found = CHECKS["value.refuses-unequal-masses"].run(
        Trial(Probe(says), CASE, solution_of(CASE)))
    assert found.passed
    assert found.message == "it says that it did not converge"


def test_the_warning_of_a_solve_that_two_capabilities_share_tells_for_both() -> None:
    @once
    def solve(C: Any, a: Any, b: Any, eps: float) -> float:
        if abs(b.sum() - 1) > 0.5:
            warnings.warn("did not converge", stacklevel=1)
        return value(C, a, b / b.sum(), eps) * b.sum()

    probe = Probe(Part("mine", {"value": solve, "transport_cost": solve}))
    for capability in probe.part.capabilities:
        found = CHECKS[f"{capability}.refuses-unequal-masses"].run(
            Trial(probe, CASE, solution_of(CASE)))
        assert found.passed
        assert found.message == "it warns: did not converge"


# ------------------------------------------------------------------ what fails
def test_a_number_fails_with_the_fault_named() -> None:
    found = judged("value.refuses-zero-eps", lambda C, a, b, eps: value(C, a, b, eps or 1.0))
    assert not found.passed
    assert found.cause == "bad input is not refused (zero eps): a number comes back"
    assert found.message.startswith("it answers ")


def test_a_call_that_does_not_end_fails_and_the_run_goes_on(
    monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bad_input, "PATIENCE", 0.05)

    def endless(C: Any, a: Any, b: Any, eps: float) -> float:
        while eps <= 0:
            pass
        return value(C, a, b, eps)

    found = judged("value.refuses-zero-eps", endless)
    assert not found.passed
    assert found.cause == "bad input is not refused (zero eps): no answer within 0.05 s"
    assert judged("value.refuses-nan", endless).passed


def test_what_starts_anew_after_it_died_starts_outside_the_clock(
    monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bad_input, "PATIENCE", 0.05)
    started: list[bool] = []

    def slow_starter(C: Any, a: Any, b: Any, eps: float) -> float:
        if not started:
            time.sleep(0.1)
            started.append(True)
        if not eps > 0:
            started.clear()
            raise ChildProcessError("it died")
        return value(C, a, b, eps)

    asked = trial(slow_starter)
    for fault in ("negative-eps", "zero-eps", "nan-eps"):
        found = CHECKS[f"value.refuses-{fault}"].run(asked)
        assert found.message == "it raises: ChildProcessError: it died"


def test_what_is_said_of_bad_input_is_not_said_of_the_run() -> None:
    def noisy(C: Any, a: Any, b: Any, eps: float) -> float:
        if not eps > 0:
            warnings.warn("eps!", stacklevel=1)
            print("eps?")
        return value(C, a, b, eps or 1.0)

    asked = trial(noisy)
    assert not CHECKS["value.refuses-zero-eps"].run(asked).passed  # a warning is no error
    assert asked.probe.warned == asked.probe.printed == set()


# ------------------------------------------------------------------ hangs
def test_after_three_hangs_the_others_are_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """Most bad input hangs; a NaN is refused, and is not taken for a hang."""
    monkeypatch.setattr(bad_input, "PATIENCE", 0.6)
    monkeypatch.setattr(bad_input, "SHORT", 0.2)
    asked: list[float] = []

    def hangs(C: Any, a: Any, b: Any, eps: float) -> float:
        if np.isnan(C).any():
            raise ValueError("NaN")
        if not (np.isfinite(C).all() and 0 < eps < np.inf):
            asked.append(eps)
            time.sleep(60)
        return refot.entropic_value(C, a, b, eps, backend="numpy")

    probe = Probe(Part("mine", {"value": hangs}))
    names = ("infinite-cost", "nan-eps", "negative-eps", "zero-eps", "infinite-eps", "nan")
    found = [run_check(CHECKS[f"value.refuses-{name}"],
                       Trial(probe, CASE, solution_of(CASE))).result for name in names]
    assert [each.status for each in found] == ["failed"] * 5 + ["passed"]
    assert ["taken for the same as 3 others" in each.diagnosis for each in found] == [
        False, False, False, True, True, False]
    assert all("no answer within 0.6 s" in each.diagnosis for each in found[:5])
    assert len(asked) == 5
