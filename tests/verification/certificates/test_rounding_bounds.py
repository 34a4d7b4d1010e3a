"""float64 answers of refot lie in the certified enclosures widened by its own rounding bounds."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from fractions import Fraction
from functools import partial
from typing import Any

import numpy as np
import pytest
from certificate_attack import attack, judged

import refot
from refot.arrays import ConvergenceWarning, UnknownNameError
from refot.information import informative_cost
from refot.problem import problem
from refot.solvers.answers.solutions import first_order_tolerance, to_first_order
from refot.unbalanced.gradients import (
    unbalanced_divergence_gradient,
    unbalanced_value_gradient_weights,
)
from refot.verification.certificates.rounding_bounds import ROUNDING_BOUNDS, rounding_bound
from refot.verification.certificates.roundings import roundings
from refot.verification.subjects.adapters.refot_itself import subject
from refot.verification.subjects.capabilities import Role, names_of
from refot.verification.vectors import answers as vectors


def arguments(case: dict[str, Any]) -> list[Any]:
    """The inputs of a case, lists as arrays."""
    return [np.array(x, dtype=float) if isinstance(x, list) else x for x in case["inputs"].values()]


def answers(backend: str) -> dict[str, Callable[..., Any]]:
    """refot's functions at their default tolerances; plans and potentials are solved to the
    rounding floor, as for a gradient."""
    on = refot.get_backend(backend)

    def solved(C: Any, a: Any, b: Any, eps: float) -> Any:
        p = problem(C, a, b, eps, on)
        return to_first_order(p, None)

    def plan(C: Any, a: Any, b: Any, eps: float) -> Any:
        at = solved(C, a, b, eps)
        return on.to_numpy(refot.plan(at.f, at.g, C, a, b, eps, backend=on))

    def potentials(*given: Any) -> Any:
        at = solved(*given)
        return on.to_numpy(at.f), on.to_numpy(at.g)

    def informative_plan(C: Any, Q: Any, lam: float, *rest: Any) -> Any:
        return plan(informative_cost(C, Q, lam), *rest)

    return {**subject(on).parts[0].capabilities, "plan": plan, "potentials": potentials,
            "informative_plan": informative_plan, **unbalanced_answers(backend)}


FLOOR = 1e-14
"""A residual below what rounding leaves: a solve goes on until rounding stops it, and says so."""


def unbalanced_answers(backend: str) -> dict[str, Callable[..., Any]]:
    """Those of first order in the potentials, solved to the rounding floor."""
    def solved(C: Any, a: Any, b: Any, eps: float, rho: float) -> Any:
        return refot.solve(C, a, b, eps, rho=rho, tol=FLOOR, backend=backend)

    def unbalanced_plan(*given: Any) -> Any:
        at = solved(*given)
        return refot.unbalanced_plan(at.f, at.g, *given[:4], backend=backend)

    def unbalanced_potentials(*given: Any) -> Any:
        at = solved(*given)
        return at.f, at.g

    return {"unbalanced_plan": unbalanced_plan, "unbalanced_potentials": unbalanced_potentials,
            "unbalanced_mass_gradient": partial(
                unbalanced_value_gradient_weights, tol=FLOOR, backend=backend),
            "unbalanced_divergence_gradient": partial(
                unbalanced_divergence_gradient, tol=FLOOR, backend=backend)}


def excesses(case: dict[str, Any], answer: Any) -> Iterator[float]:
    """For each entry, its distance from the enclosure over the rounding bound: at most 1 is due."""
    capability = case["id"].partition("/")[0]
    bound = rounding_bound(capability, *arguments(case))
    listed = [np.asarray(part, dtype=float).tolist() for part in answer] if (
        isinstance(answer, tuple)) else np.asarray(answer, dtype=float).tolist()
    found = vectors._same_gauge(case, vectors._by_output(case, listed))
    for name, value in found.items():
        output = case["outputs"][name]
        allowed = np.broadcast_to(bound, np.shape(output["mid"])).ravel()
        entries = zip(*(vectors._leaves(x) for x in (value, output["mid"], output["rad"])), allowed,
                      strict=True)
        for x, mid, rad, most in entries:
            assert np.isfinite(most)
            if mid is not None:
                outside = max(abs(Fraction(x) - Fraction(mid)) - Fraction(rad), Fraction(0))
                yield float(outside / Fraction(float(most))) if outside else 0.0


@pytest.mark.filterwarnings("ignore::refot.arrays.ConvergenceWarning")
@pytest.mark.parametrize("capability", names_of(Role.ANSWER))
def test_answers_are_in_the_enclosures_widened_by_the_rounding_bound(
    capability: str, backend: str
) -> None:
    """Seen: at most .53 of the bound where it rests on a certificate, .04 elsewhere."""
    answer = answers(backend)[capability]
    for case in vectors.load(capability):
        assert max(excesses(case, answer(*arguments(case)))) <= 1, case["id"]


@pytest.mark.parametrize("capability", names_of(Role.ANSWER))
def test_the_bounds_are_rounding_and_not_tolerances(capability: str) -> None:
    """Relative to the size of the answer's terms, (C, potentials) / eps roundings and what the
    condition of the problem makes of them: 1e-8 at most, where a solve by default stops at 1e-9."""
    for case in vectors.load(capability):
        given = arguments(case)
        bound = np.max(rounding_bound(capability, *given))
        outputs = [output["mid"] for output in case["outputs"].values()]
        size = max(abs(float(x)) for x in vectors._leaves(outputs[0]) if x is not None)
        scale = max([size, *(float(np.max(abs(x))) for x in given if not isinstance(x, str))])
        if "rho" in case["inputs"]:  # eps m_a m_b is a term of U
            scale = max(scale, case["inputs"]["eps"] * float(np.prod(
                [np.sum(case["inputs"][name]) for name in "ab"])))
        assert 0 < bound <= 1e-8 * scale, case["id"]


def test_an_answer_that_stops_early_is_outside() -> None:
    """s at a marginal error of 1e-7, F at 1e-3: what the bounds allow is rounding alone."""
    for capability, function, tol in (("transport_cost", refot.sharp_value, 1e-7),
                                      ("value", refot.entropic_value, 1e-3)):
        outside = [max(excesses(case, function(*arguments(case), tol=tol))) > 1
                   for case in vectors.load(capability)]
        assert sum(outside) >= 3, capability


def test_a_constant_in_the_cost_does_not_spoil_the_sharp_value() -> None:
    """s(C + t) = s(C) + t to a rounding of t, although the plan is right to u t / eps only."""
    rng = np.random.default_rng(0)
    C = np.round(rng.random((6, 5)) * 1024) / 1024
    a, b = rng.dirichlet(np.ones(6)), rng.dirichlet(np.ones(5))
    for t in (1e4, -1e4, 2.0**20):
        assert abs(refot.sharp_value(C + t, a, b, 0.1) - t - refot.sharp_value(C, a, b, 0.1)) <= (
            4 * 2.0**-53 * abs(t))


@pytest.mark.parametrize("exponent", [-4, -2, 0, 4])
@pytest.mark.parametrize("offset", [0.0, 1e4])
def test_the_default_tolerance_is_within_reach(exponent: int, offset: float) -> None:
    """Values and gradients of first order converge at their default: a warning is an error here."""
    rng = np.random.default_rng(1)
    C, a, b = rng.random((9, 12)) + offset, rng.dirichlet(np.ones(9)), rng.dirichlet(np.ones(12))
    x, y = rng.normal(size=(9, 2)), rng.normal(size=(12, 2))
    eps = 10.0**exponent
    refot.sharp_value(C, a, b, eps)
    refot.entropic_value_gradient_weights(C, a, b, eps)
    refot.sinkhorn_loss(x, a, y, b, max(eps, 1e-2))
    refot.sinkhorn_divergence_gradient(x + offset, a, y + offset, b, max(eps, 1e-2))
    with pytest.warns(ConvergenceWarning):
        refot.sharp_value(C, a, b, eps, tol=1e-19)


def test_every_capability_has_a_bound() -> None:
    assert set(ROUNDING_BOUNDS) == set(names_of(Role.ANSWER))
    with pytest.raises(UnknownNameError, match="capability"):
        rounding_bound("train_step")


@pytest.mark.parametrize("seed", [300202, 300737])
def test_a_value_at_the_floor_is_within_its_bound_where_potentials_are_hardly_determined(
    seed: int
) -> None:
    """Light atoms, small eps: 64 roundings of max|C| were once too few a bound."""
    case = attack(seed)
    C, a, b, eps = case.C.dense(), case.a, case.b, case.eps
    rough = refot.solve(C, a, b, eps, backend="numpy")
    tol = first_order_tolerance(problem(C, a, b, eps, "numpy"), rough.f, rough.g)
    found = refot.entropic_value(C, a, b, eps, tol=tol, backend="numpy")
    bound, narrow = rounding_bound("value", C, a, b, eps), roundings(C, eps)
    F = judged(case, 1e-3 * narrow)
    off = max(F.lower - found, found - F.upper)
    assert narrow <= bound
    assert off <= bound
