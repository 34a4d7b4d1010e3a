"""Ctrl-C and SIGTERM during a run: the first one waits until the present step is done."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType


@contextmanager
def signals() -> Iterator[list[signal.Signals]]:
    """Within the `with` block, the first Ctrl-C or SIGTERM is only appended to the list that is
    yielded; the second one has its usual effect.

    Python handles signals in the main thread of a process alone; in another thread the list stays
    empty.
    """
    received: list[signal.Signals] = []
    if threading.current_thread() is not threading.main_thread():
        yield received
        return
    before = {each: signal.getsignal(each) for each in (signal.SIGINT, signal.SIGTERM)}

    def note(number: int, _: FrameType | None) -> None:
        received.append(signal.Signals(number))
        for each, handler in before.items():
            signal.signal(each, handler)

    try:
        for each in before:
            signal.signal(each, note)
        yield received
    finally:
        for each, handler in before.items():
            signal.signal(each, handler)
