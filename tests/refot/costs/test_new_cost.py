"""A cost that is added at run time: all of refot takes it on NumPy, and what cannot says so."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction

import numpy as np
import pytest
from point_costs.quartic import QUARTIC
from strategies import UNIT

import refot
from refot.arrays import UnknownNameError
from refot.costs.ground import GROUND_COSTS, POINT_COSTS, DotProduct, GroundCost, add_cost
from refot.costs.operands import PointCost
from refot.verification.certificates.certify import certify_value
from refot.verification.enclosures.enclose import enclose

RNG = np.random.default_rng(14)
X, Y = RNG.normal(size=(12, 3)), RNG.normal(size=(9, 3)) + 0.5
A, B = np.full(12, 1 / 12), RNG.dirichlet(np.ones(9))
EPS = 0.5


@pytest.fixture(autouse=True)
def _added() -> Iterator[None]:
    """The cost by its name, for the time of a test."""
    add_cost(QUARTIC)
    yield
    del POINT_COSTS[QUARTIC.name], GROUND_COSTS[QUARTIC.name]


def operand() -> PointCost:
    return refot.point_cost(X, Y, "quartic", 0.5)


def test_values_are_right_to_the_roundings_that_the_cost_states() -> None:
    exact = [[sum((Fraction(float(s)) - Fraction(float(t))) ** 4 for s, t in zip(p, q, strict=True))
              for q in Y] for p in X]
    found = QUARTIC.matrix(X, Y)
    off = [[float(abs(Fraction(float(c)) - e) / e) for c, e in zip(row, want, strict=True)]
           for row, want in zip(found, exact, strict=True)]
    assert np.max(off) <= QUARTIC.roundings(3) * UNIT
    assert found.max() <= QUARTIC.bound(X, Y)


def test_its_gradient_is_the_central_difference() -> None:
    h = 2.0**-17
    for k in range(3):
        step = h * np.eye(3)[k]
        difference = (QUARTIC.matrix(X + step, Y) - QUARTIC.matrix(X - step, Y)) / (2 * h)
        allowed = 4 * h**2 * abs(X[:, None, k] - Y[:, k])  # the next term of the series, exactly
        allowed = allowed + 16 * UNIT * (QUARTIC.matrix(X, Y) + 1) / h
        assert (abs(QUARTIC.gradient(X, Y)[:, :, k] - difference) <= allowed).all()


@pytest.mark.parametrize("method", ["auto", "sinkhorn", "stabilised", "newton-cg", "mixed"])
def test_a_solve_is_that_of_its_matrix_and_its_interval_is_right(method: str) -> None:
    C = operand()
    found = refot.solve(C, A, B, EPS, method=method, certified=True, backend="numpy")
    assert found.converged
    assert found.gap is not None
    value = refot.entropic_value(C.dense(), A, B, EPS, tol=1e-12, backend="numpy")
    rounding = QUARTIC.roundings(3) * UNIT * C.bound()  # between the matrix and the exact cost
    assert found.gap.lower <= value + rounding
    assert value - rounding <= found.gap.upper
    assert found.gap.absolute <= 1e-6
    proven = certify_value(C, A, B, EPS, found.g)
    assert proven.lower <= value + rounding
    assert value - rounding <= proven.upper


def test_the_divergence_and_its_gradient() -> None:
    points = X, A, Y, B
    assert refot.sinkhorn_divergence(X, A, X, A, EPS, "quartic", backend="numpy") == pytest.approx(
        0, abs=1e-9)  # tol, times an oscillation of the potentials
    gradient = refot.sinkhorn_divergence_gradient(*points, EPS, "quartic", backend="numpy")
    direction, h = RNG.normal(size=X.shape), 1e-4
    above, below = (refot.sinkhorn_divergence(X + t * direction, *points[1:], EPS, "quartic",
                                              tol=1e-12, backend="numpy") for t in (h, -h))
    # h^2 / 6 times a third derivative, which is of the size of the gradient
    assert (above - below) / (2 * h) == pytest.approx((gradient * direction).sum(), rel=1e-5)


def test_the_numba_backend_takes_it_by_blocks() -> None:
    points = X, A, Y, B, EPS, "quartic"
    for function in (refot.sinkhorn_divergence, refot.sinkhorn_divergence_gradient):
        np.testing.assert_allclose(function(*points, tol=1e-12, backend="numba"),
                                   function(*points, tol=1e-12, backend="numpy"), rtol=1e-9)


def test_a_proof_that_does_not_know_it_says_so() -> None:
    with pytest.raises(UnknownNameError, match="quartic"):
        enclose(operand(), A, B, EPS)


def test_a_cost_that_borrows_a_name_is_not_taken_for_the_one_that_has_it() -> None:
    borrowed = GroundCost("l1", QUARTIC.matrix, QUARTIC.gradient, QUARTIC.roundings)
    C = PointCost(X, Y, borrowed)
    with pytest.raises(UnknownNameError, match="l1"):
        enclose(C, A, B, EPS)
    assert refot.entropic_value(C, A, B, EPS, backend="numba") == pytest.approx(
        refot.entropic_value(C, A, B, EPS, backend="numpy"), rel=1e-12)


def test_a_matrix_of_it_goes_everywhere() -> None:
    refot.solve(operand().dense(), A, B, EPS, backend="numba")


def test_a_name_is_given_once_and_to_a_cost() -> None:
    add_cost(QUARTIC)  # again: nothing new
    with pytest.raises(refot.InputError, match="'quartic', which another cost has"):
        add_cost(GroundCost("quartic", QUARTIC.matrix, QUARTIC.gradient, QUARTIC.roundings))
    with pytest.raises(refot.InputError, match="a PairCost"):
        add_cost("quartic")  # type: ignore[type-var]
    with pytest.raises(refot.InputError, match="a PairCost"):
        refot.solve(PointCost(X, Y, "quartic"), A, B, EPS)  # type: ignore[arg-type]
    assert DotProduct().name not in GROUND_COSTS
