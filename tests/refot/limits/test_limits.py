"""Limits in eps with their bounds."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from strategies import TOL, cases, clouds, potentials, solved

import refot
from refot.arrays import InputError
from refot.limits import cost_limits, divergence_limits, doubly_centred, eps_sweep

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


def test_eps_that_is_none_is_refused():
    with pytest.raises(InputError, match="eps"):
        cost_limits(np.eye(2), [0.5, 0.5], [0.5, 0.5]).value_bounds(0.0)
    with pytest.raises(InputError, match="epsilons: an empty list"):
        eps_sweep([[0.0]], [1.0], [[1.0]], [1.0], [])
