"""Costs by products: the stated bounds, near neighbours kept, points that coincide at distance 0.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from refot.backends.numba import costs as numba_costs
from refot.backends.numba import softmin as numba_softmin
from refot.backends.numba.groups import passes as numba_sorted
from refot.backends.numba.launch import Launcher
from refot.backends.numba.products import NEAR, PRODUCT_DIMENSION, cost_blocks
from refot.costs.operands import point_cost


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("cost", ["sqeuclidean", "euclidean"])
@pytest.mark.parametrize("offset", [0.0, 1e3])
def test_every_cost_is_within_its_relative_bound(dtype: Any, cost: str, offset: float) -> None:
    rng, d, u = np.random.default_rng(0), PRODUCT_DIMENSION + 5, np.finfo(dtype).eps / 2
    x = (rng.normal(size=(40, d)) + offset).astype(dtype)
    y = (rng.normal(size=(90, d)) + offset).astype(dtype)
    y[:10], y[10:20] = x[:10], x[:10] + dtype(1e-2) * rng.normal(size=(10, d)).astype(dtype)
    C = point_cost(x, y, cost, 0.5)
    got = np.concatenate([np.array(block.matrix) for _, block in cost_blocks(C, Launcher())])
    exact = C.with_arrays(lambda z: z.astype(np.longdouble)).dense()
    assert got.dtype == dtype
    assert (got[np.arange(10), np.arange(10)] == 0).all()
    assert (abs(got - exact) <= (d + 8) * u / NEAR * exact).all()


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_dot_products_are_within_their_bound(dtype: Any) -> None:
    """(d + 2) u times the sum of the absolute values of the terms, the scale among the factors."""
    rng, d, u = np.random.default_rng(1), PRODUCT_DIMENSION, np.finfo(dtype).eps / 2
    x, y = (rng.normal(size=(n, d)).astype(dtype) for n in (40, 90))
    C = point_cost(x, y, "dot", 0.3)
    got = np.concatenate([np.array(block.matrix) for _, block in cost_blocks(C, Launcher())])
    wide = C.with_arrays(lambda z: z.astype(np.longdouble))
    assert got.dtype == dtype
    sizes = abs(wide.with_arrays(abs).dense())
    assert (abs(got - wide.dense()) <= (d + 2) * u * sizes).all()


def test_every_variant_of_a_loop_has_a_name_of_its_own() -> None:
    """One name for two of them is one symbol in the code on disk: the wrong one may be called."""
    for variants in (numba_costs.costs_at, numba_softmin.LOOPS, numba_sorted.PRODUCT_LOOPS):
        different = {id(variant): variant for variant in variants.values()}
        names = {variant.py_func.__qualname__ for variant in different.values()}
        assert len(names) == len(different) > 8
