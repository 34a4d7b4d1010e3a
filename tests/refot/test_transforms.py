"""Softmin and the c-transforms (B-7, B-25, B-28, H-7, H-8) on every backend."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from strategies import (
    UNIT,
    Case,
    cases,
    exact_softmin,
    multiples,
    potentials,
    with_potentials,
)

import refot

shifts = st.integers(-64, 64).map(lambda k: k / 8)


def transform(g, case, backend=None):
    return refot.c_eps_transform(g, case.C, case.b, case.eps, backend=backend)


# ------------------------------------------------------------------ softmin
@given(with_potentials())
def test_softmin_is_its_formula_to_50_digits(backend, drawn):
    """B-25, H-8: -eps log sum_j exp((h_j - C_ij) / eps)."""
    case, _, h = drawn
    softmin = refot.softmin(case.C, h, case.eps, backend=backend)
    expected = exact_softmin(case.matrix, h, case.eps)
    assert abs(softmin - expected).max() <= case.rounding(h)


@given(with_potentials())
def test_softmin_lies_within_eps_log_m_below_the_minimum(backend, drawn):
    case, _, h = drawn
    softmin = refot.softmin(case.C, h, case.eps, backend=backend)
    minimum = (case.matrix - h).min(axis=1)
    assert (softmin <= minimum + case.rounding(h)).all()
    assert (softmin >= minimum - case.eps * np.log(h.size) - case.rounding(h)).all()


@given(with_potentials(), st.data())
def test_softmin_takes_minus_infinity_for_a_column_without_mass(backend, drawn, data):
    case, _, h = drawn
    absent = data.draw(st.lists(st.booleans(), min_size=h.size, max_size=h.size))
    absent = np.array(absent) & (np.arange(h.size) > 0)  # one column stays
    softmin = refot.softmin(case.C, np.where(absent, -np.inf, h), case.eps, backend=backend)
    without = refot.softmin(case.matrix[:, ~absent], h[~absent], case.eps, backend=backend)
    assert abs(softmin - without).max() <= case.rounding(h)


@given(with_potentials())
def test_softmin_survives_a_large_cost_offset(backend, drawn):
    """Without the shift inside the log-sum-exp, exp(-1e4 / eps) underflows: log 0."""
    case, _, h = drawn
    offset = Case(refot.DenseCost(case.matrix + 1e4), case.a, case.b, case.eps)
    moved = refot.softmin(offset.C, h, case.eps, backend=backend)
    plain = refot.softmin(case.C, h, case.eps, backend=backend)
    assert abs(moved - 1e4 - plain).max() <= offset.rounding(h)


@pytest.mark.parametrize("kind", ["matrix", "points"])
def test_softmin_keeps_float32(backend, kind):
    x = np.linspace(0, 2, 6, dtype=np.float32).reshape(6, 1)
    C = refot.point_cost(x, x[:4])
    C = refot.DenseCost(C.dense()) if kind == "matrix" else C
    h = np.linspace(-1, 1, 4)
    softmin = refot.softmin(C, h, 0.25, backend=backend)
    assert softmin.dtype == np.float32
    expected = exact_softmin(C.dense(), h.astype(np.float32), 0.25)
    # float32: 2^-24 in each of a few operations on terms of size max|C| = 4, |h|, eps log m
    assert abs(softmin - expected).max() <= 64 * 2.0**-24 * 4


# ------------------------------------------------------------------ the (c,eps)-transform
@given(with_potentials())
def test_transform_lies_between_the_hard_transform_and_the_mean(backend, drawn):
    """H-8: softmin >= min; and below the mean of C - g, by Jensen's inequality."""
    case, _, g = drawn
    soft, hard = transform(g, case, backend), refot.c_transform(g, case.C, case.b)
    assert (soft >= hard - case.rounding(g)).all()
    assert (soft <= (case.matrix - g) @ case.b + case.rounding(g)).all()


@given(with_potentials())
def test_transform_tends_to_the_hard_transform(backend, drawn):
    """H-8, eps -> 0: soft - hard <= eps log(1 / b_j) at the minimiser j of the support."""
    case, _, g = drawn
    hard, worst = refot.c_transform(g, case.C, case.b), np.log(1 / case.b[case.b > 0].min())
    for eps in (1.0, 1e-2, 1e-4, 1e-8):
        soft = refot.c_eps_transform(g, case.C, case.b, eps, backend=backend)
        assert (soft - hard <= eps * worst + case.rounding(g)).all()


@given(with_potentials(), shifts)
def test_a_shift_of_the_potential_shifts_the_transform_back(backend, drawn, t):
    """B-25: D2 + t gives value - t."""
    case, _, g = drawn
    shifted = transform(g + t, case, backend)
    assert abs(shifted + t - transform(g, case, backend)).max() <= case.rounding(g, g + t)


@given(with_potentials(), st.data())
def test_transform_is_decreasing_and_nonexpansive(backend, drawn, data):
    case, _, g = drawn
    rise = data.draw(multiples(g.size, 0, 16, 0.125))
    change = transform(g, case, backend) - transform(g + rise, case, backend)
    assert (change >= -case.rounding(g, g + rise)).all()
    assert (change <= rise.max() + case.rounding(g, g + rise)).all()


@given(with_potentials(), st.data())
def test_splitting_or_dropping_an_atom_leaves_the_transform_unchanged(backend, drawn, data):
    """Fails where log b is left out; a zero weight is the same as no atom."""
    case, _, g = drawn
    k = data.draw(st.integers(0, g.size - 1))
    share = data.draw(st.sampled_from([0.0, 0.25, 0.5]))
    C = np.column_stack([case.matrix, case.matrix[:, k]])
    b = np.append(case.b, share * case.b[k])
    b[k] -= b[-1]
    split = refot.c_eps_transform(np.append(g, g[k]), C, b, case.eps, backend=backend)
    assert abs(split - transform(g, case, backend)).max() <= case.rounding(g)


@given(with_potentials())
def test_transform_of_points_is_that_of_their_matrix(backend, drawn):
    case, _, g = drawn
    dense = refot.c_eps_transform(g, case.matrix, case.b, case.eps, backend=backend)
    assert abs(dense - transform(g, case, backend)).max() <= case.rounding(g)


@given(with_potentials())
def test_transform_out_of_sample_agrees_row_by_row(backend, drawn):
    """The transform at new points: each row depends on its own point only."""
    case, _, g = drawn
    whole = transform(g, case, backend)
    for i, row in enumerate(case.matrix):
        alone = refot.c_eps_transform(g, row[None, :], case.b, case.eps, backend=backend)
        assert abs(alone[0] - whole[i]) <= case.rounding(g)


@given(cases(), st.data())
def test_transform_of_the_other_side_is_that_of_the_transposed_cost(backend, case, data):
    """B-28 is B-25 on C'; an asymmetric matrix with n != m shows a transposition."""
    f = data.draw(potentials(case.a.size))
    there = refot.c_eps_transform(f, case.C.T, case.a, case.eps, backend=backend)
    back = exact_softmin(case.matrix.T[:, case.a > 0],
                         (f + case.eps * np.log(np.where(case.a > 0, case.a, 1)))[case.a > 0],
                         case.eps)
    assert abs(there - back).max() <= case.rounding(f)


# ------------------------------------------------------------------ the hard c-transform, B-7
@given(with_potentials())
def test_hard_transform_is_the_minimum_over_the_support(drawn):
    case, _, g = drawn
    expected = [min(c - t for c, t, w in zip(row, g, case.b, strict=True) if w > 0)
                for row in case.matrix]
    np.testing.assert_array_equal(refot.c_transform(g, case.C, case.b), expected)


@given(with_potentials())
def test_three_hard_transforms_are_one(drawn):
    """B-7: f^ccc = f^c, exactly on dyadic data (with full support)."""
    case, f, _ = drawn
    C = np.round(case.matrix * 8) / 8  # the root of a sum of squares is not dyadic
    fc = refot.c_transform(f, C.T)
    fccc = refot.c_transform(refot.c_transform(fc, C), C.T)
    np.testing.assert_array_equal(fccc, fc)


# ------------------------------------------------------------------ the softmax beside the softmin
@given(with_potentials())
def test_rows_of_the_conditional_law_sum_to_one(backend, drawn):
    """B-25: the exponential density has mass 1 for any D2; with `min` for `softmin` it has not."""
    case, _, g = drawn
    chi = refot.conditional(g, case.C, case.b, case.eps, backend=backend)
    assert (chi >= 0).all()
    assert not chi[:, case.b == 0].any()
    # each entry is exp of an exponent that carries the rounding of C, g and f over eps
    assert abs(chi.sum(axis=1) - 1).max() <= 4 * UNIT + case.rounding(g) / case.eps


@given(with_potentials())
def test_conditional_law_is_the_gradient_of_the_transform(backend, drawn):
    """d g^(c,eps)_i / d g_j = -chi_ij: central differences, error at most h^2 / (6 eps^2)."""
    case, _, g = drawn
    chi, h = refot.conditional(g, case.C, case.b, case.eps, backend=backend), 2.0**-12 * case.eps
    for j in range(g.size):
        step = h * np.eye(g.size)[j]
        up, down = (transform(g + s, case, backend) for s in (step, -step))
        allowed = (h / case.eps) ** 2 + case.rounding(g) / h
        assert abs((up - down) / (2 * h) + chi[:, j]).max() <= allowed
