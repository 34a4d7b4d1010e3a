"""Training a system: steps, metrics, pictures, checkpoints, until it is done, stopped or diverges.

A run that was killed and resumed ends with the same weights, bit for bit, as an uninterrupted one.
For this a checkpoint holds all that a step changes, also the state of the random generator. Nor may
measures and pictures change the run: they use other random generators, which are seeded by the
run's seed and the iteration.
"""

from __future__ import annotations

import json
import math
import os
import platform
import signal
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, TextIO

import numpy as np

import refot
from refot.arrays import Array, InputError, as_count, namespace
from refot.backend_contract import VARIABLE, Backend, BackendLike, backend_for, backend_names
from refot.networks import generator_state
from refot.systems.registry import System, find_preset, make_system
from refot.systems.training.folder import (
    Held,
    Identity,
    RunFolder,
    RunFolderError,
    Snapshot,
    held_by,
    locked,
    write_json,
)
from refot.systems.training.load import made_again, restored
from refot.systems.training.pictures import affordable, draw
from refot.systems.training.signals import signals
from refot.systems.training.watcher import Watcher

MEASURES, PICTURE = 0, 1
"""The purposes for which `_Run._generator` makes a random generator: each draws its own numbers."""


class DivergedError(ArithmeticError):
    """A step produced NaN or infinity: in which step, in which array or loss, and which checkpoint
    is the last one before it.
    """

    def __init__(self, iteration: int, tensor: str, checkpoint: Path | None) -> None:
        super().__init__(iteration, tensor, checkpoint)  # `pickle` rebuilds the error from these
        self.iteration, self.tensor, self.checkpoint = iteration, tensor, checkpoint

    def __str__(self) -> str:
        good = self.checkpoint or "none was written yet"
        return f"step {self.iteration}: {self.tensor} is not finite; last good checkpoint: {good}"


@dataclass(frozen=True)
class Cadence:
    """How often checkpoints are written, measures taken and losses logged.

    `measure_every`, in iterations, is for measures and pictures; None stands for twenty measures in
    a run, and a picture with each of them as long as both together take less than a tenth of the
    time. Both are also taken at the start and at the end, and the end is always saved.
    """

    checkpoint_seconds: float = 60.0
    measure_every: int | None = None
    log_every: int = 1


@dataclass(frozen=True)
class Outcome:
    """How a run ended: after `iteration` of `iterations` steps, complete or stopped by a signal.

    `losses` are those of the last step. `measures` are those at the end, empty if the run was
    stopped. `checkpoint` is the state at the end.
    """

    identity: Identity
    iteration: int
    iterations: int
    seconds: float
    losses: Mapping[str, float]
    measures: Mapping[str, float | None]
    checkpoint: Path
    stopped_by: signal.Signals | None


def train(
    system: str,
    preset: str,
    out: str | os.PathLike[str],
    *,
    iterations: int | None = None,
    seed: int | None = None,
    backend: BackendLike = None,
    settings: Mapping[str, Any] | None = None,
    resume: bool = False,
    cadence: Cadence | None = None,
    watcher: Watcher | None = None,
) -> Outcome:
    """Train a preset of a system in the folder `out`; with `resume`, continue the run in it.

    Defaults are the preset's iterations, seed 0 and the default backend; when a run is resumed, its
    own iterations, seed, backend and settings. The first Ctrl-C or SIGTERM ends the run after the
    present step, with a checkpoint; the second one ends it at once.

    Raises UnknownNameError, RunFolderError or InputError before any work, and DivergedError on NaN
    or infinity.
    """
    standard = find_preset(system, preset).iterations
    held = held_by(Path(out)) if resume else None
    if held is not None:
        _agree_on_backend(held, backend, Path(out))
        iterations = held.iterations if iterations is None else iterations
        seed = held.identity.seed if seed is None else seed
        backend = held.identity.backend if backend is None else backend
        settings = held.identity.settings if settings is None else settings
    iterations = as_count(standard if iterations is None else iterations, "--iterations")
    chosen = backend_for(0, backend)
    identity = Identity(system, preset, seed or 0, chosen.name, dict(settings or {}))
    made = (make_system(system, preset, identity.seed, chosen, identity.settings)
            if held is None else made_again(held, identity, chosen, Path(out)))
    folder = RunFolder(Path(out), identity)
    folder.claim(resume)
    run = _Run(made, folder, chosen, iterations, cadence or Cadence(), watcher or Watcher())
    with locked(folder.path):
        run.restore()
        outcome = run.to_the_end()
        if outcome.stopped_by is None:
            write_report(out, outcome)
    return outcome


def _agree_on_backend(held: Held, backend: BackendLike, out: Path) -> None:
    """If no `backend` is given, raise RunFolderError if the run's own is unknown, or if
    REFOT_BACKEND names another: it is not clear then which of the two is wanted."""
    named, theirs = os.environ.get(VARIABLE), held.identity.backend
    if backend is None and theirs not in backend_names():
        raise RunFolderError("--out", f"{out / 'run.json'}: a run of backend {theirs!r:.80}",
                             "one of " + ", ".join(backend_names()))
    if backend is None and named and named != theirs:
        raise RunFolderError("--out", f"{out} holds a run of backend {theirs}, and {VARIABLE} is "
                             f"{named}", f"--backend {theirs}, {VARIABLE}={theirs} or unset, or "
                             "another folder")


@dataclass
class _Run:
    """A system that is being trained, its folder, and the state of the training."""

    system: System
    folder: RunFolder
    backend: Backend
    iterations: int
    cadence: Cadence
    watcher: Watcher
    iteration: int = 0
    seconds: float = 0.0
    resumed_at: float = 0.0  # the seconds that a resumed run had when it was resumed
    looked: float = 0.0  # seconds of measures and pictures since then
    picture_took: float = 0.0  # seconds of the last picture
    losses: dict[str, float] = field(default_factory=dict)
    measures: dict[str, float | None] = field(default_factory=dict)
    checkpoint: Path | None = None

    def restore(self) -> None:
        """Restore the last checkpoint, if there is one, and remove the metrics after it.

        Raises InputError if the folder does not fit the run, before any file is changed."""
        snapshot = self.folder.load()
        if snapshot is not None:
            if snapshot.iteration > self.iterations:
                raise InputError("--iterations", f"{self.iterations}",
                                 f"at least {snapshot.iteration}, where the last checkpoint is")
            self.checkpoint = self.folder.checkpoint(snapshot.iteration)
            restored(self.system, snapshot, self.checkpoint)
            self.iteration, self.seconds = snapshot.iteration, snapshot.seconds
            self.resumed_at = snapshot.seconds
        for _ in self.folder.rows():  # raises for a bad line, before any file is changed
            pass
        self.folder.begin(self.iterations)
        self.losses = self.folder.cut_metrics(self.iteration if snapshot is not None else -1)

    def to_the_end(self) -> Outcome:
        """Take steps until `iterations` or a signal, then write a checkpoint."""
        self.watcher.begins(self.iteration, self.iterations)
        with signals() as received, self.folder.metrics.open("a", encoding="utf-8") as metrics:
            if self.iteration == 0:
                self._record(metrics)
            saved = time.monotonic()
            while self.iteration < self.iterations and not received:
                self._step()
                self._record(metrics)
                if time.monotonic() - saved >= self.cadence.checkpoint_seconds:
                    self._save(metrics)
                    saved = time.monotonic()
            path = self._save(metrics)
            stopped_by = received[0] if received and self.iteration < self.iterations else None
            if stopped_by is None and not self.measures:  # the run was complete when resumed
                self._measure()
        return Outcome(self.folder.identity, self.iteration, self.iterations, self.seconds,
                       self.losses, self.measures if stopped_by is None else {}, path, stopped_by)

    def _step(self) -> None:
        """Take one step, and add up its time. Raises DivergedError if a loss, or a number of the
        state after it, is NaN or infinite."""
        begun = time.monotonic()
        self.iteration, self.measures = self.iteration + 1, {}
        try:
            self.losses = {name: float(loss) for name, loss in self.system.step().items()}
        except InputError as error:  # how refot's functions refuse an argument that is NaN
            if (tensor := first_not_finite(self.system.state())) is None:
                raise
            raise DivergedError(self.iteration, tensor, self.checkpoint) from error
        self.seconds += time.monotonic() - begun
        named = {f"loss {name}": np.asarray(loss) for name, loss in self.losses.items()}
        if (tensor := first_not_finite(self.system.state() | named)) is not None:
            raise DivergedError(self.iteration, tensor, self.checkpoint)
        self.watcher.stepped(self.iteration, self.losses)

    def _record(self, metrics: TextIO) -> None:
        """Write a line of metrics, if one is due by the cadence; likewise measures and pictures."""
        every = self.cadence.measure_every or max(1, self.iterations // 20)
        due = self.iteration % every == 0 or self.iteration == self.iterations
        row: dict[str, Any] = {"iteration": self.iteration, "seconds": round(self.seconds, 6),
                               "losses": self.losses}
        if due:
            begun = time.monotonic()
            self._measure()
            row["measures"] = self.measures
            self.looked += time.monotonic() - begun
        if due or self.iteration % self.cadence.log_every == 0:
            metrics.write(json.dumps(row) + "\n")
            metrics.flush()
        if due and self._shows_picture():
            self._draw()

    def _shows_picture(self) -> bool:
        """Whether to draw here: at both ends, as often as was asked for, or where it is cheap."""
        return (self.iteration in (0, self.iterations) or self.cadence.measure_every is not None
                or affordable(self.looked, self.seconds - self.resumed_at, self.picture_took))

    def _measure(self) -> None:
        """Take measures of the present state; None for one that is not finite, for JSON has no such
        numbers."""
        found = self.system.evaluate(self._generator(MEASURES))
        self.measures = {name: float(value) if math.isfinite(value) else None
                         for name, value in found.items()}
        self.watcher.measured(self.iteration, self.measures)

    def _draw(self) -> None:
        """Draw the present state and the curves so far."""
        begun = time.monotonic()
        draw(self.system, self.folder, self.iteration, self.iterations, self.seconds,
             self._generator(PICTURE))
        self.picture_took = time.monotonic() - begun
        self.looked += self.picture_took

    def _generator(self, purpose: int) -> np.random.Generator:
        """A random generator for one purpose, apart from the system's own, so that measures and
        pictures do not change the run."""
        return np.random.default_rng([self.folder.identity.seed, self.iteration, purpose])

    def _save(self, metrics: TextIO) -> Path:
        """Write a checkpoint of the present state. The metrics up to it are flushed to disk first,
        so that a resumed run never lacks lines."""
        os.fsync(metrics.fileno())
        arrays = {name: self.backend.to_numpy(each) for name, each in self.system.state().items()}
        self.checkpoint = self.folder.save(Snapshot(
            self.iteration, self.seconds, arrays, generator_state(self.system.rng)))
        return self.checkpoint


def write_report(out: str | os.PathLike[str], outcome: Outcome) -> None:
    """Write report.json into the folder of a complete run: its identity, how it ended, and on which
    versions and machine."""
    write_json(Path(out) / "report.json", asdict(outcome.identity) | {
        "iterations": outcome.iteration, "seconds": outcome.seconds, "losses": outcome.losses,
        "measures": outcome.measures, "checkpoint": outcome.checkpoint.name,
        "refot": refot.__version__, "numpy": np.__version__, "python": platform.python_version(),
        "machine": platform.platform(), "processors": os.cpu_count(),
    })


def first_not_finite(arrays: Mapping[str, Array]) -> str | None:
    """The name of the first array that has NaN or infinity in it; None if all are finite.

    The sum of an array shows this in one pass. Only if it is not finite, which may be an overflow,
    are the entries tested.
    """
    with np.errstate(all="ignore"):
        for name, array in arrays.items():
            if not (math.isfinite(float(array.sum()))
                    or bool(namespace(array).isfinite(array).all())):
                return name
    return None
