"""Whatever a subject answers, refot's own code raises nothing: mangled answers to every check."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from functools import cache
from typing import Any

import mangled_answers
import numpy as np
import pytest

from refot.backend_contract import get_backend
from refot.conventions.convert import CONVENTIONS
from refot.verification.cases.case import Case, synthetic
from refot.verification.checks import CHECKS
from refot.verification.checks.trial import Check, Trial
from refot.verification.runs.run import CheckResult, run_check
from refot.verification.subjects.adapters.refot_itself import subject
from refot.verification.subjects.probe import Probe
from refot.verification.subjects.subject import Part
from refot.verification.trajectories.systems import train_step
from refot.verification.truth.solution import solution_of

CASES = [case for case in synthetic() if case.name in (
    "gaussian", "euclidean", "one-by-one", "float32", "asymmetric", "offset", "zero-weights",
    "duplicates", "tiny-eps")]

CAPABILITIES = sorted({check.capability for check in CHECKS.values()})


@cache
def right(capability: str) -> Callable[..., Any]:
    """The right answers, each computed once."""
    (part,) = subject(get_backend("numpy")).parts
    function = train_step if capability == "train_step" else part.capabilities[capability]
    known: dict[bytes, Any] = {}

    def answer(*arguments: Any) -> Any:
        key = repr([v.tobytes() + v.dtype.str.encode() if isinstance(v, np.ndarray) else v
                    for v in arguments]).encode()
        if key not in known:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                try:
                    known[key] = function(*arguments)
                except Exception as error:  # noqa: BLE001 - bad input, which it refuses
                    known[key] = error
        if isinstance(known[key], Exception):
            raise known[key]
        return known[key]

    return answer


def judged(capability: str, seed: int) -> CheckResult:
    """One check, drawn with the case and the convention, of a subject that mangles its answers."""
    rng = np.random.default_rng(seed)
    choices: list[tuple[Check, Case]] = [
        (check, case) for case in CASES for check in CHECKS.values()
        if check.capability == capability and check.applies(case)]
    check, case = choices[rng.integers(len(choices))]
    declared = "refot" if rng.random() < 0.7 else str(rng.choice(sorted(CONVENTIONS)))
    rarely = rng.random()  # some answers are right, so that what follows is reached, too

    def mangles(*arguments: Any) -> Any:
        answer = right(capability)(*arguments)
        return answer if rng.random() < 0.5 * rarely else mangled_answers.mangled(rng, answer)

    beside = {"plan": right("plan")} if capability != "plan" and rng.random() < 0.3 else {}
    part = Part("mangled", {capability: mangles, **beside}, declared)
    return run_check(check, Trial(Probe(part), case, solution_of(case))).result


def refot_errors(capability: str, number: int) -> list[str]:
    """What refot's own code raised, for so many mangled answers."""
    found = [(seed, judged(capability, seed)) for seed in range(number)]
    assert {result.status for _, result in found} & {"failed", "error"}
    return [f"seed {seed}: {result.id} on {result.case}: {result.traceback}"
            for seed, result in found if result.status == "refot_error"]


@pytest.mark.parametrize("capability", CAPABILITIES)
def test_no_answer_makes_refot_raise(capability: str) -> None:
    assert refot_errors(capability, 40) == []


@pytest.mark.slow
@pytest.mark.parametrize("capability", CAPABILITIES)
def test_none_of_two_thousand_answers_makes_refot_raise(capability: str) -> None:
    assert refot_errors(capability, 2_000) == []


@pytest.mark.parametrize("size", [5e304, 1.7e308, -1.7e308, np.inf, np.nan])
def test_a_potential_that_is_too_large_to_compute_with_is_a_wrong_answer(size: float) -> None:
    def huge(*arguments: Any) -> Any:
        f, g = right("potentials")(*arguments)
        return f, np.where(np.arange(len(g)) == 0, size, g)

    (case,) = [case for case in CASES if case.name == "asymmetric"]
    found = run_check(CHECKS["potentials.optimal"],
                      Trial(Probe(Part("huge", {"potentials": huge}, "refot")), case,
                            solution_of(case))).result
    assert found.status == "failed"
