"""Processes of a program under test: one that answers all requests, or one for a file of requests.

Each is started by a supervisor (`supervisor.py`), a process that kills it together with everything
that it has started. Every read and write has a time limit, whatever the program does. POSIX only.
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import selectors
import signal
import socket
import stat
import subprocess
import sys
import tempfile
import time
import weakref
from collections.abc import Sequence
from pathlib import Path
from typing import IO, Any

from .limits import LARGEST_FILE, limit_process
from .protocol import LONGEST_LINE

GRACE = 1.0
"""Seconds that a program has to end after its input has ended, before it is killed."""

SUPERVISOR = Path(__file__).with_name("supervisor.py")
"""The file that the supervisor runs."""

PATIENCE = 60.0
"""Seconds within which a supervisor starts or ends. It needs milliseconds, unless the machine is
overloaded."""


class ProgramError(Exception):
    """The program did not start, ended too early, answered too late, or wrote what is not allowed;
    the message says which."""


class ProgramTimeoutError(ProgramError, TimeoutError):
    """The program did not answer in time."""


class Supervised:
    """A program that has been started as a child process of its supervisor.

    Raises ProgramError if it cannot be started.
    """

    def __init__(self, words: Sequence[str], memory: int, stdin: int, stdout: int,
                 errors: IO[bytes]) -> None:
        self._channel, far_end = socket.socketpair()
        self._told = b""
        self._status: int | None = None
        self.pid: int | None = None
        command = [sys.executable, "-I", "-S", str(SUPERVISOR), str(far_end.fileno()), *words]
        try:
            self._supervisor = subprocess.Popen(
                command, bufsize=0, stdin=stdin, stdout=stdout, stderr=errors,
                start_new_session=True, pass_fds=[far_end.fileno()])
        except (OSError, ValueError) as error:  # e.g. for a NUL in a word
            self._channel.close()
            raise ProgramError(f"cannot be started: {error}") from None
        finally:
            far_end.close()
        self.stdin, self.stdout = self._supervisor.stdin, self._supervisor.stdout
        said = self._next(PATIENCE)
        if "started" not in said:
            self.kill()
            for stream in (self.stdin, self.stdout):
                if stream is not None:
                    stream.close()
            why = said.get("failed", "its supervisor has ended")
            raise ProgramError(f"cannot be started: {why}")
        self.pid = int(said["started"])
        limit_process(self.pid, memory)

    def wait(self, seconds: float) -> int | None:
        """The status with which the program ended, negative if by a signal; None if it still runs.
        """
        if self._status is None and (said := self._next(seconds)):
            self._status = int(said["ended"])
        return self._status

    def kill(self) -> None:
        """End the program with everything that it has started, and the supervisor."""
        with contextlib.suppress(OSError):
            self._channel.sendall(b"end")
        try:
            self._supervisor.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            self._supervisor.kill()
            self._supervisor.wait()
        self._channel.close()
        # a supervisor that was itself killed has ended nothing: kill at least the process group
        if self._supervisor.returncode != 0 and self.pid is not None:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self.pid, signal.SIGKILL)
        self._status = -signal.SIGKILL if self._status is None else self._status

    def _next(self, seconds: float) -> dict[str, Any]:
        """The next message of the supervisor; {} if there is none within `seconds`."""
        until = time.monotonic() + seconds
        while b"\n" not in self._told:
            if not select.select([self._channel], [], [], max(0.0, until - time.monotonic()))[0]:
                return {}
            try:
                part = self._channel.recv(1 << 12)
            except ConnectionError:
                part = b""
            if not part:  # the socket is closed: the program has killed its supervisor
                return {"ended": -signal.SIGKILL}
            self._told += part
        line, _, self._told = self._told.partition(b"\n")
        said: dict[str, Any] = json.loads(line)
        return said


class Resident:
    """One process for many requests: a line each on its standard input, and on its output a line
    for each answer."""

    def __init__(self, words: Sequence[str], memory: int) -> None:
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115 - `stop` closes it
        try:
            self._process = Supervised(words, memory, subprocess.PIPE, subprocess.PIPE,
                                       self._errors)
        except BaseException:
            self._errors.close()
            raise
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._stdin, self._stdout = self._process.stdin, self._process.stdout
        for pipe in (self._stdin, self._stdout):
            os.set_blocking(pipe.fileno(), False)
        self.owner = os.getpid()  # a forked process inherits the pipes, but must not use them
        self._stop = weakref.finalize(self, _stop, self._process, self._errors, self.owner)

    def kill(self) -> None:
        """End it at once, with all that it started.

        For use after an `ask` that failed: a late answer to that request could be taken for the
        answer to the next one.
        """
        if os.getpid() == self.owner:
            self._process.kill()
        self._stop()

    def ask(self, line: bytes, seconds: float) -> bytes:
        """Send one line and return the line that answers it.

        Raises ProgramError. Then the process must be killed: what it writes next may belong to this
        request.
        """
        deadline = time.monotonic() + seconds
        unsent, answer = memoryview(line), bytearray()
        # The program may write before it has read the whole line, so both pipes are watched: else
        # each side could wait for the other for ever.
        with selectors.DefaultSelector() as waiting:
            waiting.register(self._stdout, selectors.EVENT_READ)
            waiting.register(self._stdin, selectors.EVENT_WRITE)
            while not answer.endswith(b"\n"):
                ready = waiting.select(max(0.0, deadline - time.monotonic()))
                if not ready or time.monotonic() > deadline:
                    raise ProgramTimeoutError(f"no answer within {seconds:.3g} s")
                for key, _ in ready:
                    if key.fileobj is self._stdin:
                        unsent = unsent[self._send(unsent):]
                        if not unsent:
                            waiting.unregister(self._stdin)
                    else:
                        answer += self._received()
                if len(answer) > LONGEST_LINE:
                    raise ProgramError(f"an answer of more than {LONGEST_LINE >> 20} MiB")
        if unsent or answer.count(b"\n", 0, -1):
            raise ProgramError("it writes more than one line, or before it was asked")
        return bytes(answer)

    def _send(self, unsent: memoryview) -> int:
        try:
            return os.write(self._stdin.fileno(), unsent)
        except BlockingIOError:
            return 0
        except OSError:
            # the program has closed its input, which it may do: `ask` still reads what it writes
            return len(unsent)

    def _received(self) -> bytes:
        try:
            received = os.read(self._stdout.fileno(), 1 << 16)
        except BlockingIOError:
            return b""
        if not received:
            raise ProgramError(_end(self._process, self._errors))
        return received


def work_through(
    words: Sequence[str], requests: bytes, seconds: float, memory: int
) -> tuple[list[bytes], ProgramError | None]:
    """Run a program once on a file of requests: (the lines it answered, what went wrong or None).

    `{in}` and `{out}` in the words become the names of two files in a temporary folder.
    """
    with (tempfile.TemporaryDirectory(prefix="refot-", ignore_cleanup_errors=True) as folder,
          tempfile.TemporaryFile() as errors):
        names = {"{in}": f"{folder}/in.jsonl", "{out}": f"{folder}/out.jsonl"}
        Path(names["{in}"]).write_bytes(requests)
        process = Supervised([_filled(word, names) for word in words], memory,
                             subprocess.DEVNULL, subprocess.DEVNULL, errors)
        wrong: ProgramError | None = None
        try:
            status = process.wait(seconds)
            if status is None:
                wrong = ProgramTimeoutError(f"not ended within {seconds:.3g} s")
            elif status:
                wrong = ProgramError(_end(process, errors))
        finally:
            process.kill()
        try:
            written = _read_plain(Path(names["{out}"]))
        except OSError as error:
            return [], wrong or ProgramError(f"wrote no plain file {{out}} ({error.strerror})")
        *lines, last = written.split(b"\n")
        return lines + [last] * bool(last and not wrong), wrong


def _filled(word: str, names: dict[str, str]) -> str:
    for placeholder, name in names.items():
        word = word.replace(placeholder, name)
    return word


def _read_plain(path: Path) -> bytes:
    """The contents of a file that the program wrote. A link is not followed, a pipe not read."""
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    with open(descriptor, "rb") as file:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise OSError(0, "not a plain file")
        return file.read(LARGEST_FILE)


# ------------------------------------------------------------------ the end
def _stop(process: Supervised, errors: IO[bytes], owner: int) -> None:
    """End a resident process: close its input, and kill it if it has not ended GRACE later."""
    if os.getpid() != owner:
        return
    if process.stdin is not None:
        with contextlib.suppress(OSError):
            process.stdin.close()
    process.wait(GRACE)
    process.kill()
    if process.stdout is not None:
        process.stdout.close()
    errors.close()


def _end(process: Supervised, errors: IO[bytes]) -> str:
    """How a process ended, with the last line that it wrote to its standard error."""
    status = process.wait(GRACE)
    if status is None:
        return "it closed its standard output or input before it answered"
    if status < 0:
        how = f"ended by {signal.Signals(-status).name}"
    else:
        how = f"ended with status {status}"
    errors.seek(0, os.SEEK_END)
    errors.seek(max(0, errors.tell() - 400))
    said = errors.read().decode("utf-8", "replace").strip().splitlines()
    return f"{how} before it answered" + (f": {said[-1]}" if said else "")
