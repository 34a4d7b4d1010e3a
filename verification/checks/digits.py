"""How many decimal digits of an answer are right: the log relative error (LRE), as NIST uses it for
its Statistical Reference Datasets.

LRE = -log10(error / size of the right number), where the error is the distance from the certified
interval. The count is limited to the digits that the interval proves, and to those of a double.
"""

from __future__ import annotations

import math

from refot.verification.certificates.balls import UNIT

from .trial import Finding

WITHIN_THE_SUBJECT = ("scaling", "offset", "transposed", "symmetric", "translation", "split",
                      "shift")
"""Checks that compare two answers of the subject with each other. Both may be wrong in the same
way, so that no right digits can be counted."""

YES_OR_NO = ("nonnegative", "bound", "balanced", "doubled", "gibbs", "honest", "true", "known",
             "repeatable", "keeps-arguments", "float64", "float32")
"""Checks of a property that an answer has or lacks. Their errors say nothing about right digits."""


def counts(id: str) -> bool:
    """Whether the check compares an answer with the right one."""
    capability, _, what = id.partition(".")
    return not (capability in ("train_step", "converged") or what.startswith("refuses-")
                or what in WITHIN_THE_SUBJECT or what in YES_OR_NO)


def digits(id: str, found: Finding) -> float | None:
    """The number of right digits of an answer, 0 if it is not finite; None for a check that counts
    none."""
    expected = found.expected
    if not counts(id) or expected is None:
        return None
    size = found.scale or max(abs(expected.lower), abs(expected.upper)) or 1.0
    if not math.isfinite(size):
        return None
    if not math.isfinite(found.error):
        return 0.0
    least = max(found.error / size, (expected.upper - expected.lower) / size, UNIT)
    return max(0.0, -math.log10(least))
