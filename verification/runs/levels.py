"""How bad a result is: wrong on an ordinary problem, broken at an extreme, or only lax.

The level of a result follows from three things: whether its check is one of bad input, how
difficult its case is, and whether the subject said so in that call (`said.py`). The reports, the
exit status, the pytest plugin and `refot compare` all read the level from here.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from enum import StrEnum
from typing import Protocol

from refot.verification.cases.case import Difficulty

WRONG_STATUSES = ("failed", "error", "not_converged")
"""The statuses of checks whose answer is not the right one."""


class Level(StrEnum):
    """How bad a result is, the worst first."""

    WRONG = "wrong"
    """The answer to an ordinary problem is wrong, or is missing."""
    SILENT = "silent"
    """The answer to a hard or extreme problem is wrong, and looks like a right one."""
    SAID = "said"
    """It is wrong or missing on a hard or extreme problem, and the subject says so: it warns,
    raises, or returns a NaN."""
    LAX = "lax"
    """Bad input is answered with a number."""
    UNKNOWN = "unknown"
    """Nothing was judged."""
    RIGHT = "right"
    """The check passed."""


LEVELS = tuple(Level)
"""The levels in the order in which reports show them."""

COUNTED = (Level.WRONG, Level.SILENT)
"""The levels that make the exit status 1. With `strict`, SAID and LAX do, too."""

STRICTLY_COUNTED = (*COUNTED, Level.SAID, Level.LAX)


class Result(Protocol):
    """What a level follows from."""

    @property
    def id(self) -> str: ...
    @property
    def status(self) -> str: ...
    @property
    def difficulty(self) -> str: ...
    @property
    def said(self) -> str: ...
    @property
    def measured(self) -> float | None: ...


def is_about_bad_input(id: str) -> bool:
    """Whether the check asks for an answer to bad input."""
    return id.partition(".")[2].startswith("refuses-")


def level_of(result: Result) -> Level:
    """The level of one result."""
    if result.status == "passed":
        return Level.RIGHT
    if result.status not in WRONG_STATUSES:
        return Level.UNKNOWN
    # bad input that crashes the interpreter is an error, and not only lax
    if is_about_bad_input(result.id) and result.status == "failed":
        return Level.LAX
    if result.difficulty not in (Difficulty.HARD, Difficulty.EXTREME):
        return Level.WRONG
    nobody_believes_it = result.measured is not None and not math.isfinite(result.measured)
    return Level.SAID if result.said or nobody_believes_it else Level.SILENT


def worst(levels: Iterable[Level]) -> Level:
    """The worst of some levels; UNKNOWN if nothing was judged."""
    known = [level for level in levels if level is not Level.UNKNOWN]
    return min(known, key=LEVELS.index, default=Level.UNKNOWN)


def exit_status(levels: Iterable[Level], strict: bool = False) -> int:
    """1 if a level counts, 2 if nothing was judged, else 0."""
    found = set(levels)
    if found & set(STRICTLY_COUNTED if strict else COUNTED):
        return 1
    return 0 if found - {Level.UNKNOWN} else 2
