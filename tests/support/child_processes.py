"""Child processes of tests: starting them so that signals reach them, and waiting for an event.

No time is measured here. GIVE_UP only ends a test whose event never comes; it is far longer than
any event takes on a loaded machine.
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
"""Seconds after which a test gives up waiting for an event."""


def interruptible(words: Sequence[str], **options: Any) -> subprocess.Popen[Any]:
    """Start a child that Ctrl-C (SIGINT) ends, even if pytest itself ignores that signal.

    Pytest ignores SIGINT if a shell has started it in the background, and a child inherits this.
    But a signal that has a handler in the parent has its default effect in the child. (Python's
    `preexec_fn` would need a fork, which a process with JAX in it must not make.)
    """
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        return subprocess.Popen(words, **options)
    finally:
        signal.signal(signal.SIGINT, before)


def wait_until(happened: Callable[[], bool], what: str) -> None:
    """Return as soon as `happened()` is true. Raises AssertionError, naming `what`, if it never is.
    """
    end = time.monotonic() + GIVE_UP
    while not happened():
        assert time.monotonic() < end, f"never seen: {what}"
        time.sleep(0.005)


def runs(pid: int) -> bool:
    """Whether the process exists and is no zombie, by /proc; without /proc, whether it exists."""
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
