"""Running a kernel over blocks of rows on several threads, once it is compiled. No equation here.

A kernel works on the rows i0 to i1 - 1 of a problem. It runs without the interpreter's lock, so
that Python's own threads can run it at the same time. Numba's threading layers are not used: such a
layer cannot serve two calling threads at once, and does not survive a fork. Small problems run on
the calling thread alone.
"""

from __future__ import annotations

import logging
import os
import sys
import threading
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numba
import numpy as np

from refot.arrays import Array

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

SMALL = 1 << 22
"""A problem of at most this number of arithmetic operations, about 0.1 ms, runs on one thread: on a
busy machine a second one may start only after 20 ms."""

BLOCKS = 8
"""Blocks of rows for each thread. At the end, threads wait for the slowest one, on average for half
the time of a block: this time is shorter if there are more blocks."""

LARGE = 1 << 34
"""The largest number of operations in a block, about half a second: an interrupt (Ctrl-C) takes
effect only when the running block has ended."""

PATIENCE = 0.5
"""Seconds after which the user is told that a kernel is being compiled."""

_log = logging.getLogger(__name__)


_alone = threading.local()
"""Its attribute `held` says whether this thread is within `one_thread`."""


@contextmanager
def one_thread() -> Iterator[None]:
    """Within the `with` block, kernels that this thread calls run on this thread alone."""
    before, _alone.held = getattr(_alone, "held", False), True
    try:
        yield
    finally:
        _alone.held = before


class Launcher:
    """Runs kernels on NUMBA_NUM_THREADS threads: the calling thread and helpers in a pool."""

    def __init__(self) -> None:
        self._start_afresh()
        if hasattr(os, "register_at_fork"):
            os.register_at_fork(after_in_child=self._start_afresh)  # threads are not forked

    def _start_afresh(self) -> None:
        self._pool: ThreadPoolExecutor | None = None
        self._starting = threading.Lock()

    def __call__(self, n: int, operations: int, kernel: Callable[..., Any], *arguments: Any,
                 unit: int = 8, most: int = sys.maxsize) -> list[Any]:
        """The results of kernel(*arguments, i0, i1) for blocks of the n rows, in their order.

        A row takes about this number of `operations`. A block has at most `most` rows. The number
        of rows of each block but the last is a multiple of `unit`, and so is `most`."""
        results: dict[int, Any] = {}
        self._over_blocks(n, operations, kernel, arguments, unit, most, results.__setitem__)
        return [results[block] for block in range(len(results))]

    def added(self, n: int, operations: int, kernel: Callable[..., Any], *arguments: Any) -> Array:
        """The sum of the arrays that the kernel returns for the blocks of rows.

        They are added in the order of the blocks, so that every run gives the same digits. Each is
        added as soon as those before it are, so that few are in memory at once."""
        total = SumInOrder()
        self._over_blocks(n, operations, kernel, arguments, 8, sys.maxsize, total)
        return total.sum

    def _over_blocks(self, n: int, operations: int, kernel: Callable[..., Any],
                     arguments: tuple[Any, ...], unit: int, most: int,
                     collect: Callable[[int, Any], None]) -> None:
        """Call collect(block, kernel(*arguments, i0, i1)) for every block 0, 1, ..., in any order.
        """
        many = n * operations > SMALL and not getattr(_alone, "held", False)
        threads = int(numba.config.NUMBA_NUM_THREADS) if many else 1
        size = min(-(-n // (BLOCKS * threads)), max(LARGE // operations, 1)) if threads > 1 else n
        size = min(-(-size // unit) * unit, most)
        starts = range(0, n, size)

        def work(block: int) -> None:
            i0 = starts[block]
            collect(block, kernel(*arguments, i0, min(i0 + size, n)))

        left = deque(range(len(starts)))
        with _compiling(kernel, (*arguments, 0, n)) as compiled:
            if not compiled:  # the first call compiles, on this thread alone
                work(left.popleft())
        self._share(work, left, min(threads, len(left)))

    def _share(self, work: Callable[[int], None], left: deque[int], threads: int) -> None:
        """Do the work of the blocks in `left`, on the calling thread and on helpers.

        Each thread takes the next block when it is free. So a helper that the system does not
        schedule takes no block, and nobody waits for it."""
        def help_out() -> None:
            while left:
                try:
                    block = left.popleft()
                except IndexError:  # another thread took the last
                    return
                try:
                    work(block)
                except BaseException:
                    left.clear()  # the other threads stop after their present block
                    raise

        helpers: list[Future[None]] = []
        try:
            for _ in range(threads - 1):
                helpers.append(self._threads().submit(help_out))
            help_out()
        finally:
            left.clear()  # not empty only if the calling thread was interrupted
            wait([helper for helper in helpers if not helper.cancel()])
        for helper in helpers:
            if not helper.cancelled():
                helper.result()

    def _threads(self) -> ThreadPoolExecutor:
        """The pool of helper threads, started when it is first needed."""
        with self._starting:
            if self._pool is None:
                number = int(numba.config.NUMBA_NUM_THREADS) - 1
                self._pool = ThreadPoolExecutor(number, "refot-numba")
            return self._pool


class SumInOrder:
    """The sum of arrays, numbered from 0, that arrive in any order but are added in the order of
    their numbers: an array that arrives early is kept until its turn."""

    sum: Array

    def __init__(self) -> None:
        self._waiting: dict[int, Array] = {}
        self._next, self._lock = 0, threading.Lock()

    def __call__(self, number: int, part: Array) -> None:
        """Array `number` has arrived: add it and those that waited for it, or keep it."""
        with self._lock:
            self._waiting[number] = part
            while self._next in self._waiting:
                part = self._waiting.pop(self._next)
                if self._next == 0:
                    self.sum = part
                else:
                    self.sum += part
                self._next += 1


_compiled: set[Any] = set()
"""The (kernel, `_kind` of its arguments) for which the kernel is known to be compiled."""


@contextmanager
def _compiling(kernel: Any, arguments: tuple[Any, ...]) -> Iterator[bool]:
    """Yields whether the kernel is compiled for such arguments. If it is not, the `with` block, in
    which the caller calls it, holds the kernel's lock, and the user is told if that takes long.

    Two processes that compile one kernel at the same time might write the same file of Numba's disk
    cache. So each kernel has a lock in the folder of the cache: only one process at a time looks
    for the compiled kernel there, compiles and saves it. Without fcntl (on Windows) nothing is
    locked.
    """
    kind = kernel, _kind(arguments)
    if kind in _compiled or tuple(map(numba.typeof, arguments)) in kernel.overloads:
        _compiled.add(kind)
        yield True
        return
    folder = Path(kernel.stats.cache_path)
    folder.mkdir(parents=True, exist_ok=True)
    name = kernel.py_func.__name__
    with open(folder / f"{name}.lock", "a", encoding="utf-8") as file, _telling(name):
        if fcntl is not None:
            fcntl.flock(file, fcntl.LOCK_EX)  # released as the file is closed, or the process ends
        yield False


def _kind(argument: Any) -> Any:
    """What Numba's type of an argument depends on: it is equal for two arguments only if their
    Numba types are. It takes a twentieth of the time of `numba.typeof`."""
    if isinstance(argument, np.ndarray):
        flags = argument.flags
        return (argument.dtype, argument.ndim, flags.c_contiguous, flags.f_contiguous,
                flags.writeable, flags.aligned)
    if isinstance(argument, tuple):
        return type(argument), *map(_kind, argument)
    return type(argument)


@contextmanager
def _telling(name: str) -> Iterator[None]:
    """If the `with` block takes longer than PATIENCE seconds, write one line to the log at INFO,
    and to standard error if that is a terminal."""
    def tell() -> None:
        line = f"refot: compiling the kernel {name}: some seconds, once; it is kept on disk"
        _log.info(line)
        if sys.stderr.isatty():
            sys.stderr.write(line + "\n")

    timer = threading.Timer(PATIENCE, tell)
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()
