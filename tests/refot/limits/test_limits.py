"""Limits in eps with their bounds, the bias of batch softmins, and S against the sample size."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binom
from strategies import TOL, UNIT, cases, clouds, mild_cases, potentials, solved

import refot
from refot.arrays import InputError
from refot.limits import cost_limits, divergence_limits, doubly_centred, eps_sweep
from refot.samples import (
    decay_rate,
    sample_complexity,
    sampled_softmin_bias,
    softmin_batch_bias,
    softmin_density,
)

scales = st.integers(-8, 12).map(lambda k: 2.0**k)
"""eps over the largest cost: 1/256 to 4096."""


def at_scale(problem, scale):
    """The problem at eps = scale times its largest cost."""
    largest = max(problem.case().matrix.max() if hasattr(problem, "case") else
                  abs(problem.matrix).max(), 1 / 8)
    return replace(problem, eps=float(largest * scale))


def inside(bounds, value, slack):
    return bounds[0] - slack <= value <= bounds[1] + slack


# ------------------------------------------------------------------ F and s
@given(cases(), scales)
def test_value_and_sharp_value_lie_within_their_bounds(case, scale):
    case = at_scale(case, scale)
    found, limits = solved(case), cost_limits(*tuple(case)[:3])
    assert inside(limits.value_bounds(case.eps), found.lower, case.slack)
    s = refot.transport_cost(found.rounded, case.matrix)
    assert inside(limits.sharp_bounds(case.eps), s, found.sharp_slack(case) + case.slack)


@given(cases())
def test_the_bounds_close_on_both_limits(case):
    """W0 at eps -> 0, A at eps -> infinity, at the rates eps Hm, osc^2/(8 eps), osc^2/(2 eps)."""
    limits = cost_limits(*tuple(case)[:3])
    W0, _ = refot.kantorovich(*case.dense[:3])
    tiny, huge = 1e-9, 1e9
    rounding = 4 * case.rounding()
    for bounds, part in ((limits.value_bounds, 8), (limits.sharp_bounds, 2)):
        assert bounds(tiny)[0] == pytest.approx(W0, abs=rounding)
        assert bounds(tiny)[1] - W0 <= tiny * limits.entropy + rounding
        assert bounds(huge)[1] == pytest.approx(case.independent, abs=rounding)
        width = limits.oscillation**2 / (part * huge)
        assert case.independent - bounds(huge)[0] <= width + rounding


@given(cases(), potentials(5), potentials(5))
def test_constants_do_not_see_a_cost_that_separates(case, f, g):
    """C + f_i + g_j has the plan of C: the same Ct, osc and variance. Ct has means 0."""
    C, a, b, _ = case.dense
    shifted = C + f[: a.size, None] + g[: b.size]
    tolerance = 8 * case.rounding(f, g)
    Ct = doubly_centred(C, a, b)
    assert abs(doubly_centred(shifted, a, b) - Ct).max() <= tolerance
    assert abs(Ct @ b).max() <= tolerance
    assert abs(a @ Ct).max() <= tolerance
    first, second = cost_limits(C, a, b, exact=0.0), cost_limits(shifted, a, b, exact=0.0)
    assert second.oscillation == pytest.approx(first.oscillation, abs=2 * tolerance)
    assert second.variance == pytest.approx(first.variance, abs=2 * tolerance * 16)


def test_rates_at_large_eps():
    """eps (A - F) -> Var(Ct) / 2 and eps (A - s) -> Var(Ct), and from there on like 1 / eps."""
    rng = np.random.default_rng(0)
    C, a, b = rng.random((6, 5)), rng.dirichlet(np.ones(6)), rng.dirichlet(np.ones(5))
    limits = cost_limits(C, a, b)
    errors = []
    for eps in (16.0, 128.0):
        F, s = (value(C, a, b, eps, tol=1e-14) for value in (refot.entropic_value,
                                                            refot.sharp_value))
        errors.append([eps * (limits.independent - F) / (limits.variance / 2) - 1,
                       eps * (limits.independent - s) / limits.variance - 1])
    assert (np.abs(errors[0]) < 0.02).all()
    assert (np.abs(errors[1]) < np.abs(errors[0]) / 6).all()


# ------------------------------------------------------------------ S and the loss of G
@given(clouds(), scales)
def test_divergence_and_loss_lie_within_their_bounds(pair, scale):
    pair = at_scale(pair, scale)
    limits = divergence_limits(pair.x, pair.a, pair.y, pair.b, pair.cost)
    S = refot.sinkhorn_divergence(*pair, tol=TOL)
    assert inside(limits.divergence_bounds(pair.eps), S, pair.slack)
    loss = refot.sinkhorn_loss(*pair, tol=TOL)
    problems = (pair.case(), *pair.self_cases())
    sharp = sum(solved(case).sharp_slack(case) + case.slack for case in problems)
    assert inside(limits.loss_bounds(pair.eps), loss, 2 * sharp)


@given(clouds(), scales)
def test_bounds_of_the_divergence_are_within_the_two_of_the_literature(pair, scale):
    """W0 - eps/2 (H(a) + H(b)) <= S <= W0 + eps Hm, and |S - MMD^2/2| <= max(...)/(8 eps): they
    follow from those of the three terms, which are never wider."""
    pair = at_scale(pair, scale)
    eps = pair.eps
    limits = divergence_limits(pair.x, pair.a, pair.y, pair.b, pair.cost)
    lower, upper = limits.divergence_bounds(eps)
    halves = (refot.entropy(pair.a) + refot.entropy(pair.b)) / 2
    rounding = 8 * pair.case().rounding()
    assert lower >= limits.xy.exact - eps * halves - rounding
    assert upper <= limits.xy.exact + eps * limits.xy.entropy + rounding
    xy, xx, yy = (each.oscillation for each in (limits.xy, limits.xx, limits.yy))
    far = max(xy**2, (xx**2 + yy**2) / 2) / (8 * eps)
    half_mmd = refot.mmd_squared(pair.x, pair.a, pair.y, pair.b, pair.cost) / 2
    assert limits.mmd_squared / 2 == pytest.approx(half_mmd, abs=rounding)
    assert lower >= half_mmd - far - rounding
    assert upper <= half_mmd + far + rounding


def test_sweep_is_each_value_at_each_eps():
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(6, 2)), rng.normal(size=(5, 2))
    a, b = rng.dirichlet(np.ones(6)), rng.dirichlet(np.ones(5))
    C, epsilons = refot.point_cost(x, y), [0.2, 2.0]
    sweep = eps_sweep(x, a, y, b, epsilons, tol=1e-12)
    for k, eps in enumerate(epsilons):
        assert sweep.eps[k] == eps
        assert sweep.value[k] == refot.entropic_value(C, a, b, eps, tol=1e-12)
        assert sweep.sharp[k] == refot.sharp_value(C, a, b, eps, tol=1e-12)
        assert sweep.divergence[k] == refot.sinkhorn_divergence(x, a, y, b, eps, tol=1e-12)
        assert sweep.loss[k] == refot.sinkhorn_loss(x, a, y, b, eps, tol=1e-12)


# ------------------------------------------------------------------ the softmin of a batch
@given(mild_cases, st.data())
def test_softmin_density_has_mean_one_and_gives_the_plan(backend, case, data):
    g = data.draw(potentials(case.b.size))
    r = softmin_density(g, case.C, case.b, case.eps, backend=backend)
    rtol = 16 * UNIT + 2 * case.rounding(g) / case.eps
    np.testing.assert_allclose(r @ case.b, 1, rtol=rtol)
    P = refot.semi_dual_plan(g, *case)
    np.testing.assert_allclose(np.outer(case.a, case.b) * r, P, rtol=rtol, atol=1e-300)


def two_points(near, gap):
    """A column at cost 0 with weight `near`, the rest at cost `gap`, eps = 1."""
    return np.array([[0.0, gap]]), np.array([near, 1 - near])


def exact_bias(near, gap, B):
    """E[-log of the batch mean] + log of the mean: a sum over the count of near points."""
    k = np.arange(B + 1)
    means = (k + (B - k) * np.exp(-gap)) / B
    exact = near + (1 - near) * np.exp(-gap)
    return float(-(binom.pmf(k, B, near) * np.log(means / exact)).sum())


@pytest.mark.parametrize(("near", "gap"), [(0.24, 4.5), (0.5, 1.0), (0.9, 3.0)])
def test_prediction_of_the_batch_bias_is_right_to_first_order(near, gap):
    """eps Var / (2 B mean^2), with an error of order 1/B^2: four times less from B to 2B."""
    C, b = two_points(near, gap)
    ratios = []
    for B in (512, 1024):
        predicted = float(softmin_batch_bias([0.0, 0.0], C, b, 1.0, B)[0])
        ratios.append(exact_bias(near, gap, B) / predicted - 1)
    assert abs(ratios[0]) < 0.03
    assert ratios[1] / ratios[0] == pytest.approx(0.5, abs=0.05)


def test_batch_bias_of_the_size_quoted():
    """A quarter of the data near, the rest 4.5 eps further away, eps = .45: .372, .0546, .0107 at
    B = 4, 16, 64 (the figures .375, .056, .0107 are of an instance that was not recorded)."""
    measured = [0.45 * exact_bias(0.24, 4.5, B) for B in (4, 16, 64)]
    assert measured == pytest.approx([0.375, 0.056, 0.0107], rel=0.03)
    C, b = two_points(0.24, 4.5 * 0.45)
    predicted = [float(softmin_batch_bias([0.0, 0.0], C, b, 0.45, B)[0]) for B in (4, 16, 64)]
    np.testing.assert_allclose(predicted, predicted[0] / np.array([1, 4, 16]))
    assert predicted[2] == pytest.approx(measured[2], rel=0.15)


def test_sampled_bias_agrees_with_the_exact_one(backend):
    """Within four standard errors, at a seed; and the scale of eps is that of the cost."""
    C, b = two_points(0.4, 2.0)
    rng = np.random.default_rng(0)
    for B in (4, 16):
        mean, error = sampled_softmin_bias([0.0, 0.0], C, b, 1.0, B, 20_000, rng,
                                           backend=backend)
        assert abs(mean[0] - exact_bias(0.4, 2.0, B)) <= 4 * error[0]
        assert error[0] < 0.1 * mean[0]
    scaled = softmin_batch_bias([0.0, 0.0], 3 * C, b, 3.0, 4, backend=backend)
    np.testing.assert_allclose(scaled, 3 * softmin_batch_bias([0.0, 0.0], C, b, 1.0, 4))


def test_bias_is_finite_at_small_eps_and_zero_weights():
    """A column that is never drawn would overflow; a batch without the nearest one underflows."""
    C, b, eps = np.array([[2.0, 3.0, 0.0]]), [0.5, 0.5, 0.0], 1e-3
    assert softmin_batch_bias(np.zeros(3), C, b, eps, 4) == pytest.approx(eps / 8)
    mean, _ = sampled_softmin_bias(np.zeros(3), C, b, eps, 1, 1000, np.random.default_rng(0))
    assert mean == pytest.approx(0.5, abs=0.05)  # half of the batches see only the cost 3


def test_b24_on_batches_is_no_lower_bound_of_the_value():
    """At the optimal g its mean exceeds F, which the exact semi-dual never does."""
    rng = np.random.default_rng(2)
    C, a, b, eps = rng.random((5, 40)) * 4, np.full(5, 0.2), np.full(40, 1 / 40), 0.5
    g = refot.solve(C, a, b, eps, tol=1e-12).g
    F = refot.semi_dual(g, C, a, b, eps)
    bias, error = sampled_softmin_bias(g, C, b, eps, 32, 40_000, rng)
    assert F + a @ bias > refot.entropic_value(C, a, b, eps, tol=1e-12) + 10 * (a @ error)
    predicted = a @ softmin_batch_bias(g, C, b, eps, 32)
    assert a @ bias == pytest.approx(predicted, rel=0.2)


# ------------------------------------------------------------------ samples against n
def cube(d):
    return lambda rng, n: rng.random((n, d))


def test_slope_of_a_power():
    assert decay_rate([2, 8, 32], [5.0, 2.5, 1.25]) == pytest.approx(-0.5, abs=1e-12)


def test_sample_complexity_is_repeatable_and_is_the_mean_of_the_divergences():
    table = sample_complexity(cube(2), [4, 8], [0.1, 1.0], repeats=3, seed=7)
    rng = np.random.default_rng(7)
    for k, n in enumerate((4, 8)):
        a = np.full(n, 1 / n)
        pairs = [(rng.random((n, 2)), rng.random((n, 2))) for _ in range(3)]
        for row, eps in enumerate((0.1, 1.0)):
            values = [refot.sinkhorn_divergence(x, a, y, a, eps, "euclidean", tol=1e-6)
                      for x, y in pairs]
            assert table.divergence[row, k] == pytest.approx(np.mean(values), rel=1e-12)
            error = np.std(values, ddof=1) / np.sqrt(3)
            assert table.errors[row, k] == pytest.approx(error, rel=1e-12)
        energies = [refot.mmd_squared(x, a, y, a, "euclidean") / 2 for x, y in pairs]
        assert table.energy[k] == pytest.approx(np.mean(energies), rel=1e-12)
    assert table.errors.shape == (3, 2)


def test_large_eps_has_the_rate_of_the_energy_distance_and_small_eps_that_of_transport():
    """G section 3.2: 1/n against about n^(-1/d), d = 5; at eps = 10 the energy distance itself."""
    table = sample_complexity(cube(5), [12, 24, 48, 96], [0.01, 10.0], repeats=8, seed=0)
    slow, fast = (decay_rate(table.sizes, values) for values in table.divergence)
    energy = decay_rate(table.sizes, table.energy)
    assert energy == pytest.approx(-1, abs=0.15)
    assert fast == pytest.approx(energy, abs=0.05)
    assert slow == pytest.approx(-1 / 5, abs=0.05)
    np.testing.assert_allclose(table.divergence[1], table.energy, rtol=0.1)
    assert (table.divergence > 0).all()


def test_bad_input_is_named():
    with pytest.raises(InputError, match="repeats"):
        sample_complexity(cube(2), [4], [1.0], repeats=1, seed=0)
    with pytest.raises(InputError, match="repeats"):
        sampled_softmin_bias([0.0], [[1.0]], [1.0], 1.0, 4, 1, np.random.default_rng(0))
    with pytest.raises(InputError, match="eps"):
        cost_limits(np.eye(2), [0.5, 0.5], [0.5, 0.5]).value_bounds(0.0)
    with pytest.raises(InputError, match="B"):
        softmin_batch_bias([0.0], [[1.0]], [1.0], 1.0, 0)


NONE_OR_EMPTY = {
    "a size of 0": (lambda: sample_complexity(cube(2), [4, 0], [1.0], 2, 0), r"sizes\[1\]: 0"),
    "no sizes": (lambda: sample_complexity(cube(2), [], [1.0], 2, 0), "sizes: an empty list"),
    "no eps": (lambda: sample_complexity(cube(2), [4], [], 2, 0), "epsilons: an empty list"),
    "a number for a list": (lambda: sample_complexity(cube(2), 4, [1.0], 2, 0), "sizes: 4"),
    "an eps of 0": (lambda: sample_complexity(cube(2), [4], [0.0], 2, 0), r"epsilons\[0\]: 0"),
    "no sweep": (lambda: eps_sweep([[0.0]], [1.0], [[1.0]], [1.0], []), "epsilons: an empty list"),
    "a value of 0": (lambda: decay_rate([1, 2], [1.0, 0.0]), r"values\[1\]: 0"),
    "a size of 0 in a slope": (lambda: decay_rate([0, 2], [1.0, 1.0]), r"sizes\[0\]: 0"),
    "one size": (lambda: decay_rate([2, 2], [1.0, 3.0]), "at least two different sizes"),
    "lengths that differ": (lambda: decay_rate([1, 2], [1.0]), "values: 1 of them"),
}


@pytest.mark.parametrize("case", NONE_OR_EMPTY.values(), ids=NONE_OR_EMPTY)
def test_what_has_no_mean_or_slope_is_refused(case):
    call, message = case
    with pytest.raises(InputError, match=f"{message}"):
        call()
