"""How bad a result is: wrong on an ordinary problem, broken at an extreme, or only lax.

The level of a result follows from three things: whether its check gives bad input, how difficult
its case is, and whether the subject itself said that the answer is not right (`said.py`). The
reports, the exit status, the pytest plugin and `refot compare` take the level from here.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from enum import StrEnum
from typing import Protocol

from refot.verification.cases.case import Difficulty

WRONG_STATUSES = ("failed", "error", "not_converged")
"""The statuses of checks that found a wrong answer or none. What the statuses mean is said at
STATUSES in `run.py`."""


class Level(StrEnum):
    """How bad a result is, the worst first."""

    WRONG = "wrong"
    """The answer to an ordinary problem is wrong, or is missing."""
    SILENT = "silent"
    """The answer to a hard or extreme problem is wrong, and looks like a right one."""
    SAID = "said"
    """The answer to a hard or extreme problem is wrong or missing, and the subject says so: it
    warns, raises, or returns a NaN."""
    LAX = "lax"
    """Bad input is answered with a number."""
    UNKNOWN = "unknown"
    """The check found the subject neither right nor wrong."""
    RIGHT = "right"
    """The check passed."""


LEVELS = tuple(Level)
"""The levels in the order in which reports show them."""

COUNTED = (Level.WRONG, Level.SILENT)
"""The levels that make the exit status 1."""

STRICTLY_COUNTED = (*COUNTED, Level.SAID, Level.LAX)
"""The levels that make the exit status 1 with `--strict`."""


class Result(Protocol):
    """The fields of a result from which its level follows."""

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
    """Whether this is the id of a check that gives the subject bad input."""
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
    not_finite = result.measured is not None and not math.isfinite(result.measured)
    return Level.SAID if result.said or not_finite else Level.SILENT


def worst(levels: Iterable[Level]) -> Level:
    """The worst of some levels, leaving out UNKNOWN; UNKNOWN if there is no other."""
    known = [level for level in levels if level is not Level.UNKNOWN]
    return min(known, key=LEVELS.index, default=Level.UNKNOWN)


def exit_status(levels: Iterable[Level], strict: bool = False) -> int:
    """1 if one of the levels is in COUNTED (or STRICTLY_COUNTED), 2 if all are UNKNOWN, else 0."""
    found = set(levels)
    if found & set(STRICTLY_COUNTED if strict else COUNTED):
        return 1
    return 0 if found - {Level.UNKNOWN} else 2
