"""Groups of points that act on each other through a series: its bound, and what it adds up to."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

pytest.importorskip("numba")

from refot.backend_contract import get_backend
from refot.backends import numba_rows
from refot.backends.numba_grouping import Grouping, by_series, grouping
from refot.backends.numba_groups import groups_of
from refot.backends.numba_series import LONGEST, TERMS, series
from refot.costs import point_cost
from refot.sorted_cost import CLUSTER, SortedCost, misjudged, sorted_cost


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_polynomials_keep_their_bound_relative_to_exp(dtype: Any) -> None:
    """On the whole of [-reach, reach], but for the rounding of the terms, up to exp(|z|)."""
    unit = float(np.finfo(dtype).eps)
    tolerance = misjudged(np.dtype(dtype)) / 2
    table = series(np.dtype(dtype), tolerance)
    assert (np.diff(table.reach) >= 0).all()
    assert table.reach[-1] > 1
    for p in range(2, TERMS + 1):
        z = np.linspace(-1, 1, 501) * float(table.reach[p - 1])
        factorials = np.array([math.factorial(power) for power in range(p)], float)
        value = np.polynomial.polynomial.polyval(z, table.factors[p - 1, :p] / factorials)
        assert (abs(value / np.exp(z) - 1) <= tolerance + 2 * unit * np.exp(2 * abs(z))).all()
        assert (table.factors[p - 1, p:] == 0).all()


def test_one_term_less_would_not_do() -> None:
    """The reach is the largest: 5 % beyond it the cut series misses about the tolerance."""
    tolerance = 1e-6
    table = series(np.dtype(np.float64), tolerance)
    for p in range(2, TERMS + 1):
        if table.reach[p - 1] > LONGEST - 1e-6:
            break
        z = -1.05 * float(table.reach[p - 1])
        factorials = np.array([math.factorial(power) for power in range(p)], float)
        value = np.polynomial.polynomial.polyval(z, table.factors[p - 1, :p] / factorials)
        assert abs(value / math.exp(z) - 1) > tolerance / 4
    assert p > 5


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
        used.append(series(C.dtype, misjudged(C.dtype) / 2))
        return Grouping(*(groups_of(points, size) for points in sides), used[-1], TERMS)

    monkeypatch.setattr(numba_rows, "grouping", chosen)
    monkeypatch.setattr("refot.backends.numba_backend.grouping", chosen)
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
        assert found is grouping(C, eps)  # kept
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
