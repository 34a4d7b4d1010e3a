"""Lists of checks that are skipped or expected to fail. A project keeps them in its repository.

A line is `CHECK [CASE] [# reason]`. CHECK and CASE are patterns as for file names (`*`, `?`,
`[ab]`). A line without CASE applies to every case. The `#` begins the line or follows a space.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path

from refot.verification.cases.case import REAL, SEEDS, synthetic
from refot.verification.checks import CHECKS
from refot.verification.subjects.capabilities import missing_from

LARGEST_FILE = 1 << 20
"""Bytes: the longest list that is read."""


class ExclusionError(ValueError):
    """A list cannot be read, or a line of it can never match; the message says which."""


@dataclass(frozen=True)
class Exclusion:
    """One line of a list: the patterns, the reason, and where it stands."""

    check: str
    case: str
    reason: str
    place: str

    def matches(self, check: str, case: str) -> bool:
        """Whether the line applies to this check on this case."""
        return fnmatchcase(check, self.check) and fnmatchcase(case, self.case)


def read_exclusions(path: Path) -> list[Exclusion]:
    """The lines of a list. Raises ExclusionError."""
    try:
        if path.exists() and not path.is_file():
            raise ExclusionError(f"{path}: not a plain file")
        if path.stat().st_size > LARGEST_FILE:
            raise ExclusionError(f"{path}: more than {LARGEST_FILE >> 20} MiB")
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise ExclusionError(f"{path}: cannot be read ({error.strerror})") from None
    except UnicodeDecodeError:
        raise ExclusionError(f"{path}: not UTF-8") from None
    found = []
    for number, line in enumerate(text.splitlines(), 1):
        words, reason = re.fullmatch(r"(.*?)(?:(?:^|\s)#(.*))?", line).groups()  # type: ignore[union-attr]
        if words.strip():
            found.append(_exclusion(words.split(), (reason or "").strip(), f"{path}:{number}"))
    return found


def _exclusion(words: list[str], reason: str, place: str) -> Exclusion:
    """One line. Raises ExclusionError if no check or no case can match it."""
    if len(words) > 2:
        raise ExclusionError(f"{place}: more than CHECK and CASE: {' '.join(words)[:80]!r}")
    check, case = words[0], words[1] if len(words) == 2 else "*"
    checks = [*CHECKS, *(f"{capability.name}.*" for capability in missing_from(set()))]
    if not any(fnmatchcase(name, check) for name in checks):
        raise ExclusionError(f"{place}: no check matches {check!r}; see `refot verify --list`")
    if not any(fnmatchcase(name, case) for name in known_cases()):
        raise ExclusionError(f"{place}: no case matches {case!r}; allowed are patterns of "
                             + ", ".join(known_cases()[: len(REAL) + len(list(synthetic()))]))
    return Exclusion(check, case, reason, place)


def known_cases() -> list[str]:
    """The names of the cases of all profiles, also of those for which a package is missing here."""
    names = [case.name for case in synthetic()]
    seeds = sorted({seed for profile in SEEDS.values() for seed in profile} - {0})
    return [*names, *REAL, *(f"{name}#{seed}" for seed in seeds for name in names)]


def first_match(
    exclusions: Iterable[Exclusion], check: str, case: str
) -> Exclusion | None:
    """The first exclusion that applies to this check on this case, or None."""
    return next((line for line in exclusions if line.matches(check, case)), None)
