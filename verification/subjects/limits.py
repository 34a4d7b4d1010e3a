"""Limits on what a subject may take: seconds a call, seconds in all, and memory.

A Python subject runs in this process: a call that takes too long is interrupted by a signal, one
that takes too much memory is refused it, and either ends as an error of that check. A program of
its own is killed, with all that it started.
"""

from __future__ import annotations

import contextlib
import os
import signal
import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from contextvars import ContextVar
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from .subject import Part, Subject

LARGEST_FILE = 256 << 20
"""Bytes of any file that a program writes, at most: no limit of memory bounds the disk."""


@dataclass(frozen=True)
class Limits:
    """`call` seconds an answer, `run` seconds all answers of a program together, `memory` bytes: of
    a program, or on top of what is there when a call into Python begins."""

    call: float = 120.0
    run: float = 1200.0
    memory: int = 4 << 30


class _OutOfTime(BaseException):
    """Raised within the call; no `except Exception` of a subject keeps it."""


@contextlib.contextmanager
def time_limit(seconds: float) -> Iterator[None]:
    """Raise TimeoutError where the block takes more than so many seconds.

    Needs POSIX and the main thread, and does nothing elsewhere. It interrupts Python; a call into
    compiled code is interrupted when it returns. Of limits within each other the first one holds.
    """
    in_main = threading.current_thread() is threading.main_thread()
    if not in_main or not hasattr(signal, "setitimer"):
        yield
        return
    left, _ = signal.getitimer(signal.ITIMER_REAL)
    if 0 < left <= seconds:
        yield
        return

    def end(*_: object) -> None:
        raise _OutOfTime

    before, start = signal.signal(signal.SIGALRM, end), time.monotonic()
    signal.setitimer(signal.ITIMER_REAL, seconds, 1.0)  # again each second: once may be swallowed
    try:
        yield
    except _OutOfTime:
        raise TimeoutError(f"no answer within {seconds:g} s") from None
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
        if left:  # the limit around this one runs on
            signal.setitimer(signal.ITIMER_REAL, max(1e-3, left + start - time.monotonic()), 1.0)


@contextlib.contextmanager
def memory_limit(memory: int) -> Iterator[None]:
    """Refuse this process more than so many bytes on top of what it has: a MemoryError.

    The data segment is bounded, as in `limit_process`; it does nothing where that is not Linux.
    """
    try:
        import resource

        pages = int(Path("/proc/self/statm").read_text().split()[5])
    except (ImportError, OSError):
        yield
        return
    soft, hard = resource.getrlimit(resource.RLIMIT_DATA)
    least = pages * os.sysconf("SC_PAGE_SIZE") + memory
    for bound in (soft, hard):
        least = least if bound == resource.RLIM_INFINITY else min(least, bound)
    resource.setrlimit(resource.RLIMIT_DATA, (least, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_DATA, (soft, hard))


@dataclass(frozen=True)
class _Limited:
    """A capability under limits of time and memory."""

    function: Callable[..., Any]
    seconds: float
    memory: int | None

    def __call__(self, *arguments: Any) -> Any:
        bounded = contextlib.nullcontext() if self.memory is None else memory_limit(self.memory)
        with time_limit(self.seconds), bounded:
            return self.function(*arguments)


class Clocked(ABC):
    """A capability that keeps the time itself: what waits for a program kills it where it is late,
    and an alarm that rang meanwhile would interrupt just that."""

    @abstractmethod
    def __call__(self, *arguments: Any) -> Any:
        """The answer. Raises TimeoutError where it is late."""

    @abstractmethod
    def within(self, seconds: float) -> Callable[..., Any]:
        """The capability, with so many seconds for each call."""

    @abstractmethod
    def clock(self) -> float:
        """Seconds for which answers were waited, all together: what refot does itself with what is
        asked and answered is no time of the subject."""


def limited(part: Part, seconds: float, memory: int | None = None) -> Part:
    """The part with every call under a limit of time, and of memory where one is given."""
    def bounded(function: Callable[..., Any]) -> Callable[..., Any]:
        if isinstance(function, Clocked):
            return function.within(seconds)
        return _Limited(function, seconds, memory)

    return replace(part, capabilities={name: bounded(function)
                                       for name, function in part.capabilities.items()})


def limited_subject(subject: Subject, limits: Limits) -> Subject:
    """The subject with every call under its limits."""
    return replace(subject, parts=tuple(limited(part, limits.call, limits.memory)
                                        for part in subject.parts))


# ------------------------------------------------------------------ calls that are to be refused
REFUSAL: ContextVar[bool] = ContextVar("a refusal is expected", default=False)
"""Whether the present call has arguments that a subject should refuse: a program that dies of them
has done so, and is asked on."""


@contextlib.contextmanager
def refusal_expected() -> Iterator[None]:
    """Within it, REFUSAL is true."""
    token = REFUSAL.set(True)
    try:
        yield
    finally:
        REFUSAL.reset(token)


# ------------------------------------------------------------------ programs
def limit_process(pid: int, memory: int) -> None:
    """Bound the memory and the files of a process just started, where the system can (Linux).

    The data segment is bounded, not the address space: runtimes such as V8 reserve far more
    addresses than they use.
    """
    with contextlib.suppress(ImportError, AttributeError, ProcessLookupError, PermissionError):
        import resource

        for what, most in ((resource.RLIMIT_DATA, memory), (resource.RLIMIT_FSIZE, LARGEST_FILE),
                           (resource.RLIMIT_CORE, 0)):
            _, hard = resource.prlimit(pid, what)
            least = most if hard == resource.RLIM_INFINITY else min(most, hard)
            resource.prlimit(pid, what, (least, least))
