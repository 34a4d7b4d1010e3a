"""B-19 and B-21, Barber and Agakov's bound B-22, errata E4 to E6 and E8."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from informative_cases import with_plan
from strategies import UNIT, Case, clouds, multiples, plans, solved, weights

import refot
from refot import printed
from refot.arrays import WeightError
from refot.information import (
    barber_agakov,
    code_weights,
    informative_cost,
    informative_loss,
    informative_objective,
    kl_dual,
    mutual_information,
    optimal_q,
    perturbed_objective,
    posterior_density,
    q_objective,
    softmax_density,
    sum_noise,
)
from refot.informative_plans import conditional_information
from refot.plots.figure_2 import figure_2_problem


# ------------------------------------------------------------------ Q*, B-20 and B-31
@given(plans(), st.data())
def test_optimal_q_minimises_b31_and_reaches_kl_in_b20(P, data):
    a, b = P.sum(axis=1), P.sum(axis=0)
    Q = optimal_q(P, a, b)
    least = q_objective(Q, P, a, b)
    tolerance = 64 * UNIT * max(1, abs(Q[P > 0]).max())
    assert abs(least - (1 - mutual_information(P))) <= tolerance
    other = data.draw(multiples(P.shape, -16, 16, 0.125))
    assert least <= q_objective(other, P, a, b) + 64 * UNIT * max(16, np.exp(other).max())


def test_optimal_q_is_finite_where_there_is_no_mass():
    """log of the least normal number over a b where P = 0 < a b, and 0 where a b = 0."""
    P, a, b = np.array([[0.5, 0.0, 0.0], [0.25, 0.25, 0.0]]), [0.5, 0.5], [0.75, 0.25, 0.0]
    Q = optimal_q(P, a, b)
    assert Q[0, 0] == pytest.approx(math.log(0.5 / 0.375), abs=4 * UNIT)
    assert Q[0, 1] == pytest.approx(math.log(np.finfo(float).tiny / 0.125), rel=4 * UNIT)
    assert (Q[:, 2] == 0).all()
    assert optimal_q(P.astype(np.float32), np.float32(a), np.float32(b)).dtype == np.float32


def test_optimal_q_and_posterior_where_the_product_of_weights_underflows():
    a = np.array([1 - 1e-170, 1e-170])
    P = np.array([[1.0, 0.0], [0.0, 1e-170]])
    expected = -math.log(1e-170)
    assert optimal_q(P, a, a)[1, 1] == pytest.approx(expected, rel=4 * UNIT)
    assert math.log(posterior_density(P)[1, 1]) == pytest.approx(expected, rel=4 * UNIT)


# ------------------------------------------------------------------ B-19 and B-21
@given(with_plan(), st.data())
def test_b21_lies_above_b19_and_meets_it_at_the_best_q(drawn, data):
    """The infimum over Q: with -lam, which the print lacks (E4)."""
    problem_, P = drawn
    J = problem_.J(P)
    Q = optimal_q(problem_.joint(P), problem_.zeta1, problem_.case.b)
    tolerance = 4 * problem_.case.rounding() + 800 * UNIT * problem_.lam
    assert abs(perturbed_objective(Q, P, *problem_.arguments) - J) <= tolerance
    other = data.draw(multiples(Q.shape, -16, 16, 0.125))
    above = perturbed_objective(other, P, *problem_.arguments)
    assert above >= J - tolerance * np.exp(other).max()


@given(with_plan(), st.data())
def test_b21_is_the_value_of_the_perturbed_cost(drawn, data):
    """<C - lam M'Q, P> + eps KL: the primal of B-23's cost, up to lam (sum zeta1 b exp Q - 1)."""
    problem_, P = drawn
    Q = data.draw(multiples((problem_.n_codes, P.shape[1]), -8, 8, 0.125))
    tilted = informative_cost(problem_.case.C, Q[problem_.codes], problem_.lam).dense()
    mass = float((problem_.product * np.exp(Q)).sum())
    expected = refot.primal(P, tilted, *problem_.case.dense[1:]) + problem_.lam * (mass - 1)
    tolerance = 4 * problem_.case.rounding(Q) + 64 * UNIT * problem_.lam * (1 + mass)
    assert abs(perturbed_objective(Q, P, *problem_.arguments) - expected) <= tolerance


@given(with_plan(), st.data())
def test_e4_the_printed_b21_is_too_high_by_lam_at_every_q(drawn, data):
    problem_, P = drawn
    Q = data.draw(multiples((problem_.n_codes, P.shape[1]), -8, 8, 0.125))
    corrected = perturbed_objective(Q, P, *problem_.arguments)
    as_printed = printed.perturbed_objective_printed(Q, P, *problem_.arguments)
    assert as_printed == corrected + problem_.lam


@given(with_plan())
def test_e4_the_printed_b21_misses_b19_at_the_best_q_by_exactly_lam(drawn):
    problem_, P = drawn
    Q = optimal_q(problem_.joint(P), problem_.zeta1, problem_.case.b)
    excess = printed.perturbed_objective_printed(Q, P, *problem_.arguments) - problem_.J(P)
    assert abs(excess - problem_.lam) <= 4 * problem_.case.rounding() + 800 * UNIT * problem_.lam


@given(clouds(), st.data())
def test_b19_in_full_subtracts_half_the_self_term(pair, data):
    """The last term depends on G only: the loss less the objective is -F_xx / 2 at every P."""
    case, (self_case, _) = pair.case(), pair.self_cases()
    codes = np.array(data.draw(st.lists(st.integers(0, 1), min_size=len(case.a),
                                        max_size=len(case.a))))
    P, lam = np.outer(case.a, case.b), case.eps / 2
    loss = informative_loss(pair.x, pair.a, pair.y, pair.b, P, pair.eps, lam, codes, pair.cost)
    objective = informative_objective(P, *case.dense, lam, codes)
    F_xx = solved(self_case)
    slack = self_case.slack * 1e-9 / 1e-11  # `informative_loss` solves to 1e-9 by default
    assert (F_xx.lower - slack) / 2 <= objective - loss <= (F_xx.upper + slack) / 2


@given(with_plan())
def test_the_information_splits_by_the_chain_rule(drawn):
    """KL(P | a(x)b) = KL(MP | zeta1(x)b) + KL(P | MP(x)zeta2), so that J = <C,P> + (eps - lam) KL
    + lam K, convex for lam <= eps."""
    problem_, P = drawn
    case = problem_.case
    K = conditional_information(P, case.a, problem_.codes)
    kl = refot.kl(P, np.outer(case.a, case.b))
    assert K >= -64 * UNIT
    assert abs(kl - refot.kl(problem_.joint(P), problem_.product) - K) <= 512 * UNIT
    split = refot.transport_cost(P, case.matrix) + (case.eps - problem_.lam) * kl + problem_.lam * K
    assert abs(problem_.J(P) - split) <= case.rounding() + 512 * UNIT * (case.eps + problem_.lam)


@given(with_plan(ratios=(0, 0.5, 1)), st.data())
def test_b19_is_convex_for_lam_up_to_eps(drawn, data):
    problem_, P = drawn
    n, m = P.shape
    R = refot.round_to_marginals(data.draw(multiples((n, m), 0, 4, 1 / 16)),
                                 problem_.case.a, problem_.case.b)
    middle = problem_.J((P + R) / 2)
    assert middle <= (problem_.J(P) + problem_.J(R)) / 2 + 4 * problem_.case.rounding()


@pytest.mark.parametrize("lam", [0.49, 0.5, 0.51])
def test_curvature_at_the_independent_plan_is_eps_minus_lam_times_the_square_of_h(lam):
    """d^2/dt^2 J(zeta(x)nu (1 + t h(z1, y))) = (eps - lam) sum zeta nu h^2, at eps = .5: for a
    normal h of seed 0, centred, .008377, 0 and -.008377."""
    figure, eps = figure_2_problem(), 0.5
    zeta1 = code_weights(figure.a, figure.codes, 10)
    h = np.random.default_rng(0).normal(size=(10, 24))
    h -= h @ figure.b[:, None]
    h -= zeta1 @ h
    curved = (figure.a[:, None] * figure.b * h[figure.codes] ** 2).sum()
    C, t = figure.C.dense(), 2.0**-9

    def J(t):
        P = np.outer(figure.a, figure.b) * (1 + t * h[figure.codes])
        return informative_objective(P, C, figure.a, figure.b, eps, lam, figure.codes)

    # J is even to fourth order: the remainder is t^2 (eps - lam) sum zeta nu h^4 / 6
    second = (J(t) - 2 * J(0) + J(-t)) / t**2
    assert second == pytest.approx((eps - lam) * curved, rel=1e-4, abs=16 * UNIT / t**2)
    assert (eps - lam) * curved == pytest.approx({0.49: 0.008377, 0.5: 0, 0.51: -0.008377}[lam],
                                                 abs=5e-7)


# ------------------------------------------------------------------ B-22 and erratum E8
@given(plans(), st.data())
def test_b22_is_a_lower_bound_and_tight_at_the_posterior(P, data):
    P, zeta1, nu = _supported(P)
    q = softmax_density(data.draw(multiples(P.shape, -16, 16, 0.125)), zeta1)
    np.testing.assert_allclose(zeta1 @ q, 1, rtol=32 * UNIT)
    information, tolerance = mutual_information(P), 256 * UNIT
    assert barber_agakov(q, P, zeta1) <= information + tolerance
    assert abs(barber_agakov(posterior_density(P), P, zeta1) - information) <= tolerance
    assert abs(barber_agakov(q, P, zeta1) - kl_dual(np.log(q), P, zeta1, nu)) <= tolerance


@given(plans(), st.data())
def test_e8_a_plain_softmax_is_too_low_by_the_entropy_of_zeta1(P, data):
    P, zeta1, _ = _supported(P)
    logits = data.draw(multiples(P.shape, -16, 16, 0.125))
    corrected = barber_agakov(softmax_density(logits, zeta1), P, zeta1)
    offset = corrected - printed.barber_agakov_printed(logits, P)
    assert abs(offset - refot.entropy(zeta1)) <= 256 * UNIT


def test_e8_on_a_table():
    """The exact posterior gives the KL, .55; as a plain softmax, by H(zeta1) too low, a negative
    number: -.48."""
    P = np.array([[0.45, 0.04, 0.01], [0.02, 0.25, 0.03], [0.03, 0.01, 0.16]])
    zeta1, nu = P.sum(axis=1), P.sum(axis=0)
    exact = refot.kl(P, np.outer(zeta1, nu))
    posterior = barber_agakov(posterior_density(P), P, zeta1)
    plain = printed.barber_agakov_printed(np.log(P), P)
    assert posterior == pytest.approx(exact, abs=16 * UNIT)
    assert plain == pytest.approx(exact - refot.entropy(zeta1), abs=16 * UNIT)
    assert (exact, plain) == pytest.approx((0.55, -0.48), abs=5e-3)


def test_b22_refuses_a_density_with_respect_to_counting():
    P, zeta1 = np.array([[0.3, 0.2], [0.1, 0.4]]), np.array([0.5, 0.5])
    counting = P / P.sum(axis=0)
    with pytest.raises(WeightError, match="E8"):
        barber_agakov(counting, P, zeta1)
    with pytest.raises(WeightError, match="without mass"):
        softmax_density(np.zeros((2, 2)), [1.0, 0.0])
    q = np.array([[2.0, 1.0], [0.0, 1.0]])
    assert barber_agakov(q, P, zeta1) == -math.inf


def _supported(P):
    """A joint law without empty rows and columns, and its marginals."""
    P = P[P.sum(axis=1) > 0][:, P.sum(axis=0) > 0]
    return P, P.sum(axis=1), P.sum(axis=0)


# ------------------------------------------------------------------ errata E5 and E6
def test_e5_for_a_constant_generator_b23_is_not_b21():
    """G(z) = x0 for all z. Left, B-21: its KL is that of the push-forward, 0. Right, B-23: D1 sees
    G(z) only, so that it is one number and the rows are free. Between zeta and nu: above both."""
    rng = np.random.default_rng(5)
    eps, lam, n, m = 0.5, 0.3, 6, 5
    a, b, codes = np.full(n, 1 / n), rng.dirichlet(np.ones(m)), np.array([0, 0, 1, 1, 2, 2])
    row, Q = rng.random(m), rng.normal(size=(3, m))
    C = informative_cost(np.tile(row, (n, 1)), Q[codes], lam).dense()
    left, _ = refot.kantorovich(C, a, b)
    right = -eps * (b * np.log(a @ np.exp(-C / eps))).sum()
    between_codes = refot.entropic_value(C, a, b, eps, tol=1e-12)
    assert left + 0.05 < right < between_codes - 0.01
    # B-23 as the dual of the discrete problem with KL(P | zeta(x)nu) has no gap: refot's reading
    solution = solved(Case(refot.DenseCost(C), a, b, eps))
    assert refot.dual(solution.f, solution.g, C, a, b, eps) == pytest.approx(between_codes)


@given(st.data(), st.integers(1, 5), st.integers(1, 5))
def test_e6_mutual_information_saturates_for_every_injective_generator(data, n, d):
    """(z1, G(z)) with distinct G(z): MI = H(z1), wherever the points are."""
    a = data.draw(weights(n))
    codes = np.array(data.draw(st.lists(st.integers(0, 2), min_size=n, max_size=n)))
    zeta1 = code_weights(a, codes, 3)
    joint = sum_noise(np.diag(a), codes, 3)  # the law of (z1, x): x_i has the code of z_i
    assert mutual_information(joint) == pytest.approx(refot.entropy(zeta1), abs=32 * UNIT)
