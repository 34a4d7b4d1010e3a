"""Whatever a file, a program or a target holds: one clear error, nothing executed, nothing written.

Drawn input goes to every reader; what each may raise is listed, and anything else fails the test.
"""

from __future__ import annotations

import io
import json
import os
import resource
import signal
import struct
import sys
import threading
import time
import tracemalloc
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from refot.arrays import InputError, as_count
from refot.datasets.problem_file import LARGEST, FileError
from refot.networks.checkpoint import save_checkpoint
from refot.verification.runs.certify import read_problem
from refot.verification.runs.exclusions import ExclusionError, read_exclusions
from refot.verification.subjects import protocol
from refot.verification.subjects.limits import limited, memory_limit, time_limit
from refot.verification.subjects.loading import TargetError, as_subject, load
from refot.verification.subjects.probe import Probe, SubjectError
from refot.verification.subjects.protocol import AnswerError, ProgramSaysError
from refot.verification.vectors import answers as vectors

JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5)
    | st.sampled_from(["nan", "inf", "-inf", 10**400, -0.0, 5e-324]),
    lambda parts: st.lists(parts, max_size=3)
    | st.dictionaries(st.sampled_from(["id", "result", "error", "capabilities", "name", "x"]),
                      parts, max_size=3),
    max_leaves=8)


# ------------------------------------------------------------------ what a program writes
def answered(line: bytes, capability: str = "value") -> Any:
    """The numbers that a line holds, or None where it is refused as it should be."""
    try:
        return protocol.numbers(protocol.read_answer(line, 7), capability)
    except (AnswerError, ProgramSaysError, NotImplementedError):
        return None


@given(st.binary(max_size=80))
def test_any_bytes_are_no_answer(line: bytes) -> None:
    assert answered(line) is None


@given(JSON_VALUES, st.sampled_from(["value", "plan", "potentials"]))
def test_any_result_is_numbers_or_refused(result: Any, capability: str) -> None:
    found = answered(json.dumps({"id": 7, "result": result}).encode(), capability)
    parts = found if isinstance(found, tuple) else (found,)
    assert found is None or all(np.asarray(part).dtype == np.float64 for part in parts)
    assert found is None or all(np.ndim(part) <= 2 for part in parts)


@given(JSON_VALUES)
def test_any_description_is_one_or_refused(result: Any) -> None:
    try:
        said = protocol.description(protocol.read_answer(
            json.dumps({"id": 7, "result": result}).encode(), 7), "prog")
    except (AnswerError, InputError):
        return
    assert set(said["capabilities"]) <= set(protocol.askable())


@given(hnp.arrays(st.sampled_from([np.float64, np.float32]), (2, 3),
                  elements={"allow_nan": True, "allow_infinity": True, "allow_subnormal": True}))
def test_numbers_come_through_to_the_bit(C: np.ndarray) -> None:
    line = protocol.request_line(7, "plan", (C, C[0], C[1], 0.5))
    sent = json.loads(line, parse_constant=pytest.fail)["arguments"]
    back = answered(json.dumps({"id": 7, "result": sent["C"]}).encode())
    assert np.asarray(back).astype(C.dtype).tobytes() == _one_nan(C).tobytes()


def _one_nan(array: np.ndarray) -> np.ndarray:
    """With the one NaN that a text has, where there are many."""
    return np.where(np.isnan(array), np.array(float("nan"), array.dtype), array)


# ------------------------------------------------------------------ files
@given(st.text(max_size=60) | st.lists(st.sampled_from(
    ["value.*", "*", "gaussian", "#", " # why", "[", "[!]", "\n", " "]), max_size=6).map("".join))
def test_any_list_of_checks(tmp_path_factory: pytest.TempPathFactory, text: str) -> None:
    path = tmp_path_factory.getbasetemp() / "list.txt"
    path.write_bytes(text.encode("utf-8", "surrogatepass"))
    try:
        lines = read_exclusions(path)
    except ExclusionError:
        return
    assert all(line.check and line.case for line in lines)


@given(st.binary(max_size=60) | JSON_VALUES.map(lambda value: json.dumps(value).encode()))
def test_any_file_of_answers(tmp_path_factory: pytest.TempPathFactory, content: bytes) -> None:
    path = tmp_path_factory.getbasetemp() / "answers.json"
    path.write_bytes(content)
    with pytest.raises(vectors.AnswersError):
        vectors.check(path)


def saved(path: Path, **arrays: Any) -> Path:
    right = {"C": np.ones((2, 2)), "a": [0.5, 0.5], "b": [0.5, 0.5], "eps": 1.0}
    np.savez(path, **{name: np.asarray(array) for name, array in (right | arrays).items()})
    return path


@given(st.data())
def test_a_damaged_npz(tmp_path_factory: pytest.TempPathFactory, data: st.DataObject) -> None:
    path = saved(tmp_path_factory.getbasetemp() / "problem.npz")
    content = bytearray(path.read_bytes())
    for _ in range(data.draw(st.integers(1, 4))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    path.write_bytes(content[: data.draw(st.sampled_from([None, 0, 10, 200, -1]))])
    try:
        read_problem(path)
    except (FileError, InputError):
        return


@given(st.sampled_from(["C", "a", "b", "eps", "x", "cost", "g"]),
       hnp.arrays(hnp.scalar_dtypes() | hnp.unicode_string_dtypes() | hnp.byte_string_dtypes(),
                  hnp.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=2)))
def test_any_array_in_a_problem(
    tmp_path_factory: pytest.TempPathFactory, name: str, array: np.ndarray
) -> None:
    path = saved(tmp_path_factory.getbasetemp() / "problem.npz", **{name: array})
    try:
        read_problem(path)
    except (FileError, InputError):
        return


class Trap:
    """Writes a file when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> Any:
        return Path.write_text, (self.path, "executed")


@pytest.mark.parametrize("name", ["C", "g", "cost"])
def test_nothing_pickled_is_executed(name: str, tmp_path: Path) -> None:
    trap = np.array([Trap(tmp_path / "executed")], dtype=object)
    with pytest.raises(FileError, match="plain arrays"):
        read_problem(saved(tmp_path / "problem.npz", **{name: trap}))
    assert not (tmp_path / "executed").exists()


def test_an_archive_that_unpacks_to_much_is_refused_unread(tmp_path: Path) -> None:
    path = tmp_path / "bomb.npz"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a.npy", bytes(1 << 22))
    content = path.read_bytes()
    size = struct.pack("<I", 1 << 22)  # as declared, in both of the archive's headers
    assert content.count(size) == 2
    path.write_bytes(content.replace(size, struct.pack("<I", LARGEST + 1)))
    tracemalloc.start()
    with pytest.raises(FileError, match=r"unpacks to 1073741825 bytes; allowed: 1073741824"):
        read_problem(path)
    assert tracemalloc.get_traced_memory()[1] < 1 << 20
    tracemalloc.stop()


def test_names_that_climb_write_nothing(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    path = saved(tmp_path / "in" / "problem.npz")
    with zipfile.ZipFile(path, "a") as archive:
        stored = io.BytesIO()
        np.save(stored, np.ones(3))
        for name in ("../climbed.npy", str(tmp_path / "rooted.npy"), "a/../../climbed.npy"):
            archive.writestr(name, stored.getvalue())
    read_problem(path)
    assert sorted(p.name for p in tmp_path.rglob("*")) == ["in", "problem.npz"]


# ------------------------------------------------------------------ targets
@given(st.text(st.sampled_from("ab/.:\0 é%~-\n"), max_size=12))
def test_any_target_is_refused_in_one_sentence(target: str) -> None:
    with pytest.raises(TargetError):
        load(target)


# ------------------------------------------------------------------ time
def test_a_call_that_takes_too_long_is_interrupted() -> None:
    def stubborn(P: Any) -> float:
        while True:
            try:
                while True:
                    pass
            except Exception:  # noqa: BLE001 - what a subject may do
                pass

    (part,) = as_subject(stubborn, "stubborn", "mutual_information").parts
    part = limited(part, 0.05)
    with pytest.raises(TimeoutError, match=r"no answer within 0.05 s"):
        part.capabilities["mutual_information"](np.ones((1, 1)))


def test_a_call_in_time_is_left_alone_and_no_alarm_follows() -> None:
    handler = signal.getsignal(signal.SIGALRM)
    with time_limit(600):
        assert signal.getitimer(signal.ITIMER_REAL)[0] > 0
    assert signal.getitimer(signal.ITIMER_REAL) == (0, 0)
    assert signal.getsignal(signal.SIGALRM) is handler


def test_in_a_thread_there_is_no_limit_and_no_harm() -> None:
    found: list[str] = []

    def work() -> None:
        with time_limit(0.001):
            assert signal.getitimer(signal.ITIMER_REAL) == (0, 0)
            found.append("done")

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert found == ["done"]


def test_of_two_limits_the_first_to_end_holds() -> None:
    for outer, inner in ((0.05, 600), (600, 0.05)):
        with pytest.raises(TimeoutError, match=r"within 0.05 s"), time_limit(outer), (
                time_limit(inner)):
            time.sleep(600)

    def two_calls() -> None:
        with time_limit(300):
            pass
        time.sleep(600)

    with pytest.raises(TimeoutError, match=r"within 0.5 s"), time_limit(0.5):
        two_calls()


# ------------------------------------------------------------------ memory
@pytest.mark.skipif(sys.platform != "linux", reason="the data segment is bounded on Linux only")
def test_a_call_that_takes_too_much_memory_is_an_error_and_the_limit_is_lifted() -> None:
    def greedy(P: Any) -> float:
        return float(np.empty((1 << 30) // 8).size)  # 1 GiB, more than a heap keeps of what it had

    (part,) = as_subject(greedy, "greedy", "mutual_information").parts
    with pytest.raises(SubjectError, match="MemoryError: Unable to allocate"):
        Probe(limited(part, 10.0, 512 << 20)).number("mutual_information", np.ones((1, 1)))
    assert Probe(limited(part, 10.0, 2 << 30)).number("mutual_information", np.ones((1, 1))) > 0
    before = resource.getrlimit(resource.RLIMIT_DATA)
    with memory_limit(1 << 20), pytest.raises(MemoryError):
        np.empty(1 << 27)
    assert resource.getrlimit(resource.RLIMIT_DATA) == before


# ------------------------------------------------------------------ counts and files
@pytest.mark.parametrize("count", [10**400, -(10**400), sys.maxsize + 1])
def test_a_count_beyond_all_machines_is_refused_in_one_sentence(count: int) -> None:
    with pytest.raises(InputError, match="beyond the range of counts"):
        as_count(count, "max_iter")


@pytest.mark.parametrize(("mask", "mode"), [(0o022, 0o644), (0o077, 0o600)])
def test_a_checkpoint_has_the_mode_that_the_user_asked_for(
    mask: int, mode: int, tmp_path: Path
) -> None:
    before = os.umask(mask)
    try:
        save_checkpoint(tmp_path / "w.npz", {"w": np.ones(2)}, {})
    finally:
        os.umask(before)
    assert (tmp_path / "w.npz").stat().st_mode & 0o777 == mode
    assert [path.name for path in tmp_path.iterdir()] == ["w.npz"]
