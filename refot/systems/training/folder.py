"""The folder of a training run: its files, which run may use it, and how files are written.

run.json             which run this is; a folder belongs to one run
metrics.jsonl        one object for each step: iteration, seconds, losses, and measures if any
checkpoint-*.npz     the last two checkpoints, with the state of the random generator; no pickle
samples-*.png        what the system generates, at several times of the training
curves.png           losses and measures
progress.html        the last samples and the curves, in a page that reloads itself
report.json          how the run ended

Metrics are appended line by line. Every other file is written under a temporary name and then
renamed, so that it is whole or does not exist. When a run is resumed, `metrics.jsonl` is cut back
to the checkpoint. So a run that was killed and resumed leaves the same files as an uninterrupted
one, except for the seconds.
"""

from __future__ import annotations

import json
import os
import re
import sys
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any, TypeGuard

from refot.arrays import Array, InputError
from refot.files import UnreadableError, open_plain, parsed, read_json, write_text
from refot.networks import CheckpointError, load_checkpoint, save_checkpoint

TEMPORARY = re.compile(r"\.(run|metrics|report|curves|progress|samples-\d{9}|checkpoint-\d{9})\.")
"""The beginning of the temporary names of a run's files while they are being written."""

LARGEST_RUN = 1 << 20
"""The largest run.json that is read, in bytes."""

LONGEST_NAME = 80
"""The largest number of characters in the name of a loss or a measure."""

LONGEST_ROW = 1 << 16
"""The longest line of metrics.jsonl that is read, in bytes."""

KEPT = 2
"""The number of checkpoints that are kept: two, so that one is left if the last is unreadable."""


class RunFolderError(InputError):
    """A folder that cannot be used for this run: it is not writable, holds another run, or is
    damaged."""


@dataclass(frozen=True)
class Identity:
    """All that the numbers of a run depend on: on one machine, two runs with the same identity are
    equal bit by bit."""

    system: str
    preset: str
    seed: int
    backend: str
    settings: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Held:
    """The contents of run.json: the run that a folder belongs to, and the iterations it was started
    for."""

    identity: Identity
    iterations: int


@dataclass(frozen=True)
class Snapshot:
    """The contents of a checkpoint: a run after `iteration` steps."""

    iteration: int

    seconds: float
    """The training time of the run so far."""

    arrays: Mapping[str, Array]
    """The arrays of the system, by name."""

    rng: dict[str, Any]
    """The state of the system's random generator."""


@dataclass(frozen=True)
class RunFolder:
    """The folder `path` as the folder of the run `identity`."""

    path: Path
    identity: Identity

    @property
    def metrics(self) -> Path:
        return self.path / "metrics.jsonl"

    # -------------------------------------------------------------- the run it belongs to
    def claim(self, resume: bool) -> None:
        """Make the folder if there is none, and check that this run may use it.

        Raises RunFolderError if it is not writable, belongs to another run, or belongs to this run
        but `resume` is false.
        """
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            held = held_by(self.path)
            if held is not None:
                self._agree_with(held.identity, resume)
            elif self.checkpoints() or self.metrics.exists():
                raise RunFolderError("--out", f"{self.path} holds parts of a run, and no run.json",
                                     "another folder")
        except (OSError, ValueError) as error:  # ValueError: a NUL in the name
            if isinstance(error, InputError):
                raise
            raise self._unwritable(error) from None

    def begin(self, iterations: int) -> None:
        """Remove files that a killed run has left half written, and write run.json, with the number
        of iterations that this run is to reach. Raises RunFolderError if that fails."""
        try:
            for file in list(self.path.iterdir()):
                if TEMPORARY.match(file.name):
                    file.unlink()
            write_json(self.path / "run.json", asdict(Held(self.identity, iterations)))
        except OSError as error:
            raise self._unwritable(error) from None

    def _unwritable(self, error: OSError | ValueError) -> RunFolderError:
        """The RunFolderError that stands for an error of the file system."""
        return RunFolderError("--out", f"{self.path}: {getattr(error, 'strerror', error)}",
                              "a folder that can be made and written")

    def _agree_with(self, held: Identity, resume: bool) -> None:
        """Raise RunFolderError if the folder belongs to another run (`held`), or to this one but
        `resume` is false."""
        ours, theirs = asdict(self.identity), asdict(held)
        differing = [key for key in ours if ours[key] != theirs[key]]
        if differing:
            raise RunFolderError(
                "--out", f"{self.path} holds a run of "
                + ", ".join(f"{key} {theirs[key]!s:.200}" for key in differing),
                "its own " + ", ".join(differing) + " with --resume, or another folder")
        if not resume:
            raise RunFolderError("--out", f"{self.path} holds this run already",
                                 "--resume to go on with it, or another folder")

    # -------------------------------------------------------------- checkpoints
    def checkpoints(self) -> list[Path]:
        """The paths of all checkpoints, oldest first."""
        named = re.compile(r"checkpoint-\d{9}\.npz")
        return sorted(p for p in self.path.glob("checkpoint-*.npz") if named.fullmatch(p.name))

    def checkpoint(self, iteration: int) -> Path:
        """The path of the checkpoint after `iteration` steps."""
        return self.path / f"checkpoint-{iteration:09d}.npz"

    def save(self, snapshot: Snapshot) -> Path:
        """Write a checkpoint, and remove all but the last KEPT."""
        path = self.checkpoint(snapshot.iteration)
        meta = asdict(self.identity) | {"iteration": snapshot.iteration,
                                        "seconds": snapshot.seconds, "rng": snapshot.rng}
        save_checkpoint(path, dict(snapshot.arrays), meta)
        for old in self.checkpoints()[:-KEPT]:
            old.unlink()
        return path

    def load(self) -> Snapshot | None:
        """The last checkpoint that can be read, with a warning for each later one that cannot; None
        if there is no checkpoint. Raises RunFolderError if there are some, but none can be read.
        """
        found = self.checkpoints()
        for path in reversed(found):
            try:
                return self._snapshot(path)
            except CheckpointError as error:
                warnings.warn(f"{path.name} is passed over: {error}", stacklevel=2)
        if found:
            raise RunFolderError("--out", f"no checkpoint of {self.path} can be read",
                                 "a folder whose last checkpoint is whole")
        return None

    def _snapshot(self, path: Path) -> Snapshot:
        """The contents of a checkpoint. Raises CheckpointError if it cannot be read, or belongs to
        another run."""
        arrays, meta = load_checkpoint(path)
        found = meta.get("iteration")
        if is_whole(found) and self.checkpoint(found).name == path.name:
            seconds, rng = meta.get("seconds"), meta.get("rng")
            identity = {name: meta.get(name) for name in asdict(self.identity)}
            if is_number(seconds) and isinstance(rng, dict) and alike(identity, self.identity):
                return Snapshot(found, float(seconds), arrays, rng)
        raise CheckpointError("path", f"{path} is no checkpoint of this run",
                              "a checkpoint of this run")

    # -------------------------------------------------------------- metrics
    def cut_metrics(self, iteration: int) -> dict[str, float]:
        """Remove the lines of metrics.jsonl after `iteration`. Returns the losses of the last line
        that is left; {} if there is none."""
        kept = [row for row in self.rows() if row["iteration"] <= iteration]
        write_text(self.metrics, "".join(json.dumps(row) + "\n" for row in kept))
        return dict(kept[-1]["losses"]) if kept else {}

    def rows(self) -> Iterator[dict[str, Any]]:
        """The objects of metrics.jsonl, line by line. A last line without a newline is skipped: a
        run may have been killed while it wrote it. Raises RunFolderError, with the number of the
        line, for a line that `train` cannot have written.
        """
        if not os.path.lexists(self.metrics):
            return
        number = 0
        try:
            with open_plain(self.metrics) as lines:
                while (line := lines.readline(LONGEST_ROW)).endswith(b"\n"):
                    number += 1
                    yield row_of(parsed(line.rstrip(b"\n")))
                if len(line) == LONGEST_ROW:
                    number += 1
                    raise UnreadableError(f"more than {LONGEST_ROW} bytes")
        except UnreadableError as error:
            place = f"{self.metrics}, line {number}" if number else f"{self.metrics}"
            raise RunFolderError("--out", f"{place}: {error}", "the metrics of a run") from None


# ------------------------------------------------------------------ files that may hold anything
def row_of(row: Any) -> dict[str, Any]:
    """`row`, unchanged. Raises UnreadableError unless it is a line of metrics as `train` writes it.
    """
    if not isinstance(row, dict) or not is_whole(row.get("iteration")):
        raise UnreadableError("no object with an iteration")
    for kind, optional in (("losses", False), ("measures", True)):
        values = row.get(kind, {} if optional else None)
        if not isinstance(values, dict):
            raise UnreadableError(f"no object of {kind}")
        for name, value in values.items():
            if not name.isprintable() or len(name) > LONGEST_NAME or "$" in name:
                raise UnreadableError(f"{name[:LONGEST_NAME]!r} is no name among {kind}")
            if not (is_number(value) or (optional and value is None)):
                raise UnreadableError(f"{name} is no number among {kind}")
    return row


def is_whole(value: Any) -> TypeGuard[int]:
    """Whether `value` is a whole number from 0 to sys.maxsize."""
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= sys.maxsize


def is_number(value: Any) -> TypeGuard[float]:
    """Whether `value`, from a JSON file, is a number. (`parsed` refuses infinities and NaN.)"""
    return isinstance(value, int | float) and not isinstance(value, bool)


def alike(held: Mapping[str, Any], run: Identity) -> bool:
    """Whether `held`, an identity that was read from JSON, is that of this run."""
    return bool(held == json.loads(json.dumps(asdict(run))))


def held_by(folder: Path) -> Held | None:
    """The run that a folder belongs to; None if it has no run.json. Raises RunFolderError if that
    file cannot be read."""
    file = folder / "run.json"
    if not os.path.lexists(file):
        return None
    try:
        return _held(read_json(file, LARGEST_RUN))
    except UnreadableError as error:
        raise RunFolderError("--out", f"{file} does not describe a run: {error}",
                             "a folder of its own for each run") from None


def _held(found: Any) -> Held:
    """The contents of run.json, checked. Raises UnreadableError."""
    if not isinstance(found, dict) or not isinstance(found.get("identity"), dict):
        raise UnreadableError("no object with an identity")
    identity, expected = found["identity"], [field.name for field in fields(Identity)]
    if sorted(identity) != sorted(expected):
        raise UnreadableError("the identity has other names than " + ", ".join(expected))
    for name in ("system", "preset", "backend"):
        if not isinstance(identity[name], str):
            raise UnreadableError(f"its {name} is no text")
    if not is_whole(identity["seed"]):
        raise UnreadableError("its seed is no whole number >= 0")
    if not isinstance(identity["settings"], dict):
        raise UnreadableError("its settings are no object")
    if not is_whole(found.get("iterations")) or found["iterations"] < 1:
        raise UnreadableError("its iterations are no whole number >= 1")
    return Held(Identity(**identity), found["iterations"])


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Within the `with` block no other process can train in the folder: it is locked. The lock ends
    with the process, even if that is killed. Raises RunFolderError if another process holds it."""
    try:
        import fcntl
    except ImportError:  # Windows
        yield
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    except BlockingIOError:
        raise RunFolderError("--out", f"{folder} is being trained in by another process",
                             "another folder; or wait until that process ends") from None
    finally:
        os.close(handle)


def write_json(path: Path, value: Any) -> None:
    """Write `value` to a JSON file, whole or not at all."""
    write_text(path, json.dumps(value, indent=2) + "\n")
