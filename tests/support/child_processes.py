"""Children of tests: started so that signals reach them, waited for until something has happened.

No wait here is a measurement. GIVE_UP only ends a test whose event never comes; it is far beyond
what a loaded machine takes.
"""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

GIVE_UP = 300.0
"""Seconds after which an event is taken never to come."""


def interruptible(words: Sequence[str], **options: Any) -> subprocess.Popen[Any]:
    """A child that Ctrl-C ends, whatever pytest's own parent did with the signal.

    A shell that puts pytest in the background lets it ignore SIGINT, and a child inherits that; a
    signal that is handled here has its default effect there. (Nothing runs in the child before its
    program does: that would need a fork, which a process with JAX in it must not make.)
    """
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        return subprocess.Popen(words, **options)
    finally:
        signal.signal(signal.SIGINT, before)


def wait_until(happened: Callable[[], bool], what: str) -> None:
    """Return once it has happened; an AssertionError that says `what` is missing if it never does.
    """
    end = time.monotonic() + GIVE_UP
    while not happened():
        assert time.monotonic() < end, f"never seen: {what}"
        time.sleep(0.005)


def runs(pid: int) -> bool:
    """Whether the process is there and no zombie, by /proc; where there is no /proc, by a signal.
    """
    try:
        text = Path(f"/proc/{pid}/stat").read_text()
    except FileNotFoundError:
        if Path("/proc/self/stat").exists():
            return False
    except ProcessLookupError:
        return False
    else:
        return text.rpartition(")")[2].split()[0] not in "ZX"
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def wait_until_gone(pid: int) -> None:
    """Return once the process has ended."""
    wait_until(lambda: not runs(pid), f"the end of process {pid}")
