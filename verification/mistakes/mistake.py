"""What a known mistake is, and how the tables of this room write one down."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeAlias

Answer: TypeAlias = Callable[..., Any]
"""Takes the arguments of a capability in the order of its signature, and returns what an
implementation with the mistake answers to them: an array or number of the right shape (for
potentials the sums f_i + g_j), several of them as `Forms`, or None where the mistake cannot be
made."""

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
        """What a diagnosis says: the sentence, and the number of the erratum."""
        return f"{self.sentence} (erratum {self.erratum})" if self.erratum else self.sentence


@dataclass(frozen=True)
class Forms:
    """Several answers of one mistake: which of them an implementation gives depends on details."""

    answers: tuple[Any, ...]


def forms(answer: Any) -> tuple[Any, ...]:
    """The answers of a mistake, one or several."""
    return answer.answers if isinstance(answer, Forms) else (answer,)


def each(table: Table, change: Callable[[Answer], Answer]) -> Table:
    """The table with every answer changed, under the same names and sentences."""
    return {name: (sentence, change(answer)) for name, (sentence, answer) in table.items()}
