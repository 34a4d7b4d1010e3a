"""`refot verify --command`: the examples in C and JavaScript; programs that die, hang or lie."""

from __future__ import annotations

import json
import pickle
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from child_processes import wait_until_gone

from refot.verification.cases.case import collect, synthetic
from refot.verification.runs import program as command_subject
from refot.verification.runs import run as running
from refot.verification.runs.asked import Selection
from refot.verification.runs.program import (
    MOST_FAILURES,
    Program,
    Questions,
    load_command,
    questions,
)
from refot.verification.runs.selection import run_selection
from refot.verification.subjects.limits import Limits, limited, refusal_expected, time_limit
from refot.verification.subjects.loading import TargetError
from refot.verification.subjects.processes import ProgramError, ProgramTimeoutError
from refot.verification.subjects.protocol import AnswerError

EXAMPLES = Path(__file__).resolve().parents[3] / "docs" / "examples"
LIMITS = Limits(call=300.0, run=1200.0)
COMPILER = shutil.which("cc")
NODE = shutil.which("node")
C, H = np.array([[0.0, 1.5], [2.0, 0.25]]), np.array([0.0, 0.1])


# ------------------------------------------------------------------ the examples
def built_c(source: str, folder: Path) -> str:
    """The command of the C example, built from a source."""
    if COMPILER is None:
        pytest.skip("needs a C compiler, as `cc`")
    (folder / "sinkhorn.c").write_text(source)
    subprocess.run([COMPILER, "-O2", "-Wall", "-Wextra", "-Werror", "-std=c11",
                    "-D_POSIX_C_SOURCE=200809L", "sinkhorn.c", "-o", "sinkhorn", "-lm"],
                   cwd=folder, check=True)
    return f"'{folder}/sinkhorn'"


def saved_js(source: str, folder: Path) -> str:
    """The command of the JavaScript example, from a source."""
    if NODE is None:
        pytest.skip("needs Node, as `node`")
    (folder / "sinkhorn.mjs").write_text(source)
    return f"'{NODE}' '{folder}/sinkhorn.mjs'"


BUILD: dict[str, Callable[[str, Path], str]] = {"sinkhorn.c": built_c, "sinkhorn.mjs": saved_js}


@pytest.mark.parametrize("files", ["", " {in} {out}"], ids=["stays", "files"])
@pytest.mark.parametrize("name", BUILD)
def test_an_example_passes(name: str, files: str, tmp_path: Path) -> None:
    command = BUILD[name]((EXAMPLES / name).read_text(), tmp_path) + files
    subject = load_command(command, "quick", LIMITS)
    report = running.run(subject)
    assert [c for c in report.checks if c.status in ("failed", "error")] == []
    assert report.exit_status == 0
    assert report.count("passed") > 200
    assert (subject.name, subject.version) == (name, "1")
    assert {c.capability for c in report.checks if c.status == "passed"} == {
        "plan", "potentials", "value", "transport_cost"}


@pytest.mark.parametrize(("name", "right", "wrong", "check", "diagnosis"), [
    ("sinkhorn.c", "transport_cost(p) + p->eps * information(p)",
     "transport_cost(p) + 0 * information(p)",
     "value.certified", "the sharp cost <C,P>"),
    ("sinkhorn.mjs", "transportCost(solved, C) + eps * information(solved, C, eps)",
     "transportCost(solved, C) - eps * information(solved, C, eps)",
     "value.certified", "eps KL is subtracted"),
])
def test_a_bug_planted_in_an_example_is_named(
    name: str, right: str, wrong: str, check: str, diagnosis: str, tmp_path: Path
) -> None:
    source = (EXAMPLES / name).read_text()
    assert source.count(right) == 1
    command = BUILD[name](source.replace(right, wrong), tmp_path)
    report = running.run(load_command(command, "quick", LIMITS))
    assert report.exit_status == 1
    failed = [c for c in report.checks if c.id == check and c.status == "failed"]
    assert len(failed) > 8
    assert sum(diagnosis in c.diagnosis for c in failed) >= 0.8 * len(failed)
    assert {c.capability for c in report.checks if c.status == "failed"} == {"value"}


# ------------------------------------------------------------------ programs that do not behave
def python(body: str, folder: Path, files: str = "") -> str:
    """The command of a program: `body` is run for each request but the first, which is answered."""
    indented = "\n".join("        " + line for line in body.splitlines())
    (folder / "program.py").write_text(f"""
import json, os, signal, subprocess, sys, time
source = open(sys.argv[1]) if len(sys.argv) > 1 else sys.stdin
target = open(sys.argv[2], "w") if len(sys.argv) > 2 else sys.stdout
def say(result, number=None):
    message = {{"id": number or request["id"], "result": result}}
    print(json.dumps(message), file=target, flush=True)
for line in source:
    request = json.loads(line)
    C = request["arguments"].get("C", [])
    if request["capability"] == "capabilities":
        say({{"capabilities": ["softmin"]}})
    else:
{indented}
""")
    return f"'{sys.executable}' -S -E '{folder}/program.py'{files}"


def ask(command: str, limits: Limits = LIMITS, seconds: float = 300.0) -> Any:
    """The answer of a program to one softmin, within so many seconds."""
    (part,) = load_command(command, "quick", limits).parts
    return limited(part, seconds).capabilities["softmin"](C, H, 0.5)


@pytest.mark.parametrize(("body", "kind", "complaint"), [
    ("sys.exit(3)", ProgramError, "^ended with status 3 before it answered$"),
    ("sys.exit('out of luck')", ProgramError, "status 1 before it answered: out of luck$"),
    ("os.kill(os.getpid(), signal.SIGSEGV)", ProgramError, "^ended by SIGSEGV before"),
    ("time.sleep(60)", ProgramError, "^no answer within 0.5 s$"),
    ("target.close(); time.sleep(60)", ProgramError, "^no answer within|closed its standard out"),
    ("print(end='{\"id\":', flush=True); time.sleep(60)", ProgramError, "^no answer within 0.5 s"),
    ("say([0, 0], 99)", AnswerError, "^answers request 99.0 where 2 was put$"),
    ("os.write(1, b'{}\\n{}\\n')", ProgramError, "more than one line"),
    ("os.write(1, b'\\xff\\xfe\\n')", AnswerError, "^no UTF-8"),
    ("while True: os.write(1, bytes(1 << 16))", ProgramError, "of more than 1 MiB"),
    ("say([float('nan')])", AnswerError, 'write "nan"'),
    ("bytearray(1 << 30); say([0, 0])", ProgramError, "status 1 .*: MemoryError"),
])
def test_a_program_that_does_not_behave_is_an_error(
    body: str, kind: type[Exception], complaint: str, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    if "bytearray" in body and sys.platform != "linux":
        pytest.skip("memory is bounded on Linux only")
    monkeypatch.setattr("refot.verification.subjects.processes.LONGEST_LINE", 1 << 20)
    with pytest.raises(kind, match=complaint):
        ask(python(body, tmp_path), replace(LIMITS, memory=1 << 29),
            0.5 if "sleep" in body else 1e3)


def test_what_a_program_started_is_killed_with_it(tmp_path: Path) -> None:
    body = ("child = subprocess.Popen(['sleep', '600'])\n"
            f"open({str(tmp_path / 'child')!r}, 'w').write(str(child.pid))\n"
            "time.sleep(600)")
    with pytest.raises(ProgramError, match="no answer"):
        ask(python(body, tmp_path), LIMITS, 5.0)
    wait_until_gone(int((tmp_path / "child").read_text()))


def test_a_program_that_died_is_started_again_but_not_for_ever(tmp_path: Path) -> None:
    body = "sys.exit(1) if request['arguments']['eps'] == 1 else say([0, os.getpid()])"
    (part,) = load_command(python(body, tmp_path), "quick", LIMITS).parts
    softmin = part.capabilities["softmin"]
    first, second = softmin(C, H, 0.5)[1], softmin(C, H, 0.25)[1]
    assert first == second  # one process for many requests
    for _ in range(MOST_FAILURES):
        with pytest.raises(ProgramError, match="status 1"):
            softmin(C, H, 1)
    with pytest.raises(ProgramError, match=f"not asked: .* {MOST_FAILURES} times"):
        softmin(C, H, 0.5)


def test_a_run_ends_when_its_time_is_spent(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each answer takes 30 s of a clock that goes on by these alone."""
    clock = SimpleNamespace(now=0.0, monotonic=lambda: clock.now)
    allowed: list[float] = []

    def answered(line: bytes, seconds: float) -> bytes:
        allowed.append(seconds)
        clock.now += min(30.0, seconds)
        if seconds < 30:
            raise ProgramTimeoutError("late")
        return json.dumps({"id": json.loads(line)["id"], "result": [0, 0]}).encode() + b"\n"

    program = Program("prog", Limits(40.0, 50.0))
    monkeypatch.setattr(program, "_answer", answered)
    monkeypatch.setattr(command_subject, "time", clock)
    assert program.ask("softmin", (C, H, 1.0)) == [0, 0]
    with pytest.raises(ProgramTimeoutError):
        program.ask("softmin", (C, H, 2.0))
    assert allowed == [40, 20]
    with pytest.raises(ProgramError, match=r"not asked: it has taken 50 s in all"):
        program.ask("softmin", (C, H, 3.0))


def test_a_fork_or_a_copy_starts_a_process_of_its_own(tmp_path: Path) -> None:
    (part,) = load_command(python("say([0, os.getpid()])", tmp_path), "quick", LIMITS).parts
    softmin = part.capabilities["softmin"]
    mine, copied = softmin(C, H, 1)[1], pickle.loads(pickle.dumps(softmin))(C, H, 1)[1]
    softmin.program._resident.owner = -1  # as another process would find it
    assert len({mine, copied, softmin(C, H, 1)[1]}) == 3


# ------------------------------------------------------------------ files
def test_many_requests_are_one_process_of_a_program_on_files(tmp_path: Path) -> None:
    log = tmp_path / "starts"
    body = f"with open({str(log)!r}, 'a') as log: print(os.getpid(), file=log)\nsay([0] * len(C))"
    subject = load_command(python(body, tmp_path, " {in} {out}"), "quick", LIMITS, seed=3)
    report = running.run(subject, seed=3)
    foreseen = questions(["softmin"], collect("quick", 3)[0])
    sizes = Counter(log.read_text().split()).values()  # requests of each process
    # one for what is sound, and for what is to be refused; and one for each question that a
    # diagnosis puts once it has seen wrong answers: at most one a failed check
    ahead = sorted([len(foreseen.sound), len(foreseen.to_be_refused)])
    late = len(sizes) - len(ahead)
    assert sorted(sizes) == [1] * late + ahead
    assert sum(ahead) > 30
    assert late <= report.count("failed")
    assert report.count("failed") > 20
    assert report.count("error") == 0


@pytest.mark.parametrize(("body", "complaint"), [
    ("sys.exit(4)", "^ended with status 4"), ("pass", "^it wrote no answer$"),
    ("time.sleep(60)", "^not ended within 0.3 s$"),
    ("os.unlink(sys.argv[2]); os.symlink('/etc/hosts', sys.argv[2])", "no plain file"),
    ("os.unlink(sys.argv[2]); os.mkfifo(sys.argv[2])", "no plain file .*not a plain file"),
    ("os.unlink(sys.argv[2]); os.mkdir(sys.argv[2])", "no plain file"),
    ("os.unlink(sys.argv[2])", "no plain file"),
])
def test_a_program_on_files_that_does_not_behave(
    body: str, complaint: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("refot.verification.runs.program.questions", lambda *_: Questions())
    with pytest.raises(ProgramError, match=complaint):
        ask(python(body, tmp_path, " {in} {out}"), LIMITS, 0.3 if "sleep" in body else 1e3)


def test_a_failure_half_way_is_told_of_its_own_request(tmp_path: Path) -> None:
    body = "sys.exit(5) if request['arguments']['eps'] == 2 else say([0, request['id']])"
    program = Program(python(body, tmp_path, " {in} {out}"), LIMITS)
    program.ask_ahead([("softmin", (C, H, float(eps))) for eps in (1, 2, 3)])
    assert program.ask("softmin", (C, H, 1.0)) == [0, 1]  # answered ahead, as the first of three
    with pytest.raises(ProgramError, match="status 5"):
        program.ask("softmin", (C, H, 2.0))
    assert program.ask("softmin", (C, H, 3.0)) == [0, 5]  # asked again, by itself
    assert program.ask("softmin", (C, H, 1.0)) == [0, 6]  # what was asked twice is answered twice


def test_dying_of_bad_input_is_no_failure_and_the_program_is_asked_on(tmp_path: Path) -> None:
    body = "sys.exit(5) if request['arguments']['eps'] == 2 else say([0, 0])"
    for files in ("", " {in} {out}"):
        program = Program(python(body, tmp_path, files), LIMITS)
        for _ in range(MOST_FAILURES + 1):
            with refusal_expected(), pytest.raises(ProgramError, match="status 5"):
                program.ask("softmin", (C, H, 2.0))
        assert program.ask("softmin", (C, H, 1.0)) == [0, 0]


def test_what_is_to_be_refused_is_asked_ahead_in_a_file_of_its_own() -> None:
    asked = questions(["softmin"], [next(synthetic())])
    assert len(asked.to_be_refused) == 4  # a NaN, eps < 0 and = 0, more scores than columns
    assert all(len(arguments[1]) != 6 or np.isnan(arguments[0]).any() or arguments[2] <= 0
               for _, arguments in asked.to_be_refused)
    assert all(np.isfinite(arguments[0]).all() and arguments[2] > 0
               for _, arguments in asked.sound)


def test_a_time_limit_from_outside_leaves_no_answer_behind(tmp_path: Path) -> None:
    """The answer to a request that was given up would be read as that to the next."""
    body = "time.sleep(60 if request['arguments']['eps'] == 2 else 0)\nsay([0, 0])"
    program = Program(python(body, tmp_path), LIMITS)
    assert program.ask("softmin", (C, H, 1.0)) == [0, 0]
    with pytest.raises(TimeoutError), time_limit(0.1):
        program.ask("softmin", (C, H, 2.0))
    assert program.ask("softmin", (C, H, 1.0)) == [0, 0]


def test_nothing_is_left_of_a_program_on_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "temporary"))
    (tmp_path / "temporary").mkdir()
    victim = tmp_path / "victim"
    victim.mkdir()
    (victim / "kept").write_text("kept")
    body = (f"here = os.path.dirname(sys.argv[2])\nos.symlink({str(victim)!r}, here + '/link')\n"
            "open(here + '/..junk', 'w').close()\nsay([0, 0])")
    ask(python(body, tmp_path, " {in} {out}"))
    assert list((tmp_path / "temporary").iterdir()) == []
    assert (victim / "kept").read_text() == "kept"


# ------------------------------------------------------------------ commands that are none
@pytest.mark.parametrize(("command", "complaint"), [
    ("", "no program"), ("'", "No closing quotation"), ("no-such-program", "cannot be started"),
    ("prog {in}", "both {in} and {out}"), ("prog {out}", "both {in} and {out}"),
    ("true", "ended with status 0 before it answered"), ("cat", "found arguments, capability"),
    ("echo hello", "hello"), ("/", "cannot be started"), ("a\0b", "cannot be started"),
])
def test_commands_that_are_none(command: str, complaint: str) -> None:
    with pytest.raises(TargetError, match=complaint):
        load_command(command, "quick", LIMITS)


@pytest.mark.parametrize(("said", "complaint"), [
    ([], "is an object"), ({}, "capabilities: none"), ({"capabilities": []}, "none"),
    ({"capabilities": ["solve"]}, "solve"), ({"capabilities": [["plan"]]}, "plan"),
    ({"capabilities": "plan"}, "a string where a list"),
    ({"capabilities": ["plan"], "name": 3}, "name: a number where a str"),
    ({"capabilities": ["plan"], "convention": "mine"}, "mine"),
    ({"capabilities": ["plan"], "tolerance": -1}, "tolerance"),
    ({"capabilities": ["plan"], "more": 1}, "is an object"),
])
def test_descriptions_that_are_none(said: Any, complaint: str, tmp_path: Path) -> None:
    answer = json.dumps({"id": 1, "result": said})
    with pytest.raises(TargetError, match=complaint):
        load_command(f"echo '{answer}'", "quick", LIMITS)


def test_the_command_line_takes_a_program(tmp_path: Path) -> None:
    command = python("say([0, 0])", tmp_path)
    for words, status in ((["--command", command, "pot"], 2), (["--command", "false"], 2),
                          (["--command", command, "--as", "plan"], 2),
                          (["--command", command, "--time-limit", "9"], 1)):
        done = subprocess.run([sys.executable, "-c", "from refot.cli.app import main; main()",
                               "verify", *words], capture_output=True, text=True)
        assert done.returncode == status, done.stderr
        assert "Traceback" not in done.stderr


# ------------------------------------------------------------------ an honest one at an extreme
HONEST = """
import json, sys
for line in sys.stdin:
    request = json.loads(line)
    answer = {"id": request["id"]}
    if request["capability"] == "capabilities":
        answer["result"] = {"capabilities": ["value", "plan"]}
    elif request["arguments"]["eps"] > 0.01:
        answer["error"] = "not written yet"
    elif request["capability"] == "value":
        answer |= {"result": 0.0, "not_converged": "10 steps"}
    else:
        answer["not_converged"] = "10 steps"
    print(json.dumps(answer), flush=True)
"""


def test_a_program_may_say_that_it_did_not_converge(tmp_path: Path) -> None:
    (tmp_path / "honest.py").write_text(HONEST)
    subject = load_command(f"{sys.executable} {tmp_path / 'honest.py'}", "quick", LIMITS)
    found = run_selection(subject, Selection(case="tiny-eps"))
    status = {check.id: check.status for check in found.checks}
    assert (status["value.certified"], status["plan.marginals"]) == ("not_converged",) * 2
    assert found.exit_status == 0
    assert run_selection(subject, Selection("value.certified", "gaussian")).exit_status == 1
