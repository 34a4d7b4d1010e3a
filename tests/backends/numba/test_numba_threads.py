"""The launcher: blocks on several threads give what one thread gives, whatever becomes of them."""

from __future__ import annotations

import threading
from typing import Any

import numba
import numpy as np
import pytest

from refot.backends.numba import launch as numba_threads
from refot.backends.numba.backend import NumbaBackend
from refot.backends.numba.launch import Launcher, SumInOrder
from refot.costs.operands import point_cost

BACKEND = NumbaBackend()


@pytest.fixture
def _three_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    """Even for small problems."""
    monkeypatch.setattr(numba_threads, "SMALL", 0)
    monkeypatch.setattr(numba.config, "NUMBA_NUM_THREADS", 3)


@pytest.mark.usefixtures("_three_threads")
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_blocks_add_up_to_the_whole(dtype: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """marginals, gibbs and sweeps of 301 rows in many blocks, and in one."""
    rng = np.random.default_rng(0)
    C = point_cost(rng.random((301, 4)).astype(dtype), rng.random((207, 4)).astype(dtype))
    F, G = rng.random(301).astype(dtype), rng.random(207).astype(dtype)
    K, v, s = rng.random((301, 207)).astype(dtype), rng.random(207), rng.random(301)
    keep = rng.random(K.shape) < 0.2
    keep[:, 0] = True
    rows, columns = keep.nonzero()
    entries = K[keep], columns.astype(np.int32), np.searchsorted(rows, np.arange(302))

    def results() -> list[Any]:
        out = np.empty(K.shape, np.float32)
        BACKEND.gibbs(C, F, G, 1.0, 1e-6, out)
        return [out, *BACKEND.marginals(C, F, G, 1.0), *BACKEND.sweep(K, v, s, 1.3),
                *BACKEND.sweep(entries, v, s, -1.0)]

    many, again = results(), results()
    monkeypatch.setattr(numba_threads, "SMALL", 1 << 60)
    for found, twice, whole in zip(many, again, results(), strict=True):
        np.testing.assert_array_equal(found, twice)
        np.testing.assert_allclose(found, whole, rtol=400 * np.finfo(found.dtype).eps)


class Blocks:
    """Stands for a kernel: notes its blocks, and does what it is told in one of them."""

    signatures = ()

    def __init__(self, act: Any = lambda i0: None) -> None:
        self.act, self.blocks, self.threads = act, [], set()

    def __call__(self, i0: int, i1: int) -> Any:
        self.threads.add(threading.get_ident())
        self.blocks.append((i0, i1))
        self.act(i0)
        return np.array([i0])


@pytest.fixture
def launch(_three_threads: None, monkeypatch: pytest.MonkeyPatch) -> Launcher:
    class Compiled:
        def __enter__(self) -> bool:
            return True

        def __exit__(self, *_: object) -> None:
            pass

    monkeypatch.setattr(numba_threads, "_compiling", lambda *_: Compiled())
    return Launcher()


def test_results_come_in_the_order_of_the_rows(launch: Launcher) -> None:
    kernel = Blocks()
    results = launch(1000, 1, kernel)
    assert [int(part[0]) for part in results] == sorted(i0 for i0, _ in kernel.blocks)
    assert sorted(kernel.blocks)[-1][1] == 1000
    assert int(launch.added(1000, 1, Blocks())[0]) == sum(int(part[0]) for part in results)


def test_three_threads_share_the_work(launch: Launcher) -> None:
    """Each waits until all three have come."""
    together = threading.Barrier(3, timeout=30)
    first = threading.local()

    def act(i0: int) -> None:
        if not hasattr(first, "seen"):
            first.seen = True
            together.wait()

    kernel = Blocks(act)
    launch(1000, 1, kernel)
    assert len(kernel.threads) == 3
    two = Blocks()
    launch(16, 1, two)  # two blocks: the pool has been made for three threads all the same
    assert launch._pool is not None
    assert launch._pool._max_workers == 2


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_an_error_in_any_thread_is_raised_and_ends_the_work(launch: Launcher, error: type) -> None:
    def act(i0: int) -> None:
        if i0 >= 0:
            raise error("of a block")

    kernel = Blocks(act)
    with pytest.raises(error, match="of a block"):
        launch(100_000, 1, kernel)
    assert len(kernel.blocks) <= 3
    assert len(launch(1000, 1, Blocks())) > 3  # and the next call is as good as any


def test_a_sum_is_in_order_whatever_the_order_of_its_parts() -> None:
    rng = np.random.default_rng(1)
    parts = [10.0 ** rng.uniform(-9, 9, 5) for _ in range(20)]
    want = parts[0].copy()
    for part in parts[1:]:
        want += part
    for _ in range(5):
        total = SumInOrder()
        for number in rng.permutation(20):
            total(int(number), parts[number].copy())
        np.testing.assert_array_equal(total.sum, want)
        assert not total._waiting
