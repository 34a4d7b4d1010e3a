"""A system as a run left it: to sample from it, judge it, draw it."""

from __future__ import annotations

from pathlib import Path

from refot.systems.registry import System, make_system
from refot.systems.training.folder import RunFolder, RunFolderError, held_by


def load_system(folder: str | Path, backend: str = "numpy") -> System:
    """The system of the last checkpoint in the --out folder of `refot train`.

    Raises RunFolderError for a folder without a run, or without a checkpoint.
    """
    path = Path(folder)
    held = held_by(path)
    if held is None:
        raise RunFolderError("folder", f"{path} holds no run", "the --out of `refot train`")
    run = held.identity
    snapshot = RunFolder(path, run).load()
    if snapshot is None:
        raise RunFolderError("folder", f"{path} has no checkpoint", "a run that was saved")
    system = make_system(run.system, run.preset, run.seed, backend, run.settings)
    system.restore(snapshot.arrays)
    return system
