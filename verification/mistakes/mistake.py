"""What a known mistake is, and the form of the tables in this folder.

A mistake belongs to one *capability*, a function that an implementation may offer, such as `plan`
(`verification/subjects/capabilities.py`). From the arguments of a call it computes the wrong
answer of an implementation that makes it. A diagnosis recognises the mistake by this answer.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeAlias

Answer: TypeAlias = Callable[..., Any]
"""Takes the arguments of a capability in the order of its signature. Returns what an implementation
with the mistake answers to them, in the shape of the right answer (for balanced potentials, the
sums f_i + g_j). Several possible answers are `Forms`; None means that the mistake cannot be made
here."""

Table: TypeAlias = dict[str, tuple[str, Answer]]
"""Mistakes by name: (the sentence that describes it, its answers)."""


@dataclass(frozen=True)
class Mistake:
    """One known mistake in one capability.

    The id is `capability.name`. `erratum` is the number in docs/errata.md where the mistake is a
    misprint of a paper, and "" where it is not.
    """

    id: str
    capability: str
    sentence: str
    answer: Answer
    erratum: str = ""

    @property
    def said(self) -> str:
        """The text in a diagnosis: the sentence, and the number of the erratum if there is one."""
        return f"{self.sentence} (erratum {self.erratum})" if self.erratum else self.sentence


@dataclass(frozen=True)
class Forms:
    """Several answers of one mistake. Which of them an implementation gives depends on details,
    such as the update of Sinkhorn's algorithm that came last."""

    answers: tuple[Any, ...]


def forms(answer: Any) -> tuple[Any, ...]:
    """The answers of a mistake, one or several."""
    return answer.answers if isinstance(answer, Forms) else (answer,)


def each(table: Table, change: Callable[[Answer], Answer]) -> Table:
    """The table with `change` applied to every answer; names and sentences stay the same."""
    return {name: (sentence, change(answer)) for name, (sentence, answer) in table.items()}
