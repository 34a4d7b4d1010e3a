"""Limits on what a subject may take: seconds a call, seconds in all, and memory.

A Python subject runs in this process: a call that takes too long is interrupted by a signal, and
ends as an error of that check. A program of its own is killed, with all that it started.
"""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

from .subjects import Subject

LARGEST_FILE = 256 << 20
"""Bytes of any file that a program writes, at most: no limit of memory bounds the disk."""


@dataclass(frozen=True)
class Limits:
    """`call` seconds an answer, `run` seconds all answers together, `memory` bytes a process."""

    call: float = 120.0
    run: float = 1200.0
    memory: int = 4 << 30


class _OutOfTime(BaseException):
    """Raised within the call; no `except Exception` of a subject keeps it."""


@contextlib.contextmanager
def time_limit(seconds: float) -> Iterator[None]:
    """Raise TimeoutError where the block takes more than so many seconds.

    Needs POSIX and the main thread, and does nothing elsewhere. It interrupts Python; a call into
    compiled code is interrupted when it returns.
    """
    in_main = threading.current_thread() is threading.main_thread()
    if not in_main or not hasattr(signal, "setitimer"):
        yield
        return

    def end(*_: object) -> None:
        raise _OutOfTime

    before = signal.signal(signal.SIGALRM, end)
    signal.setitimer(signal.ITIMER_REAL, seconds, 1.0)  # again each second: once may be swallowed
    try:
        yield
    except _OutOfTime:
        raise TimeoutError(f"no answer within {seconds:g} s") from None
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


@dataclass(frozen=True)
class _Timed:
    """A capability under a time limit."""

    function: Callable[..., Any]
    seconds: float

    def __call__(self, *arguments: Any) -> Any:
        with time_limit(self.seconds):
            return self.function(*arguments)


def timed(subject: Subject, seconds: float) -> Subject:
    """The subject with every call under a time limit."""
    parts = tuple(
        replace(part, capabilities={name: _Timed(function, seconds)
                                    for name, function in part.capabilities.items()})
        for part in subject.parts)
    return replace(subject, parts=parts)


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
