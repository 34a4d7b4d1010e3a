"""float64 answers to unbalanced problems lie in their enclosures, widened by what rounding does."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from cases.unbalanced_cases import INF, Unbalanced, drawn
from flint import arb

import refot
from refot.verification.certificates.rounding_bounds import rounding_bound
from refot.verification.certificates.roundings import roundings
from refot.verification.enclosures.unbalanced.enclose import enclose_unbalanced_value
from refot.verification.vectors.unbalanced_cases import UnbalancedCase, unbalanced_cases

pytestmark = pytest.mark.filterwarnings("ignore::refot.arrays.ConvergenceWarning")

CASES = [pytest.param(case, id=case.name) for case in unbalanced_cases()]


def terms(C: Any, a: Any, b: Any, eps: float, rhos: Any, mass: float, U: Any) -> float:
    """64 roundings of the largest terms of U: <C,P>, rho (m_a + m(P)), rho (m_b + m(P)), eps m_a
    m_b, eps m(P), and of U, in which logarithms of ratios of masses are."""
    m_a, m_b = float(a.sum()), float(b.sum())
    paid = sum(rho * (m + mass) for rho, m in zip(rhos, (m_a, m_b), strict=True) if rho < INF)
    return roundings(float(abs(C).max()) * mass, paid, eps * m_a * m_b, eps * mass, float(U))


@pytest.mark.parametrize("case", CASES)
def test_a_value_is_in_its_enclosure_widened_by_rounding(
    case: UnbalancedCase, backend: str
) -> None:
    """Seen: at most .03 of the roundings, KL, TV and exact sides alike."""
    given = (*case.matrix, case.rhos, case.penalty)
    U, found = enclose_unbalanced_value(*given), refot.unbalanced_value(*given, backend=backend)
    result = refot.solve(*case.matrix, rho=case.rhos, penalty=case.penalty, backend=backend)
    assert isinstance(result, refot.UnbalancedResult)
    assert abs(arb(found) - U) <= terms(*case.matrix, case.rhos, result.mass, U)


@pytest.mark.parametrize("case", [case for case in CASES if case.values[0].rhos[0] == (
    case.values[0].rhos[1]) and case.values[0].penalty == "kl"])
def test_the_stated_bound_of_a_value_holds_and_is_small(
    case: UnbalancedCase, backend: str
) -> None:
    given = (*case.matrix, case.rho)
    bound = rounding_bound("unbalanced_value", *given)
    U = enclose_unbalanced_value(*given)
    assert abs(arb(refot.unbalanced_value(*given, backend=backend)) - U) <= bound
    largest = [abs(float(U)), case.rho * sum(case.masses), case.eps * math.prod(case.masses)]
    assert bound <= 1e-8 * max(largest)


# ------------------------------------------------------------------ generated problems
def generated(seeds: range) -> Iterator[Unbalanced]:
    """Masses over twelve orders, rho over ten: KL and TV, a third of them with an exact side."""
    for seed in seeds:
        rng = np.random.default_rng(seed)
        c = drawn(seed, penalty=("kl", "tv")[seed % 2])
        if seed % 3 == 0:
            side = int(rng.integers(2))
            rhos = tuple(INF if k == side else rho for k, rho in enumerate(c.rhos))
            c = c._replace(rho=rhos)
        yield c


def any_potentials(c: Unbalanced, rng: np.random.Generator) -> Iterator[tuple[Any, Any]]:
    """Potentials of a solve, near them, and off by eps or rho; under TV above -rho, as the dual
    asks."""
    solved = refot.solve(*c[:4], rho=c.rho, penalty=c.penalty)
    unit = min(c.eps, *c.rhos)
    for size in (0.0, 1e-6, 1.0):
        f, g = (h + size * unit * rng.normal(size=len(h)) for h in (solved.f, solved.g))
        if c.penalty == "tv":
            f, g = (np.maximum(h, -rho) for h, rho in zip((f, g), c.rhos, strict=True))
        yield f, g


def assert_bounded(c: Unbalanced, seed: int) -> None:
    """[dual, primal] and the certified interval contain U, whatever the potentials are."""
    U = enclose_unbalanced_value(*c)
    for f, g in any_potentials(c, np.random.default_rng(seed)):
        gap = refot.unbalanced_certified_gap(f, g, *c)
        assert arb(gap.lower) <= U.upper(), (seed, "gap")
        assert U.lower() <= arb(gap.upper), (seed, "gap")
        dual = refot.unbalanced_dual(f, g, *c)
        P = refot.unbalanced_plan(f, g, *c[:4])
        most = terms(*c[:4], c.rhos, float(P.sum()), U)
        assert arb(dual) <= U + most, (seed, "dual")
        if INF not in c.rhos:  # else the sums miss an exact marginal
            assert arb(refot.unbalanced_primal(P, *c)) + most >= U, (seed, "primal")


def test_dual_and_primal_bound_the_value_of_generated_problems() -> None:
    for seed, c in enumerate(generated(range(100))):
        assert_bounded(c, seed)


@pytest.mark.slow
def test_dual_and_primal_bound_the_value_of_a_thousand_generated_problems() -> None:
    for seed, c in zip(range(100, 1_000), generated(range(100, 1_000)), strict=True):
        assert_bounded(c, seed)
