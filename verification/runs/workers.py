"""Processes that load a subject, each for itself, and whose death is survived."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections.abc import Callable
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from multiprocessing.connection import wait
from types import TracebackType
from typing import ParamSpec, Self, TypeAlias, TypeVar

from refot.arrays import InputError
from refot.verification.subjects.loading import TargetError
from refot.verification.subjects.subject import Subject

Load: TypeAlias = Callable[[], Subject]
"""Loads the subject; can be pickled."""

P = ParamSpec("P")
T = TypeVar("T")


# ------------------------------------------------------------------ in a process of the crew
_load: list[Load] = []
_subject: list[Subject] = []


def _start(load: Load) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the first process, which ends us
    _load.append(load)
    threading.Thread(target=_end_with_the_first_process, daemon=True).start()


def _end_with_the_first_process() -> None:
    """However that ends: by SIGTERM or SIGKILL too, which it cannot pass on."""
    first = multiprocessing.parent_process()
    if first is not None:
        wait([first.sentinel])
        os._exit(1)


def subject_here() -> Subject:
    """The subject as this process of a crew has loaded it, once. Raises TargetError."""
    if not _subject:
        (load,) = _load
        try:
            _subject.append(load())
        except TargetError:
            raise
        except InputError as error:  # of three arguments, so that it cannot be pickled
            raise TargetError(str(error)) from None
        except Exception as error:  # noqa: BLE001 - a library that is broken here, say
            raise TargetError(f"to load it raises {type(error).__name__}: {error}") from None
    return _subject[0]


# ------------------------------------------------------------------ in the first process
class Crew:
    """At most so many processes, started when they are needed, and again once one has died.

    `deaths` says how often one has. On leaving, none of them is left.
    """

    def __init__(self, load: Load, most: int) -> None:
        self.deaths = 0
        self._load, self._most = load, most
        self._pool: ProcessPoolExecutor | None = None

    def submit(self, function: Callable[P, T], *given: P.args, **named: P.kwargs) -> Future[T]:
        """A call in one of the processes; BrokenProcessPool where one has died, see `bury`."""
        if self._pool is None:
            spawn = multiprocessing.get_context("spawn")
            self._pool = ProcessPoolExecutor(self._most, spawn, _start, (self._load,))
        return self._pool.submit(function, *given, **named)

    def bury(self) -> None:
        """After a death, with which all processes end: the next call starts new ones."""
        self.deaths += 1
        if self._pool is not None:
            self._pool.shutdown()
        self._pool = None

    def alone(self, function: Callable[P, T], *given: P.args, **named: P.kwargs) -> T | None:
        """What the call gives, None where the process dies of it; nothing else is to be in hand."""
        try:
            return self.submit(function, *given, **named).result()
        except BrokenProcessPool:
            self.bury()
            return None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if kind is not None:  # what they do is not waited for
            for process in multiprocessing.active_children():
                process.kill()
        if self._pool is not None:
            self._pool.shutdown(cancel_futures=True)
