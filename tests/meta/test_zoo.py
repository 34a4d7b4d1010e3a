"""The zoo: every bug fails by the check meant for it and is named; nothing right is failed."""

from __future__ import annotations

from collections import Counter

import pytest

from refot.verification.cases.case import synthetic
from refot.verification.checks import CHECKS
from refot.verification.mistakes.catalogue import CATALOGUE
from refot.verification.zoo import BUGS, RIGHT, Bug, examined_on
from refot.verification.zoo.symptoms import SYMPTOMS

pytestmark = pytest.mark.filterwarnings("ignore")  # buggy subjects divide by zero and overflow

SEEDS = (0, 11)
"""`python -m refot.verification.zoo 20` runs twenty."""


@pytest.mark.parametrize("bug", BUGS.values(), ids=list(BUGS))
def test_every_bug_is_caught_by_the_check_meant_for_it_and_named(bug: Bug) -> None:
    failed = [check for check in bug.results() if check.status == "failed"]
    meant = [check for check in failed if check.id == bug.caught_by]
    assert meant, sorted({check.id for check in failed})
    said = Counter(bug.is_named(check.diagnosis) for check in meant)
    assert said[True] >= said[False], [check.diagnosis for check in meant]


def test_the_zoo_is_as_large_as_it_should_be() -> None:
    assert len(BUGS) >= 60
    assert len(RIGHT) >= 12
    assert sum(bool(bug.diagnosis) for bug in BUGS.values()) >= 0.9 * len(BUGS)
    assert {bug.caught_by for bug in BUGS.values()} <= CHECKS.keys()
    assert {bug.capability for bug in BUGS.values()} == {c.capability for c in CHECKS.values()}


def test_what_has_to_be_diagnosed_has_an_id() -> None:
    named = {bug.diagnosis for bug in BUGS.values() if bug.diagnosis}
    assert named <= CATALOGUE.keys() | SYMPTOMS.keys()
    assert named >= SYMPTOMS.keys()
    assert not CATALOGUE.keys() & SYMPTOMS.keys()
    for bug in BUGS.values():
        assert bug.diagnosis not in CATALOGUE or (
            CATALOGUE[bug.diagnosis].capability == bug.capability), bug.name


def test_a_mistake_whose_words_are_a_part_of_others_is_not_taken_for_them() -> None:
    bug = BUGS["value: eps of a half cost"]
    assert bug.diagnosis == "value.eps-halved"
    assert bug.is_named("eps is halved (off by 1, fits 1 of 1 failed calls)")
    assert bug.is_named("twice the value - or: eps is halved (fits 1 of 1 failed calls)")
    assert not bug.is_named("the sharp cost <C,P>, and eps is halved (fits 1 of 1 failed calls)")


def test_a_bug_that_nothing_names_gets_no_name() -> None:
    for bug in BUGS.values():
        if not bug.diagnosis and bug.caught_by.endswith(".certified"):
            said = {c.diagnosis for c in bug.results() if c.id == bug.caught_by}
            assert said <= {""}, (bug.name, said)


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("name", RIGHT)
def test_nothing_right_is_failed(name: str, seed: int) -> None:
    checks = examined_on(RIGHT[name](), list(synthetic(seed)))
    assert [check for check in checks if check.status in ("failed", "error")] == []
    assert any(check.status == "passed" for check in checks)
