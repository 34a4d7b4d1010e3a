"""What a system is, and the table of systems and their presets.

A system is one run of one algorithm: it holds the networks, optimisers, data and random numbers,
and `step` is one iteration. A preset is a system with all its numbers chosen. The presets of a
system are a table `PRESETS: dict[str, Preset]` of a module, and SYSTEMS says which module; it is
imported when its system is asked for. `refot.systems.training.loop.train` runs any of them and does
the rest: progress, metrics, pictures, checkpoints, resuming. docs/contributing-system.md adds one.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING, Any, Protocol, TypeVar, runtime_checkable

import numpy as np

from refot.arrays import Array, InputError, UnknownNameError, lookup
from refot.backend_contract import BackendLike

if TYPE_CHECKING:
    from _typeshed import DataclassInstance
    from matplotlib.figure import Figure

S = TypeVar("S", bound="DataclassInstance")

SYSTEMS: dict[str, str] = {
    "info_sinkhorn": "refot.systems.presets.info_sinkhorn",
    "semidual": "refot.systems.presets.semidual",
    "baselines": "refot.systems.presets.baselines",
    "sinkhorn_autodiff": "refot.systems.presets.sinkhorn_autodiff",
    "eotgm": "refot.systems.presets.eotgm",
    "eotgan": "refot.systems.presets.eotgan",
    "classifier": "refot.systems.presets.classifier",
}
"""The name of a system -> the module that holds its PRESETS. One line each."""


class System(Protocol):
    """One run of one algorithm: owns its networks, optimisers, random generator and data.

    A run depends on its preset, settings, seed and backend alone, so that it can be repeated bit by
    bit. For that every draw of `step` comes from `rng`. `sample`, `evaluate` and `picture` may be
    called at any time or not at all, and so they draw from the generator that they are given.
    """

    name: str
    rng: np.random.Generator

    def step(self) -> dict[str, float]:
        """One outer iteration of the printed algorithm; its losses, by name."""

    def sample(self, count: int, rng: np.random.Generator) -> Array:
        """Generated points (count, d), or images (count, h, w) or (count, h, w, 3). NumPy."""

    def evaluate(self, rng: np.random.Generator) -> dict[str, float]:
        """Measures of success, by name; changes nothing."""

    def state(self) -> dict[str, Array]:
        """Everything that `step` changes, except `rng`: name -> array. Not copies."""

    def restore(self, state: Mapping[str, Array]) -> None:
        """Go back to what `state` returned. The values are NumPy arrays; keep copies of them."""


@runtime_checkable
class Illustrated(Protocol):
    """A system that draws its own picture; of the others `sample` is drawn, by its shape."""

    def picture(self, rng: np.random.Generator) -> Figure:
        """What to look at while it trains; changes nothing."""


@dataclass(frozen=True)
class Preset:
    """A system with its hyper-parameters, and how many iterations it is made for.

    `make(seed, backend, **settings)` is a new run; settings override hyper-parameters by name, and
    are JSON values. `about` is a sentence with its source ("B Table 1"). `takes_data` says whether
    `make` has a setting `data`, a folder that the user names.
    """

    make: Callable[..., System]
    iterations: int
    about: str
    takes_data: bool = False


def with_changes(settings: S, changes: Mapping[str, Any]) -> S:
    """The settings with those replaced that are given by name. Raises UnknownNameError for a name
    that is no setting."""
    known = sorted(field.name for field in fields(settings))
    for name in changes:
        if name not in known:
            raise UnknownNameError("settings", repr(name), "one of " + ", ".join(known))
    return replace(settings, **changes)


def presets(system: str) -> Mapping[str, Preset]:
    """The presets of a system, by name. Raises UnknownNameError."""
    module = importlib.import_module(lookup(SYSTEMS, system, "SYSTEM"))
    table: Mapping[str, Preset] = module.PRESETS
    return table


def find_preset(system: str, preset: str) -> Preset:
    """The preset of a system. Raises UnknownNameError."""
    found: Preset = lookup(dict(presets(system)), preset, f"--preset of {system}")
    return found


def make_system(
    system: str, preset: str, seed: int, backend: BackendLike = None,
    settings: Mapping[str, Any] | None = None,
) -> System:
    """A new run at iteration 0. Raises UnknownNameError, InputError for a folder not wanted or a
    seed below 0.
    """
    found = find_preset(system, preset)
    if seed < 0:
        raise InputError("seed", f"{seed}", "a whole number >= 0")
    given = dict(settings or {})
    if "data" in given and not found.takes_data:
        raise InputError("data", f"{given['data']}", f"none: {system} {preset} has its own data")
    return found.make(seed, backend, **given)

