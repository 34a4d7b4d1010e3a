"""Sending tiles to the workers of a cluster, and going on when one of the workers is lost.

Tiles without a result are sent again, to the workers that are left. The result of a tile does not
depend on the worker that computes it. No equation here.
"""

from __future__ import annotations

import asyncio
import contextlib
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

from .memory import least_limit, taken_by, told
from .share import ByRow, Computed, Share, compute
from .tiles import shared_out

PATIENCE = 20.0
"""Seconds to wait for a lost scheduler, for a worker when there is none, and for a worker to
receive its arguments or to hand over its results."""

LONGEST = 600.0
"""Seconds without an answer of any worker after which an operation fails, by default."""

ATTEMPTS = 20
"""Attempts at one operation, at most. Each attempt after the first sends the missing tiles again,
because a worker was lost."""

CHECK_EVERY = 0.5
"""Seconds between two checks, while answers are awaited, that the scheduler is still there. Its
list of workers is also used for this time before it is requested again: if a worker was lost
meanwhile, this only costs another attempt."""

WITH_TASK = 1 << 16
"""Bytes: arguments up to this size are sent within the task, by way of the scheduler. Larger ones
go straight to the worker first, which takes one message more."""

HOW_TO_START = (
    "start one first:  from distributed import Client;  client = Client(n_workers=2)   "
    "or, for one that runs elsewhere, set DASK_SCHEDULER_ADDRESS=tcp://HOST:8786")

_log = logging.getLogger(__name__)

LOST = (KilledWorker, NoValidWorkerError, CommClosedError, CancelledError, OSError)
"""What a future or the client raises when a worker or the scheduler is lost. TimeoutError is among
them, as a subclass of OSError."""


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
    """A problem of which the workers of a cluster hold copies. Its sides are numbered: side 0 is
    its cost C, side 1 the transposed cost C'."""

    share: Share
    copies: dict[str, Future] = field(default_factory=dict)
    """The copies: for the address of each worker that has one, Dask's future of it."""
    seconds: list[dict[int, float]] = field(default_factory=lambda: [{}, {}])
    """For each side, the seconds that each tile took the last time it was computed."""


@dataclass(frozen=True)
class Task:
    """The part of an operation that one worker computes: some tiles, and the arguments for them."""

    worker: str
    tiles: list[int]
    arguments: list[Any]

    @property
    def bytes(self) -> int:
        """The size of the arrays among the arguments."""
        return sum(map(_bytes, self.arguments))


@dataclass(frozen=True)
class Exchange:
    """The time and the traffic of one operation."""

    seconds: float
    """From the call to the answer."""

    computing: float
    """Of these, the seconds for which the busiest worker computed, added up over all attempts."""

    bytes: int
    """The size of all arrays that went to the workers and back, without the problem's own."""


class Cluster:
    """The workers of a client's cluster, and all traffic with them. An operation fails when no
    worker answers for `longest` seconds. At most `most` workers are used; None stands for all."""

    def __init__(self, client: Client, longest: float = LONGEST, most: int | None = None) -> None:
        self.client, self.longest, self.most = client, longest, most
        self.last = Exchange(0.0, 0.0, 0)
        """The time and the traffic of the last operation."""
        self.moved = 0
        """The bytes of all arrays that were arguments or results of operations so far."""
        self._known_workers: tuple[float, list[str]] = (-math.inf, [])
        """When the scheduler last named its workers (by `time.monotonic`), and their addresses."""
        self._limit: int | None = None
        """The bytes of memory that Dask allows the worker with the least; None for no limit."""

    def workers(self) -> list[str]:
        """The addresses of the workers that are used; waits if there is none yet. Raises
        ClusterError when none comes within PATIENCE seconds, or the scheduler is lost."""
        if time.monotonic() > self._known_workers[0] + CHECK_EVERY:
            self._known_workers = time.monotonic(), self._workers_now()
        return self._known_workers[1]

    def _workers_now(self) -> list[str]:
        """The workers that the scheduler names, asked until there is one."""
        deadline = time.monotonic() + PATIENCE
        while True:
            self._require_scheduler(deadline)
            known: dict[str, dict[str, Any]] = {}
            if self.client.status == "running":
                with contextlib.suppress(*LOST):  # the lost scheduler may come back: ask again
                    known = self._within(PATIENCE, self.client.scheduler.identity)["workers"]
            if known:
                self._limit = least_limit(worker["memory_limit"] for worker in known.values())
                return sorted(known)[:self.most]
            if self.client.status == "running" and time.monotonic() > deadline:
                raise ClusterError(f"all workers are lost: none within {PATIENCE:g} s")
            time.sleep(0.1)

    def on_tiles(self, problem: Problem, side: int, operation: str, arguments: Sequence[Any]
                 ) -> list[Any]:
        """The results of an operation, one for each tile of this side of the problem, in the order
        of the tiles. An argument `ByRow([values])` is cut into one part for each tile; any other
        goes to every worker whole. Raises ClusterError."""
        begin, moved = time.perf_counter(), self.moved
        number, results, computing = len(problem.share.starts[side]) - 1, dict[int, Any](), 0.0
        expected = problem.seconds[side] or dict.fromkeys(range(number), 1.0)
        try:
            for _ in range(ATTEMPTS):
                left = {tile: expected[tile] for tile in range(number) if tile not in results}
                answers = self._attempt(problem, left, side, operation, arguments)
                computing += max((done.in_all for done in answers), default=0.0)
                for done in answers:
                    results |= done.results
                    expected = expected | done.seconds
                if len(results) == number:
                    problem.seconds[side] = expected
                    self.last = Exchange(time.perf_counter() - begin, computing,
                                         self.moved - moved)
                    return [results[tile] for tile in range(number)]
            raise ClusterError(f"workers were lost {ATTEMPTS} times during {operation}")
        except ClusterError as error:
            error.add_note(f"{len(results)} of {number} tiles of {operation} are computed")
            if self._limit is not None and self.client.status == "running":
                error.add_note(told(problem.share, self._limit))
            raise

    # ------------------------------------------------------------------ one attempt
    def _attempt(self, problem: Problem, left: dict[int, float], side: int, operation: str,
                 arguments: Sequence[Any]) -> list[Computed]:
        """The answers to one attempt at the tiles of `left` (tile: seconds it is expected to take).
        """
        workers, starts = self.workers(), problem.share.starts[side]
        tasks = [Task(worker, tiles, [_cut(each, starts, tiles) for each in arguments])
                 for worker, tiles in zip(workers, shared_out(left, len(workers)), strict=True)
                 if tiles]
        self._send_problem(problem, [task.worker for task in tasks])
        handed: Sequence[Any] = [task.arguments for task in tasks]
        if max(task.bytes for task in tasks) > WITH_TASK:
            handed = self._scattered([(task.worker, task.arguments) for task in tasks])
        futures = []
        for task, given in zip(tasks, handed, strict=True):
            if given is not None and task.worker in problem.copies:
                self.moved += task.bytes
                futures.append(self.client.submit(
                    compute, problem.copies[task.worker], side, operation, task.tiles, given,
                    workers=[task.worker], allow_other_workers=True, pure=False))
        answers = self._answers(futures, operation)
        if len(answers) < len(tasks):  # a worker was lost: ask anew which are there
            self._known_workers = (-math.inf, [])
        return answers

    def _send_problem(self, problem: Problem, workers: list[str]) -> None:
        """Send the problem to those of the workers that have no copy yet."""
        problem.copies = {worker: future for worker, future in problem.copies.items()
                          if future.status == "finished"}
        new = [worker for worker in workers if worker not in problem.copies]
        if not new:
            return
        if self._limit is not None and taken_by(problem.share) > self._limit:
            raise ClusterError("the problem does not fit a worker, each of which holds all points")
        for worker, future in zip(new, self._scattered([(worker, problem.share) for worker in new]),
                                  strict=True):
            if future is not None:
                problem.copies[worker] = future

    def _scattered(self, given: list[tuple[str, Any]]) -> list[Future | None]:
        """Send each (worker, value), all at the same time: the futures of the values on their
        workers, None for a worker that did not receive its value in time."""
        async def one(worker: str, value: Any) -> Future | None:
            try:  # `scatter` sends the items of a list one by one: so the value goes in a list
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
        """The answers of the tasks, without those that were lost with their worker. Raises the
        error that an operation raised on a worker; ClusterError when no task ends for `longest`
        seconds, or the scheduler is lost."""
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
        """A function for `_within`, which fetches the result of a task that has ended."""
        return lambda: self.client.gather(future, direct=True, asynchronous=True)

    # ------------------------------------------------------------------ the connection
    def _require_scheduler(self, deadline: float) -> None:
        """Raise ClusterError if the client has given up the scheduler, or still cannot reach it at
        the deadline (by `time.monotonic`)."""
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
        """The result of `ask`, which returns a coroutine, run in the client's event loop. Raises
        TimeoutError after that many seconds."""
        return self.client.sync(ask, callback_timeout=seconds)


def _lost(error: BaseException, during: str) -> None:
    """Write to the log that a worker, or the connection to it, was lost; the caller goes on."""
    _log.warning("refot: %s during %s; what is missing is computed again", type(error).__name__,
                 during)


def _next(ended: queue.SimpleQueue[Future]) -> Future | None:
    """The next task that has ended, if one does within CHECK_EVERY seconds."""
    try:
        return ended.get(timeout=CHECK_EVERY)
    except queue.Empty:
        return None


def _cut(argument: Any, starts: list[int], tiles: list[int]) -> Any:
    """An argument as it is sent for these tiles: a `ByRow` is cut, any other stays whole."""
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
