"""A process that runs one program and, when told, ends it with everything that it has started.

    python supervisor.py FD WORD...

Killing the program's process group is not enough: a program may start others in new sessions, which
outlive it. On Linux this process is therefore a *subreaper*: a process whose parent has ended
becomes its child, so that all that the program started are found below it. On other systems the
program's process group is killed.

FD is a socket. On it this process writes {"started": pid} or {"failed": why}, and later
{"ended": status}, in which the status is negative if a signal ended the program. It ends everything
as soon as it reads anything on the socket, or when the other side is closed. The latter happens
when refot itself is killed.

Only the standard library is imported, so that it starts within milliseconds.
"""

import ctypes
import json
import os
import select
import signal
import socket
import subprocess
import sys
import time

SET_CHILD_SUBREAPER = 36
"""PR_SET_CHILD_SUBREAPER of <linux/prctl.h>."""

PATIENCE = 5.0
"""Seconds after which killing is given up: a process of another user cannot be killed."""

IGNORED = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
"""Signals that this process ignores, since it must not end before the program."""


def become_subreaper() -> None:
    """On Linux: processes below this one become its children when their parent ends."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def start(words: list[str]) -> subprocess.Popen[bytes]:
    """Start the program in a new session, with the standard streams of this process.

    This process then closes them, so that they end when the program does.
    """
    def restore() -> None:
        for each in IGNORED:
            signal.signal(each, signal.SIG_DFL)

    process = subprocess.Popen(words, start_new_session=True, preexec_fn=restore)
    nothing = os.open(os.devnull, os.O_RDWR)
    for stream in (0, 1, 2):
        os.dup2(nothing, stream)
    return process


def descendants() -> list[int]:
    """The ids of all processes below this one, from /proc; none on a system without /proc."""
    parents: dict[int, int] = {}
    for entry in os.listdir("/proc") if os.path.isdir("/proc") else ():
        if entry.isdigit():
            try:
                with open(f"/proc/{entry}/stat", "rb") as file:
                    parents[int(entry)] = int(file.read().rpartition(b")")[2].split()[1])
            except OSError:  # this process has ended meanwhile
                continue
    below, found = {os.getpid()}, list[int]()
    while new := [pid for pid, parent in parents.items() if parent in below and pid not in below]:
        below.update(new)
        found += new
    return found


def end_all(group: int) -> None:
    """Kill the program's process group and all descendants, until there are none."""
    until = time.monotonic() + PATIENCE
    while time.monotonic() < until:
        for kill, number in ((os.killpg, group), *((os.kill, pid) for pid in descendants())):
            try:
                kill(number, signal.SIGKILL)
            except (ProcessLookupError, PermissionError):
                continue
        try:
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass
        except ChildProcessError:  # there is no child left, and so no descendant
            return
        time.sleep(0.002)


def supervise(channel: socket.socket, words: list[str]) -> None:
    """Start the program, report on the socket how it ended, and end everything on request."""
    def tell(what: str, value: object) -> None:
        channel.sendall(json.dumps({what: value}).encode() + b"\n")

    woken, wakes = os.pipe()
    os.set_blocking(wakes, False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    signal.set_wakeup_fd(wakes, warn_on_full_buffer=False)
    try:
        process = start(words)
    except (OSError, ValueError, subprocess.SubprocessError) as error:
        tell("failed", str(error))
        return
    try:
        tell("started", process.pid)
        ended = False
        while channel.fileno() not in select.select([channel.fileno(), woken], [], [])[0]:
            os.read(woken, 1 << 10)
            if not ended and process.poll() is not None:
                ended = True
                tell("ended", process.returncode)
            _reap_orphans(process.pid)
    except OSError:  # refot's side of the socket is closed
        pass
    finally:
        end_all(process.pid)


def _reap_orphans(program: int) -> None:
    """Wait for children that have ended, other than the program, whose status `supervise` reads."""
    while True:
        try:
            found = os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
        except ChildProcessError:
            return
        if found is None or found.si_pid == program:
            return
        os.waitpid(found.si_pid, 0)


if __name__ == "__main__":
    for each in IGNORED:
        signal.signal(each, signal.SIG_IGN)
    become_subreaper()
    supervise(socket.socket(fileno=int(sys.argv[1])), sys.argv[2:])
