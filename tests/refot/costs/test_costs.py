"""Ground costs, their gradients, and the operands made of them."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from strategies import TOL, UNIT, Clouds, clouds, ground_costs, multiples, points, sizes

import refot
from refot.costs import operands
from refot.costs.ground import GROUND_COSTS, l1_gradient, sqeuclidean

BY_DEFINITION = {
    "sqeuclidean": lambda x, y: math.fsum((s - t) ** 2 for s, t in zip(x, y, strict=True)),
    "euclidean": math.dist,
    "l1": lambda x, y: math.fsum(abs(s - t) for s, t in zip(x, y, strict=True)),
}


@given(clouds())
def test_matrix_is_the_definition_pair_by_pair(pair):
    expected = [[BY_DEFINITION[pair.cost](s, t) for t in pair.y] for s in pair.x]
    # exact on a dyadic grid, but for the one rounding of the square root
    np.testing.assert_allclose(pair.case().matrix, expected, rtol=2 * UNIT, atol=0)


@given(clouds())
def test_gradient_is_the_central_difference(pair):
    x, y, h = pair.x, pair.y, 2.0**-20
    ground = GROUND_COSTS[pair.cost]
    gradient, r = ground.gradient(x, y), np.sqrt(sqeuclidean(x, y))
    for k in range(x.shape[1]):
        step = h * np.eye(x.shape[1])[k]
        difference = (ground.matrix(x + step, y) - ground.matrix(x - step, y)) / (2 * h)
        # not where two coordinates agree: there the l1 norm (or the norm, at r = 0) has a kink,
        # and a symmetric difference is 0, which is the subgradient that is documented
        truncation = h**2 / np.where(r > 0, r, 1) ** 2  # |d3 |x - y|| <= 3 / r^2, over 6
        rounding = 8 * UNIT * (1 + ground.matrix(x, y)) / h
        assert (abs(gradient[:, :, k] - difference) <= truncation + rounding).all()


@given(st.data(), ground_costs)
def test_gradient_is_zero_where_the_points_agree(data, cost):
    x = data.draw(points(3, 2))
    gradient = GROUND_COSTS[cost].gradient(x, x.copy())
    np.testing.assert_array_equal(gradient[range(3), range(3)], np.zeros((3, 2)))
    assert np.isfinite(gradient).all()


@given(st.data())
def test_l1_gradient_is_zero_along_a_coordinate_that_agrees(data):
    x, y = data.draw(points(3, 2)), data.draw(points(4, 2))
    gradient = l1_gradient(x, y)
    np.testing.assert_array_equal(gradient == 0, x[:, None, :] == y)


@given(clouds())
def test_gradients_in_x_and_y_are_opposite(pair):
    ground = GROUND_COSTS[pair.cost]
    swapped = ground.gradient(pair.y, pair.x).transpose(1, 0, 2)
    np.testing.assert_array_equal(ground.gradient(pair.x, pair.y), -swapped)


@given(clouds(), st.data())
def test_costs_are_translation_invariant(pair, data):
    t = data.draw(multiples(pair.x.shape[1], -16, 16, 0.25))
    moved = Clouds(pair.x + t, pair.a, pair.y + t, pair.b, pair.eps, pair.cost)
    np.testing.assert_array_equal(moved.case().matrix, pair.case().matrix)


@given(clouds(), st.sampled_from([1.0, 0.5, 4.0]), st.integers(1, 7))
def test_an_operand_is_its_matrix_by_blocks(pair, scale, block_elements):
    C = refot.point_cost(pair.x, pair.y, pair.cost, scale)
    M = scale * pair.case().matrix
    assert C.shape == M.shape
    assert C.dtype == np.float64
    for operand in (C, refot.DenseCost(M)):
        np.testing.assert_array_equal(operand.dense(), M)
        np.testing.assert_array_equal(operand.T.dense(), M.T)
        np.testing.assert_array_equal(operand.scaled(2.0).dense(), 2 * M)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(operands, "BLOCK_ELEMENTS", block_elements)
            blocks = [operand.rows(rows) for rows in operands.row_blocks(operand)]
        assert max(block.shape[0] for block in blocks) <= max(1, block_elements // M.shape[1])
        np.testing.assert_array_equal(np.concatenate(blocks), M)


@given(clouds(), st.sampled_from([1.0, 0.5, 4.0]))
def test_gradient_rows_carry_the_scale(pair, scale):
    C = refot.point_cost(pair.x, pair.y, pair.cost, scale)
    gradient = GROUND_COSTS[pair.cost].gradient(pair.x, pair.y)
    np.testing.assert_array_equal(C.gradient_rows(slice(0, 2)), scale * gradient[:2])


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("cost", sorted(GROUND_COSTS))
def test_costs_keep_their_dtype(cost, dtype):
    x = np.array([[0.0, 1.0], [2.0, 3.0]], dtype)
    C = refot.point_cost(x, x, cost, scale=0.5)
    assert C.dense().dtype == dtype
    assert C.gradient_rows(slice(None)).dtype == dtype
    assert C.with_arrays(lambda t: t.astype(np.float64)).dtype == np.float64


@given(sizes, st.data())
def test_is_symmetric_means_equal_to_the_transpose(n, data):
    M = data.draw(multiples((n, n), 0, 2, 1.0))
    assert operands.is_symmetric(refot.DenseCost(M)) == bool((M == M.T).all())
    assert operands.is_symmetric(refot.DenseCost(M + M.T))
    assert not operands.is_symmetric(refot.DenseCost(np.ones((n, n + 1))))


def test_as_cost_takes_an_operand_a_matrix_or_a_list():
    M = np.arange(6.0).reshape(2, 3)
    for C in (M, M.tolist(), refot.DenseCost(M)):
        np.testing.assert_array_equal(operands.as_cost(C).dense(), M)
    C = refot.point_cost([[0.0]], [[1.0]], scale=2.0)
    assert operands.as_cost(C).scale == 2.0


# ------------------------------------------------------------------ H's c / alpha
@given(clouds())
def test_normalised_divides_by_the_mean_square_of_y(pair):
    C = refot.point_cost(pair.x, pair.y + 5, pair.cost)  # y off the origin: alpha > 0
    alpha = float(np.mean([np.dot(t, t) for t in C.y]))
    np.testing.assert_allclose(refot.normalised(C).dense(), C.dense() / alpha, rtol=8 * UNIT)


@given(clouds(), st.sampled_from([0.25, 2.0, 3.0]))
def test_normalised_cost_rescales_eps(pair, alpha):
    """Erratum H4: F_eps(c / alpha) = F_{alpha eps}(c) / alpha."""
    case = pair.case()
    scaled = refot.entropic_value(refot.normalised(case.C, alpha), case.a, case.b, case.eps,
                                  tol=TOL)
    value = refot.entropic_value(case.C, case.a, case.b, alpha * case.eps, tol=TOL)
    assert abs(alpha * scaled - value) <= (1 + alpha) * pair.case(max(1, alpha) * case.eps).slack


def test_alpha_is_not_translation_invariant():
    """Erratum H4: the same two clouds, moved, have another alpha and so another value."""
    x, y = np.array([[0.0], [1.0]]), np.array([[1.0], [2.0]])
    assert refot.normalised(refot.point_cost(x, y)).scale == 1 / 2.5
    assert refot.normalised(refot.point_cost(x + 3, y + 3)).scale == 1 / 20.5


# ------------------------------------------------------------------ how large costs are
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_costs_are_judged_one_by_one_where_their_squares_overflow(dtype: type) -> None:
    limits = np.finfo(dtype)
    allowed = np.full((2, 3), limits.max * dtype(2.0**-12))
    assert operands.size_bound(allowed) == np.inf
    assert operands.cost_matrix(allowed) is allowed
    for wrong in (np.nan, -np.inf, limits.max, -limits.max):
        C = allowed.copy()
        C[1, 2] = wrong
        with pytest.raises(refot.InputError, match=r"C\[1, 2\]|C: "):
            operands.cost_matrix(C)


def test_no_entry_exceeds_the_bound_of_their_size() -> None:
    C = np.random.default_rng(0).normal(size=(30, 20))
    assert abs(C).max() <= operands.size_bound(C) <= math.sqrt(C.size) * abs(C).max()
    assert math.isnan(operands.size_bound(np.where(C > 1, np.nan, C)))
