"""Forbidden pairs: inf in a cost matrix, a mask, a huge finite cost; points of weight 0 far away.

The right values are 30-digit enclosures of the problem in which a forbidden pair costs so much that
its mass is below e^-10000, or the same problem without those points.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from strategies import UNIT

import refot
from refot.arrays import InputError
from refot.costs.forbidden import obstruction
from refot.informative_plans import solve_informative
from refot.limits import cost_limits
from refot.objectives import kantorovich
from refot.solvers import METHODS
from refot.solvers.gap import certified_gap
from refot.verification.certificates.certify import certify
from refot.verification.enclosures.enclose import enclose, enclose_values

INF = np.inf
EPS = 0.1
SENTINELS = (1e3, 1e6, 1e9, 1e12, 1e14, 1e20, 1e300, INF)
FAR = 1e3
"""At EPS a pair of this cost has a mass below e^-9900."""


def clouds() -> tuple[Any, Any]:
    """A cost matrix (12, 10), and which of its pairs are forbidden: a third, and all atoms hang
    together. Points, so that no two costs agree."""
    rng = np.random.default_rng(1)
    x, y = rng.normal(size=(12, 2)), rng.normal(size=(10, 2)) + 0.3
    return ((x[:, None] - y) ** 2).sum(-1), rng.random((12, 10)) < 0.35


COST, FORBIDDEN = clouds()
A, B = np.full(12, 1 / 12), np.full(10, 1 / 10)
BARRED = np.where(FORBIDDEN, INF, COST)


@cache
def right() -> Any:
    """Everything about the problem, to 30 digits and then as floats."""
    found = enclose(np.where(FORBIDDEN, FAR, COST), A, B, EPS)
    f = np.array([float(t.mid()) for t in found.f])
    P = np.array([[float(t.mid()) for t in row] for row in found.plan])
    return float(found.value.mid()), float(found.transport_cost.mid()), f - f.mean(), P


def with_cost(size: float) -> Any:
    return np.where(FORBIDDEN, size, COST)


# ------------------------------------------------------------------ no huge cost sets a scale
@pytest.mark.parametrize("size", SENTINELS)
def test_values_and_gradients_do_not_see_the_size_of_a_forbidding_cost(
    size: float, backend: str
) -> None:
    """Quoted 1e-12, seen 1e-14; the sharp value was off by 2 %, dF/da by 15 %."""
    F, s, f, P = right()
    C = with_cost(size)
    assert refot.entropic_value(C, A, B, EPS, backend=backend) == pytest.approx(F, abs=1e-12)
    assert refot.sharp_value(C, A, B, EPS, backend=backend) == pytest.approx(s, abs=1e-12)
    gradient = refot.entropic_value_gradient_weights(C, A, B, EPS, backend=backend)
    assert abs(gradient - f).max() <= 1e-12
    solved = refot.solve(C, A, B, EPS, tol=1e-12, backend=backend)
    found = refot.plan(solved.f, solved.g, C, A, B, EPS, backend=backend)
    assert abs(found - P).max() <= 1e-12
    assert not found[FORBIDDEN].any()


@pytest.mark.parametrize("size", SENTINELS)
def test_gradients_of_the_sharp_value_do_not_see_it_either(size: float, backend: str) -> None:
    """Against differences of enclosed values along one direction, extrapolated: their error is
    t^4 times a derivative of fifth order, seen below 1e-9 by halving t."""
    rng = np.random.default_rng(2)
    C, direction = with_cost(size), np.where(FORBIDDEN, 0, rng.normal(size=COST.shape))
    found = refot.sharp_value_gradient(C, A, B, EPS, backend=backend)
    assert not found[FORBIDDEN].any()
    assert float((found * direction).sum()) == pytest.approx(sharp_slope(), abs=1e-8)
    of_weights = refot.sharp_value_gradient_weights(C, A, B, EPS, backend=backend)
    finite = refot.sharp_value_gradient_weights(with_cost(30.0), A, B, EPS, backend=backend)
    assert abs(of_weights - finite).max() <= 1e-9  # e^-290 of mass apart


@cache
def sharp_slope() -> float:
    """The derivative of s along the direction of the test above."""
    direction = np.where(FORBIDDEN, 0, np.random.default_rng(2).normal(size=COST.shape))

    def slope(t: float) -> float:
        ends = [enclose_values(np.where(FORBIDDEN, FAR, COST + k * t * direction), A, B, EPS)[1]
                for k in (1, -1)]
        return float(((ends[0] - ends[1]) / (2 * t)).mid())

    return (4 * slope(2.0**-12) - slope(2.0**-11)) / 3


@pytest.mark.parametrize("far", [1e4, 1e6, 1e8, 1e150])
@pytest.mark.parametrize("cost", ["sqeuclidean", "euclidean", "dot"])
def test_points_of_weight_0_far_away_change_nothing(cost: str, far: float, backend: str) -> None:
    """Quoted 1e-12 of numbers near 1, seen 1e-13: dS/dx was off by 1.5 %."""
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(15, 2)), rng.normal(size=(12, 2)) + 0.4
    a, b = rng.dirichlet(np.full(15, 2.0)), rng.dirichlet(np.full(12, 2.0))
    x_far = np.vstack([x, far * rng.normal(size=(5, 2))])
    y_far = np.vstack([far * rng.normal(size=(4, 2)), y])
    a_far, b_far = np.append(a, np.zeros(5)), np.append(np.zeros(4), b)
    near, padded = (x, a, y, b, EPS, cost), (x_far, a_far, y_far, b_far, EPS, cost)
    for function in (refot.sinkhorn_divergence, refot.sinkhorn_loss):
        assert function(*padded, backend=backend) == pytest.approx(
            function(*near, backend=backend), abs=1e-12)
    for function in (refot.sinkhorn_divergence_gradient, refot.sinkhorn_loss_gradient):
        difference = function(*padded, backend=backend)[:15] - function(*near, backend=backend)
        assert abs(difference).max() <= 1e-12
    C, C_far = refot.point_cost(x, y, cost), refot.point_cost(x_far, y_far, cost)
    for plain, other in ((C, C_far), (C.dense(), C_far.dense())):
        for function in (refot.sharp_value, refot.entropic_value):
            found = function(other, a_far, b_far, EPS, backend=backend)
            assert found == pytest.approx(function(plain, a, b, EPS, backend=backend), abs=1e-12)
        for function in (refot.entropic_value_gradient_weights, refot.sharp_value_gradient_weights):
            found = function(other, a_far, b_far, EPS, backend=backend)[:15]
            difference = found - function(plain, a, b, EPS, backend=backend)
            assert np.ptp(difference) <= 1e-12  # a constant is free


@pytest.mark.parametrize("size", SENTINELS)
def test_the_linear_programme_does_not_see_it(size: float) -> None:
    """HiGHS works to 1e-10 of the range of the costs that it is given."""
    rng = np.random.default_rng(0)
    C, forbidden = rng.normal(size=(8, 7)), rng.random((8, 7)) < 0.3
    a, b = rng.dirichlet(np.ones(8)), rng.dirichlet(np.ones(7))
    expected = kantorovich(np.where(forbidden, 50.0, C), a, b)[0]
    found, P = kantorovich(np.where(forbidden, size, C), a, b)
    assert found == pytest.approx(expected, abs=1e-8)
    assert not P[forbidden].any()


def test_the_linear_programme_pays_a_huge_cost_that_it_must_pay() -> None:
    """All the mass of row 0 beyond column 0: no smaller scale is there to be found."""
    C = np.array([[0.0, 1e9], [1e9, 1.0]])
    value, P = kantorovich(C, [0.75, 0.25], [0.5, 0.5])
    assert P[0, 1] == pytest.approx(0.25, abs=1e-9)
    assert value == pytest.approx(0.25e9 + 0.25, rel=1e-9)


# ------------------------------------------------------------------ inf, and a mask
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("method", METHODS)
def test_every_method_solves_with_forbidden_pairs(method: str, dtype: Any, backend: str) -> None:
    if dtype == np.float32 and method in ("newton", "mixed"):
        pytest.skip("float64 only")
    C, a, b = BARRED.astype(dtype), A.astype(dtype), B.astype(dtype)
    solved = refot.solve(C, a, b, EPS, method=method, backend=backend)
    found = refot.plan(solved.f, solved.g, C, a, b, EPS, backend=backend)
    assert found.dtype == dtype
    assert abs(found - right()[3]).max() <= 2 * solved.tolerance
    assert not found[FORBIDDEN].any()


def test_a_transposed_matrix_with_forbidden_pairs(backend: str) -> None:
    """Numba reads it down its columns, by another kernel."""
    F, s, _, _ = right()
    for C in (np.asfortranarray(BARRED), np.ascontiguousarray(BARRED.T).T):
        assert refot.entropic_value(C, A, B, EPS, backend=backend) == pytest.approx(F, abs=1e-12)
        assert refot.sharp_value(C, A, B, EPS, backend=backend) == pytest.approx(s, abs=1e-12)


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_more_columns_than_a_tile_of_which_the_first_are_forbidden(
    dtype: Any, backend: str
) -> None:
    """A row whose first allowed pair is in the second tile of 1,024: no first shift for its sum."""
    rng = np.random.default_rng(3)
    C, h = rng.uniform(size=(9, 2500)).astype(dtype), rng.normal(size=2500).astype(dtype)
    C[::2, :1100] = INF
    C[1, :-1] = INF
    bound = 64 * float(np.finfo(dtype).eps)
    for matrix in (C, np.asfortranarray(C)):
        found = refot.softmin(matrix, h, EPS, backend=backend)
        exponents = (h.astype(np.float64) - C) / EPS
        top = exponents.max(axis=1)
        expected = -EPS * (top + np.log(np.exp(exponents - top[:, None]).sum(axis=1)))
        assert abs(found - expected).max() <= bound * abs(h).max()
        guessed = refot.backend_contract.get_backend(backend).softmin(
            refot.DenseCost(matrix), h, EPS, found)
        assert abs(guessed - expected).max() <= bound * abs(h).max()


def test_a_mask_forbids() -> None:
    """It was dropped: 1.52 for 1.68. Integers too, and a mask that hides nothing."""
    F = right()[0]
    masked = np.ma.masked_array(COST, mask=FORBIDDEN)
    assert refot.entropic_value(masked, A, B, EPS) == pytest.approx(F, abs=1e-12)
    assert refot.entropic_value(refot.DenseCost(masked), A, B, EPS) == pytest.approx(F, abs=1e-12)
    whole = np.ma.masked_array(np.arange(4).reshape(2, 2), mask=[[0, 1], [0, 0]])
    barred = np.array([[0, INF], [2, 3]])
    weights = [0.25, 0.75], [0.5, 0.5]
    assert (refot.entropic_value(whole, *weights, 1.0)
            == refot.entropic_value(barred, *weights, 1.0))
    nothing = np.ma.masked_array(COST, mask=False)
    assert (refot.entropic_value(nothing, np.ma.masked_array(A), B, EPS)
            == refot.entropic_value(COST, A, B, EPS))


def masked(values: Any) -> Any:
    mask = np.arange(np.size(values)).reshape(np.shape(values)) == 0
    return np.ma.masked_array(values, mask=mask)


ELSEWHERE: dict[str, Callable[[], Any]] = {
    "x": lambda: refot.point_cost(masked(np.eye(3)), np.eye(3)),
    "a": lambda: refot.entropic_value(COST, masked(A), B, EPS),
    "b": lambda: refot.entropic_value(COST, A, masked(B), EPS),
    "f": lambda: refot.dual(masked(A), B, COST, A, B, EPS),
    "g": lambda: refot.semi_dual(masked(B), COST, A, B, EPS),
    "h": lambda: refot.softmin(COST, masked(B), EPS),
    "eps": lambda: refot.entropic_value(COST, A, B, np.ma.masked),
    "P": lambda: refot.transport_cost(masked(COST), COST),
    "Q": lambda: refot.informative_cost(COST, masked(COST), 1.0),
    "codes": lambda: solve_informative(COST, A, B, EPS, 0.1, masked(np.zeros(12, int))),
}


@pytest.mark.parametrize("name", ELSEWHERE)
def test_a_mask_elsewhere_is_an_error_that_says_what_to_write(name: str) -> None:
    with pytest.raises(InputError, match=rf"{name}: masked entries; allowed: .*filled"):
        ELSEWHERE[name]()


# ------------------------------------------------------------------ the same in blocks
def block_problem(data: st.DataObject) -> tuple[Any, ...]:
    """Two problems without forbidden pairs, and the problem of both with none between them."""
    draw, rng = data.draw, np.random.default_rng(data.draw(st.integers(0, 2**32 - 1)))
    sizes = [(draw(st.integers(1, 5)), draw(st.integers(1, 5))) for _ in range(2)]
    costs = [rng.integers(-64, 65, size=shape) / 64 for shape in sizes]
    shares = [draw(st.sampled_from([0.25, 0.5, 0.875])), 0.0]
    shares[1] = 1 - shares[0]
    weights = [[dyadic(k, rng) for k in shape] for shape in sizes]
    C = np.full(np.sum(sizes, axis=0), INF)
    C[:sizes[0][0], :sizes[0][1]], C[sizes[0][0]:, sizes[0][1]:] = costs
    a, b = (np.concatenate([shares[k] * weights[k][side] for k in (0, 1)]) for side in (0, 1))
    return C, a, b, costs, shares, weights


def dyadic(k: int, rng: np.random.Generator) -> Any:
    """Weights that sum to 1 exactly, as do their multiples by 1/8."""
    counts = rng.multinomial(256 - k, np.full(k, 1 / k)) + 1
    return counts / 256


@pytest.mark.parametrize("method", METHODS)
@given(data=st.data())
def test_blocks_are_solved_as_if_apart(method: str, backend: str, data: st.DataObject) -> None:
    """F = sum w_k (F_k - eps log w_k), s = sum w_k s_k, and the plan has the plans in its blocks:
    one of another total mass w_k has its own a_i b_j larger by 1 / w_k."""
    C, a, b, costs, shares, weights = block_problem(data)
    # without acceleration the iteration may take more than 10,000 steps at the smaller eps
    eps = 1.0 if method in ("sinkhorn", "schedule") else data.draw(st.sampled_from([0.1, 1.0]))
    solved = refot.solve(C, a, b, eps, method=method, tol=1e-9, backend=backend)
    found = refot.plan(solved.f, solved.g, C, a, b, eps, backend=backend)
    assert not found[np.isinf(C)].any()
    F = s = 0.0
    for cost, share, (a_k, b_k) in zip(costs, shares, weights, strict=True):
        F += share * (refot.entropic_value(cost, a_k, b_k, eps) - eps * np.log(share))
        s += share * refot.sharp_value(cost, a_k, b_k, eps)
    # at a marginal error t the semi-dual is below F by at most eps t log(1 / least mass) and less
    assert refot.semi_dual(solved.g, C, a, b, eps, backend=backend) == pytest.approx(F, abs=1e-8)
    assert refot.sharp_value(C, a, b, eps, backend=backend) == pytest.approx(s, abs=1e-8)
    assert refot.transport_cost(found, C) == pytest.approx(s, abs=1e-5)


# ------------------------------------------------------------------ values at given potentials
def test_values_of_the_same_plan_agree(backend: str) -> None:
    """primal, dual, log-form dual, semi-dual; <P, C> counts 0 times inf as 0."""
    F, s, _, P = right()
    solved = refot.solve(BARRED, A, B, EPS, tol=1e-12, backend=backend)
    problem = BARRED, A, B, EPS
    for value in (refot.dual, refot.log_dual):
        found = value(solved.f, solved.g, *problem, backend=backend)
        assert found == pytest.approx(F, abs=1e-12)
    assert refot.semi_dual(solved.g, *problem, backend=backend) == pytest.approx(F, abs=1e-12)
    assert abs(refot.semi_dual_gradient(solved.g, *problem, backend=backend)).sum() <= 2e-12
    assert refot.primal(P, *problem) == pytest.approx(F, abs=1e-12)
    assert refot.transport_cost(P, BARRED) == pytest.approx(s, abs=1e-12)
    rows = refot.conditional(solved.g, BARRED, B, EPS, backend=backend)
    assert abs(rows.sum(axis=1) - 1).max() <= 64 * UNIT * abs(solved.g).max() / EPS
    assert not rows[FORBIDDEN].any()
    assert refot.transport_cost(np.outer(A, B), BARRED) == INF
    assert refot.primal(np.outer(A, B), BARRED, A, B, EPS) == INF


def test_the_hard_transform_is_a_minimum_over_allowed_pairs() -> None:
    g = np.linspace(0, 1, 10)
    expected = [min(c - t for c, t, barred in zip(*row, strict=True) if not barred)
                for row in ((COST[i], g, FORBIDDEN[i]) for i in range(12))]
    np.testing.assert_array_equal(refot.c_transform(g, BARRED), expected)


def test_a_limit_of_the_scaling_form() -> None:
    """K is 0 on a forbidden pair: G-7, G-8 and both its gradients."""
    u, v = refot.sinkhorn_scaling(BARRED, A, B, 1.0, 2000)
    P = u[:, None] * np.exp(-BARRED) * v
    assert abs(P.sum(axis=1) - A).max() <= 1e-12
    assert refot.scaling_loss(BARRED, A, B, 1.0, 2000) == pytest.approx(
        refot.sharp_value(BARRED, A, B, 1.0), abs=1e-12)
    log = refot.scaling_loss_gradient_log(BARRED, A, B, 1.0, 3)
    assert abs(refot.scaling_loss_gradient(BARRED, A, B, 1.0, 3) - log).max() <= 1e-14
    assert not log[FORBIDDEN].any()


def test_a_measure_with_itself_and_forbidden_pairs() -> None:
    C = ((A[:, None] - np.arange(12.0)) ** 2)
    C = C + C.T
    C[2, 5] = C[5, 2] = C[0, 0] = INF
    alternating = refot.solve(C, A, A, 10.0, tol=1e-12)
    averaged = refot.sinkhorn_symmetric(C, A, 10.0, tol=1e-12)
    assert refot.semi_dual(averaged.f, C, A, A, 10.0) == pytest.approx(
        refot.semi_dual(alternating.g, C, A, A, 10.0), rel=1e-12)


def test_rounding_keeps_to_allowed_pairs() -> None:
    """Marginals exact up to the rounding of sums, and nothing on a forbidden pair; as the paper has
    it every pair gets mass."""
    solved = refot.solve(BARRED, A, B, EPS, tol=1e-6, method="sinkhorn")
    P = refot.plan(solved.f, solved.g, BARRED, A, B, EPS)
    rounded = refot.round_to_marginals(P, A, B, BARRED)
    assert abs(rounded.sum(axis=1) - A).sum() + abs(rounded.sum(axis=0) - B).sum() <= 64 * UNIT
    assert not rounded[FORBIDDEN].any()
    assert (rounded >= 0).all()
    assert refot.round_to_marginals(P, A, B)[FORBIDDEN].any()
    with pytest.raises(InputError, match="P: too far from the marginals"):
        refot.round_to_marginals(np.where(FORBIDDEN, 1.0, 0.0), A, B, BARRED)


# ------------------------------------------------------------------ what is refused
ROW_BARRED = BARRED.copy()
ROW_BARRED[3] = INF


REFUSED: dict[str, Callable[[], Any]] = {
    "row": lambda: refot.solve(ROW_BARRED, A, B, EPS),
    "column": lambda: refot.solve(ROW_BARRED.T, B, A, EPS),
    "row of partners without mass": lambda: refot.solve(
        np.array([[0.0, INF], [1.0, 1.0]]), [0.5, 0.5], [0.0, 1.0], EPS),
    "softmin": lambda: refot.softmin(ROW_BARRED, B, EPS),
    "transform": lambda: refot.c_eps_transform(B, ROW_BARRED, B, EPS),
    "hard transform": lambda: refot.c_transform(B, ROW_BARRED),
    "scaling": lambda: refot.sinkhorn_scaling(ROW_BARRED, A, B, EPS, 3),
    "linear programme": lambda: kantorovich(ROW_BARRED, A, B),
    "certificate": lambda: certify(ROW_BARRED, A, B, EPS, B),
    "derivative at weight 0": lambda: refot.entropic_value_gradient_weights(
        ROW_BARRED, without_mass(3), B, EPS),
    "derivative of the sharp value at weight 0": lambda: refot.sharp_value_gradient_weights(
        ROW_BARRED, without_mass(3), B, EPS),
}


def without_mass(row: int) -> Any:
    a = np.full(12, 1 / 11)
    a[row] = 0
    return a


@pytest.mark.parametrize("name", REFUSED)
def test_an_atom_without_an_allowed_pair_is_named(name: str) -> None:
    with pytest.raises(InputError, match=r"C: (row|column) [03] has no allowed pair left; allowed"):
        REFUSED[name]()


@pytest.mark.parametrize(("entry", "found"), [(np.nan, "nan"), (-INF, "-inf")])
def test_nan_and_minus_infinity_stay_refused(entry: float, found: str) -> None:
    C = BARRED.copy()
    C[2, 1] = entry
    with pytest.raises(InputError, match=rf"C: {found} at \[2, 1\]; allowed: finite costs, or inf"):
        refot.solve(C, A, B, EPS)


def test_what_would_be_infinite_is_refused() -> None:
    with pytest.raises(InputError, match="C: inf; allowed: finite costs: the independent plan"):
        cost_limits(BARRED, A, B)
    with pytest.raises(InputError, match="C: inf; allowed: finite costs"):
        enclose(BARRED, A, B, EPS)


def test_padding_that_is_forbidden_as_a_whole_changes_nothing(backend: str) -> None:
    """Rows and columns of weight 0 whose pairs are all forbidden, as in a padded batch."""
    F, s, _, P = right()
    C = np.full((14, 13), INF)
    C[:12, :10] = BARRED
    a, b = np.append(A, [0, 0]), np.append(B, [0, 0, 0])
    assert refot.entropic_value(C, a, b, EPS, backend=backend) == pytest.approx(F, abs=1e-12)
    assert refot.sharp_value(C, a, b, EPS, backend=backend) == pytest.approx(s, abs=1e-12)
    solved = refot.solve(C, a, b, EPS, tol=1e-12, certified=True, backend=backend)
    assert np.isfinite(solved.f).all()
    assert np.isfinite(solved.g).all()
    found = refot.plan(solved.f, solved.g, C, a, b, EPS, backend=backend)
    assert abs(found[:12, :10] - P).max() <= 1e-12
    assert not found[12:].any()
    assert not found[:, 10:].any()
    assert solved.gap is not None
    assert solved.gap.lower <= F <= solved.gap.upper
    assert certify(C, a, b, EPS, solved.g).value.lower <= F


# ------------------------------------------------------------------ no room for all the mass
def crowded() -> tuple[Any, Any, Any]:
    """Rows 0, 1, 2 with half of the mass may only reach column 0, which takes a fifth."""
    C = np.random.default_rng(0).uniform(size=(6, 5))
    C[:3, 1:] = INF
    return C, np.full(6, 1 / 6), np.full(5, 1 / 5)


@pytest.mark.parametrize("method", METHODS)
def test_a_problem_without_a_plan_says_so(method: str, backend: str) -> None:
    with pytest.warns(refot.ConvergenceWarning, match="no plan avoids the forbidden pairs: rows 0, "
                                                      "1, 2 carry a mass of 0.5, the columns"):
        solved = refot.solve(*crowded(), EPS, method=method, certified=True, backend=backend)
    assert not solved.converged
    assert "allowed to reach 0.2" in solved.infeasible
    assert solved.iterations <= 100
    assert solved.gap is not None
    assert solved.gap.upper == INF
    with pytest.raises(InputError, match="no plan avoids the forbidden pairs"):
        kantorovich(*crowded()[:1], *crowded()[1:])


def test_values_of_a_problem_without_a_plan_warn() -> None:
    for function in (refot.entropic_value, refot.sharp_value, refot.sharp_value_gradient,
                     refot.entropic_value_gradient_weights):
        with pytest.warns(refot.ConvergenceWarning, match="no plan avoids"):
            function(*crowded(), EPS)


def test_no_obstruction_is_claimed_where_there_is_none() -> None:
    """A plan of a full permutation: every allowed pair is needed. And masses that miss each other
    by rounding, as those of blocks do."""
    C = np.where(np.eye(7)[::-1] > 0, 0.0, INF)
    weights = np.random.default_rng(0).dirichlet(np.ones(7))
    assert obstruction(refot.DenseCost(C), weights, weights[::-1]) == ""
    assert obstruction(refot.DenseCost(C), weights, weights[::-1] * (1 + 1e-13)) == ""
    assert obstruction(refot.DenseCost(C), weights, weights) != ""
    assert obstruction(refot.DenseCost(COST), A, B) == ""


# ------------------------------------------------------------------ what is proved
def drawn(seed: int, size: float) -> tuple[Any, ...]:
    """A problem whose atoms hang together, with pairs of a cost that forbids them."""
    rng = np.random.default_rng(seed)
    n, m = rng.integers(3, 9, 2)
    C, forbidden = rng.normal(size=(n, m)), rng.random((n, m)) < 0.25
    forbidden[0], forbidden[:, 0] = False, False
    a, b = rng.dirichlet(np.full(n, 2.0)), rng.dirichlet(np.full(m, 2.0))
    return np.where(forbidden, size, C), a, b, float(rng.choice([0.05, 0.3, 2.0]))


@pytest.mark.parametrize("seed", range(12))
def test_the_intervals_contain_the_enclosed_values(seed: int, backend: str) -> None:
    """At any potential; narrow at a good one: the change along a tree is of second order."""
    value, cost = enclose_values(*drawn(seed, 1e4))
    problem = C, a, b, eps = drawn(seed, INF)
    g = refot.solve(*problem, tol=1e-11, backend=backend).g
    rng = np.random.default_rng(seed)
    for noise in (0.0, 1e-6, 1e-2, 1.0):
        moved = g + noise * eps * rng.normal(size=len(g))
        gap = certified_gap(moved, *problem, backend=backend)
        assert gap.lower <= value.upper()
        assert gap.upper >= value.lower()
        proved = certify(C, a, b, eps, moved)
        assert proved.value.lower <= value.upper()
        assert proved.value.upper >= value.lower()
        assert proved.transport_cost.lower <= cost.upper()
        assert proved.transport_cost.upper >= cost.lower()
        if noise <= 1e-6:
            size = eps + abs(float(value.mid()))
            assert gap.absolute <= 1e-7 * size
            assert proved.value.upper - proved.value.lower <= 1e-7 * size
    single = (C.astype(np.float32), a.astype(np.float32), b.astype(np.float32), eps)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", refot.ConvergenceWarning)
        coarse = refot.solve(*single, certified=True, backend=backend).gap
    allowed = np.isfinite(C)
    rounded = enclose_values(np.where(allowed, np.where(allowed, single[0], 0).astype(float), 1e4),
                             *(w.astype(float) / w.astype(float).sum() for w in single[1:3]), eps)
    assert coarse is not None
    assert coarse.lower <= rounded[0].upper()
    assert coarse.upper >= rounded[0].lower()


@pytest.mark.parametrize("size", SENTINELS)
def test_the_gap_contains_the_value_whatever_a_forbidding_cost_is(
    size: float, backend: str
) -> None:
    F, problem = right()[0], (with_cost(size), A, B, EPS)
    gap = refot.solve(*problem, certified=True, backend=backend).gap
    assert gap is not None
    assert gap.lower <= F <= gap.upper


def test_blocks_are_not_certified_from_above() -> None:
    """Their masses agree to the last bit or there is no plan: nothing can be proved of it here."""
    C = np.array([[0.0, INF], [INF, 1.0]])
    assert certified_gap([0.0, 0.0], C, [0.5, 0.5], [0.5, 0.5], EPS).upper == INF
    proved = certify(C, [0.5, 0.5], [0.5, 0.5], EPS, [0.0, 0.0])
    assert proved.value.upper == INF
    assert proved.value.lower <= 0.5 + EPS * np.log(2)


@pytest.mark.parametrize("gradient", [
    refot.entropic_value_gradient_weights, refot.sharp_value_gradient_weights])
def test_gradients_in_uniform_weights_beside_forbidden_pairs(gradient: Any) -> None:
    """Weights None are uniform, also where pairs are forbidden."""
    C, halves = np.array([[0.0, np.inf], [1.0, 2.0]]), np.full(2, 0.5)
    np.testing.assert_array_equal(gradient(C, None, None, 1.0),
                                  gradient(C, halves, halves, 1.0))
