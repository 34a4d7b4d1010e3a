"""A subject that writes into what it is given is told so, with the name of the argument."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from refot.backend_contract import get_backend
from refot.verification.cases.case import synthetic
from refot.verification.checks.trial import CHECKS, Trial
from refot.verification.runs.asked import Selection
from refot.verification.runs.parallel import run_parallel
from refot.verification.runs.run import CheckResult, run_check
from refot.verification.subjects.adapters.refot_itself import subject
from refot.verification.subjects.loading import load
from refot.verification.subjects.probe import Probe
from refot.verification.subjects.protocol import argument_names
from refot.verification.subjects.subject import Part
from refot.verification.trajectories.systems import train_step
from refot.verification.truth.solution import solution_of

CASE = next(synthetic())
KEEPS = sorted(id for id in CHECKS if id.endswith(".keeps-arguments"))
RIGHT = {**subject(get_backend("numpy")).parts[0].capabilities, "train_step": train_step}


def judged(id: str, function: Callable[..., Any]) -> CheckResult:
    part = Part("mine", {id.partition(".")[0]: function})
    return run_check(CHECKS[id], Trial(Probe(part), CASE, solution_of(CASE))).result


def test_every_capability_has_the_check() -> None:
    assert {id.partition(".")[0] for id in KEEPS} == {c.capability for c in CHECKS.values()}


@pytest.mark.parametrize("id", KEEPS)
def test_who_writes_into_nothing_passes(id: str) -> None:
    assert judged(id, RIGHT[id.partition(".")[0]]).status == "passed"


@pytest.mark.parametrize("id", KEEPS)
def test_each_argument_that_can_be_written_into_is_named(id: str) -> None:
    capability = id.partition(".")[0]
    for k, name in enumerate(argument_names(capability)):
        def writes(*arguments: Any, k: int = k) -> Any:
            answer = RIGHT[capability](*arguments)
            if isinstance(arguments[k], np.ndarray):
                arguments[k].reshape(-1)[-1] *= 1 + 1e-15
            elif isinstance(arguments[k], dict):
                arguments[k]["new"] = np.ones(2)
            elif isinstance(arguments[k], list):
                arguments[k][0].clear()
            return answer

        found = judged(id, writes)
        can = {"train_step": ("settings", "weights", "batches")}.get(
            capability, tuple(n for n in argument_names(capability)
                              if n not in ("eps", "rho", "cost", "L", "lam")))
        assert found.status == ("failed" if name in can else "passed"), name
        if name in can:
            assert found.diagnosis == f"it writes into its argument {name}"


@pytest.mark.parametrize("write", [
    lambda C, a, b, eps: C.__setitem__((0, 0), np.nan),
    lambda C, a, b, eps: C.resize((3, 2), refcheck=False),
    lambda C, a, b, eps: setattr(C, "shape", (-1,)),
    lambda C, a, b, eps: setattr(C, "dtype", np.int64),
])
def test_values_shape_and_dtype_are_compared_even_where_the_call_raises(write: Any) -> None:
    def raises(*problem: Any) -> Any:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)
            write(*problem)
        raise ValueError("after it has written")

    found = judged("value.keeps-arguments", raises)
    assert (found.status, found.diagnosis) == ("failed", "it writes into its argument C")


def test_no_answer_and_nothing_written_is_not_known() -> None:
    def raises(*problem: Any) -> Any:
        raise ValueError("no")

    assert judged("value.keeps-arguments", raises).status == "not_provided"


def test_a_subject_in_a_process_of_its_own_is_told_too(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(
        "def value(C, a, b, eps):\n    a[:] = a[::-1]\n    return 0.0\n")
    found = run_parallel(partial(load, f"{tmp_path / 'mine.py'}:value", "value"),
                         selection=Selection("value.keeps-arguments", "gaussian"))
    assert [each.diagnosis for each in found.checks] == ["it writes into its argument a"]
    assert found.exit_status == 1
