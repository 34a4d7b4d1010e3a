"""Groups of points that act on each other through a series: its bound, and what it adds up to."""

from __future__ import annotations

import gc
import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from refot.backend_contract import get_backend
from refot.backends.numba import rows as numba_rows
from refot.backends.numba.groups.choose import Grouping, by_series, grouping
from refot.backends.numba.groups.groups import groups_of
from refot.backends.numba.groups.ordered import CLUSTER, SortedCost, left_out_share, sorted_cost
from refot.backends.numba.groups.series import LONGEST, TERMS, series
from refot.costs.operands import point_cost


@pytest.mark.parametrize("tolerance", [1e-3, 2.0**-25, 1e-12])
def test_series_is_cut_where_its_error_reaches_the_tolerance(tolerance: float) -> None:
    """Relative to exp, on all of [-reach, reach]: never more, and at the ends at least a quarter,
    so that a longer reach, or a term less, would not do."""
    table = series(np.dtype(np.float64), tolerance)
    assert (np.diff(table.reach) >= 0).all()
    for p in range(2, TERMS + 1):
        reach, factors = float(table.reach[p - 1]), table.factors[p - 1]
        z = np.linspace(-1, 1, 501) * reach
        factorials = np.array([math.factorial(power) for power in range(p)], float)
        value = np.polynomial.polynomial.polyval(z, factors[:p] / factorials)
        error = abs(value / np.exp(z) - 1)
        rounding = 2.0**-52 * np.exp(2 * abs(z))
        assert (error <= tolerance + rounding).all()
        assert error.max() >= tolerance / 4 or reach > LONGEST - 1e-6
        assert (factors[p:] == 0).all()
    assert table.reach[-1] > 1


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("d", [1, 2, 3])
@pytest.mark.parametrize("size", [64, 512, 2048])
def test_groups_of_every_size_give_the_plain_sums(
    size: int, d: int, dtype: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Series wherever they reach, few far groups, some columns without mass, two points at one
    place; eps so that some pairs of groups need a series, of some length, and others terms."""
    rng, u = np.random.default_rng(size + d), float(np.finfo(dtype).eps) / 2
    x, y = rng.normal(size=(1100, d)), rng.normal(size=(2200, d)) + 0.5
    x[:100] = x[0]
    C = sorted_cost(point_cost(x.astype(dtype), y.astype(dtype), scale=0.7))
    eps = 2.0 * d * min(size, 1024) / 1000
    h = rng.normal(size=2200).astype(dtype)
    h[rng.random(2200) < 0.2] = -np.inf
    V = rng.normal(size=(2200, 3)).astype(dtype)
    used = []

    def chosen(C: SortedCost, eps: float) -> Grouping:
        sides = C.rows_in_order.points, C.columns_in_order.points
        used.append(series(C.dtype, left_out_share(C.dtype) / 2))
        rows, columns = (groups_of(points, size, True) for points in sides)
        return Grouping(rows, columns, used[-1], TERMS)

    monkeypatch.setattr(numba_rows, "grouping", chosen)
    monkeypatch.setattr("refot.backends.numba.backend.grouping", chosen)
    numba, numpy = get_backend("numba"), get_backend("numpy")
    wide = C.with_arrays(lambda points: points.astype(float))
    f = numpy.softmin(wide, h.astype(float), eps)
    largest = abs(h[np.isfinite(h)]).max() + abs(f).max() + 4 * eps
    for guess in (None, f.astype(dtype), f.astype(dtype) + 40 * dtype(eps)):
        got = numba.softmin(C, h, eps, guess)
        assert abs(got - f).max() <= 32 * u * largest
    F = f.astype(dtype)
    got = numba.plan_apply(C, F, h, eps, V)
    want = numpy.plan_apply(wide, F.astype(float), h.astype(float), eps, V.astype(float))
    assert abs(got - want).max() <= 64 * u * largest / eps * abs(V).max()
    assert len(used) == 4


def test_the_count_prefers_larger_groups_at_larger_eps() -> None:
    """And leaves points as they come where no series is short and nothing may be far."""
    rng = np.random.default_rng(8)
    C = sorted_cost(point_cost(rng.random((4096, 2)), rng.random((4096, 2))), largest_eps=1e-5)
    sizes = []
    for eps in (3e-2, 0.3, 3.0):
        found = grouping(C, eps)
        assert found is not None
        sizes.append(found.rows.size)
        again = grouping(C, eps)
        assert again is not None
        assert again.rows is found.rows  # kept
    assert sizes == sorted(sizes)
    assert sizes[0] < sizes[-1] == 1024
    assert grouping(C, 1e-3) is None
    far = grouping(C, 1e-5)
    assert far is not None
    assert far.rows.size == CLUSTER
    l1 = sorted_cost(point_cost(C.x, C.y, "l1"), largest_eps=0.0)
    assert grouping(l1, 1.0) is None


def test_the_count_grows_with_the_terms() -> None:
    for d in (1, 2, 3):
        assert (np.diff(by_series(256, d)) >= 0).all()


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("wide", [1e2, 1e4, 1e6])
def test_duplicates_beside_a_wide_group_keep_their_digits(wide: float, dtype: Any) -> None:
    """Columns 64-fold in one place, rows far apart: nothing couples them, but parts of the
    exponents would cancel. Nor does a shift far from the result cost digits, points out of order
    included."""
    rng, u = np.random.default_rng(3), float(np.finfo(dtype).eps) / 2
    x = (wide * rng.random((640, 1))).astype(dtype)
    y = np.repeat(x[::20], 64, axis=0)
    C, h, eps = sorted_cost(point_cost(x, y)), np.zeros(len(y), dtype), 1e-2
    want = get_backend("numpy").softmin(C.with_arrays(np.float64), h.astype(float), eps)
    for cost in (C, point_cost(x, y)):
        f = get_backend("numba").softmin(cost, h, eps)
        assert (abs(f - want) <= 16 * u * (abs(want) + 10 * eps)).all()


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_the_lowest_floats_stand_for_no_mass(dtype: Any) -> None:
    rng, lowest = np.random.default_rng(4), np.finfo(dtype).min
    x, y = rng.random((300, 2)).astype(dtype), rng.random((900, 2)).astype(dtype)
    C, h = sorted_cost(point_cost(x, y)), np.zeros(900, dtype)
    nothing = rng.random(900) < 0.1
    for eps in (0.05, 20.0):
        h[nothing] = -np.inf
        want = get_backend("numba").softmin(C, h, eps)
        h[nothing] = lowest
        got = get_backend("numba").softmin(C, h, eps)
        np.testing.assert_allclose(got, want, rtol=8 * float(np.finfo(dtype).eps))
    h[:] = lowest
    alone = get_backend("numba").softmin(C, h, 20.0)
    np.testing.assert_allclose(alone, -float(lowest), rtol=8 * float(np.finfo(dtype).eps))


def test_products_with_large_numbers_stay_within_float32() -> None:
    rng, f32 = np.random.default_rng(5), np.float32
    C = sorted_cost(point_cost(rng.random((300, 2)).astype(f32), rng.random((900, 2)).astype(f32)))
    F, G = np.full(300, -9, f32), np.zeros(900, f32)
    V = np.full((900, 1), 1e37, f32)
    numba, numpy = get_backend("numba"), get_backend("numpy")
    want = numpy.plan_apply(C.with_arrays(np.float64), F, G, 0.5, V.astype(float))
    np.testing.assert_allclose(numba.plan_apply(C, F, G, 0.5, V), want, rtol=1e-4)


def test_groups_of_other_columns_are_not_kept() -> None:
    rng = np.random.default_rng(6)
    C = sorted_cost(point_cost(rng.random((300, 2)), rng.random((300, 2))))
    for _ in range(3):
        assert grouping(replace(C, y=rng.random((300, 2))), 1.0) is not None
        gc.collect()
    assert len(C.rows_in_order.derived["choices"]) == 0
