"""Worker processes: each loads the subject for itself, and the run survives the death of any.

A worker is spawned with a `Worker` object, which it keeps from one call to the next; `Workers`, in
the first process, hands out the calls.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections.abc import Callable
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from functools import cached_property
from multiprocessing.connection import wait
from types import TracebackType
from typing import Any, Concatenate, Generic, ParamSpec, Self, TypeAlias, TypeVar

from refot.arrays import InputError
from refot.verification.subjects.loading import TargetError
from refot.verification.subjects.subject import Subject

Load: TypeAlias = Callable[[], Subject]
"""Loads the subject; it is pickled on its way to the worker."""

P = ParamSpec("P")
T = TypeVar("T")


# ------------------------------------------------------------------ in a worker process
class Worker:
    """What a worker process keeps between two calls. What it does is a method of a subclass."""

    def __init__(self, load: Load) -> None:
        self._load = load

    @cached_property
    def subject(self) -> Subject:
        """The subject, loaded by this process when it is first needed. Raises TargetError."""
        try:
            return self._load()
        except TargetError:
            raise
        except InputError as error:  # so that the first process has one kind of error to expect
            raise TargetError(str(error)) from None
        except Exception as error:  # noqa: BLE001 - a library that is broken here, say
            raise TargetError(f"to load it raises {type(error).__name__}: {error}") from None


_workers: list[Any] = []
"""The worker of this process, alone. Between calls a pool keeps nothing for us but modules."""


def _start(worker: Worker) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the first process, which ends us
    _workers[:] = [worker]
    threading.Thread(target=_end_with_the_first_process, daemon=True).start()


def _end_with_the_first_process() -> None:
    """Also when that is ended by SIGTERM or SIGKILL, of which it cannot tell its workers."""
    first = multiprocessing.parent_process()
    if first is not None:
        wait([first.sentinel])
        os._exit(1)


def _call(method: Callable[..., T], arguments: tuple[Any, ...], named: dict[str, Any]) -> T:
    (worker,) = _workers
    return method(worker, *arguments, **named)


# ------------------------------------------------------------------ in the first process
W = TypeVar("W", bound=Worker)


class Workers(Generic[W]):
    """At most `most` worker processes, started when they are first needed.

    `deaths` counts the processes that died; `restart_after_death` makes room for new ones. None of
    them is left when the `with` block ends.
    """

    def __init__(self, worker: W, most: int) -> None:
        self.deaths = 0
        self._worker, self._most = worker, most
        self._pool: ProcessPoolExecutor | None = None

    def submit(
        self, method: Callable[Concatenate[W, P], T], *arguments: P.args, **named: P.kwargs
    ) -> Future[T]:
        """Call a method of the worker in one of the processes.

        The future raises BrokenProcessPool if a process dies: see `restart_after_death`.
        """
        if self._pool is None:
            spawn = multiprocessing.get_context("spawn")
            self._pool = ProcessPoolExecutor(self._most, spawn, _start, (self._worker,))
        return self._pool.submit(_call, method, arguments, named)

    def restart_after_death(self) -> None:
        """Count a death, with which the pool ends all its processes; the next call starts new ones.
        """
        self.deaths += 1
        if self._pool is not None:
            self._pool.shutdown()
        self._pool = None

    def alone(
        self, method: Callable[Concatenate[W, P], T], *arguments: P.args, **named: P.kwargs
    ) -> T | None:
        """What the call returns, None if the process dies of it. No other call may be running, for
        it would be lost too."""
        try:
            return self.submit(method, *arguments, **named).result()
        except BrokenProcessPool:
            self.restart_after_death()
            return None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if kind is not None:  # an error or Ctrl-C: do not wait for what the workers are doing
            for process in multiprocessing.active_children():
                process.kill()
        if self._pool is not None:
            self._pool.shutdown(cancel_futures=True)
