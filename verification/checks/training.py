"""Checks of `train_step`: three steps of a named training algorithm, compared with the recorded
ones (its golden trajectory, docs/trajectories.md)."""

from __future__ import annotations

import math

from refot.verification.cases.case import Case
from refot.verification.certificates.intervals import Interval
from refot.verification.subjects.probe import looking_at
from refot.verification.trajectories.steps import OF_A_MOVE, algorithms, differences, load, question
from refot.verification.trajectories.symptoms import training_cause

from .arguments import first
from .trial import Finding, Trial, check


def _once(case: Case) -> bool:
    """Whether to run on this case: on one only, because weights and batches come from the
    trajectory, and not from the case."""
    return first(case)


def follow(trial: Trial, algorithm: str) -> Finding:
    """The finding of the first comparison that fails, because later failures may follow from it; if
    none fails, that of the comparison with the largest error."""
    file = load(algorithm)
    answer = trial.probe.answer("train_step", algorithm, *question(file))
    with looking_at("the steps that are due"):
        found = list(differences(file, answer))
    allowed = max(OF_A_MOVE, trial.probe.part.tolerance or 0.0)
    missed = [each for each in found if not each.relative <= allowed]
    worst = missed[0] if missed else max(found, key=lambda each: each.relative)
    interval = Interval(worst.expected, worst.expected)
    relative = worst.relative if math.isfinite(worst.relative) else math.nan
    with looking_at("the steps that are due"):
        cause = training_cause(file, found, answer, allowed)
    return Finding(worst.measured, interval, relative, allowed,
                   f"{worst.what}: off by this share of its size or move; "
                   f"{len(missed)} of {len(found)} comparisons fail", cause)


def _registered(algorithm: str) -> None:
    @check(f"train_step.{algorithm}",
           f"Three steps of {algorithm} from given weights and batches: losses, gradients, weights",
           _once)
    def run(trial: Trial) -> Finding:
        return follow(trial, algorithm)


for _algorithm in algorithms():
    _registered(_algorithm)
