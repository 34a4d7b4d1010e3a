"""Files that somebody else may have made: each reader ends in an answer or in one clear error."""

from __future__ import annotations

import copy
import json
import os
import shutil
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import toy_system

import refot.datasets.inert_pickle
from refot.arrays import InputError, TypeInputError
from refot.datasets.cifar import cifar10, read_batch
from refot.datasets.images import DataFileError
from refot.datasets.inert_pickle import read_inert
from refot.datasets.mnist import mnist
from refot.datasets.problem_file import FileError
from refot.files import (
    DEEPEST,
    UnreadableError,
    parsed,
    read_arrays,
    read_json,
    whole_file,
    write_text,
)
from refot.networks import CheckpointError, load_checkpoint, save_checkpoint
from refot.systems.registry import SYSTEMS
from refot.systems.training import loop
from refot.systems.training.folder import RunFolder, RunFolderError, held_by
from refot.systems.training.load import load_system
from refot.systems.training.loop import Cadence, train
from refot.terminal import plain
from refot.verification.reports.compare import CompareError, cause, compare, without_evidence
from refot.verification.runs.certify import read_problem

NEVER = Cadence(checkpoint_seconds=1e9, measure_every=10**9)


# ------------------------------------------------------------------ pickles of CIFAR-10
def opcodes(*parts: bytes) -> bytes:
    return b"\x80\x02" + b"".join(parts) + b"."


SHARED = b"(tq\x01" + b"h\x01h\x01\x86q\x01" * 60
"""A tuple that holds another twice, which holds another twice, 60 deep."""

ENCODE = b"c_codecs\nencode\nh\x02X\x06\x00\x00\x00latin1\x86R"
BOMB = (b"]X" + (1 << 16).to_bytes(4, "little") + b"a" * (1 << 16) + b"q\x020("
        + ENCODE * 20_000 + b"e")
"""64 KiB of text that is encoded 20,000 times: 1.3 GB of 1 MB."""

PICKLES = {
    "a key that takes 2^60 steps to hash": opcodes(b"}", SHARED, b"K\x01s"),
    "pairs of such keys": opcodes(b"](", SHARED, b"K\x01\x86e"),
    "nested 200,000 deep": opcodes(b"]" * 200_000, b"a" * 199_999),
    "nested 200,000 deep from the top": opcodes(
        b"]q\x01", b"h\x01]q\x02ah\x02q\x01".replace(b"ah\x02", b"a") * 200_000),
    "tuples 200,000 deep": opcodes(b")", b"\x85" * 200_000),
    "calls 200,000 deep": opcodes(b"cx\ny\n)R", b"q\x01cx\ny\nh\x01\x85R" * 100_000),
    "states 200,000 deep": opcodes(b"cx\ny\n)R", b"q\x01cx\ny\n)Rh\x01b" * 100_000),
    "a cycle": opcodes(b"}q\x01X\x01\x00\x00\x00ah\x01s"),
    "text encoded again and again": opcodes(BOMB.replace(b"q\x020(", b"q\x02h\x02ah\x03(")),
    "a list": opcodes(b"]"), "nothing": b"", "no end": b"\x80\x02]",
    "a number of two million opcodes": opcodes(b"](", b"N" * 2_100_000, b"e"),
}


@pytest.mark.parametrize("name", PICKLES)
def test_a_pickle_that_asks_for_much_is_refused(name: str, tmp_path: Path) -> None:
    path = tmp_path / "data_batch_1"
    path.write_bytes(PICKLES[name])
    with pytest.raises(DataFileError, match=r"data_batch_1: .*allowed: a whole python batch"):
        read_batch(path)


def test_text_is_encoded_no_more_than_once() -> None:
    text = b"X" + (1 << 16).to_bytes(4, "little") + b"a" * (1 << 16) + b"q\x02"
    with pytest.raises(ValueError, match="it encodes more text than it holds"):
        read_inert(opcodes(text, ENCODE * 3))
    once = b"c_codecs\nencode\n" + text + b"X\x06\x00\x00\x00latin1\x86R"
    assert read_inert(opcodes(once)) == b"a" * (1 << 16)


def test_depth_is_refused_for_its_own_reason() -> None:
    with pytest.raises(ValueError, match="containers within containers"):
        read_inert(opcodes(b")", b"\x85" * (refot.datasets.inert_pickle.MOST_NESTED + 1)))
    read_inert(opcodes(b")", b"\x85" * 500))


def sparse(path: Path, size: int) -> Path:
    with path.open("wb") as file:
        file.truncate(size)
    return path


@pytest.mark.parametrize("name", ["data_batch_1.bin", "data_batch_1"])
def test_a_file_of_12_gigabytes_is_refused_unread(name: str, tmp_path: Path) -> None:
    with pytest.raises(DataFileError, match=r"data_batch_1.*: 12884901888 bytes; at most"):
        read_batch(sparse(tmp_path / name, 12 << 30))


@pytest.mark.parametrize("folder", [3, 3.5, b"folder", ["folder"], {}, True])
def test_a_folder_is_a_name(folder: Any) -> None:
    for read in (cifar10, mnist):
        with pytest.raises(TypeInputError, match=r"data: .*allowed: the name of a folder"):
            read(folder)


@pytest.mark.parametrize("folder", ["a\0b", "x" * 5000, "", "/dev/null", "no/such"])
def test_a_name_that_is_no_folder_is_told(folder: str) -> None:
    for read in (cifar10, mnist):
        with pytest.raises(DataFileError):
            read(folder)


# ------------------------------------------------------------------ plain files
def read_row(path: Path) -> Any:
    path.rename(path.parent / "metrics.jsonl")
    return list(RunFolder(path.parent, None).rows())  # type: ignore[arg-type]


def read_run(path: Path) -> Any:
    path.rename(path.parent / "run.json")
    return held_by(path.parent)


READERS: dict[str, tuple[Callable[[Path], Any], type[Exception]]] = {
    "compare": (lambda path: compare(path, path), CompareError),
    "certify": (read_problem, FileError), "checkpoint": (load_checkpoint, CheckpointError),
    "batch": (read_batch, DataFileError), "metrics": (read_row, RunFolderError),
    "run.json": (read_run, RunFolderError), "JSON": (read_json, UnreadableError),
    "arrays": (read_arrays, UnreadableError),
}


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes with names on this system")
@pytest.mark.parametrize("reader", READERS)
def test_no_reader_waits_for_a_pipe(reader: str, tmp_path: Path) -> None:
    read, error = READERS[reader]
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(error, match=r"not a plain file|no such file"):
        read(tmp_path / "pipe")


@pytest.mark.parametrize("reader", READERS)
def test_no_reader_takes_a_folder_a_huge_file_or_noise(reader: str, tmp_path: Path) -> None:
    read, error = READERS[reader]
    (tmp_path / "folder").mkdir()
    with pytest.raises(error):
        read(tmp_path / "folder")
    noise = np.random.default_rng(0).bytes(1000) + b"\n"
    for k, content in enumerate((b"\n", noise, b"\x00" * 100 + b"\n", b"[" * 100_000 + b"\n")):
        home = tmp_path / str(k)
        home.mkdir()
        (home / "file").write_bytes(content)
        with pytest.raises(error):
            read(home / "file")
    if reader != "metrics":  # which is read line by line; its lines have a limit
        home = tmp_path / "huge"
        home.mkdir()
        with pytest.raises(error):
            read(sparse(home / "file", 12 << 30))


def test_a_line_of_metrics_without_end_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RunFolderError, match=r"metrics\.jsonl, line 1: more than 65536 bytes"):
        read_row(sparse(tmp_path / "file", 12 << 30))


# ------------------------------------------------------------------ archives
def test_members_that_are_no_arrays_are_refused(tmp_path: Path) -> None:
    """NumPy hands over their bytes: `cost` as bytes, for one."""
    import zipfile

    path = tmp_path / "problem.npz"
    np.savez(path, a=[1.0], b=[1.0], eps=1.0, x=[[0.0]], y=[[1.0]])
    for name in ("cost", "C", "g", "a"):
        other = tmp_path / f"{name}.npz"
        shutil.copy(path, other)
        with zipfile.ZipFile(other, "a") as archive:
            archive.writestr(name, b"sqeuclidean")
        with pytest.raises(FileError, match=rf"{name}.npz: .*'{name}' is no array|a name twice"):
            read_problem(other)


def test_a_checkpoint_is_no_larger_than_its_file(tmp_path: Path) -> None:
    np.savez_compressed(tmp_path / "bomb.npz", w=np.zeros(1 << 20), header=np.zeros(1, np.uint8))
    with pytest.raises(CheckpointError, match="unpacks to"):
        load_checkpoint(tmp_path / "bomb.npz")
    save_checkpoint(tmp_path / "right.npz", {"w": np.zeros(1 << 10)}, {"k": 1})
    assert load_checkpoint(tmp_path / "right.npz")[1] == {"k": 1}


# ------------------------------------------------------------------ JSON
def nested(depth: int) -> str:
    return "[" * depth + "]" * depth


@pytest.mark.parametrize(("text", "said"), [
    (nested(DEEPEST + 1), "nested more than"), (nested(200_000), "nested more than"),
    ('{"a":' * 40 + "1" + "}" * 40, "nested more than"), ("1" + "0" * 400, "beyond the range"),
    ("1e999", "beyond the range"), ("NaN", "NaN is no number"), ("[-Infinity]", "no number"),
    ('{"a": 1, "a": 2}', "a name twice"), ("[\n1,\n}", "line 3: no JSON"), ("\xff", "no JSON"),
    ("9" * 5000, "beyond the range"), ("-" + "9" * 310, "beyond the range"),
    ("0" * 500, "no JSON"), ("", "no JSON"),
])
def test_json_has_limits(text: str, said: str) -> None:
    with pytest.raises(UnreadableError, match=said):
        parsed(text.encode())


def test_json_within_them_is_read() -> None:
    assert parsed(nested(DEEPEST).encode()) is not None
    assert parsed(b'{"a": [1, 2.5, null, true, "x", 170141183460469231731687303715884105728]}')
    with pytest.raises(UnreadableError, match="not UTF-8"):
        parsed(b'"\xff"')


# ------------------------------------------------------------------ reports
REPORT: dict[str, Any] = {
    "subject": {"name": "s", "version": "1", "convention": "refot"}, "profile": "quick",
    "refot": "0", "checks": [{"part": "p", "id": "value.certified", "case": "c", "error": 1.0,
                              "tolerance": 1e-9, "diagnosis": "sharp (off by 1)", "message": "m",
                              "status": "failed", "level": "wrong", "difficulty": "ordinary",
                              "digits": 0.5}], "format": 2}

VALUES: list[Any] = [None, True, 0, -1, 1.5, 10**300, 1e308, "", "x", "\x1b[2J", "$x$", [], {}, [1],
                     {"a": 1}, [[[]]], "1e5", {"a": {"b": []}}, 2**63, "[/red]"]


def mutated(value: Any, rng: np.random.Generator) -> Any:
    """JSON with one entry somewhere replaced, left out, or put where it does not belong."""
    value = copy.deepcopy(value)
    places: list[tuple[Any, Any]] = []

    def walk(part: Any) -> None:
        for key in list(part) if isinstance(part, dict) else range(len(part)):
            places.append((part, key))
            if isinstance(part[key], dict | list):
                walk(part[key])

    walk(value)
    if not places or rng.random() < 0.03:
        return VALUES[rng.integers(len(VALUES))]
    part, key = places[rng.integers(len(places))]
    match rng.integers(4):
        case 0:
            del part[key]
        case 1 if isinstance(part, dict):
            part[str(VALUES[rng.integers(len(VALUES))])] = part[key]
        case _:
            part[key] = VALUES[rng.integers(len(VALUES))]
    return value


def damaged(text: bytes, rng: np.random.Generator) -> bytes:
    """A text with some bytes changed, left out, or written again."""
    data = bytearray(text)
    for _ in range(rng.integers(1, 4)):
        at, to = sorted(rng.integers(len(data) + 1, size=2))
        match rng.integers(4):
            case 0:
                data[at:at + 1] = rng.bytes(1)
            case 1:
                del data[at:min(to, at + 20)]
            case 2:
                data[at:at] = data[at:min(to, at + 50)]
            case 3:
                data[at:at] = [b"[" * 5000, b"9" * 500, b"1e999", b"NaN", b"\x1b[2J",
                               b'"\\ud800"', b'{"a":' * 40, b"\n"][rng.integers(8)]
    return bytes(data)


def any_json(value: Any, rng: np.random.Generator) -> bytes:
    text = json.dumps(mutated(value, rng) if rng.random() < 0.7 else value).encode()
    return damaged(text, rng) if rng.random() < 0.4 else text


def compare_mutated(folder: Path, draws: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    right, file = folder / "right.json", folder / "file.json"
    right.write_text(json.dumps(REPORT))
    for _ in range(draws):
        file.write_bytes(any_json(REPORT, rng))
        refused = None
        try:
            assert all(line.isprintable() for line in compare(right, file).report())
        except CompareError as error:
            refused = str(error)
        assert refused is None or "file.json: not a report" in refused


def test_any_report_is_compared_or_refused(tmp_path: Path) -> None:
    compare_mutated(tmp_path, 1000, 0)


EVIDENCE = [" (" * 50_000 + "1", " (" * 50_000 + "1)x", "1 (" * 50_000 + ")", " (a1" * 50_000 + ")",
            " (" * 100_000 + ")", " ()" * 50_000 + "1)", "(" * 100_000 + "1)", "1" * 200_000,
            "-" * 200_000, "1." * 100_000, "1e" * 100_000, " (a" * 50_000 + "1)"]


@pytest.mark.parametrize("number", range(len(EVIDENCE)))
def test_a_diagnosis_of_any_length_takes_no_time_without_end(number: int) -> None:
    """With a regular expression that backtracks, each of these takes minutes to years."""
    assert len(cause(EVIDENCE[number])) <= len(EVIDENCE[number])


def test_the_evidence_is_what_the_regular_expression_found() -> None:
    import re

    slow, rng = re.compile(r" \(\D*\d[^()]*\)$"), np.random.default_rng(0)
    for _ in range(20_000):
        text = "".join(rng.choice(list(" (()))1a2."), size=rng.integers(1, 12)))
        assert without_evidence(text) == slow.sub("", text), text


# ------------------------------------------------------------------ folders of runs
@pytest.fixture(autouse=True)
def _toy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(SYSTEMS, toy_system.NAME, toy_system.__name__)
    monkeypatch.setattr(loop._Run, "_draw", lambda run: None)


def whole_run(folder: Path) -> Path:
    """A run of three steps, with two checkpoints and measures."""
    train("toy", "quadratic", folder, iterations=3, settings={"lr": 0.02},
          cadence=Cadence(checkpoint_seconds=0, measure_every=1))
    return folder


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}


def tampered(right: Path, folder: Path, rng: np.random.Generator) -> None:
    """A copy of the folder of a run in which one or two files are not what they were."""
    shutil.copytree(right, folder)
    for _ in range(rng.integers(1, 3)):
        match rng.integers(4):
            case 0:
                file = folder / "run.json"
                file.write_bytes(any_json(json.loads((right / "run.json").read_text()), rng))
            case 1:
                rows = (right / "metrics.jsonl").read_bytes().splitlines()
                rows[rng.integers(len(rows))] = any_json(
                    json.loads(rows[rng.integers(len(rows))]), rng)
                (folder / "metrics.jsonl").write_bytes(b"\n".join(rows) + b"\n")
            case 2:
                for file in folder.glob("checkpoint-*.npz"):
                    file.write_bytes(damaged(file.read_bytes(), rng))
            case 3:
                for file in folder.glob("checkpoint-*.npz"):
                    arrays, meta = load_checkpoint(right / file.name)
                    meta = mutated(meta, rng)
                    if rng.random() < 0.5:
                        name = list(arrays)[rng.integers(len(arrays))]
                        arrays[name] = np.zeros(rng.integers(4), dtype=rng.choice(
                            np.array(["f4", "f8", "i8", "U3", "?"])))
                    file.unlink()
                    save_checkpoint(file, arrays, meta if isinstance(meta, dict) else {})


def ended(read: Callable[[], Any], what: str) -> str | None:
    """The error with which a reader refuses, None if it does not; anything else is a failure."""
    try:
        read()
    except InputError as error:
        return str(error)
    except Exception as error:
        raise AssertionError(f"{what}: {error!r}") from error
    return None


def resume_tampered(home: Path, draws: int, seed: int) -> int:
    """How many of so many tampered folders are refused; each by one clear error, untouched."""
    right, refused = whole_run(home / "right"), 0
    for k in range(draws):
        folder = home / str(k)
        tampered(right, folder, np.random.default_rng([seed, k]))
        before = contents(folder)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            for read in (lambda: load_system(folder),  # noqa: B023 - called here
                         lambda: train("toy", "quadratic", folder, iterations=4,  # noqa: B023
                                       resume=True, cadence=NEVER)):
                said = ended(read, f"folder {k} of seed {seed}")
                if said is not None:
                    refused += 1
                    assert str(home) in said or "--iterations" in said, (k, said)
                    assert len(plain(said)) < 3000
                    assert contents(folder) == before, k
        shutil.rmtree(folder)
    assert sorted(path.name for path in home.iterdir()) == ["right"]  # nothing outside it
    return refused


def test_a_tampered_folder_ends_in_a_clear_error(tmp_path: Path) -> None:
    assert resume_tampered(tmp_path, 200, 0) > 100


@pytest.mark.slow
def test_thousands_of_tampered_folders_and_reports(tmp_path: Path) -> None:
    (tmp_path / "runs").mkdir()
    assert resume_tampered(tmp_path / "runs", 2000, 1) > 1000
    compare_mutated(tmp_path, 50_000, 1)


@pytest.mark.parametrize(("file", "content", "said"), [
    ("run.json", b"[]", r"run\.json does not describe a run: no object with an identity"),
    ("run.json", b"{", r"run\.json does not describe a run: no JSON"),
    ("run.json", b"{\n,}", r"run\.json does not describe a run: line 2: no JSON"),
    ("metrics.jsonl", b'{"iteration": 0, "losses": {}}\n{\n', r"metrics\.jsonl, line 2: no JSON"),
    ("metrics.jsonl", b'{"iteration": "x", "losses": {}}\n', "line 1: no object with an iter"),
    ("metrics.jsonl", b'{"iteration": 0}\n', "line 1: no object of losses"),
    ("metrics.jsonl", b'{"iteration": 0, "losses": {"a": "b"}}\n', "line 1: a is no number"),
    ("metrics.jsonl", b'{"iteration": 0, "losses": {"\\u001b[2J": 1}}\n', "no name among losses"),
])
def test_the_error_names_the_file_and_the_line(
    file: str, content: bytes, said: str, tmp_path: Path
) -> None:
    folder = whole_run(tmp_path / "run")
    (folder / file).write_bytes(content)
    before = contents(folder)
    with pytest.raises(RunFolderError, match=said):
        train("toy", "quadratic", folder, iterations=9, resume=True, cadence=NEVER)
    assert contents(folder) == before


@pytest.mark.parametrize("settings", [
    {"lr": "fast"}, {"lr": None}, {"no such": 1}, {"nan_at": []}, {"lr": {"a": 1}}, {"pause": -1},
])
def test_settings_of_another_type_are_told_with_their_file(
    settings: dict[str, Any], tmp_path: Path
) -> None:
    folder = whole_run(tmp_path / "run")
    held = json.loads((folder / "run.json").read_text())
    held["identity"]["settings"] = settings
    (folder / "run.json").write_text(json.dumps(held))
    with pytest.warns(UserWarning, match="passed over") if settings != {"no such": 1} else (
            warnings.catch_warnings()), pytest.raises(RunFolderError, match=r"run"):
        train("toy", "quadratic", folder, iterations=9, resume=True, cadence=NEVER)


def test_a_link_in_the_folder_does_not_lead_out_of_it(tmp_path: Path) -> None:
    folder = whole_run(tmp_path / "run")
    outside = tmp_path / "outside"
    outside.write_text("mine")
    for name in (f".run.json.{os.getpid()}", f".metrics.jsonl.{os.getpid()}",
                 f".report.json.{os.getpid()}"):
        (folder / name).symlink_to(outside)
    train("toy", "quadratic", folder, iterations=5, resume=True, cadence=NEVER)
    assert outside.read_text() == "mine"


def test_nothing_in_a_checkpoint_is_unpickled(tmp_path: Path) -> None:
    class Trap:
        def __reduce__(self) -> Any:
            return Path.write_text, (tmp_path / "executed", "")

    np.savez(tmp_path / "trap.npz", w=np.array([Trap()], dtype=object))
    with pytest.raises(CheckpointError):
        load_checkpoint(tmp_path / "trap.npz")
    assert not (tmp_path / "executed").exists()


# ------------------------------------------------------------------ writing
@pytest.mark.parametrize("step", ["write", "fsync", "replace"])
def test_a_file_is_written_whole_or_not_at_all(tmp_path, monkeypatch, step):
    path = tmp_path / "kept.json"
    write_text(path, "before\n")

    def fails(*_args, **_named):
        raise OSError("no space left")

    def writes():
        with whole_file(path) as file:
            file.write(b"half")
            if step == "write":
                fails()

    if step != "write":
        monkeypatch.setattr(os, step, fails)
    with pytest.raises(OSError, match="no space"):
        writes()
    monkeypatch.undo()
    assert path.read_text() == "before\n"
    assert os.listdir(tmp_path) == ["kept.json"]  # and nothing beside it
