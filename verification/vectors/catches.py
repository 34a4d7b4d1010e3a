"""Which known mistakes a vector catches: each mistake of the catalogue is run on its arguments."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from typing import Any

import numpy as np

from refot.arrays import Array, ConvergenceWarning, InputError, RangeError
from refot.verification.mistakes.catalogue import mistakes_of
from refot.verification.mistakes.mistake import Answer, forms

MARGIN = 10
"""A case catches a mistake if its answer is off by more than this many tolerances."""


def catches(capability: str, inputs: Mapping[str, Any], outputs: Mapping[str, Any]) -> list[str]:
    """The ids of the mistakes whose answers to these inputs are all beyond doubt wrong."""
    mid, tolerance = _due(capability, outputs)
    found = []
    for mistake in mistakes_of(capability):
        answers = wrong_answers(mistake.answer, inputs)
        if answers and all(_wrong(answer, mid, tolerance) for answer in answers):
            found.append(mistake.id)
    return found


def wrong_answers(answer: Answer, inputs: Mapping[str, Any]) -> list[Array]:
    """All answers that a mistake may give to the arguments; none where it cannot be made.

    The answers are computed with refot's functions. Where these raise RangeError, an implementation
    with the mistake would return an infinity. Where they refuse an argument (any other InputError)
    or the computation fails (ArithmeticError, such as a division by zero), it would raise an error
    that its author sees, so there is no answer.
    """
    with np.errstate(all="ignore"), warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        try:
            found = forms(answer(*inputs.values()))
        except RangeError:
            return [np.asarray(np.inf)]
        except (InputError, ArithmeticError):
            return []
    return [np.asarray(form, dtype=float) for form in found if form is not None]


def _due(capability: str, outputs: Mapping[str, Any]) -> tuple[Array, float]:
    """(the right answer, its tolerance). An entry without one right value, such as a potential at a
    point without mass, is NaN. Of balanced potentials the answer is f_i + g_j (n, m), of unbalanced
    ones f and g in one array (n + m,)."""
    mids = [np.array(output["mid"], dtype=float) for output in outputs.values()]
    tolerances = [output["tolerance"] for output in outputs.values()]
    if capability == "potentials":
        return mids[0][:, None] + mids[1], sum(tolerances)
    if capability == "unbalanced_potentials":
        return np.concatenate(mids), tolerances[0]
    return mids[0], tolerances[0]


def _wrong(answer: Array, mid: Array, tolerance: float) -> bool:
    """Whether an answer is of another shape than the right one `mid`, or not finite, or off by more
    than MARGIN tolerances in an entry that has a right value."""
    if answer.shape != mid.shape:
        return True
    error = abs(answer - mid)[np.isfinite(mid)]
    return not (error <= MARGIN * tolerance).all()
