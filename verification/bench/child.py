"""The benchmark's side of a peer's process: it starts the process, sends it requests, and ends it
where it exceeds a limit of time or memory. `worker.py` is what runs in the process."""

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
"""Seconds that computing our measures of an answer may take; they count in no measured time."""


class PeerFailed(Exception):  # noqa: N818 - what happened, not an error of ours
    """The peer raised, was killed, did not answer in time, or was not even started; the message
    says which."""


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
    """A peer's process, which works on one problem. A context manager. Its methods raise
    PeerFailed, and the process has ended then."""

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
        """The measures of `criterion.py` on the peer's last answer, computed in its process."""
        found: Judgement = self._ask(JUDGING, "judge")
        return found

    def half(self) -> float:
        """Seconds that the peer takes for a half-iteration: one potential from the other one."""
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
        """Whether the process has not been ended yet."""
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
