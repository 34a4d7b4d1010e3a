"""The records of the capabilities: what they say is true, and a new one needs one record."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

import numpy as np
import pytest

from refot.backend_contract import get_backend
from refot.verification.cases.case import synthetic
from refot.verification.checks.arguments import ordinary
from refot.verification.checks.trial import CHECKS, Trial
from refot.verification.subjects.adapters.refot_itself import subject
from refot.verification.subjects.capabilities import (
    CAPABILITIES,
    CLOUDS,
    MATRIX,
    UNBALANCED,
    UNBALANCED_CLOUDS,
    Answers,
    Role,
    Unit,
    missing_from,
    names_of,
)
from refot.verification.subjects.probe import Probe
from refot.verification.truth.right import RIGHT, sums
from refot.verification.truth.solution import solution_of

(REFOT,) = subject(get_backend("numpy")).parts
CASE = next(synthetic())


def arguments(capability: str) -> tuple[Any, ...]:
    return ordinary(Trial(Probe(REFOT), CASE, solution_of(CASE)), capability)


def shapes(answer: Any) -> Any:
    """The shape of an answer; of a pair both."""
    return [np.shape(each) for each in answer] if isinstance(answer, tuple) else np.shape(answer)


def in_one(answer: Any) -> Any:
    """An answer as one array; of potentials the sums f_i + g_j."""
    return sums(*answer) if isinstance(answer, tuple) else np.asarray(answer)


# ------------------------------------------------------------------ what a record says is true
def test_a_record_has_the_name_under_which_it_is_found() -> None:
    assert all(record.name == name for name, record in CAPABILITIES.items())
    assert REFOT.capabilities.keys() == set(names_of(Role.ANSWER, Role.STATEMENT))


def test_every_answer_has_a_right_one_and_every_capability_a_check() -> None:
    assert RIGHT.keys() == set(names_of(Role.ANSWER))
    assert CAPABILITIES.keys() == {check.capability for check in CHECKS.values()}


def test_a_signature_is_the_call_and_its_answer() -> None:
    assert CAPABILITIES["softmin"].signature == (
        "softmin(C, h, eps) -> (n,): -eps log sum_j exp((h_j - C_ij)/eps)")


@pytest.mark.parametrize("name", names_of(Role.ANSWER))
def test_zeros_have_the_shape_of_the_answer(name: str) -> None:
    given = arguments(name)
    assert shapes(CAPABILITIES[name].zeros(given)) == shapes(REFOT.capabilities[name](*given))


LENGTHS, OF_COST = ("x", "y"), ("C", "f", "g", "h", "eps", "lam", "rho")
"""Arguments that double where lengths do, and those that grow fourfold, as squares of lengths."""

GROWTH = {Unit.NONE: 1.0, Unit.MASS: 1.0, Unit.SLOPE: 2.0, Unit.COST: 4.0}


@pytest.mark.parametrize("name", names_of(Role.ANSWER))
def test_an_answer_has_the_unit_of_its_record(name: str) -> None:
    """Lengths doubled: powers of two round nothing, but a solve may stop an iteration earlier."""
    record, given = CAPABILITIES[name], arguments(name)
    factors = dict.fromkeys(LENGTHS, 2) | dict.fromkeys(OF_COST, 4)
    larger = tuple(factors[key] * value if key in factors else value
                   for key, value in record.named(given).items())
    before, after = (in_one(REFOT.capabilities[name](*each)) for each in (given, larger))
    expected = GROWTH[record.unit] * before
    np.testing.assert_allclose(after, expected, rtol=0, atol=1e-6 * abs(expected).max())


def test_a_convention_speaks_of_whole_problems_only() -> None:
    translated = {name for name, record in CAPABILITIES.items() if record.is_translated}
    unbalanced = {name for name, record in CAPABILITIES.items() if record.is_unbalanced}
    assert translated == {"plan", "potentials", "value", "transport_cost", "converged",
                          "divergence", "divergence_gradient"} | unbalanced
    assert all(CAPABILITIES[name].takes in (MATRIX, CLOUDS, UNBALANCED, UNBALANCED_CLOUDS)
               for name in translated)
    assert len(unbalanced) == 6


def test_statements_are_not_missed() -> None:
    missing = {record.name for record in missing_from({"plan"})}
    assert missing == CAPABILITIES.keys() - {"plan", "converged"}
    assert CAPABILITIES["converged"].answers is Answers.YES_OR_NO


# ------------------------------------------------------------------ a new one
TOY = '''
import json

from refot.verification.subjects.capabilities import (
    CAPABILITIES, MATRIX, Answers, Capability, Unit)
from refot.verification.truth.right import RIGHT
from refot.verification.truth.solution import solution

# the record
CAPABILITIES["kl_term"] = Capability("kl_term", MATRIX, "eps KL(P | a b)", Answers.NUMBER,
                                     Unit.COST, solved=True, measured=True)


# the right answer
def kl_term(*problem):
    return solution(*problem).F - solution(*problem).s


RIGHT["kl_term"] = kl_term

# the checks
from refot.verification.checks.trial import check


@check("kl_term.right", "It is what the value has beyond the transport cost")
def right(trial):
    return trial.value_equals(trial.number("kl_term", *trial.case.matrix),
                              kl_term(*trial.case.matrix))


from refot.verification.cases.case import synthetic
from refot.verification.runs.program import questions
from refot.verification.runs.run import run
from refot.verification.runs.scaling import to_measure
from refot.verification.subjects.loading import as_subject
from refot.verification.subjects.protocol import request_line

wrong = as_subject(lambda C, a, b, eps: kl_term(C.reshape(C.shape[::-1]).T, a, b, eps),
                   "wrong", "kl_term")
right_one = as_subject(kl_term, "right", "kl_term")
asked = questions(["kl_term"], [next(synthetic())])
print(json.dumps({
    "right": {c.id: c.status for c in run(right_one).checks if c.capability == "kl_term"},
    "diagnoses": sorted({c.diagnosis.partition(" (")[0] for c in run(wrong).checks
                         if c.status == "failed" and c.case == "gaussian"}),
    "missing": [c.message for c in run(as_subject(len, "other", "plan")).checks
                if c.id == "kl_term.*"],
    "measured": [name for _, name in to_measure(right_one)],
    "line": request_line(1, *asked.sound[0]).decode()[:40],
}))
'''
"""A capability that is added while a program runs, before the checks are imported."""


def test_a_new_capability_is_a_record_a_right_answer_and_its_checks() -> None:
    done = subprocess.run([sys.executable, "-c", TOY], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    said = json.loads(done.stdout)
    assert said["right"] == dict.fromkeys(
        ("kl_term.right", "kl_term.repeatable", "kl_term.keeps-arguments", "kl_term.float64"),
        "passed")
    assert said["diagnoses"] == [
        "the cost is read column by column, not row by row"]
    assert said["missing"] == ["not provided: kl_term(C, a, b, eps) -> eps KL(P | a b)"]
    assert said["measured"] == ["kl_term"]
    assert said["line"].startswith('{"id":1,"capability":"kl_term","dtype":')
