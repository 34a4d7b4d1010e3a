"""Problems whose answer is known: Diracs, two points, separable costs, permutations, the line,
Gaussians, and the energy distance; and the samples whose every outcome can be counted."""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from strategies import (
    TOL,
    UNIT,
    Case,
    clouds,
    epsilons,
    ground_costs,
    multiples,
    points,
    potentials,
    sizes,
    solved,
    weights,
)

import refot


# ------------------------------------------------------------------ one plan only
@given(clouds())
def test_a_dirac_has_one_plan_at_every_eps(backend, pair):
    """delta_x (x) nu is the only coupling: F = s = A = sum_j b_j c(x, y_j), and KL = 0."""
    case = Case(refot.point_cost(pair.x[:1], pair.y, pair.cost), np.ones(1), pair.b, pair.eps)
    for value in (refot.entropic_value, refot.sharp_value):
        assert abs(value(*case, tol=TOL, backend=backend) - case.independent) <= case.slack


@given(points(2, 3), ground_costs, epsilons)
def test_divergence_of_two_diracs_is_their_cost(backend, x, cost, eps):
    one = np.ones(1)
    c = refot.point_cost(x[:1], x[1:], cost).dense()[0, 0]
    value = refot.sinkhorn_divergence(x[:1], one, x[1:], one, eps, cost, backend=backend)
    assert abs(value - c) <= 64 * UNIT * c
    assert refot.mmd_squared(x[:1], one, x[1:], one, cost) == 2 * c


# ------------------------------------------------------------------ F in closed form
@given(st.integers(1, 32).map(lambda k: k / 8), epsilons)
def test_two_points_at_distance_c(backend, c, eps):
    """C = [[0, c], [c, 0]], uniform: F = -eps log((1 + exp(-c/eps)) / 2), s = c / (1 + e^(c/eps)).

    f = g is constant by symmetry, and each row sum says exp(2f/eps) (1 + exp(-c/eps)) / 2 = 1.
    """
    a = np.array([0.5, 0.5])
    case = Case(refot.DenseCost(c * (1 - np.eye(2))), a, a, eps)
    F = eps * (math.log(2) - math.log1p(math.exp(-c / eps)))
    s = c * math.exp(-c / eps) / (1 + math.exp(-c / eps))
    assert abs(refot.entropic_value(*case, tol=TOL, backend=backend) - F) <= case.rounding()
    assert abs(refot.sharp_value(*case, tol=TOL, backend=backend) - s) <= case.rounding()


@given(st.data(), sizes, sizes, epsilons)
def test_a_separable_cost_leaves_nothing_to_choose(backend, data, n, m, eps):
    """C_ij = u_i + v_j: f = u, g = v, P = a (x) b and F = a.u + b.v at every eps."""
    u, v = data.draw(potentials(n)), data.draw(potentials(m))
    case = Case(refot.DenseCost(u[:, None] + v), data.draw(weights(n)), data.draw(weights(m)), eps)
    found = solved(case, backend)
    assert abs(found.lower - (case.a @ u + case.b @ v)) <= case.slack
    assert abs(found.plan - np.outer(case.a, case.b)).sum() <= 4 * TOL
    t = found.f[0] - u[0]
    assert abs(found.f - t - u).max() <= case.transform_slack + case.rounding(u)
    assert abs(found.g + t - v).max() <= case.transform_slack + case.rounding(u, v)


@given(st.integers(2, 5), st.integers(1, 16).map(lambda k: k / 8), epsilons, st.data())
def test_a_permutation_at_every_eps(backend, n, c, eps, data):
    """Cost 0 on a permutation, c off it: F = -eps log((1 + (n-1) exp(-c/eps)) / n)."""
    order = list(data.draw(st.permutations(range(n))))
    a = np.full(n, 1 / n)
    case = Case(refot.DenseCost(c * (1 - np.eye(n)[order])), a, a, eps)
    F = eps * (math.log(n) - math.log1p((n - 1) * math.exp(-c / eps)))
    assert abs(refot.entropic_value(*case, tol=TOL, backend=backend) - F) <= case.slack


@given(st.integers(2, 4).flatmap(lambda n: multiples((n, n), 0, 32, 0.125)))
def test_a_unique_assignment_is_reached_exponentially_fast(backend, C):
    """eps -> 0: with r = n! exp(-gap / (n eps)), 0 <= W0 + eps log n - F <= eps r, and the plan is
    within 2 e r of the permutation over n.

    P is a mixture of permutations over n. With weight d off the best one its cost is at least
    d gap / n more, and its entropy at most log n + h(d) + d log n!: minimise over d for the value;
    for the plan, h(d) <= d log(e / d) gives d <= e r.
    """
    n = C.shape[0]
    orders = sorted(itertools.permutations(range(n)), key=lambda s: C[range(n), s].sum())
    totals = [C[range(n), s].sum() for s in orders[:2]]
    W0, a = totals[0] / n, np.full(n, 1 / n)
    for eps in (0.5, 0.125, 1 / 32, 1 / 128):
        case = Case(refot.DenseCost(C), a, a, eps)
        r = math.factorial(n) * math.exp(-(totals[1] - totals[0]) / (n * eps))
        found = solved(case, backend)
        remainder = W0 + eps * math.log(n) - found.lower
        assert -case.slack <= remainder <= eps * r + case.slack
        distance = abs(found.rounded - np.eye(n)[list(orders[0])] / n).sum()
        assert distance <= 2 * math.e * r + found.plan_slack(case)


# ------------------------------------------------------------------ the line, eps = 0
@given(st.data(), sizes)
def test_on_the_line_the_sorted_pairing_is_optimal(data, n):
    x, y = data.draw(points(n, 1)), data.draw(points(n, 1))
    a = np.full(n, 1 / n)
    for cost, power in (("sqeuclidean", 2), ("euclidean", 1), ("l1", 1)):
        W0, _ = refot.kantorovich(refot.point_cost(x, y, cost).dense(), a, a)
        paired = abs(np.sort(x, axis=0) - np.sort(y, axis=0)) ** power
        assert abs(W0 - paired.mean()) <= 64 * UNIT * 16


def distribution_gap(x, a, y, b):
    """The lengths between the sorted points, and F_x - F_y on each of them."""
    nodes = np.unique(np.concatenate([x, y]))
    gap = [a[x <= t].sum() - b[y <= t].sum() for t in nodes[:-1]]
    return np.diff(nodes), np.array(gap)


@st.composite
def line_pairs(draw):
    n, m = draw(sizes), draw(sizes)
    return draw(points(n, 1)), draw(weights(n)), draw(points(m, 1)), draw(weights(m))


@given(line_pairs())
def test_on_the_line_w1_is_the_area_between_the_distribution_functions(pair):
    x, a, y, b = pair
    lengths, gap = distribution_gap(x[:, 0], a, y[:, 0], b)
    W0, _ = refot.kantorovich(refot.point_cost(x, y, "euclidean").dense(), a, b)
    assert abs(W0 - lengths @ abs(gap)) <= 64 * UNIT * 4


# ------------------------------------------------------------------ MMD
@given(line_pairs())
def test_on_the_line_the_energy_distance_is_twice_cramers(pair):
    """2 E|X-Y| - E|X-X'| - E|Y-Y'| = 2 int (F_x - F_y)^2."""
    x, a, y, b = pair
    lengths, gap = distribution_gap(x[:, 0], a, y[:, 0], b)
    for cost in ("euclidean", "l1"):
        value = refot.mmd_squared(x, a, y, b, cost)
        assert abs(value - 2 * lengths @ gap**2) <= 64 * UNIT * 4


@given(clouds())
def test_mmd_of_the_squared_distance_compares_the_means_only(pair):
    """2 |mean x - mean y|^2: the kernel -|x - y|^2 is blind to everything else."""
    value = refot.mmd_squared(pair.x, pair.a, pair.y, pair.b)
    means = pair.a @ pair.x - pair.b @ pair.y
    assert abs(value - 2 * means @ means) <= 64 * UNIT * 48


def test_energy_distance_of_a_point_and_two():
    """delta_0 against the mean of delta_-1 and delta_1: 2 - 0 - 1 = 1; squared distance: 0."""
    x, y, b = np.zeros((1, 1)), np.array([[-1.0], [1.0]]), np.array([0.5, 0.5])
    assert refot.mmd_squared(x, np.ones(1), y, b, "euclidean") == 1.0
    assert refot.mmd_squared(x, np.ones(1), y, b, "sqeuclidean") == 0.0


# ------------------------------------------------------------------ every sample there is
@dataclass(frozen=True)
class Population:
    """Atoms (k, 1) with probabilities; every sample of size n with its probability."""

    atoms: np.ndarray
    law: np.ndarray

    def samples(self, n):
        for drawn in itertools.product(range(len(self.law)), repeat=n):
            yield self.atoms[list(drawn)], math.prod(self.law[k] for k in drawn)

    def mean_cost(self, cost):
        """E c(X, X')."""
        return float(self.law @ refot.point_cost(self.atoms, self.atoms, cost).dense() @ self.law)


@pytest.mark.parametrize("cost", ["sqeuclidean", "euclidean", "l1"])
@pytest.mark.parametrize(("n", "m"), [(2, 2), (3, 2), (2, 4)])
def test_u_statistic_is_unbiased_and_v_statistic_has_the_bias_of_g8(cost, n, m):
    """Exact expectations, by counting. G8: E V = MMD^2 + E c(X,X') / n + E c(Y,Y') / m."""
    mu = Population(np.array([[0.0], [1.0], [3.0]]), np.array([0.5, 0.25, 0.25]))
    nu = Population(np.array([[0.5], [2.0]]), np.array([0.375, 0.625]))
    a, b = np.full(n, 1 / n), np.full(m, 1 / m)
    expected_u = expected_v = 0.0
    for (x, p), (y, q) in itertools.product(mu.samples(n), nu.samples(m)):
        expected_u += p * q * refot.mmd_squared_unbiased(x, a, y, b, cost)
        expected_v += p * q * refot.mmd_squared(x, a, y, b, cost)
    exact = refot.mmd_squared(mu.atoms, mu.law, nu.atoms, nu.law, cost)
    bias = mu.mean_cost(cost) / n + nu.mean_cost(cost) / m
    assert expected_u == pytest.approx(exact, abs=1e-13)
    assert expected_v == pytest.approx(exact + bias, abs=1e-13)
    assert bias > 0.1


# ------------------------------------------------------------------ Gaussians on the line
@dataclass(frozen=True)
class Gaussian:
    """N(mean, deviation^2), and its trapezoidal rule on a grid of `step` deviations.

    The rule is normalised: its weights are the density at the nodes over their sum. For an
    integrand that is Gaussian times a polynomial its error is of order exp(-2 (pi w / step)^2),
    w the width of the integrand in deviations, and exp(-reach^2 / 2) for the tails.
    """

    mean: float
    deviation: float

    def rule(self, step, reach=8.5):
        t = np.arange(-reach, reach + step / 2, step)
        density = np.exp(-(t**2) / 2)
        return (self.mean + self.deviation * t)[:, None], density / density.sum()


def correlation(mu, nu, eps):
    """rho of the optimal plan, which is Gaussian: the root in (0, 1) of rho^2 + k rho - 1 = 0.

    Among plans of one covariance the Gaussian has the least KL, -log(1 - rho^2) / 2, so that rho
    minimises -2 s t rho - eps/2 log(1 - rho^2): 2 s t (1 - rho^2) = eps rho, k = eps / (2 s t).
    """
    k = eps / (2 * mu.deviation * nu.deviation)
    return 2 / (k + math.hypot(k, 2))


def gaussian_sharp_value(mu, nu, eps):
    """E |X - Y|^2 under the optimal plan."""
    s, t, rho = mu.deviation, nu.deviation, correlation(mu, nu, eps)
    return (mu.mean - nu.mean) ** 2 + s**2 + t**2 - 2 * s * t * rho


def gaussian_value(mu, nu, eps):
    """F for c = |x - y|^2 between two Gaussians on the line (Janati et al. 2020, d = 1)."""
    rho = correlation(mu, nu, eps)
    return gaussian_sharp_value(mu, nu, eps) - eps / 2 * math.log1p(-(rho**2))


GAUSSIANS = [
    (Gaussian(0.0, 1.0), Gaussian(0.0, 1.0)),
    (Gaussian(0.0, 1.0), Gaussian(1.5, 0.5)),
    (Gaussian(-1.0, 0.75), Gaussian(2.0, 1.25)),
]


@pytest.mark.parametrize("eps", [0.25, 1.0, 8.0])
@pytest.mark.parametrize(("mu", "nu"), GAUSSIANS)
def test_gaussian_values(backend, mu, nu, eps):
    """F and s against the closed form.

    The narrowest integrand is the plan given one of its points: of width sqrt(1 - rho^2), at
    least 0.34 here. At a step of 0.2 that leaves exp(-2 (pi 0.34 / 0.2)^2) < 2e-25, and the tails
    beyond 8.5 deviations 1e-16 times a polynomial: what remains is the rounding of the sums.
    """
    rho = correlation(mu, nu, eps)
    assert math.sqrt(1 - rho**2) >= 0.34
    (x, a), (y, b) = mu.rule(0.2), nu.rule(0.2)
    problem = refot.point_cost(x, y), a, b, eps
    F, s = (value(*problem, tol=1e-12, backend=backend)
            for value in (refot.entropic_value, refot.sharp_value))
    assert gaussian_value(mu, nu, eps) == pytest.approx(F, abs=1e-11)
    assert gaussian_sharp_value(mu, nu, eps) == pytest.approx(s, abs=1e-9)


@pytest.mark.parametrize("eps", [0.5, 2.0])
@pytest.mark.parametrize(("mu", "nu"), GAUSSIANS)
def test_gaussian_divergence(backend, mu, nu, eps):
    (x, a), (y, b) = mu.rule(0.25), nu.rule(0.25)
    expected = gaussian_value(mu, nu, eps) - (
        gaussian_value(mu, mu, eps) + gaussian_value(nu, nu, eps)) / 2
    found = refot.sinkhorn_divergence(x, a, y, b, eps, tol=1e-12, backend=backend)
    assert found == pytest.approx(expected, abs=1e-10)


def test_gaussian_limits():
    """eps -> 0: the squared distance (m - n)^2 + (s - t)^2; eps -> infinity: the mean cost."""
    mu, nu = GAUSSIANS[2]
    assert gaussian_value(mu, nu, 1e-9) == pytest.approx(9 + 0.25, abs=1e-7)
    assert gaussian_value(mu, nu, 1e9) == pytest.approx(9 + 0.75**2 + 1.25**2, abs=1e-7)


@pytest.mark.parametrize(("mu", "nu"), GAUSSIANS)
def test_gaussian_potential_is_quadratic(mu, nu):
    """f = const + x^2 - 2 beta x with the curvature of the plan: E(Y | x) = n + rho t/s (x - m),
    and f' = 2 (x - E(Y | x)), checked where the weights are not negligible."""
    eps = 1.0
    (x, a), (y, b) = mu.rule(0.25), nu.rule(0.25)
    f = refot.solve(refot.point_cost(x, y), a, b, eps, tol=1e-12).f
    slope = correlation(mu, nu, eps) * nu.deviation / mu.deviation
    inner = abs(x[:, 0] - mu.mean) <= 4 * mu.deviation
    z = x[inner, 0]
    expected = z**2 - 2 * (nu.mean - slope * mu.mean) * z - slope * z**2
    difference = f[inner] - expected
    assert np.ptp(difference) <= 1e-8


# ------------------------------------------------------------------ measures with a known plan
@given(st.data(), sizes)
def test_equal_measures_far_apart_stay_apart(data, n):
    """Two copies, moved by t: with |x - y|^2 the plan is that of the measure with itself, and
    F = F(mu, mu) + |t|^2, as the cross term 2 t.(x - y) integrates to 0 under equal means."""
    x, a = data.draw(points(n, 2)), data.draw(weights(n))
    t, eps = np.array([3.0, -1.0]), 2.0
    moved = Case(refot.point_cost(x, x + t), a, a, eps)
    still = refot.entropic_value(refot.point_cost(x, x), a, a, eps, tol=TOL)
    assert abs(refot.entropic_value(*moved, tol=TOL) - still - t @ t) <= 2 * moved.slack
