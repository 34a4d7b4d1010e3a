"""Subjects that end the interpreter, swallow Ctrl-C, or answer with what is no answer."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from child_processes import GIVE_UP, wait_until, wait_until_gone

from refot.verification.cases.case import synthetic
from refot.verification.checks import CHECKS
from refot.verification.checks.trial import Trial
from refot.verification.runs import parallel
from refot.verification.runs.asked import Selection
from refot.verification.runs.run import Examined, run_check
from refot.verification.runs.workers import Worker
from refot.verification.subjects.loading import TargetError, as_subject, load
from refot.verification.subjects.probe import Probe, SubjectError
from refot.verification.subjects.subject import Part
from refot.verification.subjects.text import one_line
from refot.verification.trajectories.systems import train_step
from refot.verification.truth.solution import solution_of

REFOT = [sys.executable, "-c", "from refot.cli.app import main; main()"]

MINE = """
import os, signal
import numpy as np

def fragile(C, h, eps):
    "right; dies of scores that do not fit"
    if len(h) != C.shape[1]:
        os.kill(os.getpid(), signal.SIGSEGV)
    scores = (h - C) / eps
    top = scores.max(axis=1)
    return -eps * (top + np.log(np.exp(scores - top[:, None]).sum(axis=1)))

def leaves(*problem):
    os._exit(0)

def small(C, a, b, eps):
    if len(a) == 64:
        os._exit(0)
    return 0.0
"""


def verified(folder: Path, *words: str) -> tuple[int, list[dict[str, Any]], str]:
    """(exit status, checks of the JSON, what was printed) of `refot verify mine.py:...`."""
    (folder / "mine.py").write_text(MINE)
    done = subprocess.run([*REFOT, "verify", *words, "--json", "r.json"], cwd=folder, text=True,
                          capture_output=True, timeout=120, check=False)
    report = json.loads((folder / "r.json").read_text())
    return done.returncode, report["checks"], done.stdout


# ------------------------------------------------------------------ the interpreter ends
def test_a_crash_is_the_error_of_the_check_that_asked_and_of_no_other(tmp_path: Path) -> None:
    status, checks, _ = verified(tmp_path, "mine.py:fragile", "--as", "softmin", "--case",
                                 "gaussian", "--processes", "2")
    assert status == 1
    errors = {each["id"]: each["message"] for each in checks if each["status"] == "error"}
    assert errors == {
        "softmin.refuses-long-scores": "not known: this check crashed the interpreter"}
    passed = {each["id"] for each in checks if each["status"] == "passed"}
    assert {"softmin.value", "softmin.repeatable", "softmin.refuses-nan"} <= passed


def test_a_subject_that_ends_the_process_with_0_has_a_report_and_does_not_pass(
    tmp_path: Path
) -> None:
    status, checks, _ = verified(tmp_path, "mine.py:leaves", "--as", "semidual", "--case",
                                 "gaussian", "--check", "semidual.repeatable")
    assert (status, [each["status"] for each in checks]) == (1, ["error"])


def test_after_many_crashes_the_rest_is_not_asked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(parallel, "MOST_DEATHS", 3)  # one of the case, two of its first check
    (tmp_path / "mine.py").write_text(MINE)
    found = parallel.run_parallel(partial(load, f"{tmp_path / 'mine.py'}:leaves", "plan"),
                                  selection=Selection(case="gaussian"))
    assert found.exit_status == 1
    first, *others = found.checks
    assert first.message == "not known: this check crashed the interpreter"
    assert len(others) > 15
    assert {each.message for each in others} == {
        "not known: it has crashed 3 times, and is asked no more"}


def test_a_crash_while_time_is_measured_is_told_and_loses_nothing(tmp_path: Path) -> None:
    status, checks, printed = verified(tmp_path, "mine.py:small", "--as", "value", "--check",
                                       "value.repeatable", "--scaling")
    assert (status, [each["status"] for each in checks]) == (0, ["passed"])
    assert "value: measuring it crashed the interpreter" in printed


def test_a_target_that_ends_the_interpreter_on_import_is_no_target(tmp_path: Path) -> None:
    (tmp_path / "gone.py").write_text("import os\nos._exit(0)\n")
    done = subprocess.run([*REFOT, "verify", "gone.py:f", "--as", "value"], cwd=tmp_path,
                          text=True, capture_output=True, timeout=120, check=False)
    assert done.returncode == 2
    assert "ends the interpreter while it is loaded" in done.stderr


# ------------------------------------------------------------------ Ctrl-C
def test_a_target_that_cannot_be_loaded_for_any_reason_is_told() -> None:
    """A library that reads a broken cache as it is imported, for example."""
    def broken() -> Any:
        raise EOFError("Ran out of input")

    with pytest.raises(TargetError, match="to load it raises EOFError: Ran out of input"):
        Worker(broken).subject  # noqa: B018


SLEEPY = """
import os, time

def sleepy(C, h, eps):
    open(f"pid{os.getpid()}", "w").close()
    time.sleep(600)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="looks a process up in /proc")
def test_no_process_outlives_the_first_one_that_is_killed(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(SLEEPY)
    verify = subprocess.Popen([*REFOT, "verify", "mine.py:sleepy", "--as", "softmin"], cwd=tmp_path,
                              stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    wait_until(lambda: any(tmp_path.glob("pid*")), "a process that calls the subject")
    verify.kill()
    verify.wait()
    (pid, *_) = (int(file.name[3:]) for file in tmp_path.glob("pid*"))
    wait_until_gone(pid)


def test_a_second_ctrl_c_ends_a_subject_that_swallows_every_one() -> None:
    swallows = """
from refot.verification.subjects.isolation import isolated, undisturbed
import os, time
with undisturbed(), isolated():
    while True:
        try:
            os.write(1, b"x")
            time.sleep(60)
        except BaseException:
            pass
"""
    with subprocess.Popen([sys.executable, "-c", swallows], stdout=subprocess.PIPE) as stuck:
        assert stuck.stdout is not None
        try:
            for _ in range(2):
                assert stuck.stdout.read(1) == b"x"  # it is within its `try`
                stuck.send_signal(signal.SIGINT)
            assert stuck.wait(GIVE_UP) == 130
        finally:
            stuck.kill()


# ------------------------------------------------------------------ answers that are none
class Rude:
    """Whatever is done with it raises what a library would."""

    def __init__(self, error: BaseException) -> None:
        self.error = error

    def __array__(self, *_: Any, **__: Any) -> Any:
        raise self.error

    def __repr__(self) -> str:
        raise self.error


def examined(check: str, answer: Callable[..., Any]) -> Examined:
    capability, case = check.partition(".")[0], next(synthetic())
    part = Part("mine", {capability: answer, "plan": lambda C, a, b, eps: np.outer(a, b)})
    return run_check(CHECKS[check], Trial(Probe(part), case, solution_of(case)))


NO_ANSWERS: dict[str, Any] = {
    "an empty list": [], "an empty tuple": (), "an empty matrix": np.zeros((0, 0)),
    "no exception": Rude(SystemExit(0)), "a ragged list": [[True], [True, False]],
    "what cannot be shown": Rude(RuntimeError("no")), "too large": 10**400,
}


@pytest.mark.parametrize("check", ["potentials.repeatable", "potentials.refuses-nan",
                                   "converged.true", "value.certified"])
@pytest.mark.parametrize("answer", NO_ANSWERS.values(), ids=NO_ANSWERS)
def test_what_is_no_answer_does_not_pass(check: str, answer: Any) -> None:
    assert examined(check, lambda *_: answer).result.status in ("error", "not_provided")


@pytest.mark.parametrize("loss", [Rude(RuntimeError("requires grad")), 10**400, Rude(SystemExit())])
def test_steps_that_cannot_be_read_are_an_error(loss: Any) -> None:
    def steps(*asked: Any) -> Any:
        return [step | {"losses": dict.fromkeys(step["losses"], loss)}
                for step in train_step(*asked)]

    found = examined("train_step.sdot", steps).result
    assert found.status == "error"
    assert "the steps that are due" in found.message


def test_half_a_surrogate_pair_can_be_written() -> None:
    def says(*_: Any) -> float:
        print("said \ud800")
        raise ValueError("\udfff raised")

    probe = Probe(as_subject(says, "mine", "value").parts[0])
    with pytest.raises(SubjectError, match=r"ValueError: \\udfff raised"):
        probe.number("value", 1.0)
    assert probe.printed == {r"said \ud800"}
    one_line("\ud800 é").encode("utf-8")


# ------------------------------------------------------------------ a wrong --check
def test_a_wrong_check_is_answered_with_those_that_are_near(tmp_path: Path) -> None:
    done = subprocess.run([*REFOT, "verify", "numpy", "--check", "value.certifed"], cwd=tmp_path,
                          text=True, capture_output=True, timeout=120, check=False)
    assert done.returncode == 2
    assert "such as value.certified, " in done.stderr
    assert len(done.stderr) < 300
