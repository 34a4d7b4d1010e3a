"""refot-vectors: what its archives hold, and its readers in each language that is here."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from refot.verification.vectors import publish as publishing
from refot.verification.vectors.answers import FOLDER, load
from refot.verification.vectors.publish import VERSION, contents, publish

Build = Callable[[Path], list[str]]

READERS = sorted((FOLDER / "readers").glob("read_vectors.*"))


@pytest.fixture(scope="module")
def archives(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    return publish(tmp_path_factory.mktemp("dist"))


@pytest.fixture(scope="module")
def folder(archives: list[Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the zip, unpacked."""
    to = tmp_path_factory.mktemp("unpacked")
    with zipfile.ZipFile(archives[2]) as archive:
        archive.extractall(to)
    return to / f"refot-vectors-{VERSION}"


def test_the_three_archives_hold_the_same_files(archives: list[Path]) -> None:
    wheel, npm, plain = archives
    names = set(contents())
    with zipfile.ZipFile(plain) as archive:
        assert {name.partition("/")[2] for name in archive.namelist()} == names
    with tarfile.open(npm) as archive:
        inside = {name.removeprefix("package/") for name in archive.getnames()}
        assert inside == names | {"package.json"}
    with zipfile.ZipFile(wheel) as archive:
        assert names <= {name.removeprefix("refot_vectors/") for name in archive.namelist()}


def test_the_same_files_give_the_same_archives(archives: list[Path], tmp_path: Path) -> None:
    assert [path.read_bytes() for path in publish(tmp_path)] == [
        path.read_bytes() for path in archives]


def test_the_wheel_installs_and_says_where_its_files_are(archives: list[Path], tmp_path: Path
                                                         ) -> None:
    subprocess.run([sys.executable, "-m", "pip", "install", "--quiet", "--no-index", "--target",
                    str(tmp_path), str(archives[0])], check=True)
    code = "import refot_vectors as v; print((v.FOLDER / 'value.json').is_file(), v.__version__)"
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True,
                          text=True, check=True)
    assert done.stdout.split() == ["True", VERSION]


def test_the_text_holds_the_numbers_of_the_json(folder: Path) -> None:
    lines = (folder / "text" / "potentials.txt").read_text("utf-8").splitlines()
    case = load("potentials")[0]
    at = lines.index(f"case {case['id']}")
    found = dict(line.split(" ", 2)[1:] for line in lines[at + 1 : at + 7])
    n, m = len(case["inputs"]["a"]), len(case["inputs"]["b"])
    assert [float(x) for x in found["C"].split()] == [2, n, m, *np.ravel(case["inputs"]["C"])]
    f = found["f"].split()
    assert f[:2] == ["1", str(n)]
    assert float(f[2]) == case["outputs"]["f"]["tolerance"]
    assert f[3::2] == case["outputs"]["f"]["mid"]
    assert f[4::2] == case["outputs"]["f"]["rad"]


# ------------------------------------------------------------------ the readers
def compiled(*command: str) -> Build:
    """How to run a program that `command` compiles, with SOURCE and PROGRAM replaced."""

    def build(source: Path) -> list[str]:
        program = source.with_suffix(".out")
        subprocess.run([{"SOURCE": str(source), "PROGRAM": str(program)}.get(word, word)
                        for word in command], check=True, capture_output=True)
        return [str(program)]

    return build


RUN: dict[str, tuple[str, Build]] = {
    ".py": (sys.executable, lambda source: [sys.executable, "-I", str(source)]),
    ".mjs": ("node", lambda source: ["node", str(source)]),
    ".c": ("cc", compiled("cc", "SOURCE", "-lm", "-o", "PROGRAM")),
    ".rs": ("rustc", compiled("rustc", "SOURCE", "-o", "PROGRAM")),
    ".jl": ("julia", lambda source: ["julia", str(source)]),
}
"""By the ending of a reader: the program it needs, and how it becomes a command."""

LANGUAGES = pytest.mark.parametrize("ending", [
    pytest.param(ending, marks=pytest.mark.skipif(shutil.which(program) is None,
                                                  reason=f"no {program}"))
    for ending, (program, _) in RUN.items()])


@LANGUAGES
def test_a_reader_reads_and_finds_a_wrong_answer(ending: str, folder: Path, tmp_path: Path) -> None:
    copy = tmp_path / "vectors"
    shutil.copytree(folder, copy)
    command = RUN[ending][1](copy / f"read_vectors{ending}")
    right = subprocess.run([*command, str(copy)], capture_output=True, text=True, check=True)
    assert right.stdout.split() == ["20", "of", "20", "right"]
    for spoil in (expect_another, ask_for_nan):
        shutil.copytree(folder, copy, dirs_exist_ok=True)
        spoil(copy)
        wrong = subprocess.run([*command, str(copy)], capture_output=True, text=True, check=False)
        assert wrong.stdout.split() == ["19", "of", "20", "right"]


def expect_another(folder: Path) -> None:
    """Move one expected number of the last softmin by 1e-3, in the JSON and in the text."""
    path = folder / "softmin.json"
    file = json.loads(path.read_text("utf-8"))
    output = file["cases"][-1]["outputs"]["softmin"]
    old = output["mid"][-1]
    output["mid"][-1] = new = str(float(old) + 1e-3)
    path.write_text(json.dumps(file), "utf-8")
    text = folder / "text" / "softmin.txt"
    start, _, end = text.read_text("utf-8").rpartition(old)
    text.write_text(start + new + end, "utf-8")


def ask_for_nan(folder: Path) -> None:
    """Make the last eps so small that the softmin of the readers is inf - inf: no number."""
    path = folder / "softmin.json"
    file = json.loads(path.read_text("utf-8"))
    file["cases"][-1]["inputs"]["eps"] = 1e-320
    path.write_text(json.dumps(file), "utf-8")
    text = folder / "text" / "softmin.txt"
    start, _, end = text.read_text("utf-8").rpartition("in eps ")
    text.write_text(f"{start}in eps 0 1e-320\n" + end.partition("\n")[2], "utf-8")


def test_every_reader_is_tried_and_short() -> None:
    assert {path.suffix for path in READERS} == set(RUN)
    for path in READERS:
        assert len(path.read_text("utf-8").splitlines()) <= 40, path.name


def test_a_version_is_of_two_numbers() -> None:
    assert [part.isdigit() for part in publishing.VERSION.split(".")] == [True, True]
