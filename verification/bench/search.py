"""The loosest accuracy at which a peer meets a criterion, at which its time is then measured.

The *accuracy* is the tolerance in the measure by which the peer itself stops; a small number is a
tight one. No peer shall be timed at a tighter accuracy than our criterion needs. So each is run at
several accuracies, which close in, to a factor of 4, on the loosest one that meets the target.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

from .criterion import Criterion, Judgement
from .worker import Run

ATTEMPTS = 8
"""The most runs of a peer in the search for one criterion."""

CLOSE = 4.0
"""The search ends if measure >= target / CLOSE, or if an accuracy that fails is within this factor
of one that meets the target."""

PLATEAU = 1e3
"""A solver that makes few iterations gives the same answer over a range of accuracies. It is given
up only if its answer has not improved while the accuracy fell by this factor."""

LOOSEST = 0.5
"""The loosest accuracy that is tried."""


@dataclass(frozen=True)
class Attempted:
    """A run, and our measures of its answer."""

    run: Run
    judged: Judgement


Attempt = Callable[[float], Attempted]
"""Runs a peer at an accuracy, and measures its answer."""


def search(attempt: Attempt, criterion: Criterion, history: list[Attempted]) -> Attempted | None:
    """The run at the loosest accuracy that meets the criterion; None if no run does.

    New runs are appended to `history`, which may already hold those for another criterion.
    """
    for _ in range(ATTEMPTS):
        accuracy = following(criterion, history)
        if accuracy is None:
            break
        history.append(attempt(accuracy))
    return best(criterion, history)


def best(criterion: Criterion, history: list[Attempted]) -> Attempted | None:
    """Of the runs that meet the target, the one with the loosest accuracy; None if none does."""
    good = [trial for trial in history if criterion.measure(trial.judged) <= criterion.target]
    return max(good, key=lambda trial: trial.run.accuracy, default=None)


def following(criterion: Criterion, history: list[Attempted]) -> float | None:
    """The accuracy to try next, on the assumption that our measure is proportional to it; None at
    the end of the search."""
    if not history:
        return criterion.start
    found, target = best(criterion, history), criterion.target
    if found is None:
        return tighter(criterion, history)
    accuracy, measure = found.run.accuracy, criterion.measure(found.judged)
    beyond = [trial.run.accuracy for trial in history if trial.run.accuracy > accuracy]
    if measure >= target / CLOSE or (beyond and min(beyond) <= CLOSE * accuracy):
        return None
    if beyond:
        return math.sqrt(accuracy * min(beyond))
    wider = accuracy * min(0.7 * target / max(measure, 1e-300), 1e3)
    return min(wider, LOOSEST) if accuracy * CLOSE < LOOSEST else None


def tighter(criterion: Criterion, history: list[Attempted]) -> float | None:
    """The next accuracy if none has met the target yet. None if of three or more the tightest did
    not improve the measure by a tenth over a span of PLATEAU, or if rounding allows no tighter one.
    """
    by_accuracy = sorted(history, key=lambda trial: trial.run.accuracy)
    measures = [criterion.measure(trial.judged) for trial in by_accuracy]
    least = by_accuracy[0].run.accuracy
    before = [measure for trial, measure in zip(by_accuracy, measures, strict=True)
              if trial.run.accuracy >= PLATEAU * least]
    if len(measures) >= 3 and before and not measures[0] < 0.9 * min(before):
        return None
    factor = 0.5 * criterion.target / measures[0] if measures[0] < math.inf else 1e-2
    accuracy = least * max(factor, 1e-3)
    return accuracy if accuracy > 1e-16 else None
