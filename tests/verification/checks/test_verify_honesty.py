"""Honesty: `converged` is held to what it says, and a warning that is always given says nothing."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import refot
from refot.verification.cases.case import Case, Difficulty, synthetic
from refot.verification.checks import CHECKS
from refot.verification.checks.trial import Finding, Trial
from refot.verification.runs.run import run_check
from refot.verification.subjects.probe import NotOfferedError, Probe, SubjectError
from refot.verification.subjects.subject import Part
from refot.verification.truth.solution import solution_of

CASES = {case.name: case for case in synthetic()}
EASY, HARD = CASES["gaussian"], CASES["tiny-eps"]


def after(steps: int) -> Callable[..., Any]:
    """The plan after so many iterations."""

    def plan(C: Any, a: Any, b: Any, eps: float) -> Any:
        g = np.zeros_like(b)
        for _ in range(steps):
            f = refot.c_eps_transform(g, C, b, eps, backend="numpy")
            g = refot.c_eps_transform(f, C.T, a, eps, backend="numpy")
        return refot.plan(f, g, C, a, b, eps, backend="numpy")

    return plan


def judged(check: str, case: Case, **capabilities: Callable[..., Any]) -> Finding:
    return CHECKS[check].run(Trial(Probe(Part("mine", capabilities)), case, solution_of(case)))


# ------------------------------------------------------------------ warnings
def warning(text: Callable[[float], str]) -> Callable[..., Any]:
    def plan(*problem: Any) -> Any:
        if text(problem[3]):
            warnings.warn(text(problem[3]), stacklevel=1)
        return after(200)(*problem)

    return plan


@pytest.mark.parametrize(("text", "honest"), [
    (lambda eps: "not converged" if eps < 0.01 else "", True),
    (lambda eps: "not converged" if eps < 0.01 else "slow", True),
    (lambda eps: f"took 200 steps at eps = {eps}", False),
    (lambda eps: "", False),
])
def test_a_warning_counts_where_it_is_not_given_anyway(
    text: Callable[[float], str], honest: bool
) -> None:
    assert judged("plan.honest", HARD, plan=warning(text)).passed is honest
    assert judged("plan.honest", EASY, plan=warning(text)).passed


def test_a_flag_that_says_no_is_honest() -> None:
    for says, honest in ((False, True), (True, False)):
        found = judged("plan.honest", HARD, plan=after(200), converged=lambda *_, says=says: says)
        assert found.passed is honest


# ------------------------------------------------------------------ converged
def test_a_true_flag_passes() -> None:
    def converged(C: Any, a: Any, b: Any, eps: float) -> Any:
        rows = after(200)(C, a, b, eps).sum(axis=1)
        return abs(rows - a).sum() < 1e-7  # a NumPy boolean

    for case in (EASY, HARD):
        assert judged("converged.true", case, plan=after(200), converged=converged).passed
    assert judged("converged.known", EASY, plan=after(200), converged=converged).passed


@pytest.mark.parametrize("beside", ["plan", "potentials", "value", "transport_cost"])
def test_a_flag_that_always_says_yes_fails_beside_whatever_is_offered(beside: str) -> None:
    def answer(C: Any, a: Any, b: Any, eps: float) -> Any:
        if beside == "plan":
            return after(3)(C, a, b, eps)
        return (np.zeros_like(a), np.zeros_like(b)) if beside == "potentials" else 0.0

    found = judged("converged.true", EASY, **{beside: answer}, converged=lambda *_: True)
    assert not found.passed
    assert "says yes" in found.cause


def test_a_flag_that_always_says_no_fails_where_the_answer_is_right() -> None:
    found = judged("converged.known", EASY, plan=after(200), converged=lambda *_: False)
    assert not found.passed
    assert judged("converged.known", EASY, plan=after(3), converged=lambda *_: False).passed


def test_a_flag_alone_is_not_judged() -> None:
    with pytest.raises(NotOfferedError, match="alone says nothing"):
        judged("converged.true", EASY, converged=lambda *_: True)


@pytest.mark.parametrize("answer", [1, 0.0, "yes", None, np.array([True, False])])
def test_a_flag_is_yes_or_no(answer: Any) -> None:
    with pytest.raises(SubjectError, match="where True or False is due"):
        judged("converged.true", EASY, plan=after(3), converged=lambda *_: answer)


# ------------------------------------------------------------------ where an extreme is not reached
def status(check: str, case: Case, **capabilities: Callable[..., Any]) -> str:
    trial = Trial(Probe(Part("mine", capabilities)), case, solution_of(case))
    return run_check(CHECKS[check], trial).result.status


def raising(error: Exception) -> Callable[..., Any]:
    def plan(*problem: Any) -> Any:
        if problem[3] < 0.01:
            raise error
        return after(200)(*problem)

    return plan


class NotConvergedError(Exception):
    """As libraries have one of their own."""


def test_one_case_is_extreme() -> None:
    extreme = [case.name for case in CASES.values() if case.difficulty is Difficulty.EXTREME]
    assert extreme == ["tiny-eps"]
    assert HARD.transposed().difficulty is Difficulty.EXTREME


@pytest.mark.parametrize(("text", "found"), [
    ("Sinkhorn did not converge", "not_converged"), ("stopped after 200 iterations",
                                                     "not_converged"),
    ("tolerance 1e-9 not reached", "not_converged"), ("", "failed"),
    ("divide by zero encountered in log", "failed"), ("this function is deprecated", "failed"),
])
def test_a_warning_that_tells_is_enough_at_an_extreme(text: str, found: str) -> None:
    hard_only = warning(lambda eps: text if eps < 0.01 else "")
    assert status("plan.marginals", HARD, plan=hard_only) == found
    if text:
        always = warning(lambda eps: text)
        assert status("plan.marginals", HARD, plan=always) == "failed"


@pytest.mark.parametrize(("error", "found"), [
    (NotConvergedError("1e-3"), "not_converged"), (RuntimeError("no convergence"), "not_converged"),
    (ArithmeticError("column error 1e-3 after 200 steps"), "not_converged"),
    (TypeError("iteration over a 0-d array"), "error"), (IndexError("step 3"), "error"),
    (ZeroDivisionError("division by zero"), "error"), (TimeoutError("after 10 steps"), "error"),
])
def test_an_error_that_tells_is_enough_at_an_extreme(error: Exception, found: str) -> None:
    assert status("plan.marginals", HARD, plan=raising(error)) == found
    assert status("plan.honest", HARD, plan=raising(error)) == found


def test_a_flag_that_says_no_is_enough_at_an_extreme() -> None:
    for says, found in ((False, "not_converged"), (True, "failed")):
        assert status("plan.marginals", HARD, plan=after(200),
                      converged=lambda *_, says=says: says) == found


def test_nothing_is_excused_elsewhere_nor_what_no_iteration_explains() -> None:
    def short(*problem: Any) -> Any:
        warnings.warn("did not converge", stacklevel=1)
        return after(1)(*problem)

    def negative(*problem: Any) -> Any:
        return warning(lambda eps: "did not converge" if eps < 0.01 else "")(*problem) - 1e-3

    assert status("plan.marginals", CASES["asymmetric"], plan=short) == "failed"
    assert status("plan.nonnegative", HARD, plan=negative) == "failed"
    assert status("converged.true", HARD, plan=negative, converged=lambda *_: True) == "failed"
