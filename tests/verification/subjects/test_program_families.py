"""Programs under --command that try to leave processes behind: nothing of them is there afterwards.

Each writes down the processes that it is made of, and one line more when all of them are there.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from child_processes import GIVE_UP, runs, wait_until, wait_until_gone

from refot.verification.subjects.processes import (
    ProgramError,
    ProgramTimeoutError,
    Resident,
    Supervised,
    work_through,
)

pytestmark = pytest.mark.skipif(sys.platform != "linux",
                                reason="processes are found by /proc, orphans by a subreaper")

MEMORY = 1 << 30

PRELUDE = """
import os, signal, subprocess, sys, time
def here():
    with open(sys.argv[1], "a") as file:
        print(os.getpid(), file=file)
def deaf():
    for number in set(signal.Signals) - {signal.SIGKILL, signal.SIGSTOP}:
        try:
            signal.signal(number, signal.SIG_IGN)
        except OSError:
            pass
def stay():
    here()
    while True:
        time.sleep(600)
def wait_for(count):
    while len(open(sys.argv[1]).read().split()) < count:
        time.sleep(0.001)
here()
"""

FAMILIES = {
    "one that ignores every signal": (1, "deaf()"),
    "a child": (2, "os.fork() or stay()\nwait_for(2)"),
    "a child in a session of its own": (2, "os.fork() or (os.setsid(), stay())\nwait_for(2)"),
    "a deaf child in a session of its own":
        (2, "os.fork() or (os.setsid(), deaf(), stay())\nwait_for(2)"),
    "a daemon, forked twice": (2, """
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        deaf()
        stay()
    os._exit(0)
os.wait()
wait_for(2)"""),
    "a family of daemons": (7, """
def below(depth):
    os.setsid()
    for _ in range(2):
        if depth and os.fork() == 0:
            below(depth - 1)
            os._exit(0)
    stay()
if os.fork() == 0:
    below(1) if os.fork() == 0 else os._exit(0)
if os.fork() == 0:
    below(1) if os.fork() == 0 else os._exit(0)
wait_for(7)"""),
    "one that starts itself anew when it is left alone": (2, """
def follow():
    while True:
        mother = os.getpid()
        if os.fork() == 0:
            os.setsid()
            while os.getppid() == mother:
                time.sleep(0.001)
            continue
        stay()
os.fork() or follow()
wait_for(2)"""),
    "one that clears its environment and closes its files": (2, """
if os.fork() == 0:
    os.setsid()
    os.chdir("/")
    here()
    os.closerange(0, 64)
    os.execve("/bin/sleep", ["sleep", "600"], {})
wait_for(2)"""),
}


def command(body: str, pids: Path, end: str) -> list[str]:
    return [sys.executable, "-S", "-E", "-c", f"{PRELUDE}{body}\n{end}", str(pids)]


def family(pids: Path, size: int) -> list[int]:
    """The processes that were there. Fails where the program did not come to start them all."""
    found = [int(line) for line in pids.read_text().split()]
    assert len(found) >= size
    return found


def assert_gone(pids: Path, size: int) -> None:
    for pid in family(pids, size):
        wait_until_gone(pid)


@pytest.mark.parametrize("name", FAMILIES)
def test_nothing_is_left_of_one_that_stays(name: str, tmp_path: Path) -> None:
    size, body = FAMILIES[name]
    pids = tmp_path / "pids"
    answer = "print(sys.stdin.readline(), end='', flush=True)\nstay()"
    program = Resident(command(body, pids, answer), MEMORY)
    assert program.ask(b"ready?\n", GIVE_UP) == b"ready?\n"
    assert all(map(runs, family(pids, size)))
    program.kill()
    assert_gone(pids, size)


@pytest.mark.parametrize("name", FAMILIES)
def test_nothing_is_left_of_one_that_ends_and_answers_no_more(name: str, tmp_path: Path) -> None:
    size, body = FAMILIES[name]
    pids = tmp_path / "pids"
    program = Resident(command(body, pids, "os._exit(3)"), MEMORY)
    if size == 1:
        with pytest.raises(ProgramError, match="ended with status 3 before it answered"):
            program.ask(b"\n", GIVE_UP)
    else:
        wait_until(lambda: program._process.wait(0) == 3, "the status of the program")
    program.kill()
    assert_gone(pids, size)


@pytest.mark.parametrize(("name", "ends"), [
    *((name, True) for name in FAMILIES), ("a daemon, forked twice", False)])
def test_nothing_is_left_of_one_on_files(name: str, ends: bool, tmp_path: Path) -> None:
    size, body = FAMILIES[name]
    pids = tmp_path / "pids"
    last = "os._exit(0)" if ends else "stay()"
    words = [*command(body, pids, f"open(sys.argv[2], 'w').write('done\\n')\n{last}"), "{out}"]
    lines, wrong = work_through(words, b"", GIVE_UP if ends else 5.0, MEMORY)
    assert lines == [b"done"]
    assert wrong is None if ends else isinstance(wrong, ProgramTimeoutError)
    assert_gone(pids, size)


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_nothing_is_left_where_refot_itself_is_killed(
    number: signal.Signals, tmp_path: Path
) -> None:
    size, body = FAMILIES["a deaf child in a session of its own"]
    pids = tmp_path / "pids"
    starts = ("import sys, time\nfrom refot.verification.subjects.processes import Resident\n"
              f"program = Resident(sys.argv[1:], {MEMORY})\ntime.sleep(600)")
    refot = subprocess.Popen([sys.executable, "-c", starts, *command(body, pids, "stay()")])
    try:
        wait_until(lambda: pids.exists() and len(pids.read_text().split()) > size, "the family")
    finally:
        refot.send_signal(number)
        refot.wait()
    assert_gone(pids, size)


def test_the_status_and_the_streams_are_those_of_the_program(tmp_path: Path) -> None:
    for words, status in ((["true"], 0), (["sh", "-c", "exit 7"], 7),
                          (["sh", "-c", "kill -SEGV $$"], -signal.SIGSEGV)):
        with (tmp_path / "errors").open("w+b") as errors:
            started = Supervised(words, MEMORY, subprocess.DEVNULL, subprocess.DEVNULL, errors)
            assert started.wait(GIVE_UP) == status
            started.kill()
    shut = Resident([sys.executable, "-S", "-c", "import os, time; os.close(1); time.sleep(600)"],
                    MEMORY)
    with pytest.raises(ProgramError, match="it closed its standard output"):
        shut.ask(b"x\n", GIVE_UP)  # nobody else holds the other end of the pipe
    shut.kill()


def test_a_program_that_kills_its_supervisor_is_an_error(tmp_path: Path) -> None:
    pids = tmp_path / "pids"
    program = Resident(command("os.kill(os.getppid(), signal.SIGKILL)", pids, "stay()"), MEMORY)
    wait_until(lambda: program._process.wait(0) == -signal.SIGKILL, "the end of the supervisor")
    program.kill()
    assert_gone(pids, 1)  # its process group is all that is known then


def test_no_descriptor_and_no_zombie_of_ours_is_left() -> None:
    before = len(os.listdir("/proc/self/fd"))
    for _ in range(5):
        work_through(["true"], b"", GIVE_UP, MEMORY)
        with pytest.raises(ProgramError, match="cannot be started"):
            work_through(["/nowhere/at-all"], b"", GIVE_UP, MEMORY)
    assert len(os.listdir("/proc/self/fd")) == before
