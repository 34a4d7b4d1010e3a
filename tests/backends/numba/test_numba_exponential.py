"""The exponential of the Numba kernels: its error in units in the last place, its ends, its zeros.

The exact value is a ball of 120 bits.
"""

from __future__ import annotations

from typing import Any

import flint
import numba
import numpy as np
import pytest

from refot.backends.numba import exponential as numba_exponential

DTYPES = [np.float64, np.float32]
LEAST = {np.float64: -1021, np.float32: -125}
"""The exponent below which (by more than a half) the kernels' exponential is 0."""
LARGEST = {np.float64: 1023, np.float32: 127}


@numba.njit
def _exp2_bounded(t: Any, k: Any, out: Any) -> None:
    for j in range(t.size):
        out[j] = numba_exponential.exp2_bounded(t[j], k)


@numba.njit
def _exp2_scaled(t: Any, k: Any, out: Any) -> None:
    for j in range(t.size):
        out[j] = numba_exponential.exp2_scaled(t[j], k)


def exp2(t: Any, k: Any, function: Any = _exp2_bounded) -> Any:
    t = np.asarray(t)
    out = np.empty_like(t)
    function(t, t.dtype.type(k), out)
    return out


def ulps(values: Any, t: Any, k: Any) -> float:
    """The largest distance of `values` from 2^(t k), in units in their last place, by balls of
    120 bits."""
    flint.ctx.prec = 120
    log2 = flint.arb(2).log()
    worst = 0.0
    for value, t_j in zip(values, t, strict=True):
        exact = (flint.arb(float(t_j)) * flint.arb(float(k)) * log2).exp()
        error = abs(flint.arb(float(value)) - exact) / float(np.spacing(abs(value)))
        worst = max(worst, float(error.upper()))
    return worst


@pytest.mark.parametrize("dtype", DTYPES)
def test_exponential_is_within_its_stated_ulps(dtype: Any) -> None:
    rng = np.random.default_rng(0)
    t = np.concatenate([
        rng.uniform(LEAST[dtype] - 0.49, LARGEST[dtype] + 0.49, 4000),  # the whole range
        rng.integers(LEAST[dtype], LARGEST[dtype], 500) + 0.5,  # where n changes
        rng.uniform(-0.5, 0.5, 3000),
        rng.uniform(-0.5, -0.47, 500),  # the ulp halves below 1: the worst place
        rng.uniform(-1, 1, 500) * 2.0 ** -rng.integers(1, 60, 500),
    ]).astype(dtype)
    t = np.clip(t, LEAST[dtype] - dtype(0.49), LARGEST[dtype] + dtype(0.49))
    assert ulps(exp2(t, 1), t, dtype(1)) <= 1.1
    below = t[t <= 0]
    np.testing.assert_array_equal(exp2(below, 1, _exp2_scaled), exp2(below, 1))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("k", [1.4426950408889634, 1e-3, 777.7, 1e5])
def test_exponential_of_a_product_adds_little(dtype: Any, k: float) -> None:
    k = dtype(k)
    t = (np.random.default_rng(1).uniform(LEAST[dtype], LARGEST[dtype], 3000) / k).astype(dtype)
    assert ulps(exp2(t, k), t, k) <= 1.3


@pytest.mark.parametrize("dtype", DTYPES)
def test_exponential_at_the_ends_of_its_range(dtype: Any) -> None:
    least, largest, inf = LEAST[dtype], LARGEST[dtype], np.inf
    whole = np.arange(least, largest + 1, dtype=dtype)
    np.testing.assert_array_equal(exp2(whole, 1), np.ldexp(dtype(1), whole.astype(int)))
    flushed = np.array([least - 0.6, least - 1, 2 * least, -1e6, -np.finfo(dtype).max, -inf], dtype)
    for function in (_exp2_scaled, _exp2_bounded):
        assert (exp2(flushed, 1, function) == 0).all()
        assert np.isnan(exp2(np.array([np.nan], dtype), 1, function)).all()
    over = np.array([largest + 0.6, largest + 1, 1e6, np.finfo(dtype).max, inf], dtype)
    assert (exp2(over, 1) == inf).all()
