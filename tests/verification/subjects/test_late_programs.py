"""Programs that do not answer in time: killed at once, and asked on in a process of their own."""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from child_processes import runs, wait_until_gone

from refot.verification.cases.case import synthetic
from refot.verification.checks import CHECKS
from refot.verification.checks.trial import Trial
from refot.verification.runs.program import Program, Questions, load_command
from refot.verification.subjects.limits import Limits, alarm_held, limited, time_limit
from refot.verification.subjects.probe import Probe
from refot.verification.truth.solution import solution_of

LIMITS = Limits(call=300.0, run=1200.0)
H = np.array([0.0, 0.1])
SOUND, BAD = np.zeros((2, 2)), np.full((2, 2), np.nan)


@pytest.fixture
def stubborn(tmp_path: Path) -> str:
    """The command of a right softmin that hangs on a NaN, and does not end with its input."""
    (tmp_path / "stubborn.py").write_text("""
import json, math, os, sys, time
source = open(sys.argv[1]) if len(sys.argv) > 1 else sys.stdin
target = open(sys.argv[2], "w") if len(sys.argv) > 2 else sys.stdout
def softmin(C, h, eps):
    if any(isinstance(entry, str) for row in C for entry in row):
        time.sleep(600)
    sums = [sum(math.exp((hj - c) / eps) for hj, c in zip(h, row)) for row in C]
    return [-eps * math.log(each) for each in sums]
print(os.getpid(), file=open(sys.argv[0] + ".pids", "a"))
for line in source:
    q = json.loads(line)
    offer = q["capability"] == "capabilities"
    answer = {"capabilities": ["softmin"]} if offer else softmin(**q["arguments"])
    print(json.dumps({"id": q["id"], "result": answer}), file=target, flush=True)
""")
    return f"'{sys.executable}' -S -E '{tmp_path / 'stubborn.py'}'"


def processes(folder: Path) -> list[int]:
    """Every process that the program was, in order."""
    return [int(line) for line in (folder / "stubborn.py.pids").read_text().split()]


def test_an_alarm_that_rings_in_a_step_is_heard_at_its_end() -> None:
    done: list[str] = []

    def work() -> None:
        with alarm_held():
            time.sleep(0.05)
            done.append("the step")
        done.append("what follows")

    with pytest.raises(TimeoutError, match=r"no answer within 0\.01 s"), time_limit(0.01):
        work()
    assert done == ["the step"]


def test_an_alarm_that_rings_again_leaves_no_program_behind(stubborn: str, tmp_path: Path) -> None:
    """The alarm rings each second until the block is left: ending the program must not take one."""
    program = Program(stubborn, LIMITS)
    for _ in range(2):
        with pytest.raises(TimeoutError, match=r"no answer within 0\.2 s"), time_limit(0.2):
            program.ask("softmin", (BAD, H, 1.0))
    np.testing.assert_allclose(program.ask("softmin", (SOUND, H, 1.0)), -np.log(1 + np.exp(0.1)))
    *ended, third = processes(tmp_path)
    for pid in ended:
        wait_until_gone(pid)
    assert runs(third)
    program.stop()
    wait_until_gone(third)


@pytest.mark.parametrize("files", ["", " {in} {out}"], ids=["stays", "files"])
def test_a_program_under_a_limit_is_waited_for_without_an_alarm(
    files: str, stubborn: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("refot.verification.runs.program.questions", lambda *_: Questions())
    monkeypatch.setattr("signal.setitimer", lambda *_: pytest.fail("an alarm"))
    (part,) = load_command(stubborn + files, "quick", LIMITS).parts
    with pytest.raises(TimeoutError, match=r"^(no answer|not ended) within 0.3 s$"):
        limited(part, 0.3).capabilities["softmin"](BAD, H, 1.0)
    for pid in processes(tmp_path):
        wait_until_gone(pid)


def test_no_check_passes_because_the_one_before_it_hung(
    stubborn: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("refot.verification.checks.bad_input.PATIENCE", 0.3)
    (part,) = load_command(stubborn, "quick", LIMITS).parts
    case = next(synthetic())
    found: list[Any] = [CHECKS["softmin.refuses-nan"].run(Trial(Probe(part), case,
                                                                solution_of(case)))
                        for _ in range(2)]
    assert [each.passed for each in found] == [False, False]
    assert all("no answer within 0.3 s" in each.message for each in found)
    assert len(processes(tmp_path)) >= 2
