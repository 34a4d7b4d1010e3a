"""The catalogue: every known mistake by its id.

The diagnosis compares wrong answers with it. The certified vectors (recorded problems with their
right answers) say which of its ids each of them catches. The bugs of `verification/zoo/` name the
id that has to be diagnosed.
"""

from __future__ import annotations

from collections.abc import Iterator

from refot.verification.truth.right import RIGHT

from . import (
    divergences,
    functions,
    information,
    numerics,
    sides,
    transport,
    unbalanced,
    unbalanced_points,
)
from .arguments import of_readings
from .mistake import Mistake, Table

FORMULAS: dict[str, Table] = (transport.MISTAKES | divergences.MISTAKES | functions.MISTAKES
                              | information.MISTAKES | unbalanced.MISTAKES
                              | unbalanced_points.MISTAKES)
"""Mistakes in the formula of a capability, by capability."""

ERRATA = {
    "value.eps-missing": "E1",
    "dual.eps-missing": "E1",
    "divergence.eps-missing-in-self-term": "E1",
    "divergence.eps-missing-in-cross-term": "E1",
    "value.eps-too-much": "E2",
    "semidual.eps-too-much": "E2",
    "informative_plan.q-outside": "E3",
    "mmd.halved": "E13",
    "divergence.sharp-doubled": "G3",
    "semidual_gradient.b-negated": "H1",
    "value.entropy-for-kl": "L1",
}
"""The ids of mistakes that stand in print in a paper, and their numbers in docs/errata.md."""


def _mistakes() -> Iterator[Mistake]:
    """For each capability: mistakes in its formula, in reading its arguments, and of numerics. Then
    those of `sides`, which belong to a file of vectors and to no capability."""
    for capability in RIGHT:
        read = of_readings(capability, RIGHT[capability])
        table = FORMULAS.get(capability, {})  # a new capability may have no table
        table = table | {name: read[name] for name in read if name not in table}
        for name, (sentence, answer) in (table | numerics.MISTAKES.get(capability, {})).items():
            identity = f"{capability}.{name}"
            yield Mistake(identity, capability, sentence, answer, ERRATA.get(identity, ""))
    for name, (sentence, answer) in sides.MISTAKES.items():
        yield Mistake(f"{sides.CAPABILITY}.{name}", sides.CAPABILITY, sentence, answer)


CATALOGUE: dict[str, Mistake] = {mistake.id: mistake for mistake in _mistakes()}
"""Every mistake by its id."""

NUMERICAL = frozenset(f"{capability}.{name}" for capability, table in numerics.MISTAKES.items()
                      for name in table)
"""The ids of the mistakes of numerics. The diagnosis does not compare answers with these, for the
reason that `numerics` gives."""


def mistakes_of(capability: str) -> list[Mistake]:
    """The mistakes of one capability."""
    return [mistake for mistake in CATALOGUE.values() if mistake.capability == capability]
