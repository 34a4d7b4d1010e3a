"""Diagnosis of wrong training steps, from which of their numbers differ, and by how much.

A mistake in a formula is recognised by computing what it gives; a training step is too long for
that. So each mistake is recognised by its symptom: which comparisons fail and which do not. Without
a known symptom there is no diagnosis, and the check names the first difference.
H = Houdard et al., B = Bréchet et al. 2019.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from .steps import Difference


@dataclass(frozen=True)
class ComparedSteps:
    """Somebody's steps (`answer`) beside those of the file, every comparison of the two, and the
    relative difference that is allowed in each."""

    file: Mapping[str, Any]
    compared: Sequence[Difference]
    answer: Any
    allowed: float

    def missed(self, step: int) -> list[Difference]:
        """The failed comparisons of a step; the first step is 1."""
        return [each for each in self.compared
                if each.step == step and not each.relative <= self.allowed]


def training_cause(
    file: Mapping[str, Any], compared: Sequence[Difference], answer: Any, allowed: float
) -> str:
    """The sentence of the first symptom that is found, or ""."""
    steps = ComparedSteps(file, compared, answer, allowed)
    return next((said for symptom, said in SYMPTOMS if symptom(steps)), "")


def _later(steps: ComparedSteps) -> bool:
    """No comparison of step 1 fails, and one of a later step does. The first wrong step then began
    with right weights, so that something else which outlasts a step must be wrong."""
    return not steps.missed(1) and any(map(steps.missed, range(2, len(steps.file["steps"]) + 1)))


def _start_in_average(steps: ComparedSteps) -> bool:
    """SDOT's vector psi after step 1 is K / (K + 1) times the right one. The right one is a mean of
    K terms; here the start psi_0 = 0 has been added up with them, as one more term."""
    if steps.file["algorithm"] != "sdot" or not steps.missed(1):
        return False
    K = steps.file["settings"]["K"]
    right = np.array(steps.file["steps"][0]["weights"]["psi"]) * K / (K + 1)
    found = np.asarray(steps.answer[0]["weights"]["psi"], dtype=np.float64)
    return bool(abs(found - right).max() <= steps.allowed * abs(right).max())


def _trunk_moves(steps: ComparedSteps) -> bool:
    """In step 1 of Info-Sinkhorn, weights of the trunk (the layers that D2, D4 and Q share) are
    wrong, and nothing else is."""
    missed = steps.missed(1)
    return (steps.file["algorithm"] == "info_sinkhorn" and bool(missed)
            and all(each.name.startswith("D/trunk.") for each in missed))


def _descends(steps: ComparedSteps) -> bool:
    """Gradients that the first call of an optimiser got are wrong, and each of these is minus the
    right one."""
    missed = [each for each in steps.missed(1) if "'s gradient 1, " in each.what]
    return bool(missed) and all(
        abs(each.measured + each.expected) <= steps.allowed * abs(each.expected)
        for each in missed)


SYMPTOMS: tuple[tuple[Callable[[ComparedSteps], bool], str], ...] = (
    (_start_in_average, "the average holds its start psi_0: K + 1 terms in place of K (H-28)"),
    (_trunk_moves, "the step of Q moves the trunk, the layers that it shares with D2 and D4: only "
     "the steps of D2 and D4 may move these (B, section 4.1)"),
    (_descends, "minus the gradient: an ascent where a descent is due, or the other way round"),
    (_later, "the first step is right, a later one is not: either a step uses an old value that it "
     "should compute anew (a table of Q, a potential), or it has lost one that it should keep (the "
     "state of an optimiser)"),
)
"""Each symptom with its sentence, the most specific first."""
