"""Jacobian-vector products of potentials and plan, against differences of two solves."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import refot
from refot import InputError
from refot.solvers.answers.gauge import GAUGES

RNG = np.random.default_rng(11)
EPS, H = 0.5, 2.0**-16
"""Differences at +-H are off by about H^2 = 2e-10 of the third derivatives, some 10 here, and by
1e-13 / H = 1e-8 of rounding."""
CLOSE: dict[str, Any] = {"rtol": 1e-6, "atol": 1e-7}


def around_zero(k: int) -> np.ndarray:
    """A direction of weights."""
    v = 0.02 * RNG.normal(size=k)
    return v - v.mean()


def case(n: int, m: int) -> tuple[dict[str, Any], dict[str, Any]]:
    """A problem and a direction of all its inputs."""
    at = {"x": RNG.normal(size=(n, 2)), "y": RNG.normal(size=(m, 2)) + 0.5,
          "a": RNG.dirichlet(np.full(n, 4.0)), "b": RNG.dirichlet(np.full(m, 4.0)), "eps": EPS}
    return at, {"x": RNG.normal(size=(n, 2)), "y": RNG.normal(size=(m, 2)),
                "a": around_zero(n), "b": around_zero(m), "eps": 0.2}


def solved(at: dict[str, Any], v: dict[str, Any], t: float, **options: Any) -> Any:
    """The problem after the time t."""
    x, y, a, b, eps = (at[key] + t * v[key] for key in ("x", "y", "a", "b", "eps"))
    return refot.solve(refot.point_cost(x, y), a, b, eps, tol=1e-12, **options)


def moved(function: Any, at: dict[str, Any], v: dict[str, Any], **options: Any) -> Any:
    C = refot.point_cost(at["x"], at["y"])
    directions = {f"d{key}": v[key] for key in v}
    return function(C, at["a"], at["b"], at["eps"], **directions, **options)


@pytest.mark.parametrize("sizes", [(5, 7), (7, 5)])
@pytest.mark.parametrize("gauge", GAUGES)
def test_potentials_move_as_two_solves_say(gauge: str, sizes: tuple[int, int]) -> None:
    at, v = case(*sizes)
    up, down = (solved(at, v, t, gauge=gauge) for t in (H, -H))
    df, dg = moved(refot.potentials_jvp, at, v, gauge=gauge)
    np.testing.assert_allclose(df, (up.f - down.f) / (2 * H), **CLOSE)
    np.testing.assert_allclose(dg, (up.g - down.g) / (2 * H), **CLOSE)


@pytest.mark.parametrize("sizes", [(5, 7), (7, 5)])
@pytest.mark.parametrize("rho", [None, 1.5])
def test_the_plan_moves_as_two_solves_say(sizes: tuple[int, int], rho: float | None) -> None:
    at, v = case(*sizes)
    up, down = (solved(at, v, t, rho=rho) for t in (H, -H))
    dP = moved(refot.plan_jvp, at, v, rho=rho)
    np.testing.assert_allclose(dP, (up.plan() - down.plan()) / (2 * H), **CLOSE)


def test_where_marginals_have_a_price_potentials_have_no_gauge() -> None:
    at, v = case(5, 7)
    v["a"] = v["a"] + 0.1  # the masses are free
    up, down = (solved(at, v, t, rho=1.5) for t in (H, -H))
    df, dg = moved(refot.potentials_jvp, at, v, rho=1.5)
    np.testing.assert_allclose(df, (up.f - down.f) / (2 * H), **CLOSE)
    np.testing.assert_allclose(dg, (up.g - down.g) / (2 * H), **CLOSE)


def test_the_plan_of_a_matrix_moves_with_its_entries() -> None:
    """Its marginals move with the weights, and stay without; a forbidden pair stays empty."""
    at, v = case(5, 7)
    M, dC = RNG.random((5, 7)), RNG.normal(size=(5, 7))
    M[2, 3] = np.inf
    problem = at["a"], at["b"], EPS
    up, down = (refot.solve(M + t * dC, *problem, tol=1e-12).plan() for t in (H, -H))
    dP = refot.plan_jvp(M, *problem, dC=dC)
    np.testing.assert_allclose(dP, (up - down) / (2 * H), **CLOSE)
    np.testing.assert_allclose(dP.sum(axis=1), 0, atol=1e-14)
    assert dP[2, 3] == 0
    dP = refot.plan_jvp(M, *problem, da=v["a"], db=v["b"])
    np.testing.assert_allclose(dP.sum(axis=1), v["a"], atol=1e-14)
    np.testing.assert_allclose(dP.sum(axis=0), v["b"], atol=1e-14)


def test_a_point_without_mass_may_get_some() -> None:
    """One-sided: from a_0 = 0 on. The difference over H is off by H / 2 times the second
    derivative."""
    at, v = case(5, 7)
    at["a"][1:] += at["a"][0] / 4
    at["a"][0], v["a"] = 0.0, np.array([0.4, -0.1, -0.1, -0.1, -0.1])
    here, there = (solved(at, v, t).plan() for t in (0.0, H))
    np.testing.assert_allclose(moved(refot.plan_jvp, at, v), (there - here) / H, rtol=0, atol=1e-3)


def test_the_change_of_the_value_is_the_change_of_the_potentials() -> None:
    """d(a.f + b.g) = <P, dC> along dC, the envelope theorem."""
    at, _ = case(5, 7)
    C, dC = refot.point_cost(at["x"], at["y"]).dense(), RNG.normal(size=(5, 7))
    found = refot.solve(C, at["a"], at["b"], EPS, tol=1e-13)
    df, dg = refot.potentials_jvp(C, at["a"], at["b"], EPS, dC=dC, solved=found)
    assert at["a"] @ df + at["b"] @ dg == pytest.approx((found.plan() * dC).sum(), rel=1e-10)


def test_directions_are_checked() -> None:
    at, _ = case(5, 7)
    C, weights = refot.point_cost(at["x"], at["y"]), (at["a"], at["b"], EPS)
    for options, message in (
            ({"da": np.ones(5)}, r"^da: sum 5; allowed: sum 0, .*da - da\.mean\(\)"),
            ({"db": np.ones(5)}, r"^db: shape \(5,\); allowed: \(7,\)"),
            ({"dC": np.ones((7, 5))}, r"^dC: shape \(7, 5\); allowed: \(5, 7\)"),
            ({"dx": np.ones((5, 3))}, r"^dx: shape \(5, 3\)"),
            ({"deps": np.inf}, r"^deps: inf"), ({"gauge": "zero"}, r"^gauge: 'zero'")):
        with pytest.raises(InputError, match=message):
            refot.potentials_jvp(C, *weights, **options)
    with pytest.raises(InputError, match=r"^C: DenseCost; allowed: a point cost"):
        refot.potentials_jvp(C.dense(), *weights, dx=np.ones((5, 2)))
    lonely = np.array([[np.inf, np.inf], [0.0, 1.0]])
    with pytest.raises(InputError, match=r"^C: row 0 has no allowed pair"):
        refot.plan_jvp(lonely, [0.0, 1.0], None, EPS, da=[0.1, -0.1])
