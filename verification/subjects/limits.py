"""Limits on what a subject may use: seconds for each call, seconds for all calls, and memory.

A Python subject runs in this process: a call that takes too long is interrupted by a signal, and
one that wants too much memory gets a MemoryError. Either ends only the check that made the call. A
program in another language is killed, with all processes that it started.
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
"""Bytes: the largest file that a program may write. A limit of memory does not bound the disk."""


@dataclass(frozen=True)
class Limits:
    """How much a subject may use.

    `call`: seconds for one answer. `run`: seconds for all answers of a program together.

    `memory`: bytes. A program may use this much in all; a call of a Python function, this much on
    top of what the process uses when the call begins.
    """

    call: float = 120.0
    run: float = 1200.0
    memory: int = 4 << 30


class _OutOfTime(BaseException):
    """The handler of the alarm raises it inside the call of the subject. It is no Exception, so
    that an `except Exception` of the subject does not catch it."""


@contextlib.contextmanager
def time_limit(seconds: float) -> Iterator[None]:
    """Raise TimeoutError if the block takes more than `seconds`.

    Needs POSIX and the main thread, and does nothing elsewhere. It interrupts Python code; a call
    into compiled code is interrupted once it returns. Of nested limits the one that ends first
    holds.
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
    # the alarm rings again each second, since the subject may swallow one
    signal.setitimer(signal.ITIMER_REAL, seconds, 1.0)
    try:
        yield
    except _OutOfTime:
        raise TimeoutError(f"no answer within {seconds:g} s") from None
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
        if left:  # this limit was nested in another one, whose alarm is set again
            signal.setitimer(signal.ITIMER_REAL, max(1e-3, left + start - time.monotonic()), 1.0)


@contextlib.contextmanager
def alarm_held() -> Iterator[None]:
    """Put off an alarm of `time_limit` that rings in this block until the end of the block.

    For a step that must not be left half done, such as the start of a process: interrupted in it,
    refot would not know the process, and never end it.
    """
    if threading.current_thread() is not threading.main_thread() or not hasattr(signal, "SIGALRM"):
        yield
        return
    rung: list[int] = []
    before = signal.signal(signal.SIGALRM, lambda number, _: rung.append(number))
    try:
        yield
    finally:
        signal.signal(signal.SIGALRM, before)
        if rung:
            signal.raise_signal(signal.SIGALRM)


@contextlib.contextmanager
def memory_limit(memory: int) -> Iterator[None]:
    """Raise MemoryError if the block wants more than `memory` bytes on top of what is in use.

    It bounds the data segment, as `limit_process` does, and does nothing where there is no /proc.
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
    """A capability that keeps its time limit itself, so that `time_limit` is not put around it.

    It waits for a program, and kills the program if it is late. An alarm of `time_limit` would ring
    just then, and interrupt the killing.
    """

    @abstractmethod
    def __call__(self, *arguments: Any) -> Any:
        """The answer. Raises TimeoutError if it is late."""

    @abstractmethod
    def within(self, seconds: float) -> Callable[..., Any]:
        """The same capability with `seconds` for each call."""

    @abstractmethod
    def clock(self) -> float:
        """Seconds spent waiting for answers, in all calls so far.

        What refot itself needs to write requests and read answers is not counted.
        """


def limited(part: Part, seconds: float, memory: int | None = None) -> Part:
    """The part with a time limit for every call, and a limit of memory if one is given."""
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
"""Whether the present call has bad arguments. A program that dies of them has refused them, and is
started again for the next request; one that dies of sound arguments is not asked any more."""


@contextlib.contextmanager
def refusal_expected() -> Iterator[None]:
    """Sets REFUSAL to true within the block."""
    token = REFUSAL.set(True)
    try:
        yield
    finally:
        REFUSAL.reset(token)


# ------------------------------------------------------------------ programs
def limit_process(pid: int, memory: int) -> None:
    """Bound the memory and the size of files of a process just started. Linux only.

    It bounds the data segment and not the address space, because runtimes such as V8 reserve far
    more addresses than they use.
    """
    with contextlib.suppress(ImportError, AttributeError, ProcessLookupError, PermissionError):
        import resource

        for what, most in ((resource.RLIMIT_DATA, memory), (resource.RLIMIT_FSIZE, LARGEST_FILE),
                           (resource.RLIMIT_CORE, 0)):
            _, hard = resource.prlimit(pid, what)
            least = most if hard == resource.RLIM_INFINITY else min(most, hard)
            resource.prlimit(pid, what, (least, least))
