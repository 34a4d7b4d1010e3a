"""What a known mistake is, and how the tables of this room write one down."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeAlias

Answer: TypeAlias = Callable[..., Any]
"""What a mistake answers to the arguments of its capability, in the order of the signature: an
answer of the right shape (of potentials the sums f_i + g_j), `Forms` of it, or None where the
mistake does not apply."""

Table: TypeAlias = dict[str, tuple[str, Answer]]
"""Mistakes by name: (the sentence that is said of it, what it answers)."""


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
    """The answers that one mistake may give, of which an implementation gives one."""

    answers: tuple[Any, ...]


def forms(answer: Any) -> tuple[Any, ...]:
    """The answers of a mistake, one or several."""
    return answer.answers if isinstance(answer, Forms) else (answer,)


def each(table: Table, change: Callable[[Answer], Answer]) -> Table:
    """The table with every answer changed, under the same names and sentences."""
    return {name: (sentence, change(answer)) for name, (sentence, answer) in table.items()}
