"""The CUDA kernels and all that launches them, run on the processor and compared with NumPy's.

`cuda_host` compiles the kernels' own source with g++: a block's threads take turns, so that its
barriers, its shared memory and its sums across threads are those of a GPU. What is not run here is
CuPy, NVIDIA's compiler (`test_cupy_compile.py`) and the device (`test_cupy_device.py`).
"""

from __future__ import annotations

import os
from typing import Any

import backend_parity as parity
import numpy as np
import pytest
from cuda_host.host import COMPILER, HostBackend, kernel_of
from hypothesis import given
from hypothesis import strategies as st
from point_costs.tables import ON_BACKENDS

from refot.arrays import ShapeError, TypeInputError, UnknownNameError
from refot.backend_contract import Backend
from refot.backends.cupy.sources import FOLDER, Build
from refot.backends.numpy.backend import NumpyBackend
from refot.costs.ground import GroundCost
from refot.costs.operands import DenseCost, PointCost, point_cost

pytestmark = pytest.mark.skipif(COMPILER is None and os.environ.get("CI") != "true",
                                reason="no g++ here; CI has one")

NUMPY = NumpyBackend()
BLOCKS = HostBackend(threads=(2, 3), multiprocessors=2)
"""Blocks of 2 by 3 threads, and columns split over several blocks where n is small."""

PARITY = [parity.test_softmin, parity.test_plan_apply, parity.test_marginals, parity.test_plan_cost,
          parity.test_plan_cost_gradient, parity.test_plan_entries, parity.test_gibbs,
          parity.test_sweep, parity.test_sparse_sweep, parity.test_transposed_operand]


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("test", PARITY, ids=lambda test: test.__name__)
@given(data=st.data())
def test_parity_on_generated_problems(test: Any, dtype: Any, data: st.DataObject) -> None:
    """The parity tests of every backend, with their tolerances in units of rounding."""
    test.hypothesis.inner_test(BLOCKS, dtype, data)


# ------------------------------------------------------------------ what parity may not draw
def clouds(n: int, m: int, d: int, dtype: Any, cost: str = "sqeuclidean") -> PointCost:
    rng = np.random.default_rng(n + 10 * m + 100 * d)
    return point_cost(rng.normal(size=(n, d)).astype(dtype), rng.normal(size=(m, d)).astype(dtype),
                      cost)


def on_device(backend: HostBackend, C: Any, *arrays: Any) -> tuple[Any, ...]:
    return C.with_arrays(backend.asarray), *map(backend.asarray, arrays)


@pytest.mark.parametrize(("d", "cost"), [(1, "sqeuclidean"), *((3, c) for c in ON_BACKENDS)])
def test_unrolled_kernels_are_the_loop(d: int, cost: str) -> None:
    """The kernel of one dimension does the same operations in the same order as that of any."""
    unrolled = HostBackend(threads=(2, 3), multiprocessors=2, unrolled=(d,))
    C = clouds(19, 70, d, np.float64, cost)
    rng = np.random.default_rng(0)
    C, F, G, V = on_device(BLOCKS, C, rng.normal(size=19), rng.normal(size=70),
                           rng.normal(size=(70, 5)))
    for run in (lambda on: on.softmin(C, G, 0.3), lambda on: on.plan_apply(C, F, G, 0.3, V),
                lambda on: on.plan_cost_gradient(C, F, G, 0.3)):
        np.testing.assert_array_equal(run(unrolled).get(), run(BLOCKS).get())
    assert unrolled.plan_cost(C, F, G, 0.3) == BLOCKS.plan_cost(C, F, G, 0.3)


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("order", ["C", "F"])
def test_forbidden_pairs_carry_nothing(order: Any, dtype: Any) -> None:
    """inf in a matrix, in the first tiles of a row and in all but one entry: 0 times inf is 0."""
    rng = np.random.default_rng(4)
    C = rng.uniform(size=(19, 300)).astype(dtype)
    C[::2, :200] = np.inf
    C[1, :-1] = np.inf
    F, G = rng.normal(size=19).astype(dtype), rng.normal(size=300).astype(dtype)
    F[3], G[7] = -np.inf, -np.inf
    host, tolerance = DenseCost(np.asarray(C, order=order)), 1e2 * float(np.finfo(dtype).eps)
    device = on_device(BLOCKS, host, F, G)

    def agree(ours: Any, theirs: Any) -> None:
        np.testing.assert_allclose(ours, theirs, rtol=tolerance, atol=0)

    agree(BLOCKS.softmin(device[0], device[2], 0.1).get(), NUMPY.softmin(host, G, 0.1))
    for ours, theirs in zip(BLOCKS.marginals(*device, 0.1), NUMPY.marginals(host, F, G, 0.1),
                            strict=True):
        agree(ours.get(), theirs)
    agree(BLOCKS.plan_cost(*device, 0.1), NUMPY.plan_cost(host, F, G, 0.1))
    assert np.isfinite(NUMPY.plan_cost(host, F, G, 0.1))


@pytest.mark.parametrize("threads", [(1, 1), (4, 1), (1, 5), (8, 8)])
def test_any_shape_of_a_block_gives_the_same_up_to_rounding(threads: tuple[int, int]) -> None:
    """Blocks of one thread, of one row and of one column: sums in another order, no more."""
    other = HostBackend(threads)
    h = np.random.default_rng(1).normal(size=300)
    C, h = on_device(other, clouds(43, 300, 2, np.float64), h)
    np.testing.assert_allclose(other.softmin(C, h, 0.1).get(), BLOCKS.softmin(C, h, 0.1).get(),
                               rtol=1e-14)  # 300 terms: some tens of roundings


@pytest.mark.parametrize("multiprocessors", [1, 3, 1000])
def test_splitting_the_columns_changes_rounding_only(multiprocessors: int) -> None:
    split = HostBackend(threads=(2, 3), multiprocessors=multiprocessors)
    C, F, h = on_device(split, clouds(5, 500, 2, np.float64), np.zeros(5),
                        np.random.default_rng(1).normal(size=500))
    for run in (lambda on: on.softmin(C, h, 0.1).get(), lambda on: on.plan_cost(C, F, h, 0.1),
                lambda on: on.plan_cost_gradient(C, F, h, 0.1).get()):
        np.testing.assert_allclose(run(split), run(BLOCKS), rtol=1e-12)
        np.testing.assert_array_equal(run(split), run(split))


def test_no_potential_overflows_or_is_lost() -> None:
    """Exponents of 1e300 and of -1e300 beside each other; eps of 1e-300 and of 1e300."""
    C = DenseCost(np.zeros((2, 3)))
    C, h = on_device(BLOCKS, C, np.array([-1e300, 1e300, 1e300]))
    for eps in (1e-300, 1.0, 1e290):
        np.testing.assert_allclose(BLOCKS.softmin(C, h, eps).get(), -1e300, rtol=1e-9)


def test_points_without_mass() -> None:
    """-inf everywhere: inf, as in the NumPy backend; a column without mass adds nothing."""
    C, none = on_device(BLOCKS, clouds(3, 40, 2, np.float32), np.full(40, -np.inf, np.float32))
    assert (BLOCKS.softmin(C, none, 0.1).get() == np.inf).all()
    assert BLOCKS.plan_cost(C, BLOCKS.xp.zeros(3), none, 0.1) == 0
    nan = BLOCKS.asarray(np.where(np.arange(40) == 7, np.nan, 0.0))
    assert np.isnan(BLOCKS.softmin(C, nan, 0.1).get()).all()


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_every_stride_of_a_matrix(dtype: Any) -> None:
    """Row-major, transposed, every other row and column, and a single row or column."""
    M = np.random.default_rng(2).random((34, 50)).astype(dtype)
    for view in (M, M.T, M[::2, ::3], M[:1], M[:, :1], M.T[3:4]):
        h = np.linspace(0, 1, view.shape[1]).astype(dtype)
        want = NUMPY.softmin(DenseCost(view.astype(np.float64)), h.astype(np.float64), 0.2)
        C = DenseCost(BLOCKS.asarray(M)).with_arrays(lambda _, v=view: BLOCKS.asarray(v))
        np.testing.assert_allclose(BLOCKS.softmin(C, BLOCKS.asarray(h), 0.2).get(), want,
                                   rtol=64 * np.finfo(dtype).eps)


# ------------------------------------------------------------------ the exponential
EXPONENTIAL = '''
extern "C" __global__ void exponentials(const T* t, Index n, T* out) {
    for (Index i = 0; i < n; ++i) out[i] = power2(t[i]);
}
'''


def exponentials(t: Any) -> Any:
    """2^t as the kernels compute it in double."""
    text = (FOLDER / "arithmetic.cuh").read_text(encoding="utf-8") + EXPONENTIAL
    options = Build("float64", "L1", 0, 1, (1, 1)).options
    run = kernel_of(text, ("exponentials",), "exponentials", options)
    out = BLOCKS.xp.empty(t.shape, np.float64)
    run((1, 1, 1), (1, 1, 1), (BLOCKS.asarray(t), np.int64(t.size), out))
    return out.get()


def test_exponential_in_double_is_right_to_the_stated_ulp() -> None:
    t = np.random.default_rng(3).uniform(-1021, 1023, 200_000)
    t[:1000] = np.random.default_rng(4).uniform(-1e-3, 1e-3, 1000)
    got, want = exponentials(t), np.exp2(t.astype(np.longdouble))
    ulp = abs(got - want) / np.spacing(want.astype(np.float64))
    assert ulp.max() <= 1.1


def test_exponential_at_its_ends() -> None:
    t = np.array([-np.inf, -1e300, -1100.0, -1022.0, 0.0, 1023.0, 1024.0, 1e300, np.inf, np.nan])
    want = np.array([0, 0, 0, 0, 1, 2.0**1023, np.inf, np.inf, np.inf, np.nan])
    np.testing.assert_array_equal(exponentials(t), want)
    assert (exponentials(np.arange(-1021.0, 1024.0)) == 2.0 ** np.arange(-1021.0, 1024.0)).all()


# ------------------------------------------------------------------ what is refused
def test_contract_and_bad_input() -> None:
    assert isinstance(BLOCKS, Backend)
    C, F, G = on_device(BLOCKS, clouds(3, 4, 2, np.float64), np.zeros(3), np.zeros(4))
    with pytest.raises(ShapeError, match="h: shape"):
        BLOCKS.softmin(C, F, 0.1)
    with pytest.raises(ShapeError, match="F: shape"):
        BLOCKS.plan_cost(C, G, G, 0.1)
    with pytest.raises(ShapeError, match="V: shape"):
        BLOCKS.plan_apply(C, F, G, 0.1, BLOCKS.xp.zeros(4))
    with pytest.raises(TypeInputError, match="a PointCost"):
        BLOCKS.plan_cost_gradient(DenseCost(BLOCKS.xp.zeros((3, 4))), F, G, 0.1)
    theirs = GroundCost("theirs", C.ground.matrix, C.ground.gradient, C.ground.roundings)
    with pytest.raises(UnknownNameError, match="any on numpy"):
        BLOCKS.softmin(PointCost(C.x, C.y, theirs), G, 0.1)
