"""The values B-10 to B-16, B-23, B-24, B-27, H-9, the KL of B-8, the LP of B-1, and their order."""

from __future__ import annotations

import itertools
import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from strategies import (
    TOL,
    UNIT,
    Case,
    cases,
    exact_plan,
    matrix_cases,
    mild_cases,
    multiples,
    plans,
    potentials,
    solved,
    weights,
    with_potentials,
)

import refot

shifts = st.integers(-64, 64).map(lambda k: k / 8)


# ------------------------------------------------------------------ KL and entropy, B-8
@given(st.data(), st.integers(1, 5))
def test_kl_is_nonnegative_and_zero_only_for_equal_laws(data, n):
    p, q = data.draw(weights(n)), data.draw(weights(n))
    value = refot.kl(p, q)
    assert value >= -8 * UNIT
    assert refot.kl(p, p) == 0
    # Pinsker: a difference shows
    assert value >= abs(p - q).sum() ** 2 / 2 - 8 * UNIT


@given(st.data(), st.integers(1, 5))
def test_kl_is_infinite_exactly_where_p_is_not_dominated(data, n):
    p, q = data.draw(weights(n)), data.draw(weights(n))
    assert math.isinf(refot.kl(p, q)) == any(s > 0 and t == 0 for s, t in zip(p, q, strict=True))


@given(st.data(), st.integers(1, 5))
def test_kl_and_entropy_are_their_sums(data, n):
    p, q = data.draw(weights(n)), data.draw(weights(n, positive=True))
    terms = [s * math.log(s / t) for s, t in zip(p, q, strict=True) if s > 0]
    assert refot.kl(p, q) == pytest.approx(math.fsum(terms), abs=32 * UNIT)
    entropy = -math.fsum(s * math.log(s) for s in p if s > 0)
    assert refot.entropy(p) == pytest.approx(entropy, abs=32 * UNIT)
    assert -8 * UNIT <= refot.entropy(p) <= math.log(n) + 8 * UNIT


@given(matrix_cases())
def test_kl_of_plans_is_the_kl_of_their_entries(case):
    P, Q = np.outer(case.a, case.b), np.full(case.C.shape, 1 / case.matrix.size)
    assert refot.kl(P, Q) == pytest.approx(refot.kl(P.ravel(), Q.ravel()), abs=32 * UNIT)
    assert refot.kl(P.tolist(), Q.tolist()) == refot.kl(P, Q)


# ------------------------------------------------------------------ any potentials
@given(with_potentials())
def test_dual_is_its_formula_to_50_digits(backend, drawn):
    """B-13 with +eps (E1): a.f + b.g + eps - eps sum P."""
    case, f, g = drawn
    mass = float(sum(map(sum, exact_plan(f, g, *case.dense))))
    expected = case.a @ f + case.b @ g + case.eps * (1 - mass)
    value = refot.dual(f, g, *case, backend=backend)
    # the mass carries the rounding of its exponents relatively: up to exp(12 / eps) of it
    assert abs(value - expected) <= case.rounding(f, g) * (1 + mass)


@given(with_potentials())
def test_any_potentials_are_ordered_dual_log_dual_semi_dual_value(backend, drawn):
    """dual <= log form <= semi-dual <= F <= primal of the rounded plan, at any (f, g)."""
    case, f, g = drawn
    tolerance = case.rounding(f, g)
    dual = refot.dual(f, g, *case, backend=backend)
    log_dual = refot.log_dual(f, g, *case, backend=backend)
    semi_dual = refot.semi_dual(g, *case, backend=backend)
    optimum = solved(case, backend)
    assert dual <= log_dual + tolerance
    assert log_dual <= semi_dual + tolerance
    assert semi_dual <= optimum.upper + tolerance
    P = refot.semi_dual_plan(g, *case, backend=backend)
    primal = refot.primal(refot.round_to_marginals(P, case.a, case.b), *case.dense)
    assert optimum.lower <= primal + tolerance


@given(cases())
def test_at_convergence_all_of_them_meet(backend, case):
    """The gap of the rounded plan P' is eps KL(P' | P), which a marginal error of TOL bounds."""
    found = solved(case, backend)
    dual = refot.dual(found.f, found.g, *case, backend=backend)
    log_dual = refot.log_dual(found.f, found.g, *case, backend=backend)
    tolerance = case.rounding(found.f, found.g)
    assert dual <= log_dual + tolerance
    assert log_dual <= found.lower + tolerance
    assert found.lower <= found.upper + tolerance
    assert found.upper - dual <= case.slack


@given(with_potentials())
def test_gap_of_a_feasible_plan_is_its_kl_to_the_plan_of_the_potentials(backend, drawn):
    """<C,P'> + eps KL(P' | a(x)b) = a.f + b.g + eps KL(P' | P) for feasible P': an identity."""
    case, _, g = drawn
    case = replace(case, eps=max(case.eps, case.osc / 64))  # so that no entry of P underflows
    f = refot.c_eps_transform(g, case.C, case.b, case.eps, backend=backend)
    P = refot.plan(f, g, *case, backend=backend)
    rounded = refot.round_to_marginals(P, case.a, case.b)
    gap = refot.primal(rounded, *case.dense) - (case.a @ f + case.b @ g)
    assert abs(gap - case.eps * refot.kl(rounded, P)) <= 4 * case.rounding(f, g)


@given(with_potentials())
def test_log_dual_is_the_dual_at_its_best_shift(backend, drawn):
    """log_dual - dual = eps (Z - 1 - log Z), and log_dual does not see (f + t, g)."""
    case, f, g = drawn
    Z = float(sum(map(sum, exact_plan(f, g, *case.dense))))
    difference = (refot.log_dual(f, g, *case, backend=backend)
                  - refot.dual(f, g, *case, backend=backend))
    expected = case.eps * (Z - 1 - math.log(Z))
    assert abs(difference - expected) <= case.rounding(f, g) * (2 + Z)
    shifted = refot.log_dual(f + 1.5, g, *case, backend=backend)
    assert abs(shifted - refot.log_dual(f, g, *case, backend=backend)) <= case.rounding(f, g)


@given(with_potentials(), shifts)
def test_gauge(backend, drawn, t):
    """(f + t, g - t) has the same plan and the same value; the semi-dual ignores g + t."""
    case, f, g = drawn
    tolerance = case.rounding(f + t, g - t)
    plain = refot.log_dual(f, g, *case, backend=backend)
    assert abs(refot.log_dual(f + t, g - t, *case, backend=backend) - plain) <= tolerance
    plain = refot.semi_dual(g, *case, backend=backend)
    assert abs(refot.semi_dual(g + t, *case, backend=backend) - plain) <= tolerance


# ------------------------------------------------------------------ the semi-dual, B-24, H-9
@given(with_potentials(), st.data())
def test_semi_dual_is_concave(backend, drawn, data):
    case, _, g = drawn
    h = data.draw(potentials(g.size))
    ends = [refot.semi_dual(t, *case, backend=backend) for t in (g, h)]
    middle = refot.semi_dual((g + h) / 2, *case, backend=backend)
    assert middle >= sum(ends) / 2 - case.rounding(g, h)


@given(with_potentials())
def test_semi_dual_is_the_best_dual_for_its_g(backend, drawn):
    case, _, g = drawn
    f = refot.c_eps_transform(g, case.C, case.b, case.eps, backend=backend)
    dual = refot.dual(f, g, *case, backend=backend)
    assert abs(dual - refot.semi_dual(g, *case, backend=backend)) <= 2 * case.rounding(f, g)


@given(with_potentials())
def test_semi_dual_gradient_is_the_central_difference_and_sums_to_zero(backend, drawn):
    """H-27 corrected: b - a @ chi. Third derivatives are at most 1 / eps^2."""
    case, _, g = drawn
    gradient = refot.semi_dual_gradient(g, *case, backend=backend)
    assert abs(gradient.sum()) <= 8 * UNIT + case.rounding(g) / case.eps
    chi = refot.conditional(g, case.C, case.b, case.eps, backend=backend)
    assert abs(gradient - (case.b - case.a @ chi)).max() <= 8 * UNIT + case.rounding(g) / case.eps
    h = 2.0**-12 * case.eps
    for j in range(g.size):
        step = h * np.eye(g.size)[j]
        up, down = (refot.semi_dual(g + s, *case, backend=backend) for s in (step, -step))
        allowed = (h / case.eps) ** 2 + case.rounding(g) / h
        assert abs((up - down) / (2 * h) - gradient[j]) <= allowed


@given(cases())
def test_semi_dual_gradient_vanishes_at_the_optimum(backend, case):
    """Bug 25 of the register, D = -chi - b, does not: it sums to -2."""
    found = solved(case, backend)
    gradient = refot.semi_dual_gradient(found.g, *case, backend=backend)
    assert abs(gradient).sum() <= TOL + case.rounding(found.g) / case.eps


# ------------------------------------------------------------------ the value
@given(mild_cases)
def test_sharp_value_is_the_value_without_its_regulariser(backend, case):
    """G1: F - s = eps KL(P | a(x)b)."""
    found = solved(case, backend)
    s = refot.sharp_value(*case, tol=TOL, backend=backend)
    F = refot.entropic_value(*case, tol=TOL, backend=backend)
    regulariser = case.eps * refot.kl(found.plan, np.outer(case.a, case.b))
    # s is of first order in the potentials: an error d in f or g moves P by d / eps
    allowed = case.osc * case.potential_slack / case.eps + case.slack
    assert abs(F - s - regulariser) <= allowed
    assert abs(s - refot.transport_cost(found.plan, case.matrix)) <= allowed


@given(mild_cases)
def test_sharp_value_is_f_minus_eps_times_its_slope(backend, case):
    """s = F - eps dF/deps: F is concave in eps, so its chords enclose its slope, at every step."""
    F, s = (value(*case, tol=TOL, backend=backend)
            for value in (refot.entropic_value, refot.sharp_value))
    slope, rooms = (F - s) / case.eps, []
    for h in (case.eps / 8, case.eps / 64):
        above, below = (refot.entropic_value(case.C, case.a, case.b, case.eps + t, tol=TOL,
                                             backend=backend) for t in (h, -h))
        noise = 2 * case.slack / h + case.osc * case.potential_slack / case.eps**2
        assert (above - F) / h - noise <= slope <= (F - below) / h + noise
        rooms.append((2 * F - above - below) / h)
    assert rooms[1] <= rooms[0] / 4 + 2 * noise  # the enclosure closes like h


@given(cases())
def test_value_lies_between_the_exact_cost_and_the_independent_one(backend, case):
    W0, _ = refot.kantorovich(*case.dense[:3])
    F = refot.entropic_value(*case, tol=TOL, backend=backend)
    assert W0 - case.slack <= F <= case.independent + case.slack
    independent = refot.primal(np.outer(case.a, case.b), *case.dense)
    assert abs(independent - case.independent) <= case.rounding()


@given(cases(), st.sampled_from([0.125, 0.3, 8.0]))
def test_value_scales_with_cost_and_eps_together(backend, case, t):
    """F(tC, t eps) = t F(C, eps): fails where eps divides twice or the cost is squared."""
    scaled = Case(case.C.scaled(t), case.a, case.b, t * case.eps)
    there = refot.entropic_value(*scaled, tol=TOL, backend=backend)
    here = refot.entropic_value(*case, tol=TOL, backend=backend)
    assert abs(there - t * here) <= scaled.slack + t * case.slack


@given(cases())
def test_value_is_symmetric(backend, case):
    back = refot.entropic_value(case.C.T, case.b, case.a, case.eps, tol=TOL, backend=backend)
    there = refot.entropic_value(*case, tol=TOL, backend=backend)
    assert abs(there - back) <= 2 * case.slack


@given(cases())
def test_value_follows_an_offset_of_the_cost(backend, case):
    """C + 1e4 shifts F by 1e4, at the rounding of 1e4."""
    offset = Case(refot.DenseCost(case.matrix + 1e4), case.a, case.b, case.eps)
    tol = max(TOL, offset.rounding() / case.eps)
    moved = refot.entropic_value(*offset, tol=tol, backend=backend)
    plain = refot.entropic_value(*case, tol=TOL, backend=backend)
    assert abs(moved - 1e4 - plain) <= case.slack * tol / TOL + offset.rounding()


@given(cases(), st.data(), st.sampled_from([0.0, 0.25, 0.5]))
def test_splitting_an_atom_leaves_the_value_unchanged(backend, case, data, share):
    """On either side: fails where a weight is left out of the log-sum-exp, or of the outer sum."""
    i, j = (data.draw(st.integers(0, size - 1)) for size in case.C.shape)
    C = np.pad(case.matrix, (0, 1))
    C[-1], C[:, -1] = C[i], C[:, j]
    C[-1, -1] = C[i, j]
    a, b = np.append(case.a, share * case.a[i]), np.append(case.b, share * case.b[j])
    a[i], b[j] = a[i] - a[-1], b[j] - b[-1]
    split = refot.entropic_value(C, a, b, case.eps, tol=TOL, backend=backend)
    assert abs(split - refot.entropic_value(*case, tol=TOL, backend=backend)) <= 2 * case.slack


@given(mild_cases)
def test_the_entropy_form_differs_by_the_entropies_of_the_marginals(backend, case):
    """Erratum L1: W_L = <P,M> - lam H(P) = F - lam (H(a) + H(b)) at the optimum."""
    found = solved(case, backend)
    W_L = refot.entropic_primal(found.rounded, case.matrix, case.eps)
    expected = found.upper - case.eps * (refot.entropy(case.a) + refot.entropy(case.b))
    assert abs(W_L - expected) <= case.rounding(found.f, found.g)


@given(st.data())
def test_the_entropy_form_can_be_negative_and_falls_without_bound(data):
    """Erratum L1: at P = Q it is not 0, and tends to -infinity with lam."""
    a = data.draw(weights(4, positive=True))
    P = np.diag(a)
    C = 1 - np.eye(4)
    values = [refot.entropic_primal(P, C, lam) for lam in (1.0, 10.0, 100.0)]
    np.testing.assert_allclose(values, [-lam * refot.entropy(a) for lam in (1, 10, 100)],
                               atol=128 * UNIT)


# ------------------------------------------------------------------ eps = 0
@given(matrix_cases())
def test_kantorovich_plan_is_feasible_and_costs_what_it_says(case):
    W0, P = refot.kantorovich(*case.dense[:3])
    assert (P >= 0).all()
    np.testing.assert_allclose(P.sum(axis=1), case.a, atol=64 * UNIT)
    np.testing.assert_allclose(P.sum(axis=0), case.b, atol=64 * UNIT)
    assert abs(W0 - refot.transport_cost(P, case.matrix)) <= case.rounding()


@given(st.integers(1, 4).flatmap(lambda n: multiples((n, n), 0, 32, 0.125)))
def test_kantorovich_on_uniform_weights_is_the_best_permutation(C):
    """Birkhoff: the vertices of the polytope are permutations."""
    n = C.shape[0]
    best = min(sum(C[i, s[i]] for i in range(n)) for s in itertools.permutations(range(n)))
    W0, _ = refot.kantorovich(C, np.full(n, 1 / n), np.full(n, 1 / n))
    assert abs(W0 - best / n) <= 64 * UNIT * 4


def test_kantorovich_takes_an_atom_lighter_than_its_tolerance() -> None:
    """HiGHS returned -9.6e-13 here, and refot found fault with a plan that nobody had given."""
    C, b = np.random.default_rng(0).random((6, 5)), np.full(5, 0.2)
    a = np.full(6, 1 / 6)
    a[0] = 1e-12
    a /= a.sum()
    W0, P = refot.kantorovich(C, a, b)
    found = refot.exact(C, a, b)
    assert (P >= 0).all()
    np.testing.assert_allclose(np.append(P.sum(axis=1), P.sum(axis=0)), np.append(a, b), atol=1e-9)
    assert found.gap.lower - 1e-9 <= W0 <= found.gap.upper + 1e-9


@given(with_potentials())
def test_kantorovich_dual_is_never_above_the_primal(drawn):
    """B-6: with f the hard transform of g, moved down until it is feasible in floating point, and
    anything where there is no mass: the constraint holds on the support only."""
    case, _, g = drawn
    C, a, b, _ = case.dense
    f = refot.c_transform(g, C, b)
    f = np.minimum(f, f - (f[:, None] + g - C)[:, b > 0].max(axis=1)) - case.rounding(f, g)
    f = np.where(a > 0, f, 100.0)
    W0, _ = refot.kantorovich(C, a, b)
    value = refot.kantorovich_dual(f, g, C, a, b)
    assert value == pytest.approx(a @ f + b @ g)
    assert value <= W0 + case.rounding(f, g)
    hard = a @ refot.c_transform(g, C, b) + b @ g
    assert abs(value - hard) <= 3 * case.rounding(f, g)


@given(with_potentials())
def test_kantorovich_dual_is_minus_infinity_off_its_constraint(drawn):
    case, f, g = drawn
    C, a, b, _ = case.dense
    feasible = all(f[i] + g[j] <= C[i, j] for i in range(a.size) for j in range(b.size)
                   if a[i] > 0 and b[j] > 0)
    assert math.isfinite(refot.kantorovich_dual(f, g, C, a, b)) == feasible


def test_kantorovich_duality_is_tight_at_the_optimum():
    """Strong duality of B-1 and B-6, on an instance whose potentials are known."""
    C, a, b = np.array([[0.0, 3.0], [1.0, 2.0]]), np.array([0.5, 0.5]), np.array([0.25, 0.75])
    W0, P = refot.kantorovich(C, a, b)
    f, g = np.array([0.0, -1.0]), np.array([0.0, 3.0])
    assert W0 == refot.kantorovich_dual(f, g, C, a, b) == 1.75
    np.testing.assert_array_equal(P, [[0.25, 0.25], [0.0, 0.5]])


@pytest.mark.parametrize("unit", [1e-200, 1e-8, 1e-6, 1e6, 1e200])
def test_kantorovich_takes_costs_in_any_unit(unit):
    """HiGHS has absolute tolerances: solved in the given unit, W0 was 2.3 times too large at 1e-8,
    and 1e200 was not solved."""
    rng = np.random.default_rng(5)
    C, a, b = rng.random((6, 5)), rng.dirichlet(np.ones(6)), rng.dirichlet(np.ones(5))
    expected = refot.kantorovich(C, a, b)[0] * unit
    assert refot.kantorovich(C * unit, a, b)[0] == pytest.approx(expected, rel=1e-13)


def test_what_needs_the_whole_matrix_takes_operands_too():
    C = refot.point_cost([[0.0], [2.0]], [[1.0], [5.0]])
    P, w = np.full((2, 2), 0.25), [0.5, 0.5]
    for function, *rest in ((refot.transport_cost,), (refot.primal, w, w, 1.0),
                            (refot.entropic_primal, 1.0)):
        assert function(P, C, *rest) == function(P, C.dense(), *rest)
    for scaling_form in (refot.scaling_loss, refot.scaling_loss_gradient):
        np.testing.assert_array_equal(scaling_form(C, w, w, 1.0, 2),
                                      scaling_form(C.dense(), w, w, 1.0, 2))
    assert refot.kantorovich(C, w, w)[0] == refot.kantorovich(C.dense(), w, w)[0] == 5.0
    assert refot.kantorovich_dual([0.0, 0.0], [1.0, 9.0], C, w, w) == 5.0


# ------------------------------------------------------------------ 1-Lipschitz functions, H-6
def test_a_matrix_has_no_distances_between_its_rows():
    with pytest.raises(refot.InputError, match=r"^C: ndarray; allowed: a point cost"):
        refot.kantorovich_rubinstein([0.0], [0.0], np.ones((1, 1)), [1.0], [1.0])


@given(st.integers(0, 2**32 - 1), st.sampled_from(["euclidean", "l1"]))
def test_no_lipschitz_function_is_above_the_exact_cost(seed, cost):
    rng = np.random.default_rng(seed)
    x, y, centre = rng.normal(size=(6, 2)), rng.normal(size=(4, 2)), rng.normal(size=(1, 2))
    a, b = rng.dirichlet(np.ones(6)), rng.dirichlet(np.ones(4))
    C = refot.point_cost(x, y, cost)
    W0, _ = refot.kantorovich(C.dense(), a, b)
    slope = 0.999 * rng.choice([-1.0, 1.0])  # a distance is 1-Lipschitz, up to rounding
    fx, fy = (slope * refot.point_cost(points, centre, cost).dense()[:, 0] for points in (x, y))
    value = refot.kantorovich_rubinstein(fx, fy, C, a, b)
    assert value == pytest.approx(a @ fx - b @ fy, abs=1e-14)
    assert value <= W0 + 1e-12
    assert refot.kantorovich_rubinstein(3 * fx, 3 * fy, C, a, b) == -math.inf


@given(st.integers(0, 2**32 - 1))
def test_on_the_line_a_lipschitz_function_reaches_the_exact_cost(seed):
    """Its slope is minus the sign of the difference of the distribution functions."""
    rng = np.random.default_rng(seed)
    x, y = rng.normal(size=(7, 1)), rng.normal(size=(5, 1))
    a, b = rng.dirichlet(np.ones(7)), rng.dirichlet(np.ones(5))
    C = refot.point_cost(x, y, "euclidean")
    W0, _ = refot.kantorovich(C.dense(), a, b)
    points, mass = np.concatenate([x, y])[:, 0], np.concatenate([a, -b])
    order = np.argsort(points)
    slopes = -np.sign(np.cumsum(mass[order])[:-1])
    f = np.empty(12)
    f[order] = np.concatenate([[0.0], np.cumsum(slopes * np.diff(points[order]))])
    f *= 1 - 1e-12  # 1-Lipschitz after rounding too
    assert refot.kantorovich_rubinstein(f[:7], f[7:], C, a, b) == pytest.approx(W0, abs=1e-10)


# ------------------------------------------------------------------ where products leave the range
def test_kl_of_quotients_that_floats_cannot_hold():
    """1 / 1e-310 overflows, 1e-300 / 1e300 underflows; their logarithms are tame."""
    log_10 = np.log(10)
    assert refot.kl([1.0], [1e-310]) == pytest.approx(310 * log_10, rel=1e-13)
    assert refot.kl([1.0, 1e-310], [1e-310, 1.0]) == pytest.approx(310 * log_10, rel=1e-13)
    assert refot.kl([1.0, 1e-300], [1.0, 1e300]) == pytest.approx(-600 * log_10 * 1e-300, rel=1e-13)
    assert refot.kl([1e-310, 1.0], [1e-310, 1.0]) == 0


def test_kl_from_a_product_that_underflows():
    """a_i b_j = 1e-400 is no 0: the primal of the diagonal plan is finite, and by hand."""
    tiny = 1e-200
    a = np.array([tiny, 1.0])
    P, expected = np.diag(a), -tiny * np.log(tiny)
    assert refot.kl_from_product(P, a, a) == pytest.approx(expected, rel=1e-14)
    assert refot.primal(P, np.zeros((2, 2)), a, a, 2.0) == pytest.approx(2 * expected, rel=1e-14)
    assert refot.mutual_information(P) == pytest.approx(expected, rel=1e-14)
    assert refot.kl_from_product([[0.5, 0.5]], [1.0], [1.0, 0.0]) == np.inf


@given(plans(), st.data())
def test_kl_from_a_product_is_kl(P, data):
    a, b = (data.draw(weights(k, positive=True)) for k in P.shape)
    assert refot.kl_from_product(P, a, b) == pytest.approx(
        refot.kl(P, np.outer(a, b)), rel=1e-13, abs=64 * UNIT)
