"""The CuPy backend on a GPU. These tests run wherever there is one that CuPy can use."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from every_equation import CALLS, INPUTS, World, arrays

import refot
from refot.backend_contract import backend_status, get_backend
from refot.backends.numpy.backend import NumpyBackend
from refot.verification.parity import parity
from refot.verification.tools.gpu import check as gpu_check

REASON = next((s.reason for s in backend_status() if s.name == "cupy" and not s.available), "")
pytestmark = [pytest.mark.gpu, pytest.mark.skipif(bool(REASON), reason=REASON)]


def test_parity_of_every_operation() -> None:
    assert not [result for result in parity(get_backend("cupy")) if not result.passed]


def test_a_result_never_varies() -> None:
    """Sums of many blocks, in the same order each time: equal to the last bit."""
    backend = get_backend("cupy")
    rng = np.random.default_rng(0)
    x = backend.asarray(rng.normal(size=(50_000, 3)).astype(np.float32))
    C, h = refot.point_cost(x[:500], x), x[:, 0]
    first = backend.to_numpy(backend.softmin(C, h, 0.1))
    np.testing.assert_array_equal(backend.to_numpy(backend.softmin(C, h, 0.1)), first)


def test_products_of_float32_have_no_tf32() -> None:
    """CuPy's own matrix product: TF32 would miss by 2^-11, a thousand times what is allowed."""
    backend = get_backend("cupy")
    A = np.random.default_rng(0).normal(size=(300, 300)).astype(np.float32)
    product = backend.to_numpy(backend.asarray(A) @ backend.asarray(A))
    exact = A.astype(np.float64) @ A
    scale = abs(A).astype(np.float64) @ abs(A)
    assert (abs(product - exact) / scale).max() < 300 * 2.0**-24


@pytest.mark.parametrize("name", CALLS)
def test_every_equation_on_the_device(name: str) -> None:
    backend = get_backend("cupy")
    want, got = CALLS[name](World(NumpyBackend())), CALLS[name](World(backend))
    for expected, found in zip(arrays(want), arrays(got), strict=True):
        if isinstance(expected, np.ndarray):
            assert isinstance(found, backend.xp.ndarray)
        np.testing.assert_allclose(host(backend, found), expected, rtol=1e-6, atol=1e-9)


def host(backend: Any, value: Any) -> Any:
    return value if isinstance(value, float) else backend.to_numpy(value)


def test_numpy_input_moves_to_the_device() -> None:
    backend = get_backend("cupy")
    C = refot.point_cost(INPUTS["x"], INPUTS["y"])
    solved = refot.solve(C, INPUTS["a"], INPUTS["b"], 1.0, backend="cupy")
    assert isinstance(solved.f, backend.xp.ndarray)


def test_the_script_passes() -> None:
    assert gpu_check.main(["--only", "parity"]) == 0
