"""What the cells of the scoreboard say: levels and right digits of some results, and the best part.

The cell of a library shows its best function for a capability, since a user may choose that one,
and says how many of its functions are right. Failed checks with bad input are counted apart, as
lax.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from statistics import median

from refot.verification.cases.case import Difficulty
from refot.verification.runs.levels import COUNTED, LEVELS, Level, worst
from refot.verification.subjects.capabilities import CAPABILITIES, Role

from .record import Record, Result

BREAKS = (Level.WRONG, Level.SILENT, Level.SAID)
"""The levels of wrong or missing answers to sound input."""

WORDS = {Level.WRONG: "wrong", Level.SILENT: "silent", Level.SAID: "breaks", Level.LAX: "lax",
         Level.RIGHT: "right", Level.UNKNOWN: "not judged"}
"""The levels, as the scoreboard calls them."""

HEADLINE = "value"
"""A badge is about this capability, or about the first one that a library offers."""


# ------------------------------------------------------------------ one cell
@dataclass(frozen=True)
class Cell:
    """Some results, for instance those of one capability of one part."""

    results: tuple[Result, ...]

    @cached_property
    def counts(self) -> Counter[Level]:
        """How many results have each level."""
        return Counter(result.level for result in self.results)

    @property
    def asked(self) -> int:
        """How many checks with sound input were judged."""
        return sum(result.level is not Level.UNKNOWN and not result.about_bad_input
                   for result in self.results)

    @property
    def right(self) -> int:
        """How many checks with sound input passed."""
        return sum(result.level is Level.RIGHT and not result.about_bad_input
                   for result in self.results)

    @property
    def level(self) -> Level:
        """The worst level, bad input aside: UNKNOWN if nothing was judged."""
        return worst(level for level in self.counts if level is not Level.LAX)

    @property
    def acceptable(self) -> bool:
        """Whether something was judged, and none of it is wrong or silently broken."""
        return bool(self.asked) and self.level not in COUNTED

    def digits(self, difficulty: Difficulty = Difficulty.ORDINARY) -> tuple[float, float] | None:
        """The fewest right digits at a difficulty, and the median; None without a comparison."""
        found = [result.digits for result in self.results
                 if result.difficulty == difficulty and result.digits is not None]
        return (min(found), median(found)) if found else None

    @property
    def quality(self) -> tuple[float, ...]:
        """A key that is larger for better results: it compares the numbers of wrong, silent and
        said results, then the number of checks, then the right digits."""
        worst_digits, median_digits = self.digits() or (0.0, 0.0)
        return (*(-self.counts[level] for level in BREAKS), self.asked, worst_digits,
                median_digits)

    def words(self) -> str:
        """The results in words: "right 69/69", or "wrong 3, silent 1 of 69"."""
        if not self.asked:
            return WORDS[Level.UNKNOWN]
        bad = ", ".join(f"{WORDS[level]} {self.counts[level]}" for level in BREAKS
                        if self.counts[level])
        return f"{bad} of {self.asked}" if bad else f"right {self.right}/{self.asked}"


# ------------------------------------------------------------------ a library
def by_capability(results: Iterable[Result]) -> dict[str, Cell]:
    """The results by capability, in the order of CAPABILITIES."""
    groups: dict[str, list[Result]] = defaultdict(list)
    for result in results:
        groups[result.capability].append(result)
    return {name: Cell(tuple(groups[name])) for name, record in CAPABILITIES.items()
            if name in groups and record.role is not Role.STATEMENT}


@dataclass(frozen=True)
class Offer:
    """What a library has of one capability: the cell of each part that offers it."""

    capability: str
    cells: dict[str, Cell]

    @cached_property
    def best_part(self) -> str:
        """The part with the best results."""
        return max(self.cells, key=lambda part: self.cells[part].quality)

    @property
    def best(self) -> Cell:
        """The results of the best part."""
        return self.cells[self.best_part]

    @property
    def acceptable(self) -> int:
        """How many parts have nothing wrong and nothing silently broken."""
        return sum(cell.acceptable for cell in self.cells.values())


def offers(record: Record) -> dict[str, Offer]:
    """What a library offers, by capability."""
    found: dict[str, dict[str, Cell]] = {}
    for part in record.parts:
        for capability, cell in by_capability(record.of(part)).items():
            if cell.asked:
                found.setdefault(capability, {})[part] = cell
    return {name: Offer(name, found[name]) for name in CAPABILITIES if name in found}


def headline(record: Record) -> Offer | None:
    """The capability that the badge of a library is about: HEADLINE, else the first one offered."""
    found = offers(record)
    return found.get(HEADLINE) or next(iter(found.values()), None)


# ------------------------------------------------------------------ versions
def by_library(records: Iterable[Record]) -> dict[str, list[Record]]:
    """The records of each library, the newest version last, the libraries in order of name."""
    groups: dict[str, list[Record]] = defaultdict(list)
    for record in records:
        groups[record.name].append(record)
    return {name: sorted(groups[name], key=lambda each: version_order(each.version))
            for name in sorted(groups, key=str.casefold)}


def version_order(version: str) -> list[tuple[int, str]]:
    """A key that sorts 0.10 after 0.9."""
    return [(int(number or -1), word) for number, word in re.findall(r"(\d+)|([^\W\d]+)", version)]


def changes(old: Record, new: Record) -> tuple[list[Result], list[Result]]:
    """The results of `new` whose level is better than in `old`, and those whose level is worse.

    A result without a counterpart in the other record, or not judged in one, is in neither.
    """
    before = {(each.part, each.id, each.case): each.level for each in old.results}
    better: list[Result] = []
    worse: list[Result] = []
    for each in new.results:
        level = before.get((each.part, each.id, each.case), Level.UNKNOWN)
        if Level.UNKNOWN in (level, each.level) or level is each.level:
            continue
        (better if LEVELS.index(level) < LEVELS.index(each.level) else worse).append(each)
    return better, worse


def count(results: Sequence[Result], level: Level) -> int:
    """How many results have this level."""
    return sum(result.level is level for result in results)
