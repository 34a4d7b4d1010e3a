"""The runner: a subject cannot disturb it, Ctrl-C ends it, and the exit status says what happened.
"""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import textwrap
import time
import warnings
from pathlib import Path

import numpy as np
import pytest
from child_processes import GIVE_UP, interruptible, wait_until

import refot
from refot.verification.cases.case import collect
from refot.verification.checks.arguments import first
from refot.verification.runs import run as running
from refot.verification.runs.asked import EVERYTHING
from refot.verification.runs.parallel import _jobs
from refot.verification.subjects.isolation import CappedText, isolated, undisturbed
from refot.verification.subjects.loading import TargetError, as_subject, load
from refot.verification.subjects.probe import Probe, SubjectError
from refot.verification.subjects.subject import Part

REFOT = [sys.executable, "-c", "from refot.cli.app import main; main()"]


def value(*problem):  # type: ignore[no-untyped-def]
    return refot.entropic_value(*problem, backend="numpy")


# ------------------------------------------------------------------ jobs
def test_the_job_with_the_bad_input_is_handed_out_first() -> None:
    """It takes longest; begun last, it would leave the other worker idle."""
    cases, _ = collect("quick", 0)
    jobs = _jobs(list(cases), EVERYTHING)
    assert any(map(first, jobs[0].cases))
    assert sorted(case.name for job in jobs for case in job.cases) == sorted(
        case.name for case in cases)


# ------------------------------------------------------------------ isolation
def test_what_a_subject_sets_is_undone(tmp_path: Path) -> None:
    def vandal(*problem):  # type: ignore[no-untyped-def]
        answer = value(*problem)
        np.seterr(all="raise")
        warnings.simplefilter("error")
        os.chdir(tmp_path)
        np.random.seed(1)  # noqa: NPY002
        random.seed(1)
        return answer

    collect("quick")  # imports libraries, which add filters of their own
    before = np.geterr(), list(warnings.filters), Path.cwd(), random.getstate()
    report = running.run(as_subject(vandal, "vandal", "value"))
    assert report.exit_status == 0
    assert (np.geterr(), list(warnings.filters), Path.cwd(), random.getstate()) == before


def test_what_a_module_sets_on_import_is_undone(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text("import numpy as np\nnp.seterr(all='raise')\n"
                                      "def value(*problem): return 1.0\n")
    before = np.geterr()
    load(f"{tmp_path / 'mine.py'}:value", "value")
    assert np.geterr() == before


def test_prints_are_capped() -> None:
    text = CappedText()
    for _ in range(1000):
        text.write("x" * 99 + "\n")
    assert len(text.getvalue()) == 4_000


def test_what_an_array_raises_is_an_error_of_the_subject() -> None:
    class Rude:
        def __array__(self, *_):  # type: ignore[no-untyped-def]
            raise ArithmeticError("no")

    with pytest.raises(SubjectError, match="not numbers"):
        Probe(Part("rude", {"value": lambda *_: Rude()})).number("value", 1.0)


class UnprintableError(ArithmeticError):
    def __str__(self) -> str:
        raise RuntimeError("no text")


@pytest.mark.parametrize(("raised", "told"), [
    (SystemExit(3), "SystemExit: 3"),
    (GeneratorExit(), "GeneratorExit"),
    (type("OfItsOwn", (BaseException,), {})("base"), "OfItsOwn: base"),
    (UnprintableError(), "UnprintableError: .without text: its __str__ raises RuntimeError."),
])
def test_whatever_a_subject_raises_is_an_error_of_the_subject(
    raised: BaseException, told: str
) -> None:
    def fail(_: float) -> float:
        raise raised

    with pytest.raises(SubjectError, match=told):
        Probe(Part("fails", {"value": fail})).number("value", 1.0)


def test_a_subject_may_close_its_output() -> None:
    def rude(answer: float) -> float:
        print("said")
        sys.stdout.close()
        return answer

    probe = Probe(Part("rude", {"value": rude}))
    assert probe.number("value", 1.0) == 1.0
    assert probe.printed == {"said"}


def test_an_answer_that_would_fill_the_memory_is_refused() -> None:
    huge = np.broadcast_to(1.0, (100_000, 100_000))  # one number; a copy would take 75 GiB
    probe = Probe(Part("huge", {"plan": lambda _: huge}))
    with pytest.raises(SubjectError, match="more numbers than any answer has"):
        probe.array("plan", (2, 2), 1.0)


@pytest.mark.parametrize(("body", "told"), [
    ("def __init__(self): raise SystemExit(1)", "fails: SystemExit: 1"),
    ("plan = property(lambda self: 1 / 0)", "its attribute plan raises ZeroDivisionError"),
    ("name = property(lambda self: 1 / 0)", "its attribute name raises ZeroDivisionError"),
])
def test_an_object_that_fails_when_it_is_looked_at_is_no_target(
    body: str, told: str, tmp_path: Path
) -> None:
    (tmp_path / "mine.py").write_text(
        f"class Mine:\n    def value(self, *problem): return 1.0\n    {body}\n")
    with pytest.raises(TargetError, match=told):
        load(f"{tmp_path / 'mine.py'}:Mine")


def test_an_interrupt_that_is_swallowed_ends_the_run_all_the_same() -> None:
    def swallow() -> None:
        try:
            os.kill(os.getpid(), signal.SIGINT)
            time.sleep(5)
        except KeyboardInterrupt:
            pass

    with pytest.raises(KeyboardInterrupt), undisturbed(), isolated():
        swallow()


# ------------------------------------------------------------------ seeds
def test_a_seed_draws_other_cases_under_names_of_their_own() -> None:
    first, other = ({case.name: case for case in collect("quick", seed)[0]} for seed in (0, 3))
    assert "gaussian" in first
    assert "gaussian#3" in other
    assert not np.array_equal(first["gaussian"].C, other["gaussian#3"].C)
    assert "iris-setosa-versicolor" in other


# ------------------------------------------------------------------ the command
def refot_in(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([*REFOT, *arguments], cwd=folder, capture_output=True, text=True,
                          timeout=GIVE_UP, check=False)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "mine.py").write_text(textwrap.dedent("""
        import os, time

        def nothing(*problem):
            raise NotImplementedError("on no problem")

        def stubborn(*problem):
            print("started", file=open("started", "a"))
            while True:
                try:
                    time.sleep(60)
                except BaseException:
                    return 0.0

        def crash(C, *problem):
            if C.shape == (1, 1):
                os._exit(3)
            return float("nan")
    """))
    return tmp_path


def test_nothing_that_can_be_checked_is_status_2(folder: Path) -> None:
    done = refot_in(folder, "verify", "mine.py:nothing", "--as", "value")
    assert done.returncode == 2
    assert "nothing was checked" in done.stdout


def test_a_wrong_call_is_one_sentence_and_status_2(folder: Path) -> None:
    done = refot_in(folder, "verify", "mine.py:nothing", "--as", "value", "--profile", "fast")
    assert done.returncode == 2
    assert "Traceback" not in done.stderr


def test_a_defect_of_refot_is_a_traceback_and_status_3(folder: Path) -> None:
    broken = ("from refot.verification.cases import case; case.synthetic = lambda seed: 1 / 0; "
              "from refot.cli.app import main; main()")
    done = subprocess.run([sys.executable, "-c", broken, "verify", "mine.py:nothing", "--as",
                           "value"], cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 3
    assert "a defect of refot itself" in done.stderr
    assert "ZeroDivisionError" in done.stderr


def gone(group: int) -> bool:
    """Whether no process of the group is left."""
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return True
    return False


@pytest.mark.parametrize("processes", ["1", "2"])
def test_ctrl_c_ends_the_run_with_130(folder: Path, processes: str) -> None:
    running_one = interruptible(
        [*REFOT, "verify", "mine.py:stubborn", "--as", "value", "--processes", processes],
        cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True)
    try:
        wait_until((folder / "started").exists, "a call of the subject")
        running_one.send_signal(signal.SIGINT)
        running_one.communicate(timeout=GIVE_UP)
        assert running_one.returncode == 130
        wait_until(lambda: gone(running_one.pid), "the end of its children")
    finally:
        if running_one.poll() is None:
            os.killpg(running_one.pid, signal.SIGKILL)
            running_one.communicate()


def test_two_processes_find_what_one_finds(folder: Path) -> None:
    (folder / "sharp.py").write_text(
        "import refot\ndef value(*problem):\n    return refot.sharp_value(*problem)\n")
    one, two = (refot_in(folder, "verify", "sharp.py:value", "--as", "value", "--processes", n)
                for n in ("1", "2"))
    assert one.returncode == two.returncode == 1
    assert one.stdout == two.stdout
    assert "the sharp cost <C,P>" in one.stdout


def test_a_process_that_dies_is_an_error_of_its_case_and_the_run_goes_on(folder: Path) -> None:
    done = refot_in(folder, "verify", "mine.py:crash", "--as", "value", "--processes", "2",
                    "--json", "report.json")
    assert done.returncode == 1
    checks = json.loads((folder / "report.json").read_text())["checks"]
    errors = [check for check in checks if check["status"] == "error"]
    assert {check["case"] for check in errors} == {"one-by-one"}
    assert all("crashed the interpreter" in check["message"] for check in errors)
    assert {check["case"] for check in checks if check["status"] == "failed"} > {"gaussian"}
