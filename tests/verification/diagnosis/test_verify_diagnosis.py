"""Diagnosis: the mistake that all failed calls agree on, with its evidence, or nothing."""

from __future__ import annotations

import numpy as np
import pytest

import refot
from refot.verification.diagnosis.vote import MISTAKES, RIGHT, Evidence, named, sentence
from refot.verification.runs.run import CheckResult
from refot.verification.subjects.loading import as_subject
from refot.verification.subjects.subject import OF_A_PROBLEM
from refot.verification.zoo.animals import examined_on, small_cases


def failures(function, capability: str, *cases: str) -> list[CheckResult]:  # type: ignore[no-untyped-def]
    subject = as_subject(function, "mine", capability)
    return [check for check in examined_on(subject, small_cases(0, cases))
            if check.status == "failed"]


def evidence(call: str, *fits: str, against: tuple[str, ...] = (), clean: bool = True) -> Evidence:
    return Evidence(call, clean, fits, against, "", f"off by {call}")


# ------------------------------------------------------------------ the vote
def test_one_clean_call_against_a_mistake_is_a_veto() -> None:
    standing = named([evidence("1", "A", "B"), evidence("2", "A", against=("B",))])
    assert list(standing) == ["A"]
    assert standing["A"] == ("off by 1", 2, 2)


def test_a_call_that_is_not_clean_has_no_veto() -> None:
    assert list(named([evidence("1", "A"), evidence("2", against=("A",), clean=False)])) == ["A"]


def test_a_call_counts_once_however_many_checks_made_it() -> None:
    assert named([evidence("1", "A"), evidence("1", "A")])["A"][1:] == (1, 1)


def test_what_cannot_be_told_apart_is_said_to_be_so() -> None:
    own = (evidence("1", "A", "B"),)
    assert sentence(own, named(own)) == "A - or: B (off by 1, fits 1 of 1 failed calls)"


def test_nothing_is_said_where_nothing_fits() -> None:
    assert sentence((evidence("1", against=("A",)),), {}) == ""


# ------------------------------------------------------------------ on real answers
def test_on_a_single_atom_many_mistakes_coincide_and_the_other_cases_decide() -> None:
    def with_eps(C, a, b, eps):  # type: ignore[no-untyped-def]
        return refot.entropic_value(C, a, b, eps, backend="numpy") + eps

    failed = failures(with_eps, "value", "one-by-one", "gaussian", "asymmetric")
    certified = [check for check in failed if check.id == "value.certified"]
    assert {check.case for check in certified} == {"one-by-one", "gaussian", "asymmetric"}
    for check in certified:
        assert check.diagnosis.startswith("eps too much (erratum E2")
        assert "fits" in check.diagnosis
        assert f"off by {check.measured - check.expected[0]:.4g}" in check.diagnosis


@pytest.mark.parametrize("change", [
    lambda F, eps: 1.2345 * F + 0.01, lambda F, eps: F + 0.37 * eps, lambda F, eps: F + 1e-3,
])
def test_an_error_of_no_known_kind_gets_no_name(change) -> None:  # type: ignore[no-untyped-def]
    failed = failures(
        lambda *problem: change(refot.entropic_value(*problem, backend="numpy"), problem[3]),
        "value", "gaussian", "asymmetric", "square-uniform")
    assert failed
    assert {check.diagnosis for check in failed if ".refuses-" not in check.id} == {""}


def test_a_constant_gets_no_name() -> None:
    failed = failures(lambda *_: 0.5, "value", "gaussian", "asymmetric")
    assert {check.diagnosis for check in failed if ".refuses-" not in check.id} == {""}


def test_float32_inside_is_seen_in_the_digits() -> None:
    failed = failures(
        lambda C, a, b, eps: np.float32(refot.entropic_value(C, a, b, eps, backend="numpy")),
        "value", "offset")
    assert failed
    assert all("float32" in check.diagnosis for check in failed)


def test_every_capability_has_a_catalogue_and_a_right_answer() -> None:
    assert MISTAKES.keys() == RIGHT.keys() == OF_A_PROBLEM.keys()
    assert all(len(mistakes) >= 8 for mistakes in MISTAKES.values())
