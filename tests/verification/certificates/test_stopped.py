"""What a solve that stops at a marginal error leaves open: true, and no larger than need be."""

from __future__ import annotations

from itertools import permutations, product
from typing import Any

import numpy as np
import pytest
from answers_attack import asked, drawn, missed, normalised

import refot
from refot.problem import problem
from refot.solvers.answers.solutions import to_first_order
from refot.verification.certificates.rounding_bounds import rounding_bound
from refot.verification.certificates.stopped import Stopped
from refot.verification.enclosures.enclose import enclose

TOL = 1e-6
"""Large beside rounding, small beside the weights."""

OUTSIDE = [52, 107, 198, 211, 1114, 1127, 1147]
"""Seeds at which the sharp value was outside a bound that knew of rounding alone."""

Example = tuple[Any, Any, Any, float]


def example(seed: int) -> Example:
    rng = np.random.default_rng(seed)
    return rng.random((4, 3)), rng.dirichlet(np.ones(4)), rng.dirichlet(np.ones(3)), 0.1


def optimal(C: Any, a: Any, b: Any, eps: float) -> tuple[Any, Any, Any]:
    """(f, g, P) at the floor, the potentials with sum a f = sum b g."""
    found = to_first_order(problem(C, a, b, eps, "numpy"), None)
    P = refot.plan(found.f, found.g, C, a, b, eps, backend="numpy")
    t = (b @ found.g - a @ found.f) / 2
    return found.f + t, found.g - t, P


def moved(weights: Any, k: int, j: int) -> Any:
    """The weights with TOL/2 more at k and less at j: an L1 error of TOL."""
    return added(added(weights, k, TOL / 2), j, -TOL / 2)


def neighbours(C: Any, a: Any, b: Any, eps: float) -> list[tuple[float, Example]]:
    """(mass, problem): the weights of one side or of both are changed by TOL in all, and then
    divided by their sum, the mass."""
    ways = [*((moved(a, k, j), b) for k, j in permutations(range(len(a)), 2)),
            *((a, moved(b, k, j)) for k, j in permutations(range(len(b)), 2)),
            *((added(a, k, by), added(b, j, by))
              for k, j, by in product(range(len(a)), range(len(b)), (TOL / 2, -TOL / 2)))]
    return [(float(near_a.sum()), (C, near_a / near_a.sum(), near_b / near_b.sum(), eps))
            for near_a, near_b in ways]


def added(weights: Any, k: int, mass: float) -> Any:
    return weights + mass * (np.arange(len(weights)) == k)


@pytest.mark.parametrize("seed", range(3))
def test_the_sharp_value_is_off_by_up_to_the_bound(seed: int) -> None:
    """The largest change among the neighbours is that of the formula, to first order."""
    C, a, b, eps = example(seed)
    right = refot.sharp_value(C, a, b, eps, backend="numpy")
    off = [abs(mass * refot.sharp_value(*near, backend="numpy") - right)
           for mass, near in neighbours(C, a, b, eps)]
    bound = Stopped(optimal(C, a, b, eps)[2], TOL).transport_cost(C)
    assert max(off) == pytest.approx(bound, rel=1e-3)


@pytest.mark.parametrize("seed", range(3))
def test_the_potentials_are_off_by_up_to_the_bound(seed: int) -> None:
    C, a, b, eps = example(seed)
    f, g, P = optimal(C, a, b, eps)
    bounds = Stopped(P, TOL).potentials()
    off = np.zeros(len(f) + len(g))
    for mass, near in neighbours(C, a, b, eps):
        P_near = mass * optimal(*near)[2]
        # P = a b exp((f + g - C) / eps) of the problem's own a and b, from which f and g follow
        D = eps * np.log(P_near / np.outer(a, b)) + C - f[:, None] - g
        df = D @ b - (a @ D @ b) / 2
        off = np.maximum(off, np.append(abs(df), abs(a @ D - (a @ D @ b) / 2)) / eps)
    assert (off <= np.append(*bounds) * (1 + 1e-3)).all()
    assert off.max() >= 0.45 * max(w.max() for w in bounds)


@pytest.mark.parametrize("seed", range(3))
def test_the_value_is_off_by_up_to_the_bound(seed: int) -> None:
    """F less the semi-dual of a potential of the neighbour."""
    C, a, b, eps = example(seed)
    right = refot.entropic_value(C, a, b, eps, tol=1e-14, backend="numpy")
    _, g, P = optimal(C, a, b, eps)
    off = []
    for mass, near in neighbours(C, a, b, eps):
        P_near = mass * optimal(*near)[2]
        g_near = eps * np.log(P_near / np.outer(a, b)) + C
        off.append(right - refot.semi_dual(g_near[0], C, a, b, eps, backend="numpy"))
    bound = Stopped(P, TOL).value(g, eps)
    assert max(off) <= bound * 1.01
    assert max(off) >= 0.1 * bound
    parts = Stopped(np.diag(a), TOL)  # that exchange nothing: the square says nothing
    assert parts.value(g, eps) == TOL * np.ptp(g)


def test_a_measure_and_itself_is_determined_where_its_points_exchange_no_mass() -> None:
    a = np.array([0.5, 0.3, 0.2 - 1e-12, 1e-12])
    apart = Stopped(np.diag(a), TOL)
    assert not apart.is_coupled
    # df_i / eps = da_i / (2 a_i), and of a light atom da_i <= a_i sqrt(TOL)
    expected = TOL / (2 * a)
    expected[3] = np.sqrt(TOL) / 2
    np.testing.assert_allclose(apart.self_potential(), expected, rtol=1e-12)
    assert apart.self_value(0.1) == pytest.approx(0.05 * a @ expected**2, rel=1e-12)


def test_a_light_atom_and_a_huge_cost_do_not_blow_up_the_bound_of_the_sharp_value() -> None:
    """Its slope is a rounding over the root of its weight; it was the scale of all others."""
    C, a, b, eps = example(0)
    ordinary = Stopped(optimal(C, a, b, eps)[2], TOL).transport_cost(C)
    for scale in (1.0, 1e287):
        light = np.append(a, 1e-206) / (1 + 1e-206)
        larger = scale * np.vstack([C, C[:1]])
        P = optimal(larger, light, b, scale * eps)[2]
        bound = Stopped(P, TOL).transport_cost(larger)
        assert bound == pytest.approx(scale * ordinary, rel=1e-6)


@pytest.mark.parametrize("spoiled", [0.0, np.nan, np.inf])
def test_nothing_is_known_of_what_is_no_plan(spoiled: float) -> None:
    P = np.full((2, 2), 0.25)
    P[0] = spoiled  # the solve did not come that far
    stopped = Stopped(P, TOL)
    bounds = [*stopped.potentials(), stopped.self_potential(), stopped.transport_cost(np.eye(2))]
    assert all(np.isposinf(bound).all() for bound in bounds)
    assert stopped.value(np.array([0.0, 3.0]), 0.1) == 3 * TOL
    assert np.isposinf(stopped.self_value(0.1))


def test_sharp_values_that_were_outside_are_within_the_bound() -> None:
    """And the bound is not a hundred times what it must be for all of them to be within."""
    within = []
    for seed in OUTSIDE:
        case = drawn(seed)
        C, a, b = np.asarray(case.C), *(normalised(w, case.C.dtype) for w in (case.a, case.b))
        s, why = asked(refot.sharp_value, case.C, case.a, case.b, case.eps, backend=case.backend)
        assert not why
        true = enclose(C, a, b, case.eps).transport_cost
        bound = rounding_bound("transport_cost", C, a, b, case.eps)
        assert not missed(s, [true], bound), seed
        within.append(not missed(s, [true], bound / 100))
    assert not all(within)
