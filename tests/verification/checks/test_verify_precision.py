"""Precision: float32 is held to roundings of float32, float64 arguments are answered in float64."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import refot
from refot.verification.cases.case import synthetic
from refot.verification.checks import CHECKS
from refot.verification.checks.trial import Finding, Trial
from refot.verification.subjects.adapters.refot_itself import subject as itself
from refot.verification.subjects.capabilities import Role, names_of
from refot.verification.subjects.probe import Probe
from refot.verification.subjects.subject import Part
from refot.verification.truth.solution import solution_of

CASE = next(synthetic())
(REFOT,) = itself(refot.get_backend("numpy")).parts


def judged(check: str, function: Callable[..., Any], tolerance: float | None = None) -> Finding:
    part = Part("mine", {check.partition(".")[0]: function}, tolerance=tolerance)
    return CHECKS[check].run(Trial(Probe(part), CASE, solution_of(CASE)))


@pytest.mark.parametrize("capability", names_of(Role.ANSWER))
def test_refot_in_float32_is_well_within_its_budget(capability: str) -> None:
    """A tenth of it: the budget allows 64 roundings of the largest term, and the stop of a solve.
    """
    found = judged(f"{capability}.float32", REFOT.capabilities[capability])
    assert found.passed
    assert 0 <= found.error < found.tolerance / 10


@pytest.mark.parametrize("capability", ["softmin", "semidual", "semidual_gradient", "mmd"])
def test_eight_bits_are_beyond_the_budget_of_float32(capability: str) -> None:
    """The same functions on arguments cut to bfloat16, where these are float32."""

    def cut(*arguments: Any) -> Any:
        return REFOT.capabilities[capability](*map(_cut, arguments))

    found = judged(f"{capability}.float32", cut)
    assert found.error > found.tolerance


def test_what_is_as_wrong_in_float64_is_no_matter_of_precision() -> None:
    found = judged("mmd.float32", lambda *clouds: 2 * REFOT.capabilities["mmd"](*clouds))
    assert found.passed
    assert "as far off in float64" in found.message
    found = judged("mmd.float32", lambda *clouds: float(clouds[0].dtype == np.float32))
    assert found.passed  # wrong in both


def _cut(argument: Any) -> Any:
    """Eight bits of a float32 number; weights as they are, or their sum would be refused."""
    if getattr(argument, "dtype", None) != np.float32 or abs(float(argument.sum()) - 1) < 1e-3:
        return argument
    return (argument.view(np.uint32) & np.uint32(0xFFFF0000)).view(np.float32)


@pytest.mark.parametrize("capability", names_of(Role.ANSWER))
def test_float32_numbers_for_float64_arguments_are_told(capability: str) -> None:
    def single(*arguments: Any) -> Any:
        answer = REFOT.capabilities[capability](*arguments)
        return tuple(np.float32(part) for part in answer) if isinstance(answer, tuple) else (
            np.float32(answer))

    found = judged(f"{capability}.float64", single)
    assert not found.passed
    assert "computed in float32" in found.cause
    assert judged(f"{capability}.float64", single, tolerance=1e-4).passed
    assert not judged(f"{capability}.float64", single, tolerance=1e-7).passed
    assert judged(f"{capability}.float64", REFOT.capabilities[capability]).passed


def test_a_constant_is_not_taken_for_float32() -> None:
    assert judged("value.float64", lambda *_: 0.5).passed
    assert not judged("value.float64", lambda *_: np.nan).passed
