"""Enclosures contain the closed forms, obey the theorems, and have the digits that they claim."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest
from enclosure_cases import BITS, assert_equal, assert_same, clouds, exactly, random_problem
from flint import arb, ctx
from hypothesis import given, settings
from hypothesis import strategies as st
from point_costs.tables import EVERYWHERE

from refot.costs.operands import point_cost
from refot.verification.enclosures.enclose import (
    enclose,
    enclose_divergence,
    enclose_points,
    enclose_values,
)


@pytest.fixture(autouse=True)
def _precision() -> Any:
    """The closed forms are computed at 300 bits: more than any enclosure below claims."""
    with ctx.workprec(BITS):
        yield


# ------------------------------------------------------------------ closed forms
def test_dirac() -> None:
    """One atom on one side: the only plan is a(x)b; F = s = <C, a(x)b>, KL = 0."""
    C, _, b, eps = random_problem(1, 4)
    for matrix, a, weights in ((C, [1.0], b), (C.T, b, [1.0]), (C[:, :1], [1.0], [1.0])):
        found = enclose(matrix, np.array(a), np.array(weights), eps)
        expected = sum((x * w * arb(float(c)) for (x, w), c in zip(
            itertools.product(exactly(a), exactly(weights)), matrix.ravel(), strict=True)), arb(0))
        assert_equal(found.value, expected)
        assert_equal(found.transport_cost, expected)
        assert found.kl.contains(0)


@pytest.mark.parametrize("eps", [1e-3, 0.1, 1.0, 50.0])
def test_two_by_two_symmetric(eps: float) -> None:
    """C = [[0, 1], [1, 0]], a = b = 1/2, k = e^(-1/eps): F = -eps log((1 + k)/2), s = k/(1 + k)."""
    half = np.full(2, 0.5)
    found = enclose(np.array([[0.0, 1.0], [1.0, 0.0]]), half, half, eps)
    k = (-1 / arb(eps)).exp()
    assert_equal(found.value, -arb(eps) * ((1 + k) / 2).log())
    assert found.transport_cost.overlaps(k / (1 + k))
    assert found.plan[0][1].overlaps(k / (1 + k) / 2)
    assert abs(found.plan[0][1].rad()) <= arb(10) ** -30 * found.plan[0][1]


@given(st.integers(0, 10**6), st.floats(-3, 3))
@settings(max_examples=15, deadline=None)
def test_two_by_two_by_the_quadratic(seed: int, log_eps: float) -> None:
    """A 2x2 plan has one unknown p = P_00: p (1 - a - b + p) = k (a - p)(b - p), no Sinkhorn."""
    C, a, b, eps = random_problem(2, 2, seed, 10.0**log_eps)
    found = enclose(C, a, b, eps)
    with ctx.workprec(2000):
        (a0, a1), (b0, b1), e = exactly(a), exactly(b), arb(eps)
        c = [arb(float(v)) for v in C.ravel()]
        k = (-(c[0] + c[3] - c[1] - c[2]) / e).exp()
        linear = 1 - (1 - k) * (a0 + b0)  # (1 - k) p^2 + linear p - k a0 b0 = 0
        p = 2 * k * a0 * b0 / (linear + (linear**2 + 4 * (1 - k) * k * a0 * b0).sqrt())
        P = [p, a0 - p, b0 - p, a1 - b0 + p]
        s = sum((x * y for x, y in zip(P, c, strict=True)), arb(0))
        independent = [a0 * b0, a0 * b1, a1 * b0, a1 * b1]
        kl = sum((x * (x / q).log() for x, q in zip(P, independent, strict=True)), arb(0))
        for x, y in zip(itertools.chain(*found.plan), P, strict=True):
            assert_equal(x, y, 29)
        assert_equal(found.transport_cost, s, 29)
        assert_equal(found.value, s + e * kl, 29)
        assert found.kl.overlaps(kl)


def test_separable_cost() -> None:
    """C = u_i + v_j on dyadic numbers: P = a(x)b, F = a.u + b.v, f = u + v_m, g = v - v_m."""
    u, v = np.array([0.5, -3.25, 8.0]), np.array([1.0, 0.125, -2.0, 7.5])
    _, a, b, eps = random_problem(3, 4)
    found = enclose(u[:, None] + v, a, b, eps)
    A, B = exactly(a), exactly(b)
    assert_equal(found.value, sum((x * w for x, w in zip(A, u, strict=True)), arb(0))
                 + sum((x * w for x, w in zip(B, v, strict=True)), arb(0)))
    for i, j in itertools.product(range(3), range(4)):
        assert_equal(found.plan[i][j], A[i] * B[j])
    for fi, ui in zip(found.f, u, strict=True):
        assert_equal(fi, ui + v[-1])
    for gj, vj in zip(found.g, v, strict=True):
        assert_equal(gj, vj - v[-1])


# ------------------------------------------------------------------ theorems
@pytest.mark.parametrize(("n", "m", "eps"), [(5, 4, 0.125), (3, 6, 1e-2), (6, 6, 20.0)])
def test_optimality(n: int, m: int, eps: float) -> None:
    """The marginals of the plan, strong duality, and s + eps KL = F, each to the digits claimed."""
    C, a, b, eps = random_problem(n, m, eps=eps)
    found = enclose(C, a, b, eps, digits=40)
    A, B = exactly(a), exactly(b)
    for row, x in zip(found.plan, A, strict=True):
        assert_equal(sum(row, arb(0)), x, 39)
    for column, x in zip(zip(*found.plan, strict=True), B, strict=True):
        assert_equal(sum(column, arb(0)), x, 39)
    duality = sum((x * t for x, t in zip(A + B, found.f + found.g, strict=True)), arb(0))
    assert found.value.overlaps(duality)
    assert duality.rad() < 1e-39
    assert found.g[-1] == 0
    kl = sum((p * (p / (x * y)).log() for row, x in zip(found.plan, A, strict=True)
              for p, y in zip(row, B, strict=True)), arb(0))
    assert found.kl.overlaps(kl)
    F, s = enclose_values(C, a, b, eps)
    assert_equal(F, found.value)
    assert_equal(s, found.transport_cost)


def test_monotone_and_concave_in_eps() -> None:
    """Strictly, as balls: F(.1) < F(.2) < F(.3), and above the chord."""
    C, a, b, _ = random_problem(4, 5)
    low, middle, high = (enclose(C, a, b, eps / 16).value for eps in (1.0, 2.0, 3.0))
    assert low < middle < high
    assert middle > (low + high) / 2


def test_derivative_in_eps_is_the_divergence() -> None:
    """dF/deps = KL (s = F - eps dF/deps): the chord at eps + h and eps - h brackets it."""
    C, a, b, eps = random_problem(4, 5)
    h = 2.0**-30
    kl = enclose(C, a, b, eps).kl
    before, at, after = (enclose(C, a, b, eps + t).value for t in (-h, 0.0, h))
    assert (after - at) / h < kl < (at - before) / h
    assert (at - before) / h - (after - at) / h < 1e-8


def test_symmetries() -> None:
    """Transposition, scaling (F(tC, t eps) = t F), an offset, a permutation, a split atom."""
    C, a, b, eps = random_problem(4, 5)
    found = enclose(C, a, b, eps)
    assert_same(found, enclose(C.T, b, a, eps))
    assert_equal(enclose(4 * C, a, b, 4 * eps).value, 4 * found.value, 29)
    square = np.round(C * 2**20) / 2**20  # so that C + 1e4 is exact
    assert_equal(enclose(square + 1e4, a, b, eps).value, 10_000 + enclose(square, a, b, eps).value)
    order = [3, 0, 4, 1, 2]
    permuted = enclose(C[:, order], a, b[order], eps)
    assert_same(found, permuted)
    for j, k in enumerate(order):
        assert_equal(permuted.plan[1][j], found.plan[1][k], 29)
    halves = np.concatenate([a[:1] / 2, a[:1] / 2, a[1:]])
    assert_same(found, enclose(C[[0, 0, 1, 2, 3]], halves, b, eps))


def test_points_without_mass() -> None:
    """They do not change F; their potential is the transform of the other side; no plan there."""
    C, a, b, eps = random_problem(5, 4)
    a[2], b[3] = 0, 0
    a, b = a / a.sum(), b / b.sum()
    found = enclose(C, a, b, eps)
    rows, columns = [0, 1, 3, 4], [0, 1, 2]
    assert_same(found, enclose(C[np.ix_(rows, columns)], a[rows], b[columns], eps))
    assert all(x == 0 for x in found.plan[2])
    assert all(row[3] == 0 for row in found.plan)
    e, B = arb(eps), exactly(b)
    expected = -e * sum((B[j] * ((found.g[j] - arb(float(C[2, j]))) / e).exp() for j in columns),
                        arb(0)).log()
    assert_equal(found.f[2], expected, 29)
    assert found.g[3] == 0
    A = exactly(a)
    expected = -e * sum((A[i] * ((found.f[i] - arb(float(C[i, 3]))) / e).exp() for i in rows),
                        arb(0)).log()
    assert expected.overlaps(arb(0))
    assert expected.rad() < 1e-28


# ------------------------------------------------------------------ points
@pytest.mark.parametrize("cost", EVERYWHERE)
def test_points_have_their_exact_cost(cost: str) -> None:
    """Where the ground cost is exact in float64, matrix and points agree; elsewhere hardly."""
    x, a, y, b = clouds(4, 3, d=1)
    whole = np.round(8 * x) / 8, np.round(8 * y) / 8
    exact = enclose_points(whole[0], a, whole[1], b, 0.25, cost)
    assert_same(exact, enclose(point_cost(*whole, cost).dense(), a, b, 0.25))
    x, a, y, b = clouds(4, 3)
    x = 1e4 * x
    points = enclose_points(x, a, y, b, 1e4, cost).value
    matrix = enclose(point_cost(x, y, cost).dense(), a, b, 1e4).value
    assert not points.overlaps(matrix)
    assert abs(points - matrix) < 1e-15 * points
    scaled = enclose(point_cost(*whole, cost, scale=0.5), a, b, 0.25).value
    assert_equal(scaled, enclose(0.5 * point_cost(*whole, cost).dense(), a, b, 0.25).value)


def test_divergence() -> None:
    """S from its three values; symmetric; 0 from a measure to itself; > 0 otherwise."""
    x, a, y, b = clouds(4, 3)
    S = enclose_divergence(x, a, y, b, 0.5)
    xy, xx, yy = (enclose_points(*pair, 0.5).value
                  for pair in ((x, a, y, b), (x, a, x, a), (y, b, y, b)))
    assert_equal(S, xy - (xx + yy) / 2, 29)
    assert_equal(S, enclose_divergence(y, b, x, a, 0.5))
    assert S > 0
    assert S.rad() < arb(10) ** -30 * S
    zero = enclose_divergence(x, a, x, a, 0.5, "euclidean")
    assert zero.contains(0)
    assert zero.rad() < 1e-50
