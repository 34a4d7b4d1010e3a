"""Points in order: an ordinary cost for every backend, and for numba less work within a bound."""

from __future__ import annotations

import math
import pickle
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from refot import solve
from refot.arrays import InputError, TypeInputError, UnknownNameError
from refot.backend_contract import get_backend, prepared
from refot.backends.numba import rows as numba_rows
from refot.backends.numba.groups.ordered import (
    CLUSTER,
    LARGEST_GROUP,
    SortedCost,
    box_corners,
    left_out_share,
    sorted_cost,
    spatial_order,
)
from refot.costs.operands import DenseCost, PointCost, point_cost


@given(n=st.integers(1, 700), d=st.integers(1, 4), ties=st.booleans(), seed=st.integers(0, 99))
def test_order_is_a_permutation_into_small_boxes(n: int, d: int, ties: bool, seed: int) -> None:
    points = np.random.default_rng(seed).normal(size=(n, d))
    if ties:
        points = np.round(points)
    order = spatial_order(points)
    np.testing.assert_array_equal(np.sort(order), np.arange(n))
    low, high = box_corners(points[order])
    assert len(low) == -(-n // CLUSTER)
    group = np.arange(n) // CLUSTER
    assert ((low[group] <= points[order]) & (points[order] <= high[group])).all()


def test_boxes_of_a_square_are_much_smaller_than_it() -> None:
    points = np.random.default_rng(0).random((64 * CLUSTER, 2))
    low, high = box_corners(points[spatial_order(points)])
    assert (high - low).mean() < 1.5 / 8  # 64 boxes: 8 by 8


def test_operand_keeps_its_order_through_every_change() -> None:
    rng = np.random.default_rng(1)
    C = sorted_cost(point_cost(rng.random((90, 2)), rng.random((130, 2)), "l1", 0.5))
    x_order, y_order = C.rows_in_order.order, C.columns_in_order.order
    for changed in (C.T.T, C.scaled(1.0), C.with_arrays(np.asarray)):
        assert isinstance(changed, SortedCost)
        np.testing.assert_array_equal(changed.rows_in_order.order, x_order)
    np.testing.assert_array_equal(C.T.rows_in_order.order, y_order)
    ordered = C.in_order().dense()
    np.testing.assert_array_equal(ordered, C.dense()[x_order][:, y_order])
    with pytest.raises(TypeInputError, match="PointCost"):
        sorted_cost(DenseCost(np.eye(3)))
    with pytest.raises(UnknownNameError, match="sqeuclidean, euclidean, l1"):
        sorted_cost(point_cost(C.x, C.y, "dot"))


def test_order_follows_points_that_are_replaced(backend: str) -> None:
    """`replace`, as a divergence does: y by x, other points, fewer, another dtype; in place of a
    stale order the right sums."""
    rng, on = np.random.default_rng(9), get_backend(backend)
    x, y = rng.random((150, 2)), rng.random((200, 2))
    C = sorted_cost(point_cost(x, y))
    assert replace(C, scale=2.0).rows_in_order is C.rows_in_order
    assert replace(C, y=C.x).columns_in_order is C.rows_in_order
    before = C.dense()
    x += 1  # the operand has points of its own
    np.testing.assert_array_equal(C.dense(), before)
    with pytest.raises(ValueError, match="read-only"):
        C.x[0] = 0
    on.softmin(C, on.asarray(np.zeros(200)), 0.3)
    copy = pickle.loads(pickle.dumps(C))
    assert copy.rows_in_order.source is copy.x
    for changed in (replace(C, y=C.x), replace(C, x=x + 1), replace(C, x=x[:70]),
                    C.with_arrays(lambda points: points.astype(np.float32))):
        plain = PointCost(on.asarray(changed.x), on.asarray(changed.y), C.ground, C.scale)
        h = np.zeros(len(changed.y), changed.dtype)
        got = on.to_numpy(on.softmin(changed, on.asarray(h), 0.3))
        want = on.to_numpy(on.softmin(plain, on.asarray(h), 0.3))
        np.testing.assert_allclose(got, want, atol=20 * np.finfo(changed.dtype).eps)


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_what_is_left_out_share_does_not_show(backend: str, dtype: Any) -> None:
    """Small eps, potentials of a solve, some columns without mass: most tiles are left out."""
    rng, on, u = np.random.default_rng(2), get_backend(backend), np.finfo(dtype).eps / 2
    x, y = rng.random((700, 2)).astype(dtype), rng.random((1500, 2)).astype(dtype)
    C, eps = point_cost(on.asarray(x), on.asarray(y)), 2e-4
    h = (0.01 * rng.normal(size=1500)).astype(dtype)
    h[rng.random(1500) < 0.2] = -np.inf
    ordinary = on.to_numpy(on.softmin(C, on.asarray(h), eps))
    in_order = on.to_numpy(on.softmin(sorted_cost(point_cost(x, y)), on.asarray(h), eps))
    finite = abs(h[np.isfinite(h)]).max()
    rounding = 2 * (8 * u * (finite + 2) + 32 * u * np.log(1500) * eps)
    assert abs(ordinary - in_order).max() <= eps * left_out_share(dtype) + rounding
    V = rng.normal(size=(1500, 3)).astype(dtype)
    arguments = (on.asarray(ordinary), on.asarray(h), eps, on.asarray(V))
    P_V = on.to_numpy(on.plan_apply(C, *arguments))
    P_V_in_order = on.to_numpy(on.plan_apply(sorted_cost(point_cost(x, y)), *arguments))
    bound = (left_out_share(dtype) + np.expm1(2 * 8 * u * (2 * finite + 4) / eps + 64 * u)) * 1.01
    assert abs(P_V - P_V_in_order).max() <= bound * abs(V).max()  # rows of P sum to 1


def test_a_solve_gives_the_same_potentials() -> None:
    rng = np.random.default_rng(3)
    C = point_cost(rng.random((150, 2)), rng.random((200, 2)))
    a, b = np.full(150, 1 / 150), np.full(200, 1 / 200)
    ordinary, ordered = (solve(cost, a, b, 0.01, backend="numba") for cost in (C, sorted_cost(C)))
    shift = ordinary.f[0] - ordered.f[0]
    np.testing.assert_allclose(ordered.f + shift, ordinary.f, rtol=0, atol=1e-9)


def test_slopes_of_the_potential_hide_no_tile_that_counts(backend: str) -> None:
    """Points moved by (3, 3): h rises by 8 across a box. Every ground cost, with and without a
    guess, good or wrong."""
    rng, eps = np.random.default_rng(4), 2e-3
    x, y = rng.random((300, 2)), rng.random((900, 2)) + 3
    for ground in ("sqeuclidean", "euclidean", "l1"):
        C, on = point_cost(x, y, ground), get_backend(backend)
        h = -on.softmin(C.T, np.zeros(300), eps) + 1e-2 * rng.normal(size=900)
        want = on.softmin(C, h, eps)
        rounding = 2.0**-53 * (32 * (abs(h).max() + 40) + 64 * eps * np.log(900))
        for guess in (None, want, want + rng.normal(size=300), want + 1, want - 1):
            got = on.softmin(sorted_cost(C), h, eps, guess)
            assert abs(got - want).max() <= eps * left_out_share(np.float64) + rounding


def test_above_the_largest_eps_it_is_an_ordinary_cost() -> None:
    """The same sums in the same order, bit for bit, where no series shortens them; scaling the cost
    scales the limit."""
    rng, on = np.random.default_rng(5), get_backend("numba")
    C, h = point_cost(rng.random((200, 2)), rng.random((300, 2)), "l1"), np.zeros(300)
    limited = sorted_cost(C, 0.5)
    assert (on.softmin(limited, h, 0.6) == on.softmin(C, h, 0.6)).all()
    assert limited.scaled(3.0).largest_eps == 1.5


@pytest.mark.parametrize("eps", [1e-4, 1e-1])
def test_solve_puts_points_in_order_where_that_pays(
    eps: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    """From MANY points on, on numba, for a cost of a difference; the certified gaps agree."""
    rng = np.random.default_rng(6)
    C, a = point_cost(rng.random((300, 2)), rng.random((300, 2))), np.full(300, 1 / 300)
    monkeypatch.setattr("refot.backends.numba.groups.ordered.MANY", 301)
    assert not isinstance(prepared(get_backend("numba"), C, a, a), SortedCost)
    monkeypatch.setattr("refot.backends.numba.groups.ordered.MANY", 300)
    monkeypatch.setattr("refot.backends.numba.groups.ordered.MANY_FAR", 300)
    assert isinstance(prepared(get_backend("numba"), C, a, a), SortedCost)
    assert not isinstance(prepared(get_backend("numpy"), C, a, a), SortedCost)
    dot = point_cost(C.x, C.y, "dot")
    assert not isinstance(prepared(get_backend("numba"), dot, a, a), SortedCost)
    here = solve(C, a, a, eps, tol=1e-7, certified=True, backend="numba")
    there = solve(C, a, a, eps, tol=1e-7, certified=True, backend="numpy")
    assert here.gap is not None
    assert there.gap is not None
    assert abs(here.gap.lower - there.gap.lower) <= 1e-9
    assert here.gap.lower <= there.gap.upper
    assert there.gap.lower <= here.gap.upper


def test_groups_without_mass_and_wild_guesses_count_no_group_twice() -> None:
    """One group of eight carries mass; guesses of every size, and none that is a number."""
    rng, on, eps = np.random.default_rng(7), get_backend("numba"), 1e-2
    C = point_cost(rng.random((70, 2)), rng.random((8 * CLUSTER, 2)))
    h = np.full(8 * CLUSTER, -np.inf)
    h[spatial_order(C.y)[2 * CLUSTER:3 * CLUSTER]] = 0.0
    want = get_backend("numpy").softmin(C, h, eps)
    for wild in (None, 0.0, np.inf, -np.inf, np.nan, 1e300, -1e300):
        guess = None if wild is None else want + wild
        assert abs(on.softmin(sorted_cost(C), h, eps, guess) - want).max() < 1e-13


@pytest.mark.parametrize("ground", ["sqeuclidean", "euclidean", "l1"])
def test_what_is_left_out_is_less_than_u_and_would_show(
    ground: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Groups on a line, each with a 2^-6 part of the one before it: cut where it is, nothing shows;
    cut at 2^-30 it does, so that the test can see."""
    on, eps = get_backend("numba"), 1e-3
    y = np.repeat(np.arange(40.0), CLUSTER)[:, None]
    x, cost = np.zeros((CLUSTER, 1)), point_cost(np.zeros((1, 1)), y, ground)
    C, h = sorted_cost(point_cost(x, y, ground)), cost.dense()[0] - eps * math.log(2) * 6 * y[:, 0]
    exact = -eps * math.log(CLUSTER / (1 - 2.0**-6))
    assert abs(on.softmin(C, h, eps) - exact).max() <= 8 * 2.0**-53 * eps * 6 + 2.0**-53
    monkeypatch.setattr("refot.backends.numba.rows._cut", lambda C: 24.0)
    assert abs(on.softmin(C, h, eps) - exact).max() > 1e-10 * eps


def test_a_row_without_a_guess_finds_its_shift_in_a_small_group(monkeypatch: Any) -> None:
    """Exponents near -3,000 throughout, groups of 64: no row is left to NumPy."""
    rng = np.random.default_rng(7)
    C = sorted_cost(point_cost(rng.random((700, 2)), rng.random((700, 2))))
    eps, h = 1e-4, np.full(700, -0.3)
    numba = get_backend("numba")
    want = numba.softmin(DenseCost(C.dense()), h, eps)
    monkeypatch.setattr(numba_rows.NumpyBackend, "softmin", lambda *_: pytest.fail("to NumPy"))
    np.testing.assert_allclose(numba.softmin(C, h, eps), want, rtol=0, atol=1e-14)


@pytest.mark.parametrize("spoilt", [3, 600])
def test_rows_with_a_bad_guess_alone_are_summed_again(monkeypatch: Any, spoilt: int) -> None:
    """Few of them term by term, many by groups with the others: the same numbers."""
    rng = np.random.default_rng(8)
    C = sorted_cost(point_cost(rng.random((700, 2)), rng.random((700, 2))))
    eps, h, numba = 1e-2, rng.random(700), get_backend("numba")
    want = numba.softmin(C, h, eps)
    summed = []
    kernel = numba_rows._by_kernel
    monkeypatch.setattr(numba_rows, "_by_kernel",
                        lambda C, *rest: summed.append(C.shape[0]) or kernel(C, *rest))
    guess = want.copy()
    guess[:spoilt] -= 1e3
    np.testing.assert_allclose(numba.softmin(C, h, eps, guess), want, rtol=0, atol=1e-14)
    assert summed == [700, 3 if spoilt == 3 else 700]


def test_a_part_of_the_rows_begins_with_a_group() -> None:
    rng = np.random.default_rng(0)
    x, y = rng.random((2 * LARGEST_GROUP, 2)), rng.random((100, 2))
    C = sorted_cost(point_cost(x, y)).in_place()
    part = C.part(LARGEST_GROUP, 2 * LARGEST_GROUP)
    np.testing.assert_array_equal(part.x, C.x[LARGEST_GROUP:])
    assert part.columns_in_order is C.columns_in_order
    with pytest.raises(InputError, match=f"start.*multiple of {LARGEST_GROUP}"):
        C.part(100, 200)


def test_what_is_derived_from_columns_is_kept_for_arrays_that_cannot_change() -> None:
    rng = np.random.default_rng(0)
    side = sorted_cost(point_cost(rng.random((100, 2)), rng.random((90, 2)))).columns_in_order
    h, calls = np.ones(90), list[int]()

    def compute() -> float:
        calls.append(1)
        return float(h.sum())

    assert [side.found("sum", (h, 1.0), compute) for _ in range(2)] == [90.0, 90.0]
    assert len(calls) == 2  # h might have changed
    h.flags.writeable = False
    assert [side.found("sum", (h, 1.0), compute) for _ in range(2)] == [90.0, 90.0]
    assert len(calls) == 3
    side.found("sum", (h, 2.0), compute)
    assert len(calls) == 4
