"""A declared convention is applied: the problem on the way to the subject, its answer on the way
back; and `refot certify --convention` compares values with values.
"""

from __future__ import annotations

import numpy as np
import pytest

import refot
from refot.arrays import InputError
from refot.conventions.convert import convention
from refot.verification.checks.translation import scale_on, to_subject
from refot.verification.checks.trial import Trial
from refot.verification.runs.certify import certified, value_convention
from refot.verification.subjects.probe import NotOfferedError, Probe, SubjectError
from refot.verification.subjects.subject import Part
from refot.verification.truth.gibbs import double_differences
from refot.verification.truth.solution import Truth, solution_of
from refot.verification.zoo import RIGHT
from refot.verification.zoo.bug import small_cases

(GAUSSIAN,) = small_cases(0, ("gaussian",))


def trial(capability: str, function, declared: str) -> Trial:  # type: ignore[no-untyped-def]
    part = Part("mine", {capability: function}, declared)
    return Trial(Probe(part), GAUSSIAN, solution_of(GAUSSIAN))


# ------------------------------------------------------------------ the problem
@pytest.mark.parametrize(("declared", "capability", "parameter"), [
    ("refot", "divergence", lambda eps: eps),
    ("geomloss.SamplesLoss(p=2)", "divergence", lambda eps: np.sqrt(eps / 2)),
    ("geomloss.ot.solve_sample(blur)", "divergence", lambda eps: np.sqrt(eps / 2)),
    ("mdot_tnt.solve_OT", "plan", lambda eps: 1 / eps),
    ("geomloss.SamplesLoss(p=2)", "plan", np.sqrt),
])
def test_the_parameter_is_that_of_the_convention(declared, capability, parameter) -> None:  # type: ignore[no-untyped-def]
    arguments = GAUSSIAN.clouds if capability == "divergence" else GAUSSIAN.matrix
    changed = to_subject(declared, capability, arguments)
    different = [k for k, (x, y) in enumerate(zip(arguments, changed, strict=True)) if x is not y]
    at = 4 if capability == "divergence" else 3
    assert set(different) <= {at}
    assert changed[at] == pytest.approx(parameter(GAUSSIAN.eps), rel=1e-15)


def test_other_capabilities_have_one_meaning() -> None:
    arguments = (GAUSSIAN.C, np.zeros(6), GAUSSIAN.eps)
    assert to_subject("geomloss.SamplesLoss(p=2)", "softmin", arguments) is arguments


def test_a_scale_that_depends_on_the_data_is_not_guessed() -> None:
    with pytest.raises(NotOfferedError, match="says no scale"):
        scale_on(convention("sdot.SDOT"), "sqeuclidean")
    assert scale_on(convention("sdot.SDOT"), None) == 1.0
    assert scale_on(convention("pot.sinkhorn2"), "l1") == 1.0


# ------------------------------------------------------------------ the answer
def test_geomloss_p_2_is_read_as_half_a_divergence() -> None:
    def halved(x, a, y, b, blur, cost):  # type: ignore[no-untyped-def]
        return refot.sinkhorn_divergence(x, a, y, b, 2 * blur**2, cost) / 2

    found = trial("divergence", halved, "geomloss.SamplesLoss(p=2)")
    S = found.number("divergence", *GAUSSIAN.clouds)
    assert found.truth.divergence.distance(S) < 1e-8


def test_a_clamped_zero_stands_for_what_is_below_zero_and_for_nothing_else() -> None:
    declared = "pot.empirical_sinkhorn_divergence"
    itself = GAUSSIAN.with_itself()
    zero = trial("divergence", lambda *_: 0.0, declared)
    assert abs(zero.number("divergence", *itself.clouds)) < 1e-9
    wrong = zero.number("divergence", *GAUSSIAN.clouds)
    assert zero.truth.divergence.distance(wrong) > 0.1


def test_a_clamped_divergence_below_zero_is_no_answer() -> None:
    """Read as a clamped 0, it would count as the right number wherever that is negative."""
    found = trial("divergence", lambda *_: -5.0, "pot.empirical_sinkhorn_divergence")
    with pytest.raises(SubjectError, match=r"returned -5, but in .* no divergence is negative"):
        found.number("divergence", *GAUSSIAN.with_itself().clouds)


def test_sharp_values_of_a_derived_case_take_its_own_entropy() -> None:
    sharp = RIGHT["G's sharp loss"]().parts[0].capabilities["divergence"]
    found = trial("divergence", sharp, "G")
    assert abs(found.number("divergence", *GAUSSIAN.with_itself().clouds)) < 1e-8


# ------------------------------------------------------------------ plans with absolute noise
@pytest.mark.parametrize("noise", [0.0, 1e-12, 1e-9, 1e-7])
def test_noise_below_the_tolerance_never_fails_the_gibbs_form(noise: float) -> None:
    from refot.verification.checks.transport import plan_gibbs

    for case in small_cases(0, ("gaussian", "small-eps", "tiny-eps", "zero-weights")):
        truth = Truth(case)
        P = truth.plan + np.random.default_rng(0).uniform(-noise, noise, truth.plan.shape)
        part = Part("noisy", {"plan": lambda *_, P=P: P})
        assert plan_gibbs(Trial(Probe(part), case, truth)).passed, case.name


def test_a_cost_that_is_wrong_by_a_hundredth_fails_it() -> None:
    from refot.verification.checks.transport import plan_gibbs

    wrong = trial("plan", lambda C, a, b, eps: refot.plan(
        *(lambda s: (s.f, s.g))(refot.solve(1.01 * C, a, b, eps)), 1.01 * C, a, b, eps), "refot")
    assert not plan_gibbs(wrong).passed


def test_entries_below_the_noise_are_left_out() -> None:
    P = np.array([[0.5, 1e-7], [1e-7, 0.5]])
    half = np.full(2, 0.5)
    assert double_differences(P, 1 - np.eye(2), half, half, 0.1, 1e-6).energy.size == 0
    assert double_differences(P, 1 - np.eye(2), half, half, 0.1, 1e-12).energy.size == 1


# ------------------------------------------------------------------ refot certify --convention
def test_certify_refuses_what_is_no_value_of_one_problem() -> None:
    for name in ("geomloss.SamplesLoss(p=2)", "pot.empirical_sinkhorn_divergence",
                 "ott.sinkhorn_divergence", "pot.greenkhorn"):
        with pytest.raises(InputError, match="convention"):
            value_convention(name)
    assert value_convention("refot").name == "refot"


def test_certify_reads_the_scale_of_the_cost() -> None:
    x, a, y, b, eps, _ = GAUSSIAN.clouds
    problem = refot.problem.problem(refot.point_cost(x, y), a, b, eps, "numpy")
    judged = certified(problem)
    F = judged.certificate.value.midpoint
    assert judged.verdict(F / 2, "geomloss.SamplesLoss(p=2, debias=False)").inside
    assert not judged.verdict(F, "geomloss.SamplesLoss(p=2, debias=False)").inside
    assert judged.verdict(F, "refot").inside


def test_certify_of_a_constant_cost_allows_rounding() -> None:
    C, half = np.full((2, 2), 1e4 / 3), np.full(2, 0.5)
    judged = certified(refot.problem.problem(C, half, half, 1.0, "numpy"))
    assert judged.verdict(np.nextafter(C[0, 0], 0), "refot").inside
    assert not judged.verdict(C[0, 0] + 1e-6, "refot").inside
