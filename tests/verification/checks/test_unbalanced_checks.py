"""Checks of unbalanced transport: what is right passes them, conventions are translated."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from refot.verification.cases.case import synthetic
from refot.verification.cases.unbalanced import unbalanced, unbalanced_clouds
from refot.verification.checks import CHECKS
from refot.verification.checks.translation import from_subject, to_subject
from refot.verification.checks.trial import Trial
from refot.verification.runs.run import CheckResult
from refot.verification.subjects.capabilities import CAPABILITIES
from refot.verification.subjects.probe import NotOfferedError, Probe
from refot.verification.subjects.subject import Part, Subject
from refot.verification.truth.solution import solution_of
from refot.verification.truth.unbalanced import dual, primal, unbalanced_solution
from refot.verification.truth.unbalanced_right import UNBALANCED_RIGHT
from refot.verification.zoo.bug import examined_on

CASES = {case.name: case for case in synthetic(7)}
GAUSSIAN = CASES["gaussian"]
PROBLEM = unbalanced(GAUSSIAN)


def statuses(capability: str, function: Any, convention: str = "refot") -> dict[str, str]:
    part = Part("mine", {capability: function}, convention)
    found: list[CheckResult] = examined_on(Subject("mine", "", (part,)), [GAUSSIAN])
    return {result.id.partition(".")[2]: result.status for result in found}


# ------------------------------------------------------------------ the truth
@pytest.mark.parametrize("name", ["gaussian", "zero-weights", "offset", "negative", "small-eps"])
def test_the_truth_is_an_optimum_between_dual_and_primal(name: str) -> None:
    problem = unbalanced(CASES[name])
    t = unbalanced_solution(*problem)
    rows, columns = t.marginals
    np.testing.assert_allclose(rows, t.a * np.exp(-t.f / t.rhos[0]), atol=1e-11)
    np.testing.assert_allclose(columns, t.b * np.exp(-t.g / t.rhos[1]), atol=1e-11)
    assert t.value.width <= 1e-11 * t.largest_term
    given = t.C, t.a, t.b, t.eps, t.rhos
    rng = np.random.default_rng(0)
    for _ in range(5):  # nothing else is better on either side
        f, g = t.f + t.eps * rng.normal(size=t.f.shape), t.g + t.eps * rng.normal(size=t.g.shape)
        assert dual(f, g, *given) <= t.value.upper
        assert primal(t.plan * rng.uniform(0.5, 2), *given) >= t.value.lower


def test_the_derived_problems_mean_what_their_names_say() -> None:
    _, a, b, *_ = PROBLEM
    assert (a.sum(), b.sum()) == pytest.approx((1.5, 0.625))
    assert a.sum() * b.sum() != pytest.approx((a.sum() + b.sum()) / 2)  # finding G7 must show
    assert CAPABILITIES["unbalanced_value"].takes == ("C", "a", "b", "eps", "rho")


# ------------------------------------------------------------------ what a check says
def test_right_answers_pass_every_check() -> None:
    for capability, right in UNBALANCED_RIGHT.items():
        if capability == "unbalanced_potentials":
            def right(*problem: Any) -> Any:
                return unbalanced_solution(*problem).potentials
        own = {what: status for what, status in statuses(capability, right).items()
               if not what.startswith("refuses-")}
        assert set(own.values()) <= {"passed", "not_provided"}, own
        assert own


def test_a_value_and_a_plan_of_one_part_are_compared() -> None:
    offered = {"unbalanced_plan": lambda *problem: 1.01 * unbalanced_solution(*problem).plan,
               "unbalanced_value": lambda *problem: unbalanced_solution(*problem).U}
    found = examined_on(Subject("mine", "", (Part("mine", offered),)), [GAUSSIAN])
    assert {r.status for r in found if r.id == "unbalanced_value.mass"} == {"failed"}
    assert statuses("unbalanced_value", offered["unbalanced_value"])["mass"] == "not_provided"


def test_zero_and_negative_divergences_of_a_measure_and_its_double_are_told() -> None:
    right = UNBALANCED_RIGHT["unbalanced_divergence"]
    assert statuses("unbalanced_divergence", lambda *clouds: 0.0)["doubled"] == "failed"
    assert statuses("unbalanced_divergence", lambda *clouds: -right(*clouds))["doubled"] == "failed"


# ------------------------------------------------------------------ conventions
def test_the_parameters_are_those_of_the_convention() -> None:
    C, a, b, eps, rho = PROBLEM
    theirs = to_subject("ott.reg_ot_cost(tau), documented", "unbalanced_plan", PROBLEM)
    assert theirs[3:] == pytest.approx((eps, rho / (rho + eps)))
    clouds = unbalanced_clouds(GAUSSIAN)
    reach = to_subject("geomloss.SamplesLoss(p=2, reach)", "unbalanced_divergence", clouds)
    assert reach[4:6] == pytest.approx(((eps / 2) ** 0.5, (rho / 2) ** 0.5))
    entropic = to_subject("pot.solve(entropy, unbalanced)", "unbalanced_value", PROBLEM)
    np.testing.assert_allclose(entropic[0], C - eps * np.log(np.outer(a, b)))
    assert to_subject("refot", "unbalanced_value", PROBLEM) is PROBLEM


def test_answers_come_back_in_refots_terms() -> None:
    t = unbalanced_solution(*PROBLEM)
    assert from_subject("pot.sinkhorn_unbalanced2", "unbalanced_value", t.sharp,
                        PROBLEM) == pytest.approx(t.U)
    clouds = unbalanced_clouds(GAUSSIAN)
    S = UNBALANCED_RIGHT["unbalanced_divergence"](*clouds)
    assert from_subject("geomloss.SamplesLoss(p=2, reach)", "unbalanced_divergence", S / 2,
                        clouds) == pytest.approx(S)


@pytest.mark.parametrize(("name", "capability"), [
    ("geomloss.SamplesLoss(p=2)", "unbalanced_value"),  # says nothing of rho
    ("pot.sinkhorn_unbalanced2(total)", "unbalanced_value"),  # 0 at every optimum
    ("geomloss.ot.solve(unbalanced)", "unbalanced_divergence"),  # one value is no divergence
])
def test_what_a_convention_has_not_is_not_provided(name: str, capability: str) -> None:
    arguments = unbalanced_clouds(GAUSSIAN) if "divergence" in capability else PROBLEM
    def translated() -> Any:
        to_subject(name, capability, arguments)
        return from_subject(name, capability, 1.0, arguments)

    with pytest.raises(NotOfferedError):
        translated()


def test_every_unbalanced_capability_has_checks_and_a_trial_runs_them() -> None:
    names = {name for name, record in CAPABILITIES.items() if record.is_unbalanced}
    assert names == UNBALANCED_RIGHT.keys()
    assert names <= {check.capability for check in CHECKS.values()}
    part = Part("mine", {"unbalanced_value": lambda *problem: 0.0})
    trial = Trial(Probe(part), GAUSSIAN, solution_of(GAUSSIAN))
    assert not CHECKS["unbalanced_value.certified"].run(trial).passed
