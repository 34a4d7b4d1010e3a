"""Mutual information, the dual of KL, the objective of Q, summed noise and the perturbed cost."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from strategies import TOL, UNIT, Case, mild_cases, multiples, plans, solved, weights

import refot
from refot.arrays import InputError, WeightError

tables = st.tuples(st.integers(1, 5), st.integers(1, 5))


@st.composite
def codes_of_plans(draw):
    """A joint law (n, m) of samples and data, and the informative code of each sample."""
    P = draw(plans())
    n_codes = draw(st.integers(1, 4))
    codes = draw(st.lists(st.integers(0, n_codes - 1), min_size=len(P), max_size=len(P)))
    return P, np.array(codes), n_codes


@st.composite
def joint_laws(draw):
    """(Q, P, a, b): a table Q, a joint law P, and weights that dominate its marginals."""
    P = draw(plans())
    n, m = P.shape
    Q = draw(multiples((n, m), -32, 32, 0.125))
    return Q, P, draw(weights(n, positive=True)), draw(weights(m, positive=True))


def sum_rounding(*arrays):
    """A sum of at most 25 products, each right to a few roundings of its largest factor."""
    return 64 * UNIT * max(1.0, *(abs(array).max() for array in arrays))


# ------------------------------------------------------------------ KL and mutual information
@given(plans(), st.data())
def test_kl_chain_rule(P, data):
    """B-8: KL(p | q) = KL(p1 | q1) + sum_x p1(x) KL(p(.|x) | q(.|x))."""
    Q = data.draw(weights(P.size, positive=True)).reshape(P.shape)
    p1, q1 = P.sum(axis=1), Q.sum(axis=1)
    conditionals = sum(w * refot.kl(row / w, other / v)
                       for w, row, v, other in zip(p1, P, q1, Q, strict=True) if w > 0)
    assert abs(refot.kl(P, Q) - refot.kl(p1, q1) - conditionals) <= sum_rounding(np.log(Q))


@given(plans())
def test_mutual_information_is_a_difference_of_entropies(P):
    """B-18: I = H(X) + H(Y) - H(X, Y), between 0 and min(H(X), H(Y))."""
    H_x, H_y = refot.entropy(P.sum(axis=1)), refot.entropy(P.sum(axis=0))
    information = refot.mutual_information(P)
    assert abs(information - (H_x + H_y - refot.entropy(P))) <= 4 * sum_rounding(P)
    assert -sum_rounding(P) <= information <= min(H_x, H_y) + 4 * sum_rounding(P)


@given(st.data())
def test_mutual_information_of_independent_variables_is_zero(data):
    a, b = data.draw(weights(4)), data.draw(weights(3))
    assert abs(refot.mutual_information(np.outer(a, b))) <= sum_rounding(a)


@given(st.integers(1, 5).flatmap(weights), st.randoms(use_true_random=False))
def test_mutual_information_of_a_deterministic_coupling_is_the_entropy(a, random):
    order = list(range(a.size))
    random.shuffle(order)
    P = np.diag(a)[:, order]
    assert abs(refot.mutual_information(P) - refot.entropy(a)) <= sum_rounding(a)


# ------------------------------------------------------------------ B-20 and B-31
@given(joint_laws())
def test_b20_lies_below_kl_for_every_q(drawn):
    Q, P, a, b = drawn
    bound = refot.kl_dual(Q, P, a, b)
    assert bound <= refot.kl(P, np.outer(a, b)) + sum_rounding(Q, np.exp(Q))


@given(joint_laws())
def test_b20_reaches_kl_at_the_log_ratio(drawn):
    """Its maximum, at Q = log(P / (a (x) b)); where P = 0 the supremum is at Q = -infinity."""
    _, P, a, b = drawn
    product = np.outer(a, b)
    Q = np.log(np.where(P > 0, P, product * 1e-20) / product)
    exact = refot.kl(P, product)
    assert abs(refot.kl_dual(Q, P, a, b) - exact) <= 2 * sum_rounding(Q[P > 0], np.exp(Q))


@given(joint_laws(), st.data())
def test_b31_is_convex_and_its_minimum_is_one_minus_kl(drawn, data):
    Q, P, a, b = drawn
    R = data.draw(multiples(P.shape, -32, 32, 0.125))
    ends = [refot.q_objective(T, P, a, b) for T in (Q, R)]
    tolerance = sum_rounding(Q, R, np.exp(Q), np.exp(R))
    assert refot.q_objective((Q + R) / 2, P, a, b) <= sum(ends) / 2 + tolerance
    minimum = 1 - refot.kl(P, np.outer(a, b))
    assert min(ends) >= minimum - tolerance
    assert refot.q_objective(Q, P, a, b) == pytest.approx(1 - refot.kl_dual(Q, P, a, b))


@given(joint_laws())
def test_b31_has_the_gradient_ab_exp_q_minus_p(drawn):
    """Through central differences: the remainder is h^2 a b exp(Q) / 6."""
    Q, P, a, b = drawn
    h, product = 2.0**-12, np.outer(a, b)
    for i, j in np.ndindex(*P.shape):
        step = np.zeros_like(Q)
        step[i, j] = h
        up, down = (refot.q_objective(Q + s, P, a, b) for s in (step, -step))
        slope = product[i, j] * math.exp(Q[i, j]) - P[i, j]
        allowed = h**2 * product[i, j] * math.exp(Q[i, j]) + sum_rounding(Q, np.exp(Q)) / h
        assert abs((up - down) / (2 * h) - slope) <= allowed


@given(plans(), st.data())
def test_b22_is_a_lower_bound_for_a_density_and_tight_at_the_posterior(P, data):
    """B-22: sum P log q <= I where sum_k zeta1_k q(k, y) = 1. A softmax is a density with respect
    to counting: log q is then its log minus log zeta1 (erratum E8), and H(zeta1) is the offset."""
    n, m = P.shape
    zeta1, nu = P.sum(axis=1), P.sum(axis=0)
    P, zeta1, nu = P[zeta1 > 0][:, nu > 0], zeta1[zeta1 > 0], nu[nu > 0]
    logits = data.draw(multiples((n, m), -16, 16, 0.125))[: zeta1.size, : nu.size]
    log_softmax = logits - np.log(np.exp(logits).sum(axis=0))
    log_q = log_softmax - np.log(zeta1)[:, None]
    information = refot.mutual_information(P)
    tolerance = 4 * sum_rounding(log_q, np.exp(log_q))
    bound = refot.kl_dual(log_q, P, zeta1, nu)
    assert abs(bound - (log_q * P).sum()) <= tolerance  # 1 - sum ab q = 0: q is a density
    assert bound <= information + tolerance
    posterior = np.where(P > 0, P, 1) / (zeta1[:, None] * nu)
    assert abs((P * np.log(posterior)).sum() - information) <= tolerance
    plain = (P * log_softmax).sum()
    assert abs(bound - plain - refot.entropy(zeta1)) <= tolerance


# ------------------------------------------------------------------ the noise summed out
@given(codes_of_plans())
def test_sum_noise_adds_the_rows_of_each_code(drawn):
    P, codes, n_codes = drawn
    summed = refot.sum_noise(P, codes, n_codes)
    assert summed.shape == (n_codes, P.shape[1])
    for k in range(n_codes):
        np.testing.assert_allclose(summed[k], P[codes == k].sum(axis=0), atol=8 * UNIT)
    np.testing.assert_allclose(summed.sum(axis=0), P.sum(axis=0), atol=16 * UNIT)


@given(codes_of_plans(), st.randoms(use_true_random=False))
def test_sum_noise_does_not_see_the_order_of_the_noise(drawn, random):
    P, codes, n_codes = drawn
    order = list(range(len(P)))
    random.shuffle(order)
    shuffled = refot.sum_noise(P[order], codes[order], n_codes)
    np.testing.assert_allclose(shuffled, refot.sum_noise(P, codes, n_codes), atol=8 * UNIT)


@given(codes_of_plans())
def test_summing_the_noise_loses_information(drawn):
    """The data-processing inequality: I(z1, y) <= I((z1, z2), y)."""
    P, codes, n_codes = drawn
    summed = refot.mutual_information(refot.sum_noise(P, codes, n_codes))
    assert summed <= refot.mutual_information(P) + 4 * sum_rounding(P)


@given(codes_of_plans(), st.data())
def test_no_information_is_lost_exactly_where_the_density_factors_through_the_code(drawn, data):
    """B-16: KL of the push-forward is that of the plan iff the density depends on z through it."""
    P, codes, n_codes = drawn
    zeta = data.draw(weights(len(P), positive=True))
    joint = refot.sum_noise(P, codes, n_codes)
    zeta1 = refot.sum_noise(zeta[:, None], codes, n_codes)[:, 0]
    used = zeta1 > 0
    density = joint[used] / zeta1[used, None]
    lifted = zeta[:, None] * density[np.searchsorted(np.flatnonzero(used), codes)]
    nu = lifted.sum(axis=0)
    before, after = refot.kl(lifted, np.outer(zeta, nu)), refot.kl(joint, np.outer(zeta1, nu))
    assert abs(before - after) <= 4 * sum_rounding(np.log(zeta))
    # any other law of (z, y) loses some: KL never rises under a push-forward
    before, after = refot.kl(P, np.outer(zeta, nu)), refot.kl(joint, np.outer(zeta1, nu))
    assert after <= before + 4 * sum_rounding(np.log(zeta))


# ------------------------------------------------------------------ the perturbed cost
@st.composite
def informative_cases(draw):
    """A problem, a table Q and two values of lam, of which the second is the larger."""
    case = draw(mild_cases)
    Q = draw(multiples(case.C.shape, -8, 8, 0.125))
    lams = sorted(draw(st.tuples(*[st.integers(0, 8)] * 2)))
    return case, Q, [lam / 8 * case.eps for lam in lams]


def perturbed(case, Q, lam):
    return Case(refot.informative_cost(case.C, Q, lam), case.a, case.b, case.eps)


@given(informative_cases())
def test_informative_cost_is_c_minus_lam_q(drawn):
    case, Q, (_, lam) = drawn
    C = refot.informative_cost(case.C, Q, lam)
    np.testing.assert_allclose(C.dense(), case.matrix - lam * Q, rtol=0, atol=case.rounding(Q))


@given(informative_cases())
def test_informative_plan_has_both_marginals(backend, drawn):
    """B-21, B-29 with Q inside the transform: feasible, and optimal for C - lam Q."""
    case, Q, (_, lam) = drawn
    P, found = refot.informative_plan(case.C, Q, lam, case.a, case.b, case.eps,
                                      tol=TOL, backend=backend)
    assert found.converged
    error = abs(P.sum(axis=1) - case.a).sum() + abs(P.sum(axis=0) - case.b).sum()
    tilted = perturbed(case, Q, lam)
    assert error <= TOL + 16 * UNIT + tilted.rounding(found.f, found.g) / case.eps
    expected = solved(tilted, backend)
    assert abs(P - expected.plan).sum() <= 4 * tilted.potential_slack / case.eps


@given(informative_cases())
def test_a_larger_lam_transports_more_of_q(backend, drawn):
    """F(lam) is concave with slope -<Q, P>: <Q, P_lam> never falls. Fails at the wrong sign."""
    case, Q, lams = drawn
    values = []
    for lam in lams:
        P, _ = refot.informative_plan(case.C, Q, lam, case.a, case.b, case.eps,
                                      tol=TOL, backend=backend)
        values.append((Q * P).sum())
    tilted = perturbed(case, Q, lams[1])
    assert values[1] >= values[0] - 8 * np.ptp(Q) * tilted.potential_slack / case.eps - 16 * UNIT


@given(informative_cases())
def test_lam_zero_is_the_plan_without_q(backend, drawn):
    case, Q, _ = drawn
    P, _ = refot.informative_plan(case.C, Q, 0.0, case.a, case.b, case.eps,
                                  tol=TOL, backend=backend)
    assert abs(P - solved(case, backend).plan).sum() <= 4 * case.potential_slack / case.eps


@given(informative_cases(), st.data())
def test_b21_at_the_best_q_is_b19(drawn, data):
    """B-21 = <C - lam Q, P> + eps KL + lam (sum ab exp Q - 1) equals B-19 =
    <C, P> + eps KL - lam KL(M P | zeta1 (x) nu) at Q* = log ratio; without the -lam (erratum E4)
    the excess is exactly lam."""
    case, _, (_, lam) = drawn
    n = case.a.size
    codes = np.array(data.draw(st.lists(st.integers(0, 1), min_size=n, max_size=n)))
    P = solved(case).rounded
    joint, zeta1 = refot.sum_noise(P, codes, 2), refot.sum_noise(case.a[:, None], codes, 2)[:, 0]
    product = np.outer(zeta1, case.b)
    Q = np.log(np.where(joint > 0, joint, 1) / np.where(joint > 0, product, 1))
    b19 = refot.primal(P, *case.dense) - lam * refot.kl(joint, product)
    tilted = perturbed(case, Q[codes], lam)
    mass = float((product * np.exp(Q))[joint > 0].sum())
    kl = refot.kl(P, np.outer(case.a, case.b))
    b21 = float((P * tilted.matrix).sum()) + case.eps * kl + lam * (mass - 1)
    tolerance = 4 * case.rounding(Q)
    assert abs(b21 - b19) <= tolerance
    as_printed = b21 + lam
    assert abs(as_printed - b19 - lam) <= tolerance
    through_q = 1 - refot.q_objective(Q, joint, zeta1, case.b)
    through_q += float(product[joint == 0].sum())  # exp(0) where the ratio is 0
    assert abs(through_q - refot.kl(joint, product)) <= 4 * sum_rounding(Q, np.exp(Q))


# ------------------------------------------------------------------ extremes, and what is refused
def test_the_objective_of_q_where_exp_q_is_infinite():
    """A weight 0 times exp(800) is 0; weights 1e-200 times exp(800) are exp(800 - 400 log 10)."""
    assert refot.q_objective([[800.0, 0.0]], [[0.0, 1.0]], [1.0], [0.0, 1.0]) == 1
    tiny = np.array([1e-200, 1 - 1e-200])
    Q, P = np.array([[800.0, 0.0], [0.0, 0.0]]), np.diag([0.0, 1.0])
    expected = 1 + np.exp(800 - 400 * np.log(10))
    assert refot.q_objective(Q, P, tiny, tiny) == pytest.approx(expected, rel=1e-12)
    gradient = refot.q_objective_gradient(Q, P, tiny, tiny)
    assert np.isfinite(gradient).all()
    assert gradient[0, 0] == pytest.approx(expected - 1, rel=1e-12)


@pytest.mark.parametrize("P", [[[0.5, 0.6]], [[1.0, 2.0], [3.0, 4.0]], [[0.0]]])
def test_mutual_information_of_what_is_no_law_is_refused(P):
    with pytest.raises(WeightError, match=r"^P: mass .* of mass 1"):
        refot.mutual_information(P)


@pytest.mark.parametrize("codes", [
    [[0], [1, 2]], [0, 10**12], [0, 10**30], ["a", "b"], [0, None], [0, -1], [0.0, 1.0]])
def test_codes_of_any_other_kind_are_refused(codes):
    """Ragged, far too large for a table, or no integers."""
    with pytest.raises(InputError, match=r"^codes: "):
        refot.sum_noise(np.eye(2), codes, 2)


def test_a_table_too_large_to_hold_is_refused():
    with pytest.raises(InputError, match=r"^n_codes: "):
        refot.sum_noise(np.eye(2), [0, 1], 10**12)
