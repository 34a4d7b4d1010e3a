"""The folder of a run: what it holds, who may go on with it, and its files, each written whole.

run.json             which run this is; a folder belongs to one run
metrics.jsonl        an object a step: iteration, seconds, losses; measures where they were taken
checkpoint-*.npz     the last two, with the state of the random generator; no pickle
samples-*.png        what the system generates, as it trains;  curves.png  losses and measures
report.json          how the run ended

A checkpoint is written under a temporary name and then renamed, so that it is whole or not there.
On resuming, `metrics.jsonl` is cut back to the checkpoint. So the folder of a run that was killed
and resumed ends like that of a run that was not, except for the seconds.
"""

from __future__ import annotations

import json
import os
import re
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from refot.arrays import Array, InputError
from refot.networks import CheckpointError, load_checkpoint, save_checkpoint

TEMPORARY = re.compile(r"\.(run|metrics|report|curves|samples-\d{9}|checkpoint-\d{9})\.")
"""What a file of a run is called while it is written."""

KEPT = 2
"""How many checkpoints are kept: if the last cannot be read, the one before it can."""


class RunFolderError(InputError):
    """A folder that cannot take this run: not writable, or it holds another one."""


@dataclass(frozen=True)
class Identity:
    """All that a run depends on: two runs with the same identity are equal, bit by bit, on one
    machine.
    """

    system: str
    preset: str
    seed: int
    backend: str
    settings: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Held:
    """The run that a folder holds, and the iterations it is to reach."""

    identity: Identity
    iterations: int


@dataclass(frozen=True)
class Snapshot:
    """A run after `iteration` steps: the system's arrays, its generator's state, time so far."""

    iteration: int
    seconds: float
    arrays: Mapping[str, Array]
    rng: dict[str, Any]


@dataclass(frozen=True)
class RunFolder:
    """The folder `path` of the run `identity`."""

    path: Path
    identity: Identity

    @property
    def metrics(self) -> Path:
        return self.path / "metrics.jsonl"

    # -------------------------------------------------------------- whose it is
    def claim(self, iterations: int, resume: bool) -> None:
        """Make the folder this run's, which is to reach `iterations`.

        Raises RunFolderError: not writable, another run's, or this one's without `resume`.
        """
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            held = held_by(self.path)
            if held is not None:
                self._agree_with(held.identity, resume)
            elif self.checkpoints() or self.metrics.exists():
                raise RunFolderError("--out", f"{self.path} holds parts of a run, and no run.json",
                                     "another folder")
            write_json(self.path / "run.json", asdict(Held(self.identity, iterations)))
        except OSError as error:
            raise RunFolderError("--out", f"{self.path}: {error.strerror}",
                                 "a folder that can be made and written") from None

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Within the block no other process trains here (where the system has such locks: not on
        Windows), and what a kill left half written is gone. Raises RunFolderError.
        """
        with locked(self.path):
            for file in list(self.path.iterdir()):
                if TEMPORARY.match(file.name):
                    file.unlink()
            yield

    def _agree_with(self, held: Identity, resume: bool) -> None:
        """Raises RunFolderError unless the run that the folder holds is this one, to be resumed."""
        ours, theirs = asdict(self.identity), asdict(held)
        differing = [key for key in ours if ours[key] != theirs[key]]
        if differing:
            raise RunFolderError(
                "--out", f"{self.path} holds a run of "
                + ", ".join(f"{key} {theirs[key]}" for key in differing),
                "its own " + ", ".join(differing) + " with --resume, or another folder")
        if not resume:
            raise RunFolderError("--out", f"{self.path} holds this run already",
                                 "--resume to go on with it, or another folder")

    # -------------------------------------------------------------- checkpoints
    def checkpoints(self) -> list[Path]:
        """The checkpoints that there are, oldest first."""
        named = re.compile(r"checkpoint-\d{9}\.npz")
        return sorted(p for p in self.path.glob("checkpoint-*.npz") if named.fullmatch(p.name))

    def checkpoint(self, iteration: int) -> Path:
        """The name of the checkpoint after so many steps."""
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
        """The last checkpoint that can be read, None if there is none. Warns of each that cannot.

        Raises RunFolderError where there are some and none can be read.
        """
        found = self.checkpoints()
        for path in reversed(found):
            try:
                arrays, meta = load_checkpoint(path)
            except CheckpointError as error:
                warnings.warn(f"{path.name} is passed over: {error}", stacklevel=2)
                continue
            return Snapshot(meta["iteration"], meta["seconds"], arrays, meta["rng"])
        if found:
            raise RunFolderError("--out", f"no checkpoint of {self.path} can be read",
                                 "a folder whose last checkpoint is whole")
        return None

    # -------------------------------------------------------------- metrics
    def cut_metrics(self, iteration: int) -> dict[str, float]:
        """Leave in metrics.jsonl what was recorded up to `iteration`; the losses of its last line.
        """
        kept = [row for row in self.rows() if row["iteration"] <= iteration]
        write_text(self.metrics, "".join(json.dumps(row) + "\n" for row in kept))
        return dict(kept[-1]["losses"]) if kept else {}

    def rows(self) -> Iterator[dict[str, Any]]:
        """The objects of metrics.jsonl, up to a line that a kill tore."""
        if not self.metrics.exists():
            return
        with self.metrics.open(encoding="utf-8") as lines:
            for line in lines:
                if not line.endswith("\n"):
                    return
                yield json.loads(line)


def held_by(folder: Path) -> Held | None:
    """The run whose folder this is, None if nobody's. Raises RunFolderError: a broken run.json."""
    file = folder / "run.json"
    if not file.is_file():
        return None
    try:
        held = json.loads(file.read_text(encoding="utf-8"))
        return Held(Identity(**held["identity"]), int(held["iterations"]))
    except (ValueError, TypeError, KeyError):
        raise RunFolderError("--out", f"{file} does not describe a run",
                             "a folder of its own for each run") from None


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Holds a folder against other processes; a kill lets go of it. Raises RunFolderError."""
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
                             "another folder, or its end") from None
    finally:
        os.close(handle)


def write_text(path: Path, text: str) -> None:
    """Write a file under a temporary name, and move it into place."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with temporary.open("w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def write_json(path: Path, value: Any) -> None:
    """Write a JSON file, whole or not at all."""
    write_text(path, json.dumps(value, indent=2) + "\n")
