"""Diagnosis of a training step: what the places of its differences, and their sizes, say.

A step has no formula to vary, so that each mistake is told by its symptom: which comparisons miss
and which do not. Where no symptom is there, nothing is said; the check names the first difference.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from .steps import Difference


@dataclass(frozen=True)
class ComparedSteps:
    """Somebody's steps beside those of the file: every comparison, and how much each may miss."""

    file: Mapping[str, Any]
    compared: Sequence[Difference]
    answer: Any
    allowed: float

    def missed(self, step: int) -> list[Difference]:
        """The comparisons of that step, from 1, that miss."""
        return [each for each in self.compared
                if each.step == step and not each.relative <= self.allowed]


def training_cause(
    file: Mapping[str, Any], compared: Sequence[Difference], answer: Any, allowed: float
) -> str:
    """The sentence of the first symptom that is there, or "" where none is, or nothing misses."""
    steps = ComparedSteps(file, compared, answer, allowed)
    return next((said for symptom, said in SYMPTOMS if symptom(steps)), "")


def _later(steps: ComparedSteps) -> bool:
    """Step 1 is right, and the next that is not begins from right weights."""
    return not steps.missed(1) and any(map(steps.missed, range(2, len(steps.file["steps"]) + 1)))


def _start_in_average(steps: ComparedSteps) -> bool:
    """psi_1 is K / (K + 1) of the right one: psi_0 = 0 stands as one more term in the mean."""
    if steps.file["algorithm"] != "sdot" or not steps.missed(1):
        return False
    K = steps.file["settings"]["K"]
    right = np.array(steps.file["steps"][0]["weights"]["psi"]) * K / (K + 1)
    found = np.asarray(steps.answer[0]["weights"]["psi"], dtype=np.float64)
    return bool(abs(found - right).max() <= steps.allowed * abs(right).max())


def _trunk_moves(steps: ComparedSteps) -> bool:
    """Of the weights after step 1 those of the trunk miss, no other, and all losses are right."""
    missed = steps.missed(1)
    return (steps.file["algorithm"] == "info_sinkhorn" and bool(missed)
            and all(each.name.startswith("D/trunk.") for each in missed))


def _descends(steps: ComparedSteps) -> bool:
    """The first gradients that miss are minus the right ones."""
    missed = [each for each in steps.missed(1) if "'s gradient 1, " in each.what]
    return bool(missed) and all(
        abs(each.measured + each.expected) <= steps.allowed * abs(each.expected)
        for each in missed)


SYMPTOMS: tuple[tuple[Callable[[ComparedSteps], bool], str], ...] = (
    (_start_in_average, "the average holds its start psi_0: K + 1 terms in place of K (H-28)"),
    (_trunk_moves, "the step of Q moves the trunk, which is D2's and D4's (B, section 4.1)"),
    (_descends, "minus the gradient: an ascent where a descent is due, or the other way round"),
    (_later, "the first step is right, a later one is not: something is kept that changes with "
     "each step (a table of Q, a potential), or lost that is to be kept (an optimiser's state)"),
)
"""What each symptom says, those that say most first."""
