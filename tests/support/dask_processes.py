"""A Dask cluster of plain processes on this machine, which a test may kill one by one."""

from __future__ import annotations

import os
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
    """A scheduler and its workers; nobody starts a new one where one is killed."""

    scheduler: subprocess.Popen[str]
    workers: list[subprocess.Popen[str]]
    client: Client


def started(module: str, *arguments: str) -> subprocess.Popen[str]:
    """A process of Dask's command line; its messages come through a pipe."""
    return subprocess.Popen(
        [sys.executable, "-m", f"distributed.cli.{module}", *arguments, "--no-dashboard"],
        stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True,
        env=dict(os.environ, DASK_LOGGING__DISTRIBUTED="info"))


@contextmanager
def dask_processes(number: int = 2) -> Iterator[Processes]:
    """A scheduler, that number of workers of one thread each, and a client."""
    scheduler = started("dask_scheduler", "--host", "127.0.0.1", "--port", "0")
    workers: list[subprocess.Popen[str]] = []
    try:
        assert scheduler.stderr is not None
        address = next(line.split()[-1] for line in scheduler.stderr if "Scheduler at:" in line)
        workers += [started("dask_worker", address, "--host", "127.0.0.1", "--no-nanny",
                            "--nthreads", "1", "--death-timeout", "5") for _ in range(number)]
        with Client(address, set_as_default=False) as client:
            client.wait_for_workers(number)
            yield Processes(scheduler, workers, client)
    finally:
        for process in (*workers, scheduler):
            process.kill()
            process.communicate()
