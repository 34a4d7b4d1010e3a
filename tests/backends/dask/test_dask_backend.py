"""The Dask backend on worker processes of this machine: parity, the same bits, lost workers."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from itertools import islice, pairwise
from typing import Any

import numpy as np
import pytest
from distributed import Client, LocalCluster

import refot
from refot.backend_contract import BackendUnavailableError, get_backend
from refot.backends.dask import dask_backend, tiles
from refot.backends.dask.backend import DaskBackend
from refot.backends.dask.cluster import Cluster
from refot.verification.parity import compared, fixed_problems


@pytest.fixture(scope="module")
def client() -> Iterator[Client]:
    """Two worker processes, of one thread each."""
    with (LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=":0") as cluster,
          Client(cluster, set_as_default=False) as client):
        yield client


@pytest.fixture
def small_tiles(monkeypatch: pytest.MonkeyPatch) -> None:
    """Several tiles for a small problem; cut here, and on no worker."""
    monkeypatch.setattr(tiles, "ROWS", 64)


def problem(n: int = 300, m: int = 260, d: int = 3) -> tuple[Any, Any, Any]:
    rng = np.random.default_rng(0)
    a, b = (rng.random(size) + 0.1 for size in (n, m))
    return refot.point_cost(rng.random((n, d)), rng.random((m, d))), a / a.sum(), b / b.sum()


# ------------------------------------------------------------------ the operations
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.usefixtures("small_tiles")
def test_each_operation_is_that_of_numpy(client: Client, dtype: Any) -> None:
    backend = dask_backend(client, inner="numpy")
    results = [result for each in islice(fixed_problems(dtype), 6)
               for result in compared(backend, each)]
    assert {result.operation for result in results} >= {"softmin", "plan_apply", "plan_cost"}
    assert not [result for result in results if not result.passed]


@pytest.mark.usefixtures("small_tiles")
def test_entries_come_back_by_rows_of_the_caller(client: Client) -> None:
    C, a, b = problem()
    backend = dask_backend(client, inner="numpy")
    F, G = 0.05 * np.log(a), 0.05 * np.log(b)
    values, columns, starts = backend.plan_entries(C, F, G, 0.05, 1e-9, 10**6)
    P = np.exp((F[:, None] + G - C.dense()) / 0.05)
    expected = np.where(P > 1e-9, P, 0)
    found = np.zeros_like(P)
    for i, (first, last) in enumerate(pairwise(starts)):
        found[i, columns[first:last]] = values[first:last]
    np.testing.assert_allclose(found, expected, rtol=1e-12)
    assert backend.plan_entries(C, F, G, 0.05, 1e-9, len(values) - 1) is None


def test_points_that_were_written_to_are_other_points(client: Client) -> None:
    backend = dask_backend(client, inner="numpy")
    x = np.random.default_rng(1).random((20, 2))
    C = refot.point_cost(x, x[::-1].copy())
    before = backend.softmin(C, np.zeros(20), 0.1)
    C.x[:] += 1.0
    after = backend.softmin(C, np.zeros(20), 0.1)
    np.testing.assert_allclose(after, get_backend("numpy").softmin(C, np.zeros(20), 0.1))
    assert abs(after - before).max() > 0.1


# ------------------------------------------------------------------ the same bits
@pytest.mark.usefixtures("small_tiles")
@pytest.mark.parametrize("inner", ["numpy", "numba"])
def test_any_number_of_workers_gives_the_same_bits(client: Client, inner: str) -> None:
    C, a, b = problem()
    two = refot.solve(C, a, b, 0.3, certified=True, backend=dask_backend(client, inner))
    workers = sorted(client.nthreads())
    one = OneOf(client, inner, workers[:1])
    alone = refot.solve(C, a, b, 0.3, certified=True, backend=one)
    assert two.converged
    assert alone.gap == two.gap
    np.testing.assert_array_equal(alone.f, two.f)
    np.testing.assert_array_equal(alone.g, two.g)
    here = refot.solve(C, a, b, 0.3, backend=inner)
    np.testing.assert_allclose(two.f - a @ two.f, here.f - a @ here.f, rtol=0, atol=1e-8)


class OneOf(DaskBackend):
    """The backend on some of the workers only."""

    def __init__(self, client: Client, inner: str, workers: list[str]) -> None:
        super().__init__(client, inner)
        self.cluster.workers = lambda: workers  # type: ignore[method-assign]


@pytest.mark.slow  # waits for time limits of Dask, and for new workers
@pytest.mark.usefixtures("small_tiles")
def test_a_worker_that_is_killed_changes_no_bit() -> None:
    C, a, b = problem()
    with (LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=":0") as cluster,
          Client(cluster, set_as_default=False) as client):
        backend = dask_backend(client, "numpy")
        undisturbed = refot.solve(C, a, b, 0.3, backend=backend)
        killed = Kills(client, {3, 6})
        disturbed = refot.solve(C, a, b, 0.3, backend=killed)
    assert not killed.at
    np.testing.assert_array_equal(disturbed.f, undisturbed.f)
    np.testing.assert_array_equal(disturbed.g, undisturbed.g)


class Kills(DaskBackend):
    """Kills a worker process before some of its softmins."""

    def __init__(self, client: Client, at: set[int]) -> None:
        super().__init__(client, "numpy")
        self.at, self.calls = at, 0

    def softmin(self, *arguments: Any, **options: Any) -> Any:
        self.calls += 1
        if self.calls in self.at:
            self.at.remove(self.calls)
            victim = next(iter(self.cluster.client.run(os.getpid).values()))
            os.kill(victim, signal.SIGKILL)
        return super().softmin(*arguments, **options)


# ------------------------------------------------------------------ shares
def test_tiles_are_shared_out_by_what_they_take() -> None:
    assert tiles.shared_out(dict.fromkeys(range(6), 1.0), 3) == [[0, 1], [2, 3], [4, 5]]
    assert tiles.shared_out({0: 9.0, 1: 1.0, 2: 1.0, 3: 1.0}, 2) == [[0], [1, 2, 3]]
    assert tiles.shared_out({4: 1.0}, 3) == [[], [4], []]


def test_tiles_know_only_the_number_of_rows() -> None:
    assert tiles.tile_starts(10) == [0, 10]
    starts = tiles.tile_starts(3_000_000)
    assert starts[0] == 0
    assert starts[-1] == 3_000_000
    assert len(starts) - 1 <= tiles.MOST


# ------------------------------------------------------------------ what is missing
def test_without_a_cluster_the_error_says_how_to_start_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DASK_SCHEDULER_ADDRESS", raising=False)
    with pytest.raises(BackendUnavailableError, match="from distributed import Client"):
        get_backend("dask")


def test_an_error_of_the_inner_backend_is_raised_here(client: Client) -> None:
    C, a, _ = problem(20, 20)
    with pytest.raises(ValueError, match=r"shape|broadcast"):
        dask_backend(client, "numpy").softmin(C, np.zeros(3), 0.1)
    assert isinstance(dask_backend(client).cluster, Cluster)
    assert len(a) == 20
