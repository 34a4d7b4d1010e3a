"""Sending tiles to the workers of a cluster, and what is done where one of them is lost.

A task is sent again while it has no result, to the workers that are left: what it computes does not
depend on where. No equation here.
"""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Sequence
from concurrent.futures import CancelledError
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from distributed import Client, Future, wait
from distributed.comm.core import CommClosedError
from distributed.scheduler import KilledWorker, NoValidWorkerError

from refot.backend_contract import BackendUnavailableError

from .share import ByRow, Computed, Share, Side, compute
from .tiles import shared_out

PATIENCE = 30.0
"""Seconds for which workers, or the scheduler, are waited for once there is none."""

LONGEST = 600.0
"""Seconds that one operation may take without one more worker having answered."""

AGAIN = 20
"""Times that what is missing is sent again, at most: each time a worker has been lost."""

HOW_TO_START = (
    "start one first:  from distributed import Client;  client = Client(n_workers=2)   "
    "or, for one that runs elsewhere, set DASK_SCHEDULER_ADDRESS=tcp://HOST:8786")

_log = logging.getLogger(__name__)

LOST = (KilledWorker, NoValidWorkerError, CommClosedError, CancelledError, OSError)
"""What a future or the client raises where a worker or the scheduler was lost."""


class ClusterError(RuntimeError):
    """The cluster no longer answers: all workers or the scheduler are lost, or one hangs."""


def current_client() -> Client:
    """The client that the caller has made; else one of the scheduler at DASK_SCHEDULER_ADDRESS.
    Raises BackendUnavailableError where there is neither."""
    try:
        client: Client = Client.current()
    except ValueError:
        address = os.environ.get("DASK_SCHEDULER_ADDRESS")
        if not address:
            raise BackendUnavailableError(f"dask: no cluster; {HOW_TO_START}") from None
        try:
            client = Client(address, timeout=PATIENCE)
        except OSError as error:
            raise BackendUnavailableError(f"dask: {error}; {HOW_TO_START}") from error
    return client


@dataclass
class Problem:
    """A problem that lies on the workers of a cluster."""

    share: Share
    lies: dict[str, Future] = field(default_factory=dict)
    """Where it lies: the future of each worker, by its address."""
    seconds: list[dict[int, float]] = field(default_factory=lambda: [{}, {}])
    """What each tile took the last time, for both sides."""


class Cluster:
    """The workers of a client's cluster, and what they are sent."""

    def __init__(self, client: Client) -> None:
        self.client = client
        self.moved = 0
        """Bytes of arrays that went to workers and back, the problems themselves left out."""

    def workers(self) -> list[str]:
        """The addresses of the workers, waited for if there is none."""
        deadline = time.monotonic() + PATIENCE
        while True:
            if self.client.status not in ("running", "connecting"):
                raise ClusterError(f"the scheduler is lost (the client is {self.client.status})")
            known = sorted(self.client.scheduler_info(n_workers=-1)["workers"])
            if known:
                return known
            if time.monotonic() > deadline:
                raise ClusterError(f"no worker within {PATIENCE:g} s")
            time.sleep(0.1)

    def on_tiles(self, problem: Problem, side: int, operation: str, arguments: Sequence[Any]
                 ) -> list[Any]:
        """The results of the operation on all tiles of that side, in their order. An argument that
        is `ByRow([values])` is cut by the rows of the tiles; other arrays go to every worker."""
        number, results = len(problem.share.sides[side].starts) - 1, dict[int, Any]()
        expected = problem.seconds[side] or dict.fromkeys(range(number), 1.0)
        for _ in range(AGAIN):
            left = {tile: expected[tile] for tile in range(number) if tile not in results}
            if not left:
                problem.seconds[side] = expected
                return [results[tile] for tile in range(number)]
            for done in self._sent(problem, left, side, operation, arguments):
                results |= done.results
                expected = expected | done.seconds
        raise ClusterError(f"workers were lost {AGAIN} times during {operation}: "
                           f"{len(results)} of {number} tiles are computed")

    def _sent(self, problem: Problem, left: dict[int, float], side: int, operation: str,
              arguments: Sequence[Any]) -> list[Computed]:
        """What came back of the tiles that are left, after one attempt."""
        where, tasks = problem.share.sides[side], []
        try:
            workers = self.workers()
            for worker, tiles in zip(workers, shared_out(left, len(workers)), strict=True):
                if tiles:
                    given = [self._at(worker, each, where, tiles) for each in arguments]
                    tasks.append(self.client.submit(
                        compute, self._lies(problem, worker), side, operation, tiles, given,
                        workers=[worker], allow_other_workers=True, pure=False))
            return self._answers(tasks)
        except LOST as error:
            _log.warning("refot: %s during %s; what is missing is computed again",
                         type(error).__name__, operation)
            return []

    def _at(self, worker: str, argument: Any, where: Side, tiles: list[int]) -> Any:
        """An argument as the worker needs it for these tiles."""
        if isinstance(argument, ByRow):
            part = ByRow([argument.parts[0][where.rows(tile)] for tile in tiles])
            self.moved += _bytes(part)
            return part
        if isinstance(argument, np.ndarray):
            self.moved += argument.nbytes
            return self._sent_to(worker, argument)
        return argument

    def _lies(self, problem: Problem, worker: str) -> Future:
        """The problem on the worker, sent there at its first use."""
        if worker not in problem.lies or problem.lies[worker].status != "finished":
            problem.lies[worker] = self._sent_to(worker, problem.share)
        return problem.lies[worker]

    def _sent_to(self, worker: str, value: Any) -> Future:
        """The value on the worker. Raises TimeoutError where it does not take it."""
        future: Future = self.client.scatter(value, workers=[worker], direct=True, hash=False,
                                             timeout=PATIENCE)
        return future

    def _answers(self, tasks: list[Future]) -> list[Computed]:
        """The answers of the tasks that ended well. Raises what refot raised on a worker, and
        ClusterError where no task ends for too long."""
        left, answers = list(tasks), []
        while left:
            try:
                with self.client.as_current():  # `wait` asks for the current one
                    ended, unfinished = wait(left, timeout=LONGEST, return_when="FIRST_COMPLETED")
            except TimeoutError:
                self.client.cancel(left, force=True)
                raise ClusterError(f"no answer from a worker within {LONGEST:g} s") from None
            for task in ended:
                try:
                    answers.append(self.client.gather(task, direct=True))
                    self.moved += sum(_bytes(each) for each in answers[-1].results.values())
                except LOST as error:
                    _log.warning("refot: %s; what is missing is computed again",
                                 type(error).__name__)
            left = list(unfinished)
        return answers


def _bytes(value: Any) -> int:
    """The size of the arrays in an argument or an answer."""
    if isinstance(value, ByRow):
        return sum(part.nbytes for part in value.parts)
    if isinstance(value, tuple):
        return sum(_bytes(part) for part in value)
    return int(getattr(value, "nbytes", 0))
