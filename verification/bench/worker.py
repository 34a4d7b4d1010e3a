"""What runs in a peer's process: it answers requests about one problem until the pipe closes.

A request is ("run", accuracy), ("judge",) for the answer of the last run, or ("half",) for one
half-iteration. A reply is a Ready, a Run, a Judgement, seconds, or a Failure that ends the process.
"""

from __future__ import annotations

import importlib
import math
import os
import sys
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, TypeAlias

from refot.verification.subjects.limits import limit_process

from .criterion import Answer, Judgement, judge
from .peers.peer import Peer, Solve
from .peers.table import find_peer
from .problems import Instance

WARM_UP = 0.5
"""The accuracy of a first run, which compiles and is not timed."""


COMPILING = 20.0
"""Seconds of the processor that a first run has for compiling, in addition to its limit."""

OUT_OF_PROCESSOR_TIME = 24
"""The number of the signal SIGXCPU (on Linux and macOS), which ends a process that exceeds its
limit of processor time."""


@dataclass(frozen=True)
class Ready:
    """The first reply, when the peer is ready. Its warm-up, with compilation, took `warm_up`
    seconds."""

    version: str
    warm_up: float


@dataclass(frozen=True)
class Run:
    """One run: `seconds` by the clock, `processor` seconds of all processors together, and
    `iterations` if the peer reports them.

    `peak` is the largest memory of the process so far, in bytes above that before its first run.
    """

    accuracy: float
    seconds: float
    processor: float
    iterations: int | None
    peak: int


@dataclass(frozen=True)
class Failure:
    """The reply in place of a result: why there is none, in a line."""

    reason: str


Reply: TypeAlias = Ready | Run | Judgement | float | Failure
"""What the process sends back to a request."""


class PeerServer:
    """A peer, its problem, and its last answer.

    `base`: bytes of memory in use before the first run. `processor`: the limit of one run, in
    seconds of the processor."""

    def __init__(self, peer: Peer, instance: Instance, base: int, processor: float = math.inf
                 ) -> None:
        self.peer, self.instance, self.base, self.processor = peer, instance, base, processor
        self._solve: Solve | None = None
        self._half: Callable[[], Any] | None = None
        self.answer: Answer | None = None

    def run(self, accuracy: float) -> Run:
        """One solve to that accuracy. The first call also prepares the problem, untimed."""
        compiling = COMPILING if self._solve is None else 0.0
        if self._solve is None:
            self._solve = self.peer.prepare(self.instance)
        begun, processor = time.perf_counter(), time.process_time()
        with processor_limit(self.processor + compiling):
            self.answer = self._solve(accuracy)
        return Run(accuracy, time.perf_counter() - begun, time.process_time() - processor,
                   self.answer.iterations, peak_memory() - self.base)

    def judge(self) -> Judgement:
        """The measures of the last answer."""
        assert self.answer is not None
        return judge(self.instance, self.answer)

    def half(self) -> float:
        """Seconds of a half-iteration; a first one, not counted, compiles."""
        if self._half is None:
            assert self.peer.half is not None
            self._half = self.peer.half(self.instance)
            self._half()
        begun = time.perf_counter()
        self._half()
        return (time.perf_counter() - begun) / self.peer.halves


def peak_memory() -> int:
    """The most bytes that this process has had resident.

    On Linux that is since the last `forget_peak`, read from /proc. Elsewhere it is since the start
    of the process, as `resource` reports it.
    """
    status = Path("/proc/self/status")
    if status.exists():
        return 1024 * int(status.read_text(encoding="ascii").split("VmHWM:")[1].split()[0])
    import resource

    unit = 1 if sys.platform == "darwin" else 1024
    return unit * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def forget_peak() -> None:
    """Start the measurement of the peak anew, where the system can (Linux)."""
    with suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5", encoding="ascii")


def serve(
    connection: Connection, name: str, instance: Instance, memory: int, threads: int,
    processor: float, solving: bool,
) -> None:
    """Answer requests about one peer on one problem, within `memory` bytes, on `threads` cores, and
    within `processor` seconds of these cores for each run."""
    warnings.simplefilter("ignore")  # our measures of the answer decide, not what a peer says
    with silence(), connection:
        try:
            limit_process(os.getpid(), memory)
            keep_to(threads)
            worker, ready = start(name, instance, solving, processor)
            connection.send(ready)
            while True:
                verb, *arguments = connection.recv()
                connection.send(getattr(worker, verb)(*arguments))
        except EOFError:
            return
        except Exception as error:  # noqa: BLE001 - whatever a peer raises is its result
            connection.send(Failure(f"{type(error).__name__}: {error}".splitlines()[0][:200]))


def keep_to(threads: int) -> None:
    """Use no more cores than threads, where the system can: XLA takes all cores that it sees."""
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:threads])


@contextmanager
def processor_limit(seconds: float) -> Iterator[None]:
    """Within the block the system ends this process after about that many seconds of the processor,
    where it can (not on Windows)."""
    if math.isinf(seconds) or sys.platform == "win32":
        yield
        return
    import resource

    before, most = resource.getrlimit(resource.RLIMIT_CPU)
    used = resource.getrusage(resource.RUSAGE_SELF)
    end = math.ceil(used.ru_utime + used.ru_stime + seconds)
    resource.setrlimit(resource.RLIMIT_CPU, (end, most))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_CPU, (before, most))


def start(name: str, instance: Instance, solving: bool, processor: float = math.inf
          ) -> tuple[PeerServer, Ready]:
    """The server of a peer, warmed up: by a run if it is to solve, else by a half-iteration."""
    peer = find_peer(name)
    importlib.import_module(peer.package[0])
    forget_peak()
    worker = PeerServer(peer, instance, peak_memory(), processor)
    begun = time.perf_counter()
    if solving:
        worker.run(WARM_UP)
    else:
        worker.half()
    return worker, Ready(peer.version, time.perf_counter() - begun)


@contextmanager
def silence() -> Any:
    """Discard all that is printed, by peers and by compilers."""
    with Path(os.devnull).open("w") as nowhere:
        for stream in (1, 2):
            os.dup2(nowhere.fileno(), stream)
        yield
