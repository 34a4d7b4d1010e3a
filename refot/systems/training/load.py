"""A system in the state of a run's last checkpoint: to sample from it, evaluate it, or train on."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from refot.arrays import Array
from refot.backend_contract import DEFAULT_BACKEND, BackendLike, get_backend
from refot.networks import restore_generator
from refot.systems.registry import System, make_system
from refot.systems.training.folder import (
    Held,
    Identity,
    RunFolder,
    RunFolderError,
    Snapshot,
    held_by,
)


def load_system(folder: str | Path, backend: str = DEFAULT_BACKEND) -> System:
    """The system in the state of the last checkpoint in the --out folder of `refot train`.

    Raises RunFolderError for a folder without a run, or without a checkpoint that can be read.
    """
    path, chosen = Path(folder), get_backend(backend)
    held = held_by(path)
    if held is None:
        raise RunFolderError("folder", f"{path} holds no run", "the --out of `refot train`")
    store = RunFolder(path, held.identity)
    snapshot = store.load()
    if snapshot is None:
        raise RunFolderError("folder", f"{path} has no checkpoint", "a run that was saved")
    system = made_again(held, held.identity, chosen, path)
    restored(system, snapshot, store.checkpoint(snapshot.iteration))
    return system


def made_again(held: Held, run: Identity, backend: BackendLike, folder: Path) -> System:
    """The system of a run whose settings were read from its folder (`held`), at iteration 0.

    Somebody may have changed the settings in the file. Which errors a preset raises for wrong ones
    depends on the system; any of them becomes a RunFolderError that names the file.
    """
    try:
        return make_system(run.system, run.preset, run.seed, backend, run.settings)
    except Exception as error:
        if run.settings != held.identity.settings or isinstance(error, ImportError):
            raise  # not the file's fault: the caller's own settings, or a missing package
        raise RunFolderError("--out", f"{folder / 'run.json'}: no {run.system} {run.preset} can be "
                             f"made of its settings ({type(error).__name__}: {error!s:.300})",
                             "the settings with which it was begun") from error


def kinds(arrays: Mapping[str, Array]) -> dict[str, tuple[Any, Any]]:
    """The shape and the dtype of each array."""
    return {name: (array.shape, array.dtype) for name, array in arrays.items()}


def restored(system: System, snapshot: Snapshot, checkpoint: Path) -> None:
    """Put a system and its random generator into the state of a checkpoint. Raises RunFolderError
    if the checkpoint is that of another system, whatever error the system raises for it."""
    fresh, held = kinds(system.state()), kinds(snapshot.arrays)
    odd = [name for name in fresh if fresh[name] != held.get(name)]  # steps may have added others
    if odd:
        raise RunFolderError("--out", f"{checkpoint} does not fit the run: {', '.join(odd)[:300]} "
                             "of another shape or dtype, or not there", "a checkpoint of this run")
    try:
        system.restore(snapshot.arrays)
        restore_generator(system.rng, snapshot.rng)
    except Exception as error:
        raise RunFolderError("--out", f"{checkpoint} does not fit the run "
                             f"({type(error).__name__}: {error!s:.300})",
                             "a checkpoint of this run") from error
