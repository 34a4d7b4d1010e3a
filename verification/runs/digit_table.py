"""The right digits of a subject: for each capability and difficulty, the worst and the median.

Right digits are -log10 of the relative error of an answer (`verification/checks/digits.py`). The
*worst* answer has the fewest.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from statistics import median
from typing import Any, Protocol

from refot.verification.cases.case import Difficulty

DIFFICULTIES = tuple(Difficulty)


class Counted(Protocol):
    """The fields of the result of one check on one case from which the rows are computed. `digits`
    is None where the check compares nothing with a certified number."""

    @property
    def part(self) -> str: ...
    @property
    def capability(self) -> str: ...
    @property
    def difficulty(self) -> str: ...
    @property
    def digits(self) -> float | None: ...


@dataclass(frozen=True)
class DigitRow:
    """How many digits are right in the answers of one part (function of the subject) to one
    capability, on the cases of one difficulty: the fewest, and the median, of all `comparisons`
    with certified numbers."""

    part: str
    capability: str
    difficulty: str
    worst: float
    median: float
    comparisons: int

    def as_dict(self) -> dict[str, Any]:
        """The JSON shape of docs/report-format.md."""
        return asdict(self)


def digit_table(results: Iterable[Counted]) -> list[DigitRow]:
    """A row for each part, capability and difficulty of which at least one result has digits. The
    rows of a capability go from ordinary cases to extreme ones."""
    groups: dict[tuple[str, str, str], list[float]] = defaultdict(list)
    for result in results:
        if result.digits is not None:
            groups[result.part, result.capability, result.difficulty].append(result.digits)
    rows = [DigitRow(*key, min(found), median(found), len(found)) for key, found in groups.items()]
    return sorted(rows, key=lambda row: (row.part, row.capability, DIFFICULTIES.index(
        Difficulty(row.difficulty))))


def digits_on(results: Iterable[Counted], difficulty: Difficulty) -> float | None:
    """The fewest right digits in any comparison at this difficulty; None if there is none."""
    found = [result.digits for result in results
             if result.difficulty == difficulty and result.digits is not None]
    return min(found, default=None)
