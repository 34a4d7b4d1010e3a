"""What happens where a worker, all workers or the scheduler are lost in the middle of a solve."""

from __future__ import annotations

import logging
import random
import signal
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from dask_processes import dask_processes, problem
from distributed import Client, LocalCluster

import refot
from refot.backends.dask import ClusterError, cluster, dask_backend
from refot.backends.dask.backend import DaskBackend
from refot.backends.dask.share import Computed, Share
from refot.solvers.resume import checkpoint

GIVEN: dict[str, Any] = {"eps": 0.3, "method": "overrelaxed"}
"""A solve of some dozens of operations."""


class Harmed(DaskBackend):
    """Does the harm before its softmin of that number."""

    def __init__(self, client: Client, harm: Any, at: int = 5, longest: float = 600.0) -> None:
        super().__init__(client, "numpy", longest)
        self.harm, self.left = harm, at

    def softmin(self, *arguments: Any, **options: Any) -> Any:
        self.left -= 1
        if self.left == 0:
            self.harm()
        return super().softmin(*arguments, **options)


def test_a_worker_that_takes_too_long_is_an_error(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing ends here, however fast the machine is: each look for an answer waits in vain."""
    monkeypatch.setattr(cluster, "_next", lambda ended: time.sleep(0.02))
    C, _, b = problem(20, 20)
    with pytest.raises(ClusterError, match=r"no answer from a worker within 0\.01 s.*softmin"):
        dask_backend(client, "numpy", longest=0.01).softmin(C, b, 0.3)


def test_a_client_that_is_closed_has_lost_its_scheduler() -> None:
    C, _, b = problem(20, 20)
    with Client(processes=False, dashboard_address=":0", set_as_default=False) as client:
        backend = dask_backend(client, "numpy")
        backend.softmin(C, b, 0.3)
    time.sleep(0.6)  # for so long the workers that were named are taken to be there
    with pytest.raises(ClusterError, match="the scheduler is lost"):
        backend.softmin(C, b, 0.3)


class Unreliable(cluster.Cluster):
    """Each attempt computes one tile, the first that is missing, as if the others were lost."""

    def _attempt(self, problem: Any, left: dict[int, float], *_: Any) -> list[Computed]:
        tile = min(left)
        return [Computed({tile: 10 * tile}, {tile: 1.0}, 1.0)]


def test_the_last_attempt_counts_and_there_is_no_further_one() -> None:
    """Tiles that were all computed in the last attempt were once called lost."""
    C = refot.DenseCost(np.zeros((100, 1)))

    def computed(tiles: int) -> list[Any]:
        share = Share((C, C.T), (list(range(tiles + 1)), [0, 1]), ([0, 1], [0, 100]), "numpy")
        return Unreliable(None).on_tiles(cluster.Problem(share), 0, "softmin", ())  # type: ignore[arg-type]

    most = cluster.ATTEMPTS
    assert computed(most) == [10 * tile for tile in range(most)]
    with pytest.raises(ClusterError, match=f"{most} of {most + 1} tiles of softmin"):
        computed(most + 1)


# ------------------------------------------------------------------ workers without the memory
def short_of_memory(n: int, limit: str, processes: bool) -> str:
    """What is said of a softmin of n points in 50 dimensions by a worker with this limit. One that
    is a process is killed when it takes more; a thread of this process is not."""
    points = np.random.default_rng(0).random((n, 50))
    C = refot.point_cost(points, points + 1)
    with (LocalCluster(n_workers=1, threads_per_worker=1, processes=processes, memory_limit=limit,
                       dashboard_address=":0", silence_logs=logging.CRITICAL) as workers,
          Client(workers, set_as_default=False) as client):
        backend = dask_backend(client, "numpy", longest=20.0)
        with pytest.raises(ClusterError) as raised:
            backend.softmin(C, np.zeros(n), 1.0)
    return " ".join([str(raised.value), *raised.value.__notes__])


def test_points_that_fit_no_worker_are_not_sent() -> None:
    said = short_of_memory(2_000, "1MB", processes=False)
    assert "the problem does not fit a worker" in said
    assert "a worker may take 0.001 GB of memory" in said


@pytest.mark.slow  # Dask starts the worker anew several times
def test_a_worker_that_dask_kills_for_its_memory_is_an_error(
    monkeypatch: pytest.MonkeyPatch
) -> None:
    """The points fit its limit, the work does not: whether Dask kills it each time, or pauses it,
    or it is not there at the moment, the solve ends, and the limit is said."""
    monkeypatch.setattr(cluster, "ATTEMPTS", 3)
    assert "a worker may take 0.15 GB of memory" in short_of_memory(
        20_000, "150MB", processes=True)


# ------------------------------------------------------------------ of processes that are killed
@pytest.mark.slow
@pytest.mark.usefixtures("small_tiles")
def test_ten_workers_killed_in_ten_solves_change_no_bit() -> None:
    """Each at a random operation, in a random phase of it: a moment after it was begun."""
    C, a, b = problem()
    draw = random.Random(0)
    with dask_processes() as cluster:
        undisturbed = refot.solve(C, a, b, **GIVEN, backend=dask_backend(cluster.client, "numpy"))
        for _ in range(10):
            victim = draw.choice(cluster.workers)
            killer = threading.Timer(0.02 * draw.random(), victim.kill)
            at = draw.randrange(1, undisturbed.iterations)
            backend = Harmed(cluster.client, killer.start, at)
            disturbed = refot.solve(C, a, b, **GIVEN, backend=backend)
            assert victim.wait() == -signal.SIGKILL
            np.testing.assert_array_equal(disturbed.f, undisturbed.f)
            np.testing.assert_array_equal(disturbed.g, undisturbed.g)
            cluster.start_worker()


@pytest.mark.slow
@pytest.mark.usefixtures("small_tiles")
@pytest.mark.parametrize(("lost", "message"), [
    ("workers", "all workers are lost"), ("scheduler", "the scheduler is lost"),
    ("hangs", r"no answer from a worker within 5 s")])
def test_what_is_lost_is_said_and_the_solve_goes_on(
    lost: str, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(checkpoint, "WORTH", 0.0)
    C, a, b = problem()
    with dask_processes() as cluster:
        def harm() -> None:
            if lost == "scheduler":
                cluster.scheduler.kill()
            for worker in cluster.workers if lost == "workers" else ():
                worker.kill()
            if lost == "hangs":
                cluster.workers[0].send_signal(signal.SIGSTOP)

        with pytest.raises(ClusterError, match=message) as raised:
            refot.solve(C, a, b, **GIVEN, backend=Harmed(cluster.client, harm, longest=5.0),
                        checkpoint=tmp_path / "run")
    assert "the solve had reached iteration" in str(raised.value.__notes__)
    with np.load(tmp_path / "run" / "potentials.npz") as last:
        assert len(last["g"]) == len(b)
    with dask_processes(1) as cluster:
        left = Harmed(cluster.client, lambda: None, 10**6)
        found = refot.solve(C, a, b, **GIVEN, backend=left, checkpoint=tmp_path / "run")
        whole = refot.solve(C, a, b, **GIVEN, backend=dask_backend(cluster.client, "numpy"))
    assert 10**6 - left.left < 2 * found.iterations  # some of its answers were there
    np.testing.assert_array_equal(found.f, whole.f)
    np.testing.assert_array_equal(found.g, whole.g)
