"""`refot verify --command`: a program in any language as a subject.

Without `{in}` and `{out}` in the command, one process is started, and answers request by request.

With them, a process is started for each file of requests, so as many requests as possible should go
into one file. What the checks ask depends on the case, and never on an answer. So all checks are
first run with answers of zeros, only to record their requests. These go into one file, and the
answers are kept until the checks are run again to be judged. Any further request gets its own file.
"""

from __future__ import annotations

import contextlib
import math
import os
import shlex
import time
import warnings
from collections import defaultdict, deque
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any, TypeAlias

import numpy as np

from refot.verification.cases.case import Case, collect
from refot.verification.checks.trial import Trial
from refot.verification.subjects.capabilities import CAPABILITIES
from refot.verification.subjects.limits import (
    REFUSAL,
    Clocked,
    Limits,
    alarm_held,
    limited_subject,
)
from refot.verification.subjects.loading import TargetError, load
from refot.verification.subjects.probe import Probe
from refot.verification.subjects.processes import ProgramError, Resident, work_through
from refot.verification.subjects.protocol import (
    DISCOVERY,
    AnswerError,
    ProgramSaysError,
    description,
    numbers,
    read_answer,
    request_line,
)
from refot.verification.subjects.subject import Part, Subject
from refot.verification.subjects.text import printable
from refot.verification.truth.solution import solution_of

from .asked import asked

MOST_FAILURES = 10
"""After this many processes that died, hung, or answered another request, the program is not asked
any more. A process that dies of bad input is not counted."""

REFUSALS_AHEAD = 20.0
"""Seconds for the file of requests with bad input, which the program should refuse."""

Request: TypeAlias = tuple[str, tuple[Any, ...]]
"""A capability and its arguments."""


class Program:
    """A command, the process that runs it, and its answers to requests sent in advance."""

    def __init__(self, command: str, limits: Limits) -> None:
        self.words = _words(command)
        self.limits = limits
        self.through_files = any("{in}" in word for word in self.words)
        self._resident: Resident | None = None
        self._ahead: dict[bytes, deque[tuple[int, bytes]]] = defaultdict(deque)
        self._asked, self._failures, self._spent = 0, 0, 0.0
        self.waited = 0.0

    def __getstate__(self) -> dict[str, Any]:
        # a running process cannot be pickled: a process that gets this object starts its own
        return self.__dict__ | {"_resident": None}

    def ask(
        self, capability: str, arguments: tuple[Any, ...], seconds: float = math.inf
    ) -> Any:
        """The result of one request as JSON has it, at most `seconds` after it was sent.

        Raises ProgramError, AnswerError, ProgramSaysError, NotImplementedError.
        """
        if self._ahead and (ahead := self._ahead.get(request_line(0, capability, arguments))):
            number, line = ahead.popleft()
            return read_answer(line, number)
        self._asked += 1
        seconds = min(seconds, self._seconds())
        start = time.monotonic()
        try:
            line = self._exchange(request_line(self._asked, capability, arguments), seconds)
            return read_answer(line, self._asked)
        except (ProgramSaysError, NotImplementedError):
            raise
        except BaseException:
            # The answer to this request may still come, and would be read as the answer to the
            # next one. So the process is ended, whatever the error was.
            self._failures += not REFUSAL.get()
            self.stop()
            raise
        finally:
            self._spent += time.monotonic() - start

    def ask_ahead(self, requests: Sequence[Request], seconds: float = math.inf) -> None:
        """Send many requests in one file, and keep the answers.

        The program has `seconds`, and at most half of the time left for the run. A request without
        an answer is sent again, alone, when it is needed. So if the program failed during the file,
        the failure is reported for the request that causes it.
        """
        if not requests:
            return
        first = self._asked + 1
        self._asked += len(requests)
        lines = [request_line(first + k, *request) for k, request in enumerate(requests)]
        start = time.monotonic()
        answers, _ = work_through(self.words, b"".join(lines),
                                  min(seconds, (self.limits.run - self._spent) / 2),
                                  self.limits.memory)
        self._spent += time.monotonic() - start
        for k, (request, answer) in enumerate(zip(requests, answers, strict=False)):
            self._ahead[request_line(0, *request)].append((first + k, answer))

    def stop(self) -> None:
        """End the process that answers request by request, if there is one.

        It is forgotten before it is killed, so that no later request can find it, even if killing
        it raises an error.
        """
        resident, self._resident = self._resident, None
        if resident is not None:
            resident.kill()

    def _seconds(self) -> float:
        """Seconds that the next answer may take. Raises ProgramError if there is no time left."""
        if self._failures >= MOST_FAILURES:
            raise ProgramError(f"not asked: it has failed to answer {MOST_FAILURES} times")
        left = self.limits.run - self._spent
        if left <= 0:
            raise ProgramError(f"not asked: it has taken {self.limits.run:g} s in all")
        return min(self.limits.call, left)

    def _exchange(self, line: bytes, seconds: float) -> bytes:
        start = time.monotonic()
        try:
            return self._answer(line, seconds)
        finally:
            self.waited += time.monotonic() - start

    def _answer(self, line: bytes, seconds: float) -> bytes:
        if self.through_files:
            answers, wrong = work_through(self.words, line, seconds, self.limits.memory)
            if not answers:
                raise wrong or ProgramError("it wrote no answer")
            return answers[0]
        if self._resident is None or self._resident.owner != os.getpid():
            with alarm_held():
                self._resident = Resident(self.words, self.limits.memory)
        return self._resident.ask(line, seconds)


@dataclass(frozen=True)
class Remote(Clocked):
    """One capability of a program, as a function."""

    program: Program
    capability: str
    seconds: float = math.inf

    def __call__(self, *arguments: Any) -> Any:
        return numbers(self.program.ask(self.capability, arguments, self.seconds), self.capability)

    def within(self, seconds: float) -> Remote:
        """The same capability, with this many seconds for each call."""
        return replace(self, seconds=seconds)

    def clock(self) -> float:
        """Seconds between requests and their answers, added up over all calls so far."""
        return self.program.waited


def load_subject(
    target: str | None, command: str | None, capability: str | None, profile: str, limits: Limits,
    seed: int = 0,
) -> Subject:
    """The subject of a TARGET or of a --command; every call of it keeps to the limits.

    `capability` is that of `--as`. Raises TargetError.
    """
    if command is None:
        assert target is not None
        return limited_subject(load(target, capability), limits)
    if capability is not None:
        raise TargetError(f"--as {capability}: a --command says itself what it offers")
    return load_command(command, profile, limits, seed)


def load_command(command: str, profile: str, limits: Limits, seed: int = 0) -> Subject:
    """The program of a command line as a subject, which offers what the program says it does.

    The command is split into words as a shell does, but no shell runs it. Profile and seed say on
    which cases the requests that go into one file are made. Raises TargetError.
    """
    program = Program(command, limits)
    try:
        said = description(program.ask(DISCOVERY, ()), program.words[0])
        if program.through_files:
            ahead = questions(said["capabilities"], collect(profile, seed)[0])
            program.ask_ahead(ahead.sound)
            program.ask_ahead(ahead.to_be_refused, REFUSALS_AHEAD)
    except (ProgramError, AnswerError, ProgramSaysError, NotImplementedError, ValueError) as error:
        raise TargetError(f"--command {command!r}: asked for its {DISCOVERY}: "
                          f"{printable(str(error))}") from None
    remote = {name: Remote(program, name) for name in said["capabilities"]}
    part = Part(said["name"], remote, said["convention"], said["tolerance"])
    return Subject(said["name"], said["version"], (part,))


def _words(command: str) -> list[str]:
    if os.name != "posix":
        raise TargetError("--command: needs a POSIX system")
    try:
        words = shlex.split(command)
    except ValueError as error:
        raise TargetError(f"--command {command!r}: {error}") from None
    if not words:
        raise TargetError("--command: no program")
    if any("{in}" in word for word in words) != any("{out}" in word for word in words):
        raise TargetError(f"--command {command!r}: both {{in}} and {{out}} are due, or neither")
    return words


# ------------------------------------------------------------------ what the checks will ask
@dataclass
class Questions:
    """What the checks ask, in order: sound requests, and those that the program should refuse."""

    sound: list[Request] = field(default_factory=list)
    to_be_refused: list[Request] = field(default_factory=list)


def questions(capabilities: list[str], cases: list[Case]) -> Questions:
    """Every call that the checks of these capabilities make on these cases."""
    found = Questions()
    offered = {name: _Recorder(name, found) for name in capabilities}
    probe = Probe(Part("questions", offered))
    with np.errstate(all="ignore"), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for _, case, check in asked([probe.part], cases):
            with contextlib.suppress(Exception):  # a check may raise on the zeros
                check.run(Trial(probe, case, solution_of(case)))
    return found


@dataclass(frozen=True)
class _Recorder:
    """Stands in for a capability: records the arguments, and answers zeros of the right shape."""

    capability: str
    asked: Questions

    def __call__(self, *arguments: Any) -> Any:
        if REFUSAL.get():
            self.asked.to_be_refused.append((self.capability, arguments))
            raise ValueError("refused")
        self.asked.sound.append((self.capability, arguments))
        return CAPABILITIES[self.capability].zeros(arguments)
