"""Sending tiles to the workers of a cluster, and what is done where one of them is lost.

A task is sent again while it has no result, to the workers that are left: what it computes does not
depend on where. No equation here.
"""

from __future__ import annotations

import asyncio
import logging
import math
import os
import queue
import time
from collections.abc import Callable, Sequence
from concurrent.futures import CancelledError
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from distributed import Client, Future
from distributed.comm.core import CommClosedError
from distributed.scheduler import KilledWorker, NoValidWorkerError

from refot.backend_contract import BackendUnavailableError

from .share import ByRow, Computed, Share, compute
from .tiles import shared_out

PATIENCE = 20.0
"""Seconds for which workers, or the scheduler, are waited for once there is none, and which a
worker has to take its arguments or to hand over its answer."""

LONGEST = 600.0
"""Seconds that one operation may take without one more worker having answered, by default."""

AGAIN = 20
"""Times that what is missing is sent again, at most: each time a worker has been lost."""

LOOK = 0.5
"""While answers are waited for, seconds between two looks at whether the scheduler is there. For as
long the workers that it has named are taken to be there: one that is not makes no harm but work."""

WITH_TASK = 1 << 16
"""Arguments of at most this number of bytes go with the task, by way of the scheduler: that takes
one message less than to hand them to the worker first."""

HOW_TO_START = (
    "start one first:  from distributed import Client;  client = Client(n_workers=2)   "
    "or, for one that runs elsewhere, set DASK_SCHEDULER_ADDRESS=tcp://HOST:8786")

_log = logging.getLogger(__name__)

LOST = (KilledWorker, NoValidWorkerError, CommClosedError, CancelledError, OSError)
"""What a future or the client raises where a worker or the scheduler was lost. A TimeoutError is an
OSError."""


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


@dataclass(frozen=True)
class Task:
    """What one worker is to compute of an operation: these tiles, from these arguments."""

    worker: str
    tiles: list[int]
    arguments: list[Any]

    @property
    def bytes(self) -> int:
        """The size of its arrays."""
        return sum(map(_bytes, self.arguments))


@dataclass(frozen=True)
class Exchange:
    """What one operation took."""

    seconds: float
    """From the call to the answer."""

    computing: float
    """Of these, the seconds for which the busiest worker computed."""

    bytes: int
    """Of arrays that went to workers and back, the problem itself left out."""


class Cluster:
    """The workers of a client's cluster, and what they are sent. `longest`, in seconds: how long
    one operation may take without one more worker having answered. `most`: workers that are used,
    at most."""

    def __init__(self, client: Client, longest: float = LONGEST, most: int | None = None) -> None:
        self.client, self.longest, self.most = client, longest, most
        self.last = Exchange(0.0, 0.0, 0)
        """The last operation."""
        self.moved = 0
        """Bytes of arrays of all operations."""
        self._named: tuple[float, list[str]] = (-math.inf, [])
        """When the scheduler named the workers, and which they are."""

    def workers(self) -> list[str]:
        """The addresses of the workers, waited for if there is none. Raises ClusterError where none
        comes, or the scheduler is lost."""
        if time.monotonic() > self._named[0] + LOOK:
            self._named = time.monotonic(), self._workers_now()
        return self._named[1]

    def _workers_now(self) -> list[str]:
        deadline = time.monotonic() + PATIENCE
        while True:
            self._require_scheduler(deadline)
            try:
                known = self._within(PATIENCE, lambda: self.client.nthreads(asynchronous=True)) \
                    if self.client.status == "running" else {}
            except LOST:  # of the connection: the scheduler may come back
                known = {}
            if known:
                return sorted(known)[:self.most]
            if self.client.status == "running" and time.monotonic() > deadline:
                raise ClusterError(f"all workers are lost: none within {PATIENCE:g} s")
            time.sleep(0.1)

    def on_tiles(self, problem: Problem, side: int, operation: str, arguments: Sequence[Any]
                 ) -> list[Any]:
        """The results of the operation on all tiles of that side, in their order. An argument that
        is `ByRow([values])` is cut by the rows of the tiles; other arrays go to every worker."""
        begin, moved = time.perf_counter(), self.moved
        number, results, computing = len(problem.share.starts[side]) - 1, dict[int, Any](), 0.0
        expected = problem.seconds[side] or dict.fromkeys(range(number), 1.0)
        for _ in range(AGAIN):
            left = {tile: expected[tile] for tile in range(number) if tile not in results}
            if not left:
                problem.seconds[side] = expected
                self.last = Exchange(time.perf_counter() - begin, computing, self.moved - moved)
                return [results[tile] for tile in range(number)]
            try:
                answers = self._sent(problem, left, side, operation, arguments)
                computing += max((done.in_all for done in answers), default=0.0)
                for done in answers:
                    results |= done.results
                    expected = expected | done.seconds
            except ClusterError as error:
                error.add_note(f"{len(results)} of {number} tiles of {operation} were computed")
                raise
        raise ClusterError(f"workers were lost {AGAIN} times during {operation}: "
                           f"{len(results)} of {number} tiles are computed")

    # ------------------------------------------------------------------ one attempt
    def _sent(self, problem: Problem, left: dict[int, float], side: int, operation: str,
              arguments: Sequence[Any]) -> list[Computed]:
        """What came back of the tiles that are left, after one attempt."""
        workers, starts = self.workers(), problem.share.starts[side]
        tasks = [Task(worker, tiles, [_at(each, starts, tiles) for each in arguments])
                 for worker, tiles in zip(workers, shared_out(left, len(workers)), strict=True)
                 if tiles]
        self._lay_out(problem, [task.worker for task in tasks])
        given_all = ([task.arguments for task in tasks]
                     if max(task.bytes for task in tasks) <= WITH_TASK else
                     self._scattered([(task.worker, task.arguments) for task in tasks]))
        futures = []
        for task, given in zip(tasks, given_all, strict=True):
            if given is not None and task.worker in problem.lies:
                self.moved += task.bytes
                futures.append(self.client.submit(
                    compute, problem.lies[task.worker], side, operation, task.tiles, given,
                    workers=[task.worker], allow_other_workers=True, pure=False))
        answers = self._answers(futures, operation)
        if len(answers) < len(tasks):
            self._named = (-math.inf, [])
        return answers

    def _lay_out(self, problem: Problem, workers: list[str]) -> None:
        """The problem on each of the workers, sent there at its first use."""
        problem.lies = {worker: future for worker, future in problem.lies.items()
                        if future.status == "finished"}
        new = [worker for worker in workers if worker not in problem.lies]
        if not new:
            return
        for worker, future in zip(new, self._scattered([(worker, problem.share) for worker in new]),
                                  strict=True):
            if future is not None:
                problem.lies[worker] = future

    def _scattered(self, given: list[tuple[str, Any]]) -> list[Future | None]:
        """Each value on its worker, all at once; None where a worker does not take it."""
        async def one(worker: str, value: Any) -> Future | None:
            try:  # in a list, for what is itself a list would be scattered part by part
                future = self.client.scatter([value], workers=[worker], direct=True, hash=False,
                                             timeout=PATIENCE, asynchronous=True)
                return (await asyncio.wait_for(future, PATIENCE))[0]
            except LOST as error:
                _lost(error, f"sending to {worker}")
                return None

        async def all_of_them() -> list[Future | None]:
            return list(await asyncio.gather(*(one(*each) for each in given)))

        found: list[Future | None] = self.client.sync(all_of_them)
        return found

    def _answers(self, futures: list[Future], operation: str) -> list[Computed]:
        """The answers of the tasks that ended well. Raises what refot raised on a worker, and
        ClusterError where no task ends for too long."""
        ended: queue.SimpleQueue[Future] = queue.SimpleQueue()
        for future in futures:
            future.add_done_callback(ended.put)
        answers: list[Computed] = []
        last = contact = time.monotonic()
        for _ in futures:
            while (future := _next(ended)) is None:
                now = time.monotonic()
                contact = now if self.client.status == "running" else contact
                self._require_scheduler(contact + PATIENCE)
                if now > last + self.longest:
                    self.client.cancel(futures, force=True)
                    raise ClusterError(f"no answer from a worker within {self.longest:g} s, "
                                       f"during {operation}: one hangs, or is too slow")
            last = time.monotonic()
            try:
                answers.append(self._within(PATIENCE, self._gathering(future)))
                self.moved += sum(map(_bytes, answers[-1].results.values()))
            except LOST as error:
                _lost(error, operation)
        return answers

    def _gathering(self, future: Future) -> Callable[[], Any]:
        return lambda: self.client.gather(future, direct=True, asynchronous=True)

    # ------------------------------------------------------------------ the connection
    def _require_scheduler(self, deadline: float) -> None:
        """Raise ClusterError if the scheduler is gone, or has not been reached until the deadline.
        """
        status = self.client.status
        if status in ("running", "connecting") and (
                status == "running" or time.monotonic() < deadline):
            return
        raise ClusterError(f"the scheduler is lost: it is not reached at {self.address} "
                           f"(the client is {status})")

    @property
    def address(self) -> str:
        """Where the scheduler is, or was."""
        return str(getattr(self.client.scheduler, "address", "its address"))

    def _within(self, seconds: float, ask: Callable[[], Any]) -> Any:
        """What the client is asked, in its own loop. Raises TimeoutError."""
        return self.client.sync(ask, callback_timeout=seconds)


def _lost(error: BaseException, during: str) -> None:
    _log.warning("refot: %s during %s; what is missing is computed again", type(error).__name__,
                 during)


def _next(ended: queue.SimpleQueue[Future]) -> Future | None:
    """The next task that has ended, if one does within LOOK seconds."""
    try:
        return ended.get(timeout=LOOK)
    except queue.Empty:
        return None


def _at(argument: Any, starts: list[int], tiles: list[int]) -> Any:
    """An argument as a worker needs it for these tiles."""
    if isinstance(argument, ByRow):
        return ByRow([argument.parts[0][slice(*starts[tile:tile + 2])] for tile in tiles])
    return argument


def _bytes(value: Any) -> int:
    """The size of the arrays in an argument or an answer."""
    if isinstance(value, ByRow):
        return sum(part.nbytes for part in value.parts)
    if isinstance(value, tuple):
        return sum(map(_bytes, value))
    return int(value.nbytes) if isinstance(value, np.ndarray) else 0
