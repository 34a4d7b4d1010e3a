"""The Numba kernels on their own: safe sums, shapes, memory, threads, processes.

What they compute is compared with the NumPy backend in `test_backend_parity.py`; their inner loops
have `test_numba_vector_code.py`, their exponential `test_numba_exponential.py`.
"""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from refot.arrays import ShapeError, TypeInputError
from refot.backends.numba import launch as numba_threads
from refot.backends.numba.backend import NumbaBackend
from refot.backends.numba.groups.ordered import sorted_cost
from refot.costs.ground import GroundCost
from refot.costs.operands import DenseCost, PointCost, point_cost
from refot.verification.bench.worker import forget_peak, peak_memory

BACKEND = NumbaBackend()
DTYPES = [np.float64, np.float32]


# ------------------------------------------------------------------ safety of the softmin
def reference_softmin(C: Any, h: Any, eps: float) -> Any:
    """With the exact maximum of each row as shift, in the widest float there is."""
    t = (np.asarray(h, np.longdouble) - np.asarray(C, np.longdouble)) / eps
    shift = t.max(axis=1)
    return -eps * (shift + np.log(np.exp(t - shift[:, None]).sum(axis=1)))


def both_layouts(C: Any) -> list[DenseCost]:
    return [DenseCost(C), DenseCost(np.asfortranarray(C))]


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("order", ["rising", "falling", "one_late_peak", "jumps"])
def test_running_maximum_survives_any_order_of_terms(dtype: Any, order: str) -> None:
    m = 3000
    h = {
        "rising": np.linspace(-4000, 4000, m),
        "falling": np.linspace(4000, -4000, m),
        "one_late_peak": np.where(np.arange(m) == 2500, 9000.0, np.linspace(-50, 0, m)),
        "jumps": np.where(np.arange(m) % 700 == 699, np.arange(m) * 10.0, 0.0),
    }[order].astype(dtype)
    C = np.random.default_rng(2).uniform(0, 1, (5, m)).astype(dtype)
    for eps in (1e-3, 1.0, 50.0):
        want = reference_softmin(C, h, eps)
        bound = np.finfo(dtype).eps * (4 * np.abs(h).max() + 64 * eps * np.log(m))
        for cost in both_layouts(C):
            got = BACKEND.softmin(cost, h, eps)
            assert got.dtype == dtype
            assert np.abs(got - want).max() <= bound


@pytest.mark.parametrize("dtype", DTYPES)
def test_no_guess_of_the_result_changes_it(dtype: Any) -> None:
    """Good, far too high or low, beyond the floats' range, not numbers: the same to rounding."""
    rng = np.random.default_rng(10)
    x, y = rng.normal(size=(20, 2)).astype(dtype), rng.normal(size=(1100, 2)).astype(dtype)
    C, h = point_cost(x, y), rng.normal(size=1100).astype(dtype)
    dense, eps = DenseCost(C.dense()), 0.05
    want = BACKEND.softmin(C, h, eps)
    bound = np.finfo(dtype).eps * (8 * (np.abs(want).max() + np.abs(h).max()) + 64 * eps)
    offsets = [0, 1e-3, 3, -3, 40, -40, 1e4, -1e4, 1e30, -1e30, np.inf, -np.inf, np.nan]
    for cost in (C, dense, sorted_cost(C), DenseCost(np.asfortranarray(dense.matrix))):
        for offset in offsets:
            got = BACKEND.softmin(cost, h, eps, (want + dtype(offset)).astype(dtype))
            assert np.abs(got - want).max() <= bound, offset
    with pytest.raises(ShapeError, match="shift"):
        BACKEND.softmin(C, h, eps, want[:5])


@pytest.mark.parametrize("dtype", DTYPES)
def test_softmin_of_extreme_potentials_is_finite_and_right(dtype: Any) -> None:
    largest = float(np.finfo(dtype).max)
    C = np.random.default_rng(3).uniform(0, 1, (9, 1100)).astype(dtype)
    for level in (0.4 * largest, -0.4 * largest, 1e30, -1e30):
        h = np.full(1100, level, dtype)
        h[::3] = -np.inf
        for cost in both_layouts(C):
            np.testing.assert_allclose(BACKEND.softmin(cost, h, 1.0), -h[1], rtol=1e-6)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("eps", [1e-300, 1e-30, 1e-12])
def test_softmin_at_vanishing_eps_is_the_minimum(dtype: Any, eps: float) -> None:
    rng = np.random.default_rng(4)
    C, h = rng.uniform(0, 1, (7, 1500)).astype(dtype), rng.normal(size=1500).astype(dtype)
    want = (C - h).min(axis=1)
    for cost in both_layouts(C):
        np.testing.assert_allclose(BACKEND.softmin(cost, h, eps), want, rtol=0,
                                   atol=1500 * eps + np.finfo(dtype).eps * np.abs(want).max())


@pytest.mark.parametrize("dtype", DTYPES)
def test_nothing_to_sum_is_inf_and_nan_is_not_hidden(dtype: Any) -> None:
    C = np.random.default_rng(5).uniform(0, 1, (3, 1030)).astype(dtype)
    nothing = np.full(1030, -np.inf, dtype)
    spoilt = np.zeros(1030, dtype)
    spoilt[1029] = np.nan
    V = np.ones((1030, 1), dtype)
    for cost in both_layouts(C):
        assert (BACKEND.softmin(cost, nothing, 0.1) == np.inf).all()
        assert (BACKEND.plan_apply(cost, np.zeros(3, dtype), nothing, 0.1, V) == 0).all()
        assert BACKEND.plan_cost(cost, np.zeros(3, dtype), nothing, 0.1) == 0
        assert np.isnan(BACKEND.softmin(cost, spoilt, 0.1)).all()
        assert np.isnan(BACKEND.plan_apply(cost, np.zeros(3, dtype), spoilt, 0.1, V)).all()


def test_large_overflow_is_inf_in_both_precisions() -> None:
    for dtype in DTYPES:
        C = DenseCost(np.zeros((2, 3), dtype))
        F, G = np.full(2, 800, dtype), np.zeros(3, dtype)
        assert (BACKEND.plan_apply(C, F, G, 1.0, np.ones((3, 1), dtype)) == np.inf).all()


# ------------------------------------------------------------------ shapes, layouts and dtypes
@pytest.mark.parametrize("n", [1, 3, 4, 8, 9, 65, 129])
@pytest.mark.parametrize("m", [1, 2, 1023, 1024, 1025, 2049])
def test_every_row_and_column_is_reached_once(n: int, m: int) -> None:
    """With zero costs and G = 0, P = 1: sums count columns, and V marks each of them."""
    zeros = [DenseCost(np.zeros((n, m))), DenseCost(np.zeros((m, n)).T),
             point_cost(np.ones((n, 1)), np.ones((m, 1)))]
    V = np.column_stack([np.ones(m), np.arange(m)])
    for C in zeros:
        np.testing.assert_allclose(BACKEND.softmin(C, np.zeros(m), 1.0), -np.log(m), atol=1e-14)
        P_V = BACKEND.plan_apply(C, np.zeros(n), np.zeros(m), 1.0, V)
        np.testing.assert_array_equal(P_V, np.tile([m, m * (m - 1) // 2], (n, 1)))


def test_layouts_and_read_only_arrays_give_one_result() -> None:
    rng = np.random.default_rng(6)
    wide = rng.uniform(0, 1, (80, 300))
    frozen = np.ascontiguousarray(wide[::2, ::3])
    frozen.flags.writeable = False
    h, F, V = rng.normal(size=100), rng.normal(size=40), rng.normal(size=(100, 2))
    h.flags.writeable = F.flags.writeable = V.flags.writeable = False
    want = BACKEND.softmin(DenseCost(frozen.copy()), h, 0.1)
    want_V = BACKEND.plan_apply(DenseCost(frozen.copy()), F, h, 0.1, V)
    for matrix in (frozen, wide[::2, ::3], np.asfortranarray(frozen)):
        np.testing.assert_allclose(BACKEND.softmin(DenseCost(matrix), h, 0.1), want, rtol=1e-14)
        np.testing.assert_allclose(BACKEND.plan_apply(DenseCost(matrix), F, h, 0.1, V), want_V,
                                   rtol=1e-12)


@pytest.mark.parametrize("n", [1, 2, 3, 4, 9, 23])
def test_gradients_of_four_rows_at_once_are_those_of_each_row(n: int) -> None:
    """1,030 columns are two tiles; n leaves 1, 2 or 3 rows over. The error is that of a sum of
    positive weights times differences: (m + 8) u at most."""
    rng = np.random.default_rng(n)
    C = point_cost(rng.normal(size=(n, 5)), rng.normal(size=(1030, 5)))
    F, G = rng.normal(size=n), rng.normal(size=1030)
    found = BACKEND.plan_cost_gradient(C, F, G, 3.0)
    P = np.exp((F[:, None] + G - C.dense()) / 3.0)
    gradients = C.gradient_rows(slice(None))
    size = np.einsum("ij,ijk->ik", P, abs(gradients))
    off = abs(found - np.einsum("ij,ijk->ik", P, gradients))
    assert (off <= 1038 * 2.0**-53 * size).all()


def test_results_have_the_dtype_of_the_cost() -> None:
    rng = np.random.default_rng(7)
    x, y = rng.normal(size=(6, 2)).astype(np.float32), rng.normal(size=(5, 2)).astype(np.float32)
    F, G, V = rng.normal(size=6), rng.normal(size=5), rng.normal(size=(5, 2))  # float64
    C = point_cost(x, y)
    for result in (BACKEND.softmin(C, G, 0.5), BACKEND.plan_apply(C, F, G, 0.5, V),
                   BACKEND.plan_cost_gradient(C, F, G, 0.5)):
        assert result.dtype == np.float32
    assert isinstance(BACKEND.plan_cost(C, F, G, 0.5), float)


def test_shapes_that_do_not_fit_are_refused() -> None:
    C = point_cost(np.zeros((3, 2)), np.zeros((4, 2)))
    F, G, V = np.zeros(3), np.zeros(4), np.zeros((4, 1))
    calls = {
        "h": lambda: BACKEND.softmin(C, F, 1.0),
        "F": lambda: BACKEND.plan_apply(C, G, G, 1.0, V),
        "G": lambda: BACKEND.plan_cost(C, F, F, 1.0),
        "V": lambda: BACKEND.plan_apply(C, F, G, 1.0, V[:3]),
    }
    for name, call in calls.items():
        with pytest.raises(ShapeError, match=name):
            call()
    with pytest.raises(ShapeError, match="V"):
        BACKEND.plan_apply(C, F, G, 1.0, np.zeros(4))
    with pytest.raises(TypeInputError, match="DenseCost"):
        BACKEND.plan_cost_gradient(DenseCost(np.zeros((3, 4))), F, G, 1.0)  # type: ignore[arg-type]


def test_a_cost_that_has_the_name_of_another_is_computed_by_its_own_formula() -> None:
    x, y = np.arange(6.0).reshape(3, 2), np.ones((4, 2))
    own = GroundCost("sqeuclidean", lambda x, y: x @ y.T, lambda x, y: x, lambda d: d)
    found = BACKEND.softmin(PointCost(x, y, own), np.zeros(4), 1.0)
    np.testing.assert_allclose(found, x.sum(axis=1) - np.log(4))


# ------------------------------------------------------------------ memory, threads, processes
@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="elsewhere a peak never falls")
def test_memory_does_not_grow_with_the_matrix() -> None:
    rng = np.random.default_rng(8)
    n = 12_000  # the matrix would take 1.1 GB
    C, h = point_cost(rng.normal(size=(n, 2)), rng.normal(size=(n, 2))), np.zeros(n)
    BACKEND.softmin(point_cost(C.x[:9], C.y), h, 1.0)
    forget_peak()
    before = peak_memory()
    result = BACKEND.softmin(C, h, 1e-6)
    assert peak_memory() - before < 100e6
    nearest = point_cost(C.x[:50], C.y).dense().min(axis=1)
    np.testing.assert_allclose(result[:50], nearest, rtol=0, atol=1e-6 * np.log(n))


def test_python_threads_may_call_at_once() -> None:
    rng = np.random.default_rng(9)
    C, h = point_cost(rng.normal(size=(500, 2)), rng.normal(size=(700, 2))), rng.normal(size=700)
    want, results = BACKEND.softmin(C, h, 0.1), {}

    def work(k: int) -> None:
        for _ in range(5):
            results[k] = BACKEND.softmin(C, h, 0.1)

    threads = [threading.Thread(target=work, args=(k,)) for k in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(results) == 6
    for result in results.values():
        np.testing.assert_array_equal(result, want)


FORK = """
import os
import numpy as np
from refot.backends.numba.backend import NumbaBackend
from refot.costs.operands import DenseCost
backend, C, h = NumbaBackend(), DenseCost(np.zeros((600, 600))), np.zeros(600)
want = backend.softmin(C, h, 1.0)  # large enough for threads
child = os.fork()
if child == 0:
    os._exit(0 if (backend.softmin(C, h, 1.0) == want).all() else 3)
assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0, "the child did not compute"
assert (backend.softmin(C, h, 1.0) == want).all()
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this system")
def test_a_forked_child_computes_with_threads_of_its_own() -> None:
    environment = {**os.environ, "NUMBA_NUM_THREADS": "2"}
    subprocess.run([sys.executable, "-W", "ignore", "-c", FORK], check=True, env=environment)


def test_a_long_compilation_is_told_once(caplog: pytest.LogCaptureFixture,
                                         monkeypatch: pytest.MonkeyPatch) -> None:
    """At INFO in the log, once the patience is over; nothing of a kernel that is done before."""
    timers: list[threading.Timer] = []
    real = threading.Timer

    def timer(seconds: float, tell: Callable[[], None]) -> threading.Timer:
        timers.append(real(seconds, tell))
        return timers[-1]

    monkeypatch.setattr(numba_threads.threading, "Timer", timer)
    monkeypatch.setattr(numba_threads, "PATIENCE", 0.001)
    with caplog.at_level("INFO", numba_threads.__name__):
        with numba_threads._telling("slow"):
            timers[-1].join()  # the patience is over
        monkeypatch.setattr(numba_threads, "PATIENCE", 1e6)
        with numba_threads._telling("quick"):
            pass
        timers[-1].join()  # cancelled, so that it ends without a word
    (line,) = caplog.messages
    assert "compiling the kernel slow" in line


CACHED = """
import numpy as np
from refot.backends.numba import plan
from refot.backends.numba.backend import NumbaBackend
from refot.costs.operands import DenseCost
print(NumbaBackend().plan_cost(DenseCost(np.eye(2)), np.zeros(2), np.zeros(2), 1.0))
print(sum(plan.plan_cost.stats.cache_hits.values()))
"""


BITS = """
import hashlib
import numpy as np
from refot.backends.numba import softmin
from refot.backends.numba.backend import NumbaBackend
from refot.costs.operands import DenseCost
rng = np.random.default_rng(0)
C, h = rng.random((300, 517), dtype=np.float32), rng.normal(size=517).astype(np.float32)
found = NumbaBackend().softmin(DenseCost(C), h, 0.5)
print(hashlib.sha256(found.tobytes()).hexdigest())
print(sum(softmin.softmin.stats.cache_hits.values()))
(compiled,) = softmin.softmin.overloads.values()
module = getattr(compiled.library, "_final_module", None)  # none of what comes from the disk
print(*{each.linkage.name for each in module.functions if not each.is_declaration}
      if not softmin.softmin.stats.cache_hits else ())
"""


def test_a_kernel_has_the_same_bits_compiled_here_and_from_the_disk(tmp_path: Any) -> None:
    """It calls the functions that were compiled into it, and none that the process has beside it:
    vectorised otherwise, in float32 these gave other last digits in 2 % of the rows."""
    environment = {**os.environ, "NUMBA_CACHE_DIR": str(tmp_path)}
    compiled, cached = (
        subprocess.run([sys.executable, "-c", BITS], capture_output=True, text=True, check=True,
                       env=environment).stdout.splitlines()
        for _ in range(2)
    )
    assert (compiled[1], cached[1]) == ("0", "1")
    assert compiled[0] == cached[0]
    assert set(compiled[2].split()) <= {"external", "internal"}


def test_kernels_are_kept_on_disk(tmp_path: Any) -> None:
    environment = {**os.environ, "NUMBA_CACHE_DIR": str(tmp_path)}
    outputs = [
        subprocess.run([sys.executable, "-c", CACHED], capture_output=True, text=True, check=True,
                       env=environment).stdout.split()
        for _ in range(2)
    ]
    values, hits = zip(*outputs, strict=True)
    assert hits == ("0", "1")
    assert values[0] == values[1]
    np.testing.assert_allclose(float(values[0]), 2 / np.e, rtol=1e-15)
