"""B-19 and B-21, Barber and Agakov's bound B-22, errata E4 to E8, and the plan of Fig. 2."""

from __future__ import annotations

import itertools
import math
import warnings
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from strategies import UNIT, Case, clouds, matrix_cases, multiples, plans, solved, weights

import refot
from refot import printed
from refot.arrays import ConvergenceWarning, InputError, ShapeError, TypeInputError, WeightError
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
from refot.informative_plans import (
    IllPosedWarning,
    InformativeResult,
    conditional_information,
    entries_with_mass,
    informative_iterates,
    solve_informative,
)
from refot.plan_command import draw_figure_2, figure_2_problem
from refot.problem import problem

STEP = 1e-8
"""The tolerance of the solves here; their Sinkhorn solves within go to a tenth of it."""


@dataclass(frozen=True)
class Informative:
    """A problem with the codes of its rows and a weight lam."""

    case: Case
    lam: float
    codes: Any

    @property
    def arguments(self):
        return (*self.case.dense, self.lam, self.codes)

    @property
    def n_codes(self):
        return int(self.codes.max()) + 1

    @property
    def zeta1(self):
        return code_weights(self.case.a, self.codes, self.n_codes)

    @property
    def product(self):
        return np.outer(self.zeta1, self.case.b)

    def joint(self, P):
        return sum_noise(P, self.codes, self.n_codes)

    def J(self, P):
        return informative_objective(P, *self.arguments)

    def solve(self, **options):
        """Solved to STEP, without the warning that lam > eps deserves."""
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", IllPosedWarning)
            return solve_informative(*self.arguments, tol=STEP, **options)

    def slack(self, *potentials):
        """What a marginal error of STEP / 10 on both sides may change in J, and its rounding.

        F has the gradients f, g (up to constants) in the marginals; each KL moves by its log ratio,
        at most log(33^2) = 7 where there is mass to speak of, times the error.
        """
        spread = sum(np.ptp(h) for h in potentials) + 7 * (self.case.eps + self.lam)
        return 4 * STEP / 10 * spread + self.case.rounding(*potentials)


@st.composite
def informative(draw, ratios=(0, 0.25, 0.75, 1, 1.5, 4, 16)):
    """A problem of eps >= osc(C) / 16 with lam / eps from `ratios`, and up to three codes."""
    case = draw(matrix_cases())
    case = replace(case, eps=max(case.eps, case.osc / 16))
    n = case.a.size
    codes = np.array(draw(st.lists(st.integers(0, 2), min_size=n, max_size=n)))
    return Informative(case, draw(st.sampled_from(ratios)) * case.eps, codes)


@st.composite
def with_plan(draw, **options):
    """An informative problem and any feasible plan, zero entries included."""
    drawn = draw(informative(**options))
    n, m = drawn.case.C.shape
    P = refot.round_to_marginals(draw(multiples((n, m), 0, 4, 1 / 16)), drawn.case.a, drawn.case.b)
    return drawn, P


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


# ------------------------------------------------------------------ lam > eps, erratum E7
@pytest.mark.parametrize("side", [4, 8, 16, 32])
def test_e7_beyond_eps_b19_has_no_lower_bound_as_the_laws_lose_their_atoms(side):
    """n = m = n1 uniform points on a line: the diagonal plan costs 0 and has KL = log n, so that
    J <= (eps - lam) log n. What is found from the plan of Sinkhorn lies no higher."""
    x = (np.arange(side) + 0.5)[:, None] / side
    C, a, codes = refot.point_cost(x, x), np.full(side, 1 / side), np.arange(side)
    eps, lam = 0.1, 0.2
    diagonal = informative_objective(np.diag(a), C.dense(), a, a, eps, lam, codes)
    assert diagonal == pytest.approx((eps - lam) * math.log(side), abs=16 * UNIT)
    with pytest.warns(IllPosedWarning, match="lam 0.2 > eps 0.1"):
        found = solve_informative(C, a, a, eps, lam, codes)
    assert found.converged
    assert found.objectives[-1] <= diagonal + 1e-6


def test_no_warning_up_to_eps():
    """Warnings are errors here: lam = eps is still convex."""
    x = np.array([[0.0], [1.0], [2.0]])
    a = np.full(3, 1 / 3)
    assert solve_informative(refot.point_cost(x, x), a, a, 2.0, 1.9, [0, 1, 2]).converged


# ------------------------------------------------------------------ the algorithm
@given(informative())
def test_the_objective_falls_at_every_step_for_every_lam(drawn):
    """And by eps KL(P_k | P_{k+1}) + lam KL(M P_{k+1} | M P_k): both half-steps are exact."""
    case = drawn.case
    p = problem(*case.dense)
    start = np.zeros((drawn.n_codes, case.b.size))
    iterates = informative_iterates(p, drawn.lam, drawn.codes, start, STEP / 10)
    for (P, _, _), (P_next, _, found) in itertools.pairwise(itertools.islice(iterates, 6)):
        fall = drawn.J(P) - drawn.J(P_next)
        slack = drawn.slack(found.f, found.g)
        assert fall >= -slack
        if (P_next > 0)[P > 0].all() and (drawn.joint(P) > 0)[drawn.joint(P_next) > 0].all():
            moved = (case.eps * refot.kl(P, P_next)
                     + drawn.lam * refot.kl(drawn.joint(P_next), drawn.joint(P)))
            # an entry that falls to p has the log ratio 1/p in its KL: at most -708 + log 33^2
            assert abs(fall - moved) <= slack + 4 * STEP / 10 * 715 * (case.eps + drawn.lam)


@given(informative(ratios=(0, 0.25, 0.75, 1.5, 4, 16)))
def test_a_converged_result_is_a_fixed_point_with_both_marginals(drawn):
    found = drawn.solve(max_iter=5_000)
    assert found.converged
    assert found.marginal_error <= STEP / 10
    case = drawn.case
    error = abs(found.P.sum(axis=1) - case.a).sum() + abs(found.P.sum(axis=0) - case.b).sum()
    assert error <= STEP / 10 + case.rounding(found.f, found.g) / case.eps
    assert found.steps[-1] <= STEP
    assert all(step > STEP for step in found.steps[:-1])
    assert len(found.objectives) == found.iterations + 1
    assert found.objectives[-1] == drawn.J(found.P)
    tilted = informative_cost(case.C, found.Q[drawn.codes], drawn.lam)
    P = refot.plan(found.f, found.g, tilted, case.a, case.b, case.eps)
    np.testing.assert_array_equal(P, found.P)


@given(with_plan(ratios=(0, 0.25, 0.75)))
def test_for_lam_below_eps_no_plan_is_better(drawn):
    problem_, R = drawn
    found = problem_.solve(max_iter=5_000)
    # near the minimum J grows with the square of the distance: the last step leaves far less
    assert problem_.J(found.P) <= problem_.J(R) + problem_.slack(found.f, found.g)


@given(informative(ratios=(0.25, 0.75)), st.data())
def test_for_lam_below_eps_the_start_does_not_matter(drawn, data):
    """Strictly convex. With steps that shrink by lam / eps <= 3/4, at most 3 last steps remain."""
    case = drawn.case
    start = data.draw(multiples((drawn.n_codes, case.b.size), -16, 16, 0.125))
    first, second = drawn.solve(max_iter=5_000), drawn.solve(Q=start, max_iter=5_000)
    joints = [drawn.joint(found.P) for found in (first, second)]
    assert abs(joints[0] - joints[1]).sum() <= 2 * 4 * STEP


@given(informative(ratios=(0,)))
def test_lam_zero_is_the_plan_of_sinkhorn_after_one_step(drawn):
    found = drawn.solve()
    assert found.iterations == 1
    expected = solved(drawn.case).plan
    assert abs(found.P - expected).sum() <= 4 * drawn.case.potential_slack / drawn.case.eps * 100


@given(informative(ratios=(0.75, 1.5)))
def test_every_backend_finds_the_same_plan(backend, drawn):
    options = {"max_iter": 200}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        reference = drawn.solve(**options)
        found = drawn.solve(backend=backend, **options)
    assert abs(found.iterations - reference.iterations) <= 1
    assert abs(found.objectives[-1] - reference.objectives[-1]) <= drawn.slack(found.f, found.g)


def test_a_solve_that_stops_short_says_so():
    figure = figure_2_problem()
    with pytest.warns(ConvergenceWarning, match="after 3 steps"):
        found = solve_informative(figure.C, figure.a, figure.b, 0.5, 0.45, figure.codes, max_iter=3)
    assert not found.converged
    assert found.iterations == 3
    assert found.steps[-1] > found.tolerance == 1e-8


@pytest.mark.parametrize(("n", "m"), [(8, 3), (3, 8)])
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_plans_keep_their_dtype_on_either_side(n, m, dtype):
    """float64 takes Newton's method in the smaller side, float32 Sinkhorn's."""
    rng = np.random.default_rng(1)
    C, a, b = rng.random((n, m)).astype(dtype), np.full(n, 1 / n), np.full(m, 1 / m)
    found = solve_informative(C, a.astype(dtype), b.astype(dtype), 0.5, 0.25, np.arange(n) % 2)
    assert found.converged
    assert found.P.dtype == found.Q.dtype == dtype
    assert found.P.shape == (n, m)
    exact = solve_informative(C.astype(float), a, b, 0.5, 0.25, np.arange(n) % 2)
    assert abs(found.P - exact.P).sum() <= (1e-7 if dtype is np.float64 else 1e-3)


def test_a_step_that_moves_the_cost_far_falls_back_on_the_schedule():
    """lam = 250 eps, eps = max C / 100: Newton alone, from the last potential, loses its way."""
    figure = figure_2_problem()
    with pytest.warns(IllPosedWarning):
        found = solve_informative(figure.C, figure.a, figure.b, 0.02, 5.0, figure.codes)
    assert found.converged
    assert (np.diff(found.objectives) <= 1e-8).all()


# ------------------------------------------------------------------ refused
BAD = {
    "codes that are not integers": ({"codes": [0.0, 1.0]}, TypeInputError, "codes"),
    "a negative code": ({"codes": [0, -1]}, InputError, "codes"),
    "too few codes": ({"codes": [0]}, ShapeError, "codes"),
    "negative lam": ({"lam": -0.1}, InputError, "lam"),
    "infinite lam": ({"lam": math.inf}, InputError, "lam"),
    "no step": ({"max_iter": 0}, InputError, "max_iter"),
    "a table with a row too few": ({"Q": np.zeros((1, 2))}, ShapeError, "Q"),
    "tol": ({"tol": 0.0}, InputError, "tol"),
    "weights": ({"a": [0.5, 0.6]}, WeightError, "a"),
}


@pytest.mark.parametrize("case", BAD.values(), ids=BAD)
def test_bad_input_is_named(case):
    change, error, name = case
    good = {"C": np.zeros((2, 2)), "a": [0.5, 0.5], "b": [0.5, 0.5], "eps": 1.0, "lam": 0.5,
            "codes": [0, 1]}
    with pytest.raises(error, match=f"^{name}: "):
        solve_informative(**(good | change))


# ------------------------------------------------------------------ the figures of Fig. 2
@pytest.fixture(scope="module")
def figure():
    return figure_2_problem()


def run(figure, eps, lam, **options):
    return solve_informative(figure.C, figure.a, figure.b, eps, lam, figure.codes, **options)


@pytest.mark.parametrize(("lam", "rate", "step", "limit"), [
    (0.1, 0.188, 8, 0.1879), (0.25, 0.476, 16, 0.4756), (0.45, 0.893, 40, 0.8947)])
def test_linear_rates_on_the_grid(figure, lam, rate, step, limit):
    """eps = .5: the steps shrink by `rate` after `step` of them, and by `limit` in the end (the
    third is not there yet at 40 steps)."""
    found = run(figure, 0.5, lam, tol=1e-10)
    ratios = np.array(found.steps[1:]) / found.steps[:-1]
    assert ratios[step - 1] == pytest.approx(rate, abs=6e-4)
    sound = np.array(found.steps[1:]) > 1e-7  # a solve to 1e-11 blurs the later ratios
    assert ratios[sound][-1] == pytest.approx(limit, abs=6e-4)
    assert (np.diff(found.objectives) < 1e-11).all()


@pytest.fixture(scope="module")
def at_the_edge(figure):
    """lam = eps = .5, 1000 steps: slow, and not converged to 1e-8."""
    with pytest.warns(ConvergenceWarning, match="after 1000 steps"):
        return run(figure, 0.5, 0.5)


def test_lam_equal_to_eps_already_shows_the_sparsity(figure, at_the_edge):
    """MI .033 -> 1.973, entries that carry 99 % of the (z1, y) law 152 -> 23 of 240."""
    diffuse, sparse = figure.joint(run(figure, 0.5, 0.0).P), figure.joint(at_the_edge.P)
    assert diffuse.size == sparse.size == 240
    assert mutual_information(diffuse) == pytest.approx(0.033, abs=5e-4)
    assert mutual_information(sparse) == pytest.approx(1.973, abs=5e-4)
    assert (entries_with_mass(diffuse), entries_with_mass(sparse)) == (152, 23)
    assert isinstance(at_the_edge, InformativeResult)
    assert not at_the_edge.converged
    assert (np.diff(at_the_edge.objectives) < 0).all()


@pytest.mark.parametrize(("eps", "steps", "information"), [
    (10.0, 21, 0.0004), (1.0, 7, 1.9812), (0.1, 3, 1.9812)])
def test_lam_five_is_diffuse_above_and_collapses_below(figure, eps, steps, information):
    """eps = 10 stays diffuse; eps = 1 and .1 end within 7 steps."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", IllPosedWarning)
        found = run(figure, eps, 5.0)
    assert found.converged
    assert found.iterations == steps
    assert mutual_information(figure.joint(found.P)) == pytest.approx(information, abs=6e-5)


def test_local_minima_for_lam_above_eps_depend_on_the_start(figure):
    """Two starts, two ends, where lam < eps has one."""
    start = 5 * np.random.default_rng(0).normal(size=(10, 24))
    with pytest.warns(IllPosedWarning):
        first, second = run(figure, 1.0, 5.0), run(figure, 1.0, 5.0, Q=start)
    assert first.converged
    assert second.converged
    assert abs(first.objectives[-1] - second.objectives[-1]) > 0.1


def test_figure_2_side_by_side(tmp_path):
    """eps = lam = 5: (a) diffuse, (b) sparse after 1000 steps, and the words say how it ended."""
    lines = draw_figure_2(tmp_path / "plan.png")
    assert "lam = 0: MI 0.000406 nats, 99 % of the mass in 153 of 240 entries; conv" in lines[0]
    assert "lam = 5: MI 1.34 nats, 99 % of the mass in 42 of 240 entries; not conv" in lines[1]
    assert (tmp_path / "plan.png").read_bytes().startswith(b"\x89PNG")


def test_figure_2_refuses_a_path_before_any_work(tmp_path):
    with pytest.raises(InputError, match="path"):
        draw_figure_2(tmp_path / "plan.txt")
    with pytest.raises(InputError, match="folder"):
        draw_figure_2(tmp_path / "missing" / "plan.png")
    assert not list(tmp_path.iterdir())
