"""A Dask cluster of plain processes on this machine, which a test may kill one by one."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from distributed import Client


def problem(n: int = 300, m: int = 260, d: int = 3) -> tuple[Any, Any, Any]:
    """(C, a, b): points in the unit cube, with uneven weights."""
    import numpy as np

    import refot

    rng = np.random.default_rng(0)
    a, b = (rng.random(size) + 0.1 for size in (n, m))
    return refot.point_cost(rng.random((n, d)), rng.random((m, d))), a / a.sum(), b / b.sum()


@dataclass
class Processes:
    """A scheduler and its workers. A worker that is killed is not replaced."""

    scheduler: subprocess.Popen[str]
    workers: list[subprocess.Popen[str]]
    client: Client

    def start_worker(self) -> None:
        """Start one more worker, with one thread, and wait until all workers are connected."""
        self.workers = [worker for worker in self.workers if worker.poll() is None]
        self.workers.append(started(
            "dask_worker", self.client.scheduler.address, "--host", "127.0.0.1", "--no-nanny",
            "--nthreads", "1", "--death-timeout", "300"))
        self.client.wait_for_workers(len(self.workers), timeout=300)


def started(module: str, *arguments: str) -> subprocess.Popen[str]:
    """Start a program of Dask's command line. The scheduler's standard error goes to a pipe,
    because it names the address."""
    return subprocess.Popen(
        [sys.executable, "-m", f"distributed.cli.{module}", *arguments, "--no-dashboard"],
        stderr=subprocess.PIPE if module == "dask_scheduler" else subprocess.DEVNULL,
        stdout=subprocess.DEVNULL, text=True)


@contextmanager
def dask_processes(number: int = 2) -> Iterator[Processes]:
    """A scheduler, that number of workers, and a client."""
    scheduler = started("dask_scheduler", "--host", "127.0.0.1", "--port", "0")
    cluster = None
    try:
        assert scheduler.stderr is not None
        address = next(line.split()[-1] for line in scheduler.stderr if "Scheduler at:" in line)
        with Client(address, set_as_default=False) as client:
            cluster = Processes(scheduler, [], client)
            for _ in range(number):
                cluster.start_worker()
            yield cluster
    finally:
        for process in (*(cluster.workers if cluster else ()), scheduler):
            process.kill()
            process.communicate()
