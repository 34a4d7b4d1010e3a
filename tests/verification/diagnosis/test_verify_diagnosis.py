"""Diagnosis: the mistake that all failed calls agree on, with its evidence, or nothing."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.special import logsumexp

import refot
from refot.verification.checks.trial import Finding, Trial
from refot.verification.diagnosis.causes import may_be_an_iterate
from refot.verification.diagnosis.patterns import pattern
from refot.verification.diagnosis.vote import MISTAKES, Evidence, Suspects, named, sentence
from refot.verification.mistakes.updates import standing
from refot.verification.runs.run import CheckResult
from refot.verification.subjects.capabilities import Role, names_of
from refot.verification.subjects.loading import as_subject
from refot.verification.subjects.probe import Probe
from refot.verification.subjects.subject import Part
from refot.verification.truth.right import RIGHT
from refot.verification.truth.solution import solution, solution_of
from refot.verification.zoo import BUGS
from refot.verification.zoo.bug import examined_on, small_cases


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


def test_a_cause_is_said_before_a_pattern_and_a_pattern_of_wrong_calls_only() -> None:
    wrong = (Evidence("1", True, (), (), "underflow", ""),)
    assert sentence(wrong, {}, "pattern") == "underflow"
    assert sentence((evidence("1"),), {}, "pattern") == "pattern"
    assert sentence((Evidence("1", True, (), (), "", "", wrong=False),), {}, "pattern") == ""


# ------------------------------------------------------------------ patterns
def judged(call: str, wrong: bool, *traits: str) -> Evidence:
    return Evidence(call, True, (), (), "", "", frozenset(traits), wrong)


def test_a_pattern_is_what_all_wrong_calls_share_and_hardly_a_right_one_has() -> None:
    right = [judged(f"right {k}", False, "n = m") for k in range(3)]
    wrong = [judged(f"wrong {k}", True, "n != m", "float32") for k in range(2)]
    assert pattern(right + wrong) == (
        "wrong only where float32 - or: n != m (2 of 2 such calls, 0 of 3 others)")
    assert pattern([*right, *wrong, judged("no float32", True, "n != m")]).startswith(
        "wrong only where n != m (3 of 3")
    assert pattern([*right, *wrong, judged("neither", True)]) == ""


def test_there_is_no_pattern_without_right_calls_or_where_half_of_its_calls_are_right() -> None:
    wrong = [judged(f"wrong {k}", True, "n != m") for k in range(2)]
    assert pattern(wrong + [judged(f"right {k}", False) for k in range(2)]) == ""
    right = [judged(f"right {k}", False) for k in range(3)]
    also = [judged(f"also {k}", False, "n != m") for k in range(2)]
    assert pattern(wrong + right + also) == ""


def test_a_call_that_one_check_found_wrong_is_not_right_for_another() -> None:
    right = [judged(f"right {k}", False) for k in range(3)]
    both = [judged("both", False, "n != m"), judged("both", True, "n != m")]
    assert "(1 of 1 such calls, 0 of 3 others)" in pattern(right + both)


# ------------------------------------------------------------------ not converged
def sinkhorn(C, a, b, eps, iterations):  # type: ignore[no-untyped-def]
    """Any number of iterations from g = 0."""
    f, g = np.zeros_like(a), np.zeros_like(b)
    for _ in range(iterations):
        f = refot.softmin(C, g + eps * np.log(b), eps, backend="numpy")
        g = refot.softmin(C.T, f + eps * np.log(a), eps, backend="numpy")
    return refot.plan(f, g, C, a, b, eps, backend="numpy")


@pytest.mark.parametrize("iterations", [2, 5, 20])
@pytest.mark.parametrize("name", ["gaussian", "square-uniform", "asymmetric"])
def test_a_plan_of_few_iterations_may_be_an_iterate(name: str, iterations: int) -> None:
    (case,) = small_cases(0, (name,))
    assert may_be_an_iterate(sinkhorn(*case.matrix, iterations), case.matrix)


def test_a_plan_of_another_cost_or_of_two_wrong_marginals_is_no_iterate() -> None:
    (case,) = small_cases(0, ("asymmetric",))
    C, a, b, eps = case.matrix
    assert not may_be_an_iterate(sinkhorn(C.T, a, b, eps, 5), case.matrix)
    right = solution(*case.matrix).plan
    assert not may_be_an_iterate(right * np.linspace(0.5, 1.5, 8)[:, None], (C, a, b, eps))\
        or abs((right * np.linspace(0.5, 1.5, 8)[:, None]).sum(axis=0) - b).sum() < 1e-4
    scaled = right * np.outer(np.linspace(0.5, 1.5, 8), np.linspace(1.5, 0.5, 8))
    assert not may_be_an_iterate(scaled, case.matrix)


@pytest.mark.parametrize("name", [
    "plan: a wrong axis", "plan: no b in one update", "plan: 1e-6 in every denominator",
    "plan: scalings without b in one update", "plan: row stride n",
])
def test_what_stands_at_a_wrong_fixed_point_is_never_called_not_converged(name: str) -> None:
    said = [check.diagnosis for check in BUGS[name].results() if check.status == "failed"]
    assert said
    assert not any("not converged" in each for each in said), said


def test_a_wrong_fixed_point_of_no_known_kind_is_not_called_not_converged() -> None:
    def plan(C, a, b, eps):  # type: ignore[no-untyped-def]
        """Rows are exact; the columns are those of the square roots of the weights."""
        root = np.sqrt(b) / np.sqrt(b).sum()
        return refot.plan(*solved(C, a, root, eps), C, a, root, eps, backend="numpy")

    def solved(*problem):  # type: ignore[no-untyped-def]
        found = refot.solve(*problem, backend="numpy")
        return found.f, found.g

    said = {check.diagnosis for check in failures(plan, "plan", "gaussian", "asymmetric")}
    assert not any("not converged" in each for each in said), said


@pytest.mark.parametrize("last", [0, 1])
def test_the_loop_of_right_updates_stands_at_the_optimal_potentials(last: int) -> None:
    (case,) = small_cases(0, ("gaussian",))
    found = standing(case.C, case.C.T, *case.matrix[1:])
    solved = solution(*case.matrix).solved
    assert found is not None
    # an error of the marginals of 1e-11 is one of potentials of so many eps, times 1 / (1 - rate)
    assert abs(found[last] - solved.f[:, None] - solved.g).max() < 1e-8 * case.spread


# ------------------------------------------------------------------ on real answers
def test_on_a_single_atom_many_mistakes_coincide_and_the_other_cases_decide() -> None:
    def with_eps(C, a, b, eps):  # type: ignore[no-untyped-def]
        return refot.entropic_value(C, a, b, eps, backend="numpy") + eps

    failed = failures(with_eps, "value", "one-by-one", "gaussian", "asymmetric")
    certified = [check for check in failed if check.id == "value.certified"]
    assert {check.case for check in certified} == {"one-by-one", "gaussian", "asymmetric"}
    for check in certified:
        assert check.diagnosis.startswith("eps too much: + eps in a semi-dual (erratum E2)")
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
    assert MISTAKES.keys() == RIGHT.keys() == set(names_of(Role.ANSWER))
    assert all(len(mistakes) >= 8 for mistakes in MISTAKES.values())


# ------------------------------------------------------------------ what is asked, and in what
def test_weights_of_float32_raise_nothing_in_the_diagnosis() -> None:
    def uniform(g, C, a, b, eps):  # type: ignore[no-untyped-def]
        return a @ (-eps * logsumexp((g - C) / eps - np.log(len(b)), axis=1)) + b @ g

    failed = failures(uniform, "semidual", "float32", "gaussian")
    assert {check.case for check in failed if ".refuses-" not in check.id} == {
        "float32", "gaussian"}
    assert all("log b is taken as uniform" in check.diagnosis for check in failed
               if check.id in ("semidual.value", "semidual.optimum"))


def test_a_right_subject_is_not_found_to_depend_on_earlier_calls() -> None:
    def off(*problem):  # type: ignore[no-untyped-def]
        return 1.03 * refot.entropic_value(*problem, backend="numpy")

    failed = failures(off, "value", "gaussian", "asymmetric")
    assert failed
    assert not any("earlier calls" in check.diagnosis for check in failed)


def test_no_question_is_put_where_none_is_to_be_put() -> None:
    asked = []

    def wrong(C, a, b, eps):  # type: ignore[no-untyped-def]
        asked.append(C)
        return np.outer(a, b) * np.linspace(0.5, 1.5, len(b))

    (case,) = small_cases(0, ("gaussian",))
    trial = Trial(Probe(Part("mine", {"plan": wrong})), case, solution_of(case))
    trial.plan()
    Suspects(asks=False).evidence(trial, Finding(1.0, None, 1.0, 0.0))
    assert len(asked) == 1
    Suspects().evidence(trial, Finding(1.0, None, 1.0, 0.0))
    assert len(asked) > 1
