"""Calls that are made once for several questions, and those that have to be made anew."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
import pytest

import refot
from refot.verification.cases.case import synthetic
from refot.verification.checks import CHECKS
from refot.verification.checks.trial import Trial
from refot.verification.diagnosis.questions import EASY
from refot.verification.runs import scaling
from refot.verification.runs.run import run_check
from refot.verification.subjects.adapters import KEPT, once
from refot.verification.subjects.anew import anew
from refot.verification.subjects.probe import Probe
from refot.verification.subjects.subject import Part, Subject
from refot.verification.truth.solution import solution_of

CASE = next(synthetic())


def trial(part: Part) -> Trial:
    return Trial(Probe(part), CASE, solution_of(CASE))


def test_a_problem_is_solved_once_until_many_others_were() -> None:
    solved: list[tuple[float, ...]] = []

    @once
    def solve(C: Any, a: Any, b: Any, *numbers: float) -> float:
        solved.append(numbers)
        return sum(numbers)

    C, a, b, _ = CASE.matrix
    assert [solve(C, a, b, eps) for eps in (1.0, 2.0, 1.0, 2.0)] == [1.0, 2.0, 1.0, 2.0]
    assert solve(C, a, b, 1.0, 2.0) == 3.0  # with a rho, another problem
    assert solve(C, a[::-1].copy(), b, 1.0) == 1.0
    assert solved == [(1.0,), (2.0,), (1.0, 2.0), (1.0,)]
    for k in range(KEPT):
        solve(C, a, b, 3.0 + k)
    solve(C, a, b, 1.0)
    assert solved[-1] == (1.0,)


def test_an_error_is_not_kept() -> None:
    solved: list[float] = []

    @once
    def solve(C: Any, a: Any, b: Any, eps: float) -> float:
        solved.append(eps)
        raise ValueError("no")

    for _ in range(2):
        with pytest.raises(ValueError, match="no"):
            solve(*CASE.matrix)
    assert len(solved) == 2


def test_what_is_to_be_made_anew_is_and_then_kept() -> None:
    answers = iter(range(9))
    solve = once(lambda *problem: next(answers))
    assert [solve(*CASE.matrix), solve(*CASE.matrix)] == [0, 0]
    with anew():
        assert [solve(*CASE.matrix), solve(*CASE.matrix)] == [1, 2]
    assert solve(*CASE.matrix) == 2


def test_an_adapter_that_keeps_answers_does_not_hide_a_random_library() -> None:
    """Two calls with one answer that was kept would agree."""
    rng = np.random.default_rng(0)
    solve = once(lambda *problem: refot.entropic_value(*problem) + rng.normal())
    found = CHECKS["value.repeatable"].run(trial(Part("p", {"value": solve}, calls="pot.solve")))
    assert not found.passed


def test_each_call_that_is_timed_reaches_the_library(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scaling, "SIZES", (64,))
    sizes: list[int] = []

    @once
    def solve(C: Any, a: Any, b: Any, eps: float) -> float:
        sizes.append(len(a))
        return 0.0

    assert scaling.measured(Subject("s", "", (Part("p", {"value": solve}),)))
    assert sizes == [64] * 2 * scaling.CALLS  # the first four compile


def test_after_bad_input_no_sound_question_is_put_to_a_library_again() -> None:
    asked: Counter[bool] = Counter()

    def value(C: Any, a: Any, b: Any, eps: float) -> float:
        asked[eps == CASE.eps] += 1
        if not eps > 0:
            raise ValueError("eps")
        return refot.entropic_value(C, a, b, eps)

    for calls, sound in (("pot.solve", 1), ("", 3)):  # "": it may be a program that has died
        asked.clear()
        one = trial(Part("p", {"value": value}, calls=calls))
        for fault in ("negative-eps", "zero-eps", "nan-eps"):
            assert CHECKS[f"value.refuses-{fault}"].run(one).passed
        assert asked == {True: sound, False: 3}


def test_a_question_of_the_diagnosis_is_put_once() -> None:
    """Whether more iterations would help is asked for each failed check of one plan."""
    easy = EASY * float(np.ptp(CASE.C))
    asked: Counter[bool] = Counter()

    def plan(C: Any, a: Any, b: Any, eps: float) -> Any:
        asked[eps == easy] += 1
        g = np.zeros(len(b))
        for _ in range(2):
            f = refot.softmin(C, g + eps * np.log(b), eps)
            g = refot.softmin(C.T, f + eps * np.log(a), eps)
        return a[:, None] * b * np.exp((f[:, None] + g - C) / eps)

    one = trial(Part("p", {"plan": plan}))
    for id in ("plan.marginals", "plan.entries", "plan.honest"):
        examined = run_check(CHECKS[id], one)
        assert examined.evidence[0].cause.startswith("not converged")
    assert asked[True] == 1
