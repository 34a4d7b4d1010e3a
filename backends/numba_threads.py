"""Starting a threaded kernel safely from any thread and any process. No equation here.

Two limits of Numba's threading layers are turned into order and into a clear error: the simplest
layer ends the process when two threads start kernels at once, and GNU OpenMP ends a forked child
that starts a kernel after its parent did. Small problems run on the calling thread alone.
"""

from __future__ import annotations

import os
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numba

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

SMALL = 1 << 22
"""Operations below which one thread is used, about 0.1 ms of them: on a busy machine, waiting for a
second thread to be scheduled can take 20 ms."""


class ForkedProcessError(RuntimeError):
    """A kernel was asked for in a forked child of a process that had used OpenMP threads."""


class Launcher:
    """Runs one kernel at a time: each has all the threads."""

    def __init__(self) -> None:
        self._one_at_a_time = threading.Lock()
        self._started = self._lost_to_fork = False
        if hasattr(os, "register_at_fork"):
            os.register_at_fork(after_in_child=self._after_fork)

    def _after_fork(self) -> None:
        self._one_at_a_time = threading.Lock()  # another thread may have held it
        self._lost_to_fork = self._started and numba.threading_layer() == "omp"

    def __call__(self, operations: int, kernel: Callable[..., None], *arguments: Any) -> None:
        """`kernel(*arguments)`, of about so many operations. Raises ForkedProcessError."""
        if self._lost_to_fork:
            raise ForkedProcessError(
                "numba: this process was forked from one that had already run a kernel, and GNU "
                "OpenMP cannot go on in a fork; start it with multiprocessing's 'spawn' or "
                "'forkserver', or use the numpy backend"
            )
        threads = 1 if operations < SMALL else numba.get_num_threads()
        with self._one_at_a_time, _threads(threads), _compiling(kernel, arguments):
            kernel(*arguments)
            self._started = True


@contextmanager
def _compiling(kernel: Any, arguments: tuple[Any, ...]) -> Iterator[None]:
    """Where the kernel is not compiled yet, hold a lock that all processes of this user share.

    Two processes that compile two types of one kernel at once may write the same file of Numba's
    disk cache. Where there is no fcntl (Windows), nothing is held.
    """
    if fcntl is None or tuple(map(numba.typeof, arguments)) in kernel.overloads:
        yield
        return
    path = os.path.join(tempfile.gettempdir(), f"refot-numba-{os.getuid()}.lock")
    with open(path, "a", encoding="utf-8") as file:
        fcntl.flock(file, fcntl.LOCK_EX)  # released as the file is closed, or the process ends
        yield


@contextmanager
def _threads(number: int) -> Iterator[None]:
    before = numba.get_num_threads()
    numba.set_num_threads(number)
    try:
        yield
    finally:
        numba.set_num_threads(before)


def block_size(n: int, unit: int, most: int) -> int:
    """Rows in a block: about four blocks for each thread; a multiple of `unit`, at most `most`."""
    rows = -(-n // (4 * int(numba.get_num_threads())))
    return min(most, -(-rows // unit) * unit)
