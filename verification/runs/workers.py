"""Worker processes. Each loads the subject itself, and the run survives the death of any of them.

A worker process gets a `Worker` object when it is spawned, and keeps it from one call to the next.
`Workers`, in the first process, hands out the calls.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Collection
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor
from concurrent.futures import wait as wait_for
from concurrent.futures.process import BrokenProcessPool
from functools import cached_property
from multiprocessing.connection import wait
from types import FrameType, TracebackType
from typing import Any, Concatenate, Generic, ParamSpec, Self, TypeAlias, TypeVar

from refot.arrays import InputError
from refot.verification.subjects.loading import TargetError
from refot.verification.subjects.subject import Subject

from .environment import environment, share_of_threads

Load: TypeAlias = Callable[[], Subject]
"""Loads the subject; it is pickled on its way to the worker."""

# the parameters of a method of a worker, and what it returns
P = ParamSpec("P")
T = TypeVar("T")


# ------------------------------------------------------------------ in a worker process
class Worker:
    """The state of a worker process. Subclasses add the methods that the first process can call."""

    def __init__(self, load: Load) -> None:
        self._load = load

    @cached_property
    def subject(self) -> Subject:
        """The subject, loaded by this process when it is first needed. Raises TargetError."""
        try:
            return self._load()
        except TargetError:
            raise
        except InputError as error:
            # also as a TargetError, so that the first process has to expect only one kind of error
            raise TargetError(str(error)) from None
        except Exception as error:  # noqa: BLE001 - a broken library may raise anything
            raise TargetError(f"to load it raises {type(error).__name__}: {error}") from None


_workers: list[Any] = []
"""The worker of this process, in a list of one. A pool keeps nothing between two calls, so that the
worker has to be a variable of a module."""


def _start(worker: Worker) -> None:
    # Ctrl-C reaches this process, too; it is ignored, because the first process ends its workers
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    _workers[:] = [worker]
    threading.Thread(target=_end_with_the_first_process, daemon=True).start()


def _end_with_the_first_process() -> None:
    """End this process as soon as the first one has ended, even if SIGKILL ended that."""
    first = multiprocessing.parent_process()
    if first is not None:
        wait([first.sentinel])
        os._exit(1)


def _call(method: Callable[..., T], arguments: tuple[Any, ...], named: dict[str, Any]) -> T:
    (worker,) = _workers
    return method(worker, *arguments, **named)


# ------------------------------------------------------------------ in the first process
W = TypeVar("W", bound=Worker)

LOOK_AGAIN = 0.2
"""Seconds between two looks whether Ctrl-C was pressed."""


class Workers(Generic[W]):
    """At most `most` worker processes, started when they are first needed. Each has its share of
    the cores for its threads.

    `deaths` counts how often one has died. At the end of the `with` block none is left.

    In the block, Ctrl-C raises KeyboardInterrupt only while the outcome of a call is awaited.
    Raised at once, it could interrupt the pool while it holds a lock, for which the end of the pool
    would then wait for ever. A second Ctrl-C ends the process with status 130.
    """

    def __init__(self, worker: W, most: int) -> None:
        self.deaths = 0
        self._worker, self._most = worker, most
        self._pool: ProcessPoolExecutor | None = None
        self._interrupted = False

    def submit(
        self, method: Callable[Concatenate[W, P], T], *arguments: P.args, **named: P.kwargs
    ) -> Future[T]:
        """Call a method of the worker in one of the processes.

        The future raises BrokenProcessPool if a process dies: see `restart_after_death`.
        """
        if self._pool is None:
            spawn = multiprocessing.get_context("spawn")
            self._pool = ProcessPoolExecutor(self._most, spawn, _start, (self._worker,))
        with environment(share_of_threads(self._most)):  # the call may start a process
            return self._pool.submit(_call, method, arguments, named)

    def ended(self, calls: Collection[Future[T]]) -> set[Future[T]]:
        """Wait until at least one of the calls has ended, and return those that have.

        Raises KeyboardInterrupt after Ctrl-C.
        """
        while True:
            done = wait_for(calls, LOOK_AGAIN, FIRST_COMPLETED).done
            if self._interrupted:
                raise KeyboardInterrupt
            if done:
                return done

    def restart_after_death(self) -> None:
        """Count a death and give up the pool, which has ended all its processes because of it.

        The next call starts new ones.
        """
        self.deaths += 1
        if self._pool is not None:
            self._pool.shutdown()
        self._pool = None

    def alone(
        self, method: Callable[Concatenate[W, P], T], *arguments: P.args, **named: P.kwargs
    ) -> T | None:
        """Make a call while no other is running, and return its outcome; None if the process dies.

        The death of a process ends all calls, so another one would be lost, too.
        """
        try:
            (ended,) = self.ended([self.submit(method, *arguments, **named)])
            return ended.result()
        except BrokenProcessPool:
            self.restart_after_death()
            return None

    def _interrupt(self, number: int, frame: FrameType | None) -> None:
        """Handle Ctrl-C."""
        if self._interrupted:
            _kill_children()
            os._exit(130)
        self._interrupted = True

    def __enter__(self) -> Self:
        self._main = threading.current_thread() is threading.main_thread()
        if self._main:  # only the main thread may set a handler, and only it receives signals
            self._before = signal.signal(signal.SIGINT, self._interrupt)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if kind is not None:  # after an error or Ctrl-C the work in progress is not waited for
            _kill_children()
        if self._pool is not None:
            self._pool.shutdown(cancel_futures=True)
        if self._main:
            signal.signal(signal.SIGINT, self._before)
        if self._interrupted and kind is None:  # Ctrl-C came after the last call
            raise KeyboardInterrupt


def _kill_children() -> None:
    for process in multiprocessing.active_children():
        process.kill()
