"""What a system is, and the table of systems and their presets.

A system is an algorithm that trains networks. Its object is one run: it holds the networks,
optimisers, data and random generator, and `step` is one iteration. A preset makes such an object
with all its numbers chosen. The presets of a system are a table `PRESETS: dict[str, Preset]` in a
module that SYSTEMS names, which is imported only when that system is used.

`refot.systems.training.loop.train` runs any system and does all else: progress, metrics, pictures,
checkpoints, resuming. docs/contributing-system.md shows how to add a system. B = Bréchet et al.
2019.
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
    "flow_matching": "refot.systems.presets.flow_matching",
    "classifier": "refot.systems.presets.classifier",
}
"""The name of each system -> the module that holds its PRESETS."""


class System(Protocol):
    """One run of one algorithm, with its networks, optimisers, random generator and data.

    A run depends on its preset, settings, seed and backend alone, so that it can be repeated bit by
    bit. So every draw of `step` comes from `rng`. `sample`, `evaluate` and `picture`, which may be
    called at any time or never, must not touch `rng`: they draw from the generator that is passed.
    """

    name: str
    rng: np.random.Generator

    def step(self) -> dict[str, float]:
        """One outer iteration of the paper's algorithm. Returns its losses, by name."""

    def sample(self, count: int, rng: np.random.Generator) -> Array:
        """Generated points (count, d), or images (count, h, w) or (count, h, w, 3). NumPy."""

    def evaluate(self, rng: np.random.Generator) -> dict[str, float]:
        """Measures of success, by name; changes nothing."""

    def state(self) -> dict[str, Array]:
        """All arrays that `step` changes, by name; `rng` is saved elsewhere. They need not be
        copies: the next step may change them."""

    def restore(self, state: Mapping[str, Array]) -> None:
        """Set all arrays to what `state` returned, as NumPy arrays. Copy them: the caller may
        change its own."""


@runtime_checkable
class Illustrated(Protocol):
    """A system with a picture of its own. For any other system, `train` plots `sample` as points or
    as images, by its shape."""

    def picture(self, rng: np.random.Generator) -> Figure:
        """A figure to look at while the system trains. Changes nothing."""


@dataclass(frozen=True)
class Preset:
    """A system with its hyper-parameters, and the number of iterations that they are meant for.

    `make(seed, backend, **settings)` makes a new run; settings override hyper-parameters by name,
    and are values that JSON can express. `about` describes the preset in a sentence, with its
    source ("B Table 1"). `takes_data` says whether `make` has the setting `data`, a folder that the
    user names.
    """

    make: Callable[..., System]
    iterations: int
    about: str
    takes_data: bool = False


def with_changes(settings: S, changes: Mapping[str, Any]) -> S:
    """The settings with `changes` (name -> value) applied. Raises UnknownNameError for a name that
    is no setting."""
    known = sorted(field.name for field in fields(settings))
    for name in changes:
        if name not in known:
            raise UnknownNameError("settings", repr(name), "one of " + ", ".join(known))
    return replace(settings, **changes)


def presets(system: str) -> Mapping[str, Preset]:
    """The presets of a system, by name. Raises UnknownNameError for an unknown system."""
    module = importlib.import_module(lookup(SYSTEMS, system, "SYSTEM"))
    table: Mapping[str, Preset] = module.PRESETS
    return table


def find_preset(system: str, preset: str) -> Preset:
    """A preset of a system. Raises UnknownNameError if one of the two names is unknown."""
    found: Preset = lookup(dict(presets(system)), preset, f"--preset of {system}")
    return found


def make_system(
    system: str, preset: str, seed: int, backend: BackendLike = None,
    settings: Mapping[str, Any] | None = None,
) -> System:
    """A new run, at iteration 0. Raises UnknownNameError for an unknown system, preset or setting;
    InputError for a seed below 0, or for `data` where the preset has its own.
    """
    found = find_preset(system, preset)
    if seed < 0:
        raise InputError("seed", f"{seed}", "a whole number >= 0")
    given = dict(settings or {})
    if "data" in given and not found.takes_data:
        raise InputError("data", f"{given['data']}", f"none: {system} {preset} has its own data")
    return found.make(seed, backend, **given)

