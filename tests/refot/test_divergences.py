"""Divergences: B-9, G-4, and MMD (G-2) as V- and U-statistic."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from strategies import TOL, UNIT, Clouds, clouds, multiples, solved

import refot
from refot.costs.ground import POINT_COSTS


def divergence(pair, backend=None):
    return refot.sinkhorn_divergence(*pair, tol=TOL, backend=backend)


def swapped(pair):
    return Clouds(pair.y, pair.b, pair.x, pair.a, pair.eps, pair.cost)


def mild(pair):
    """The same clouds at an eps where the sharp values are well determined."""
    every = [pair.case(), *pair.self_cases()]
    return replace(pair, eps=max(pair.eps, *(case.osc / 4 for case in every)))


# ------------------------------------------------------------------ B-9
@given(clouds())
def test_divergence_is_its_three_terms(backend, pair):
    """S = F_xy - F_xx / 2 - F_yy / 2: each term by the alternating solver."""
    F_xy, F_xx, F_yy = (
        refot.entropic_value(*case, tol=TOL, backend=backend)
        for case in (pair.case(), *pair.self_cases())
    )
    assert abs(divergence(pair, backend) - (F_xy - (F_xx + F_yy) / 2)) <= 2 * pair.slack


@given(clouds())
def test_divergence_of_a_measure_with_itself_is_zero(backend, pair):
    """Fails where the 1/2 is missing, or where the self terms use another eps."""
    itself = Clouds(pair.x, pair.a, pair.x, pair.a, pair.eps, pair.cost)
    assert abs(divergence(itself, backend)) <= itself.slack


@given(clouds(), st.data())
def test_divergence_sees_measures_and_not_lists_of_atoms(backend, pair, data):
    """Shuffled, with an atom split and one of weight zero added: still the same measure."""
    n, d = pair.x.shape
    k = data.draw(st.integers(0, n - 1))
    order = data.draw(st.permutations(range(n + 2)))
    x = np.vstack([pair.x, pair.x[k], np.full(d, 0.125)])[order]
    a = np.append(pair.a, [pair.a[k] / 4, 0.0])
    a[k] -= a[n]
    same = Clouds(pair.x, pair.a, x, a[order], pair.eps, pair.cost)
    assert abs(divergence(same, backend)) <= same.slack
    other = Clouds(x, a[order], pair.y, pair.b, pair.eps, pair.cost)
    assert abs(divergence(other, backend) - divergence(pair, backend)) <= 2 * other.slack


@given(clouds())
def test_divergence_is_nonnegative(backend, pair):
    """B-9: exp(-c / eps) is positive definite for all three ground costs."""
    assert divergence(pair, backend) >= -pair.slack


@given(clouds())
def test_divergence_is_symmetric(backend, pair):
    difference = divergence(pair, backend) - divergence(swapped(pair), backend)
    assert abs(difference) <= 2 * pair.slack


@given(clouds(), st.data())
def test_divergence_does_not_see_a_common_motion(backend, pair, data):
    """Translation, and reflection of an axis: fails where only one slot of a self term moves."""
    t = data.draw(multiples(pair.x.shape[1], -16, 16, 0.25))
    sign = np.where(np.arange(pair.x.shape[1]) == 0, -1, 1)
    moved = Clouds(sign * pair.x + t, pair.a, sign * pair.y + t, pair.b, pair.eps, pair.cost)
    assert abs(divergence(moved, backend) - divergence(pair, backend)) <= 2 * pair.slack


@given(clouds())
def test_divergence_scales_as_its_cost(backend, pair):
    """Twice the distances: 4 times |x - y|^2, 2 times |x - y|, with eps."""
    factor = {"sqeuclidean": 4, "euclidean": 2, "l1": 2}[pair.cost]
    wide = Clouds(2 * pair.x, pair.a, 2 * pair.y, pair.b, factor * pair.eps, pair.cost)
    difference = divergence(wide, backend) - factor * divergence(pair, backend)
    assert abs(difference) <= 2 * factor * pair.slack


@pytest.mark.parametrize("name", ["sinkhorn_divergence", "sinkhorn_loss"])
def test_an_unmet_tolerance_warns(backend, name):
    x, y, b = np.array([[0.3]]), np.array([[0.1], [0.7]]), np.array([0.3, 0.7])
    with pytest.warns(refot.ConvergenceWarning, match="tol 1e-300"):
        getattr(refot, name)(x, np.array([1.0]), y, b, 0.01, tol=1e-300, backend=backend)


# ------------------------------------------------------------------ G-4
@given(clouds())
def test_sinkhorn_loss_is_made_of_sharp_values(backend, pair):
    """G-4 = 2 s_xy - s_xx - s_yy; against 2 S it lacks the three regularisers (erratum G3)."""
    pair = mild(pair)
    loss = refot.sinkhorn_loss(*pair, tol=TOL, backend=backend)
    cases = pair.case(), *pair.self_cases()
    found = [solved(case, backend) for case in cases]
    s_xy, s_xx, s_yy = (refot.transport_cost(each.plan, case.matrix)
                        for each, case in zip(found, cases, strict=True))
    allowed = 4 * sum(case.osc * case.potential_slack / case.eps + case.rounding()
                      for case in cases)
    assert abs(loss - (2 * s_xy - s_xx - s_yy)) <= allowed
    kl_xy, kl_xx, kl_yy = (refot.kl(each.plan, np.outer(case.a, case.b))
                           for each, case in zip(found, cases, strict=True))
    regularisers = pair.eps * (2 * kl_xy - kl_xx - kl_yy)
    assert abs(loss - (2 * divergence(pair, backend) - regularisers)) <= allowed + 4 * pair.slack


@given(clouds())
def test_sinkhorn_loss_of_a_measure_with_itself_is_zero(backend, pair):
    pair = mild(pair)
    itself = Clouds(pair.x, pair.a, pair.x, pair.a, pair.eps, pair.cost)
    case = itself.case()
    loss = refot.sinkhorn_loss(*itself, tol=TOL, backend=backend)
    assert abs(loss) <= 4 * case.osc * case.potential_slack / case.eps + 4 * case.rounding()


# ------------------------------------------------------------------ MMD, G-2
@given(clouds())
def test_mmd_is_its_definition(pair):
    """MMD^2 with kernel -c: 2 E c(X,Y) - E c(X,X') - E c(Y,Y'), summed pair by pair."""
    xy, (xx, yy) = pair.case(), pair.self_cases()
    expected = 2 * xy.independent - xx.independent - yy.independent
    assert abs(refot.mmd_squared(*measures_of(pair)) - expected) <= rounding_of(pair)


@given(clouds())
def test_mmd_is_nonnegative_symmetric_and_zero_on_equal_measures(pair):
    """All three costs are of negative type."""
    value = refot.mmd_squared(*measures_of(pair))
    assert value >= -rounding_of(pair)
    assert abs(value - refot.mmd_squared(*measures_of(swapped(pair)))) <= rounding_of(pair)
    itself = Clouds(pair.x, pair.a, pair.x, pair.a, pair.eps, pair.cost)
    assert abs(refot.mmd_squared(*measures_of(itself))) <= rounding_of(itself)


@given(clouds())
def test_u_statistic_leaves_out_the_pairs_of_a_point_with_itself(pair):
    """Self terms over 1 - sum a_i^2; with uniform weights that is 1 / (n (n - 1))."""
    n, m = pair.x.shape[0], pair.y.shape[0]
    assume(min(n, m) > 1)
    uniform = replace(pair, a=np.full(n, 1 / n), b=np.full(m, 1 / m))
    C_xy, C_xx, C_yy = (case.matrix for case in (uniform.case(), *uniform.self_cases()))
    expected = 2 * C_xy.mean() - C_xx.sum() / (n * (n - 1)) - C_yy.sum() / (m * (m - 1))
    value = refot.mmd_squared_unbiased(*measures_of(uniform))
    assert abs(value - expected) <= 4 * rounding_of(uniform)


def u_statistic(x, a, y, b, cost):
    """The double sums over i != j, written out."""
    def between(x, y):
        return refot.point_cost(x, y, cost).dense()

    def distinct(x, a):
        C, n = between(x, x), len(a)
        pairs = ((i, j) for i in range(n) for j in range(n) if i != j)
        return sum(a[i] * a[j] * C[i, j] for i, j in pairs) / (1 - (a**2).sum())

    return 2 * a @ between(x, y) @ b - distinct(x, a) - distinct(y, b)


@pytest.mark.parametrize("cost", POINT_COSTS)
@pytest.mark.parametrize("rows", [1 << 22, 3])
def test_u_statistic_and_its_gradients_are_the_sums_over_distinct_pairs(cost, rows, monkeypatch):
    """Also where c(x, x) is not 0: of "dot" it is -|x|^2. In one block of rows, and in several.

    The gradients by central differences: at h = 1e-5 they err by h^2, and by 1e-16 / h.
    """
    monkeypatch.setattr("refot.costs.operands.BLOCK_ELEMENTS", rows)
    rng = np.random.default_rng(16)
    x, y = rng.normal(size=(6, 2)), rng.normal(size=(5, 2)) + 0.3
    a, b = rng.dirichlet(np.ones(6)), rng.dirichlet(np.ones(5))
    V, w, h = rng.normal(size=x.shape), rng.normal(size=6) * a, 1e-5
    w -= w.mean()
    assert abs(refot.mmd_squared_unbiased(x, a, y, b, cost) - u_statistic(x, a, y, b, cost)) < 1e-14
    in_x = (u_statistic(x + h * V, a, y, b, cost) - u_statistic(x - h * V, a, y, b, cost)) / (2 * h)
    in_a = (u_statistic(x, a + h * w, y, b, cost) - u_statistic(x, a - h * w, y, b, cost)) / (2 * h)
    assert abs((refot.mmd_squared_unbiased_gradient(x, a, y, b, cost) * V).sum() - in_x) < 1e-8
    assert abs(refot.mmd_squared_unbiased_gradient_weights(x, a, y, b, cost) @ w - in_a) < 1e-8


@given(clouds(positive=True))
def test_u_statistic_is_below_the_v_statistic(pair):
    """By the self terms it enlarges: V - U = sum_i a_i^2 / (1 - sum_i a_i^2) E c(X, X'), twice."""
    assume(min(pair.x.shape[0], pair.y.shape[0]) > 1)
    difference = (refot.mmd_squared(*measures_of(pair))
                  - refot.mmd_squared_unbiased(*measures_of(pair)))
    ratios = [(w**2).sum() / (1 - (w**2).sum()) for w in (pair.a, pair.b)]
    expected = sum(ratio * case.independent
                   for ratio, case in zip(ratios, pair.self_cases(), strict=True))
    assert abs(difference - expected) <= rounding_of(pair) * (1 + sum(ratios))


def measures_of(pair):
    """The arguments of MMD: those of the divergence without eps."""
    return pair.x, pair.a, pair.y, pair.b, pair.cost


def rounding_of(pair):
    """A sum of three means of costs."""
    return 64 * UNIT * (pair.case().matrix.max() + sum(c.matrix.max() for c in pair.self_cases()))


@pytest.mark.parametrize("eps", [1e3, 1e6, 1e9, 1e12, 1e15, 1e100, 1e300])
def test_a_value_far_above_the_cost_loses_nothing(backend, eps):
    """F = A - Var(Ct) / (2 eps) + O(eps^-2): no digit goes to the rounding of eps log b."""
    rng = np.random.default_rng(0)
    C = rng.uniform(0, 1, (6, 8))
    a, b = rng.dirichlet(np.ones(6)), rng.dirichlet(np.ones(8))
    centred = C - (C @ b)[:, None] - a @ C + a @ C @ b
    expected = a @ C @ b - a @ centred**2 @ b / (2 * eps)
    found = refot.entropic_value(C, a, b, eps, backend=backend)
    assert abs(found - expected) < 4e-16 + 0.1 / eps / eps
