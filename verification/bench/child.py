"""The benchmark's end of a peer's process, which it starts, asks and ends: under limits of time and
memory."""

from __future__ import annotations

import math
import multiprocessing
import os
from dataclasses import dataclass
from types import TracebackType
from typing import Any

from refot.verification.runs.environment import THREAD_VARIABLES, environment

from .criterion import Judgement
from .problems import Instance
from .worker import OUT_OF_PROCESSOR_TIME, Failure, Ready, Run, serve

WARM_UP_FACTOR = 3.0
"""Import, preparation and compilation together may take this multiple of the limit of one run."""

JUDGING = 600.0
"""Seconds that our own judgement may take; they count in no measured time."""


class PeerFailed(Exception):  # noqa: N818 - what happened, not an error of ours
    """The peer raised, was killed, or did not answer in time; the message says which."""


@dataclass(frozen=True)
class RunLimits:
    """Seconds for one run, bytes for one process, and the cores and threads that it may use.

    `processor`: seconds of all processors for one run, where the system can limit these. On a busy
    machine it is the fairer limit.
    """

    seconds: float = 60.0
    memory: int = 12 << 30
    threads: int = os.cpu_count() or 1
    processor: float = math.inf


class Child:
    """A peer at work on a problem. A context manager; raises PeerFailed, after which it is gone."""

    def __init__(
        self, name: str, instance: Instance, limits: RunLimits, solving: bool = True
    ) -> None:
        self.name, self.limits = name, limits
        context = multiprocessing.get_context("spawn")
        self._pipe, theirs = context.Pipe()
        arguments = (theirs, name, instance, limits.memory, limits.threads, limits.processor,
                     solving)
        self._process = context.Process(target=serve, args=arguments, daemon=True)
        with environment({variable: str(limits.threads) for variable in THREAD_VARIABLES}):
            self._process.start()
        theirs.close()
        self.ready: Ready = self._reply(WARM_UP_FACTOR * limits.seconds + 60)

    def run(self, accuracy: float) -> Run:
        """One solve to that accuracy."""
        found: Run = self._ask(self.limits.seconds, "run", accuracy)
        return found

    def judge(self) -> Judgement:
        """Our measures of its last answer."""
        found: Judgement = self._ask(JUDGING, "judge")
        return found

    def half(self) -> float:
        """Seconds of a half-iteration."""
        return float(self._ask(self.limits.seconds, "half"))

    def _ask(self, seconds: float, *request: Any) -> Any:
        try:
            self._pipe.send(request)
        except OSError:
            raise PeerFailed("it had ended") from None
        return self._reply(seconds)

    def _reply(self, seconds: float) -> Any:
        if not self._pipe.poll(seconds):
            self.close()
            raise PeerFailed(f"no answer within {seconds:g} s")
        try:
            reply = self._pipe.recv()
        except (EOFError, OSError):
            self._process.join(5)
            code = self._process.exitcode
            self.close()
            if code == -OUT_OF_PROCESSOR_TIME:
                raise PeerFailed(f"no answer within {self.limits.processor:.3g} s of the "
                                 "processor") from None
            raise PeerFailed(f"its process ended, exit code {code}") from None
        if isinstance(reply, Failure):
            self.close()
            raise PeerFailed(reply.reason)
        return reply

    @property
    def alive(self) -> bool:
        """Whether its process can still be asked."""
        return not self._pipe.closed

    def close(self) -> None:
        """End the process."""
        self._pipe.close()
        self._process.kill()
        self._process.join()

    def __enter__(self) -> Child:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None,
                 trace: TracebackType | None) -> None:
        self.close()
