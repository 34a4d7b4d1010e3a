"""Float64 certificates contain the 30-digit truth for every potential, and not what is wrong."""

from __future__ import annotations

import math
import warnings
from functools import cache
from typing import Any

import numpy as np
import pytest
from flint import arb, ctx
from hypothesis import given, settings
from hypothesis import strategies as st
from point_costs.tables import EVERYWHERE

from refot.arrays import ConvergenceWarning, InputError
from refot.costs.operands import as_cost, point_cost
from refot.solvers import solve
from refot.verification.certificates import certify as certificates
from refot.verification.certificates.balls import UNIT
from refot.verification.certificates.certify import (
    certify,
    certify_divergence,
    certify_transport_cost,
    certify_value,
)
from refot.verification.certificates.half_step import exact_problem, half_step
from refot.verification.certificates.intervals import Interval
from refot.verification.enclosures.enclose import (
    enclose,
    enclose_divergence,
    enclose_points,
    enclose_values,
)

Problem = tuple[Any, Any, Any, float]


def cloud(n: int, m: int, seed: int = 0) -> tuple[Any, Any, Any, Any]:
    """x (n, 2), weights, y (m, 2), weights."""
    rng = np.random.default_rng(seed)
    return (rng.normal(size=(n, 2)), rng.dirichlet(np.full(n, 2.0)),
            rng.normal(size=(m, 2)) + 0.5, rng.dirichlet(np.full(m, 2.0)))


def cases() -> dict[str, Problem]:
    """Small problems, each with one thing that breaks careless code."""
    x, a, y, b = cloud(9, 6)
    C = point_cost(x, y).dense()
    top = float(C.max())
    square = np.random.default_rng(1).uniform(0, 4, size=(6, 6))
    holes = a.copy(), b.copy()
    holes[0][[1, 5]], holes[1][5] = 0, 0
    twins = point_cost(x[[0, 0, 1, 2, 0]], np.concatenate([x[:2], y[[0, 0]]])).dense()
    return {
        "plain": (C, a, b, 0.1 * top),
        "one-by-one": (C[:1, :1], np.ones(1), np.ones(1), 0.1),
        "one-row": (C[:1], np.ones(1), b, 0.1),
        "one-column": (C[:, :1], a, np.ones(1), 0.1),
        "asymmetric": (square, a[:6] / a[:6].sum(), b, 0.4),
        "offset": (square + 1e4, a[:6] / a[:6].sum(), b, 0.4),
        "negative": (-C, a, b, 0.5),
        "zero-cost": (0 * C, a, b, 0.5),
        "zero-weights": (C, holes[0] / holes[0].sum(), holes[1] / holes[1].sum(), 0.1 * top),
        "tiny-weight": (C, np.append(a[:8] / a[:8].sum(), 1e-290), b, 0.1 * top),
        "duplicates": (twins, np.full(5, 0.2), np.full(4, 0.25), 0.1),
        "huge-eps": (C, a, b, 1e4 * top),
        "small-eps": (C, a, b, 1e-3 * top),
        "tiny-eps": (C, a, b, 1e-6 * top),
        "float32": (C.astype(np.float32), a.astype(np.float32), b.astype(np.float32), 0.1),
    }


CASES = cases()


def contains(interval: Interval, true: arb) -> bool:
    """Whether the whole ball lies in the interval, certainly."""
    return bool(arb(interval.lower) <= true.lower()) and bool(true.upper() <= arb(interval.upper))


def best_potential(C: Any, a: Any, b: Any, eps: float) -> Any:
    """g as good as float64 allows: the tolerance is below what can be reached, on purpose."""
    a, b = (w.astype(float) / w.astype(float).sum() for w in (a, b))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        C = as_cost(C).with_arrays(lambda array: array.astype(float))
        return solve(C, a, b, eps, tol=1e-14, backend="numpy").g


@cache
def truth(name: str) -> tuple[arb, arb]:
    return enclose_values(*CASES[name])


# ------------------------------------------------------------------ containment
@pytest.mark.parametrize("name", CASES)
def test_converged_potentials_give_narrow_true_intervals(name: str) -> None:
    C, a, b, eps = CASES[name]
    F, s = truth(name)
    found = certify(C, a, b, eps, best_potential(C, a, b, eps))
    assert contains(found.value, F)
    assert contains(found.transport_cost, s)
    rounding = 2e-13 + 1e-15 * abs(C).max() / eps  # of the exponents (f_i + g_j - C_ij) / eps
    assert found.value.width <= rounding * abs(C).max() + 1e-300
    assert found.transport_cost.width <= 100 * rounding * abs(C).max() + 1e-300
    assert found.marginal_error <= rounding
    assert found.potential_error <= 100 * rounding * (eps + abs(C).max())


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("scale", [0.0, 1e-6, 1.0, 1e4])
def test_any_potential_gives_a_true_interval(name: str, scale: float) -> None:
    """Zero, nearly right, wrong, and garbage: wide where it must be, never wrong."""
    C, a, b, eps = CASES[name]
    F, s = truth(name)
    noise = np.random.default_rng(3).normal(size=len(b))
    g = scale * float(C.max() or 1) * noise
    if scale == 1e-6:
        g = g + best_potential(C, a, b, eps)
    found = certify(C, a, b, eps, g)
    assert contains(found.value, F)
    assert contains(found.transport_cost, s)
    for interval in (found.value, found.transport_cost):
        assert C.min() - 1e-9 <= interval.lower
        assert interval.upper <= C.max() + 1e-9


@given(st.integers(1, 4), st.integers(1, 4), st.integers(0, 10**6), st.floats(-9, 4),
       st.sampled_from([0.0, 1.0, 1e4, -1e4]), st.floats(-6, 6))
@settings(max_examples=40, deadline=None)
def test_random_problems_are_contained(
    n: int, m: int, seed: int, log_eps: float, offset: float, log_scale: float
) -> None:
    rng = np.random.default_rng(seed)
    C = 10.0**log_scale * (rng.uniform(size=(n, m)) + offset)
    a, b = rng.dirichlet(np.ones(n)), rng.dirichlet(np.ones(m))
    eps = 10.0 ** (log_scale + log_eps)
    F, s = enclose_values(C, a, b, eps, digits=20)
    for g in (best_potential(C, a, b, eps), 10.0**log_scale * rng.normal(size=m)):
        found = certify(C, a, b, eps, g)
        assert contains(found.value, F)
        assert contains(found.transport_cost, s)


def test_wrong_values_are_not_contained() -> None:
    """The usual mistakes: sharp for full, an eps too many, the other convention, the wrong C."""
    C, a, b, eps = CASES["plain"]
    F, s = (float(x.mid()) for x in truth("plain"))
    found = certify(C, a, b, eps, best_potential(C, a, b, eps))
    entropies = -float(a @ np.log(a) + b @ np.log(b))
    for wrong in (s, F + eps, F - eps, F / 2, 2 * F, F - eps * entropies, F * (1 + 1e-11)):
        assert not found.value.contains(wrong)
        assert found.value.distance(wrong) > 0
    for wrong in (F, s / 2, s * (1 + 1e-9), s + eps):
        assert not found.transport_cost.contains(wrong)
    C, a, b, eps = CASES["asymmetric"]
    transposed, _ = enclose_values(C.T, a, b, eps)
    assert not contains(certify_value(C, a, b, eps, best_potential(C, a, b, eps)), transposed)


# ------------------------------------------------------------------ what is certified
def test_points_are_certified_with_their_exact_cost() -> None:
    """Far from the origin the float64 cost matrix is another problem than the points."""
    x, a, y, b = cloud(5, 4)
    x, y = x + 3e7, y + 3e7
    for cost in ("sqeuclidean", "euclidean", "l1"):
        C = point_cost(x / 3, y / 3, cost, scale=0.7)
        exact = enclose(C, a, b, 0.3)
        rounded = enclose(C.dense(), a, b, 0.3)
        assert not exact.value.overlaps(rounded.value)
        found = certify(C, a, b, 0.3, best_potential(C, a, b, 0.3))
        assert contains(found.value, exact.value)
        assert contains(found.transport_cost, exact.transport_cost)
        assert found.value.relative_width < 1e-12


@pytest.mark.parametrize("cost", EVERYWHERE)
@pytest.mark.parametrize("scale", [1.0, 1e7, 1e-165])
def test_the_rounding_of_the_ground_cost_is_inside(cost: str, scale: float) -> None:
    """Entry by entry, also where squares underflow; and the float64 cost is not exact by chance."""
    rng = np.random.default_rng(0)
    x, y = scale * rng.normal(size=(6, 5)), scale * (1 + rng.normal(size=(7, 5)))
    C = point_cost(x, y, cost, scale=0.3)
    p, _ = exact_problem(C, np.full(6, 1 / 6), np.full(7, 1 / 7), 1.0, np.zeros(7))
    found, inexact = p.cost(slice(None)), 0
    with ctx.workprec(1200):
        for i, j in np.ndindex(6, 7):
            t = [arb(u) - arb(v) for u, v in zip(x[i].tolist(), y[j].tolist(), strict=True)]
            square = sum((u * u for u in t), arb(0))
            true = arb(0.3) * {"sqeuclidean": square, "euclidean": square.sqrt(),
                               "l1": sum((abs(u) for u in t), arb(0))}[cost]
            assert abs(true - arb(float(found.mid[i, j]))) <= arb(float(found.rad[i, j]))
            inexact += not arb(float(found.mid[i, j])).overlaps(true)
    assert inexact > 20
    assert scale < 1 or (found.rad <= 12 * UNIT * found.mid).all()


def test_blocks_of_rows_are_joined(monkeypatch: pytest.MonkeyPatch) -> None:
    """Four rows at a time: the same sums up to rounding, the same extremes, and still the truth."""
    x, a, y, b = cloud(23, 9)
    C = point_cost(x, y)
    exact = enclose_points(x, a, y, b, 0.5)
    g = best_potential(C, a, b, 0.5)
    p, centred = exact_problem(C, a, b, 0.5, g)
    whole = half_step(p, centred)
    monkeypatch.setattr("refot.costs.operands.BLOCK_ELEMENTS", 64 * 9 * 4)
    pieces = half_step(p, centred)
    assert not np.array_equal(whole.excess.mid, pieces.excess.mid)
    for name in ("f", "hard", "excess", "cost", "cost_abs", "D_max", "D_min", "C_max", "C_min"):
        one, other = getattr(whole, name), getattr(pieces, name)
        assert one.shape == other.shape
        assert np.allclose(one.mid, other.mid, rtol=0, atol=1e-12)
        assert (other.rad < 1e-12).all()
    found = certify(C, a, b, 0.5, g)
    assert contains(found.value, exact.value)
    assert contains(found.transport_cost, exact.transport_cost)


def test_weights_are_normalised_exactly() -> None:
    """a and b within the tolerance of 1 stand for a / sum(a), b / sum(b), up to rounding."""
    C, a, b, eps = CASES["plain"]
    F, _ = truth("plain")
    stretched = a * (1 + 5e-11), b * (1 - 5e-11)
    found = certify_value(C, *stretched, eps, best_potential(C, a, b, eps))
    assert contains(found, enclose_values(C, *stretched, eps)[0])
    assert found.distance(float(F.mid())) < 1e-14


def test_points_without_mass_do_not_count() -> None:
    """Their costs and potentials may be anything."""
    C, a, b, eps = CASES["zero-weights"]
    g = best_potential(C, a, b, eps)
    expected = certify(C[np.ix_(a > 0, b > 0)], a[a > 0], b[b > 0], eps, g[b > 0])
    wild, g_wild = C.copy(), g.copy()
    wild[a == 0], wild[:, b == 0], g_wild[b == 0] = 1e300, -1e300, 1e200
    assert certify(wild, a, b, eps, g_wild) == expected


def test_marginal_and_potential_errors_bound_the_truth() -> None:
    C, a, b, eps = CASES["plain"]
    exact = np.array([float(x.mid()) for x in enclose(C, a, b, eps).g])
    g = exact + 1e-5 * np.random.default_rng(0).normal(size=len(b)) + 0.7
    found = certify(C, a, b, eps, g)
    chi = b * np.exp((g - C) / eps)
    error = abs(a @ (chi / chi.sum(axis=1, keepdims=True)) - b).sum()
    assert error < found.marginal_error < error * (1 + 1e-8)
    needed = np.ptp(exact - g) / 2  # the best shift
    assert needed < found.potential_error < 10 * needed


# ------------------------------------------------------------------ each bound by itself
def test_strong_convexity_alone_is_true_and_wide(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the bracket: the square root of the rounding, as docs/certificates.md says."""
    monkeypatch.setattr(certificates, "BRACKET_LIMIT", 1)
    for name in ("plain", "asymmetric", "duplicates", "zero-weights"):
        C, a, b, eps = CASES[name]
        found = certify(C, a, b, eps, best_potential(C, a, b, eps))
        assert contains(found.transport_cost, truth(name)[1])
        assert 1e-10 < found.transport_cost.relative_width < 1e-5
        assert found.potential_error == math.inf


def test_value_is_second_order_where_eps_is_large() -> None:
    """A tenth of the error in g, a hundredth of the width."""
    x, a, y, b = cloud(6, 5)
    C = point_cost(x, y).dense()
    eps = float(C.max())
    g = best_potential(C, a, b, eps)
    noise = np.random.default_rng(0).normal(size=5)
    wide, narrow = (certify_value(C, a, b, eps, g + t * noise) for t in (1e-4, 1e-5))
    assert 80 < wide.width / narrow.width < 120


def test_each_gap_is_what_its_formula_says() -> None:
    """The shifted plan only where it is >= 0; Pinsker's radius osc/2 sqrt(2 gap / eps)."""
    C, a, b, eps = CASES["plain"]
    p, g = exact_problem(C, a, b, eps, np.linspace(0, C.max(), len(b)))
    P = a[:, None] * b * np.exp((half_step(p, g).f.mid[:, None] + g - C) / eps)
    assert (P + np.outer(a, b - P.sum(axis=0))).min() < 0
    assert certificates._gap_of_shift(p, half_step(p, g)) == math.inf
    p, g = exact_problem(C, a, b, eps, best_potential(C, a, b, eps))
    for wrong in (g, g + 1e-3 * np.arange(6)):
        h = half_step(p, wrong)
        assert 0 <= certificates._gap_of_shift(p, h) < certificates._gap_of_rounding(p, h)
        osc = min(np.ptp(C), np.ptp(C - h.f.mid[:, None] - h.g))
        radius = osc / 2 * math.sqrt(2 * certificates._gap_of_rounding(p, h) / eps)
        assert certificates._strongly_convex(p, h).width > 2 * radius * (1 - 1e-9)


@pytest.mark.parametrize("rare", [0, 1])
def test_a_bracket_that_newton_misses_is_not_believed(rare: int) -> None:
    """One row, two columns: the plan is known, and far from g the bracket must fail, not lie."""
    C, eps = np.array([[0.25, 1.0]]), 0.125
    b = np.array([0.999, 0.001])[:: 1 - 2 * rare]
    s = arb(float(b[0])) / arb(float(b.sum())) * arb(0.25) + arb(float(b[1])) / arb(float(b.sum()))
    believed = 0
    for t in np.linspace(-12, 12, 97):
        found = certify(C, np.ones(1), b, eps, C[0] + np.array([t * eps, 0.0]))
        assert found.potential_error >= abs(t) * eps / 2  # of g = C[0] + a shift
        assert contains(found.transport_cost, s)
        believed += found.potential_error < math.inf
    assert 3 < believed < 90


def test_eps_at_its_extremes() -> None:
    """eps = 1e10 max C to rounding; eps = 1e-50 max C: still true, and no warning."""
    rng = np.random.default_rng(0)
    C, a, b = rng.uniform(size=(4, 3)), rng.dirichlet(np.ones(4)), rng.dirichlet(np.ones(3))
    large = certify(C, a, b, 1e10, best_potential(C, a, b, 1e10))
    F, s = enclose_values(C, a, b, 1e10)
    assert contains(large.value, F)
    assert contains(large.transport_cost, s)
    assert large.value.relative_width < 1e-14
    for g in (np.zeros(3), np.array([1e304, -1e304, 0])):
        assert contains(certify_value(C, a, b, 1e10, g), F)
    small = certify(C, a, b, 1e-50, np.zeros(3))
    F, s = enclose_values(C, a, b, 1e-50)
    assert contains(small.value, F)
    assert contains(small.transport_cost, s)


@pytest.mark.parametrize("relative_eps", [1e-2, 1e-3])
def test_larger_problems_stay_narrow(relative_eps: float) -> None:
    """150 by 140, also with 1e4 added to the cost: F to 1e-9 of itself at least."""
    x, a, y, b = cloud(150, 140, seed=1)
    C = point_cost(x, y)
    eps = relative_eps * float(C.dense().max())
    g = best_potential(C, a, b, eps)
    plain, shifted = certify(C, a, b, eps, g), certify(C.dense() + 1e4, a, b, eps, g)
    assert plain.value.relative_width < 1e-11
    assert plain.transport_cost.relative_width < 1e-8
    assert shifted.value.relative_width < 1e-12
    rounding = Interval(-1e-12, 1e-12)  # of C + 1e4
    assert shifted.value.contains((plain.value + Interval(1e4, 1e4) + rounding).midpoint)


# ------------------------------------------------------------------ the divergence
def test_divergence_contains_the_truth() -> None:
    x, a, y, b = cloud(6, 5)
    for cost, eps in (("sqeuclidean", 0.5), ("euclidean", 0.1), ("l1", 2.0)):
        costs = [point_cost(p, q, cost) for p, q in ((x, y), (x, x), (y, y))]
        weights = [(a, b), (a, a), (b, b)]
        good = [best_potential(C, *w, eps) for C, w in zip(costs, weights, strict=True)]
        S = enclose_divergence(x, a, y, b, eps, cost)
        found = certify_divergence(x, a, y, b, eps, cost, (good[0], good[1], good[2]))
        assert contains(found, S)
        assert found.relative_width < 1e-11
        poor = (np.zeros(5), np.ones(6), np.arange(5.0))
        assert contains(certify_divergence(x, a, y, b, eps, cost, poor), S)
        same = certify_divergence(x, a, x, a, eps, cost, (good[1],) * 3)
        assert same.contains(0.0)
        assert same.width < 1e-12


# ------------------------------------------------------------------ input
@pytest.mark.parametrize(("change", "named"), [
    ({"C": [[1.0, math.nan]]}, "C"),
    ({"a": [-1.0, 2.0]}, "a"),
    ({"b": [0.5, 0.4, 0.0]}, "b"),
    ({"eps": 0.0}, "eps"),
    ({"g": [0.0, 0.0]}, "g"),
    ({"g": [0.0, math.inf, 0.0]}, "g"),
])
def test_bad_input_is_named(change: dict[str, Any], named: str) -> None:
    good = {"C": np.ones((2, 3)), "a": [0.5, 0.5], "b": [0.5, 0.25, 0.25], "eps": 1.0,
            "g": [0.0, 0.0, 0.0]}
    arguments = {**good, **change}
    for function in (certify, certify_value, certify_transport_cost):
        with pytest.raises(InputError, match=rf"^{named}: "):
            function(**{name: np.asarray(value) if name != "eps" else value
                        for name, value in arguments.items()})


# ------------------------------------------------------------------ pairs to be avoided
@pytest.mark.parametrize("eps", [0.1, 0.001])
@pytest.mark.parametrize("cost", [1e6, 1e12, 1e300])
def test_a_cost_that_carries_no_mass_widens_neither_interval(cost: float, eps: float) -> None:
    """Missing mass is a rounding, which was once returned on any pair; and a product of 0 with the
    cost was rounded to a share of it."""
    rng = np.random.default_rng(0)
    C, a, b = rng.random((6, 5)), rng.dirichlet(np.ones(6)), rng.dirichlet(np.ones(5))
    ordinary = certify(C, a, b, eps, best_potential(C, a, b, eps))
    C[2, 3] = cost
    g = best_potential(C, a, b, eps)
    found = certify(C, a, b, eps, g)
    exact = enclose(C, a, b, eps, digits=20 + math.ceil(math.log10(cost)))  # of the largest cost
    F, s = exact.value, exact.transport_cost
    assert contains(found.value, F)
    assert contains(found.transport_cost, s)
    assert contains(certify_value(C, a, b, eps, g), F)
    assert found.value.width <= 2 * ordinary.value.width
    assert found.transport_cost.width <= 2 * ordinary.transport_cost.width
