"""`refot compare A.json B.json`: what changed between two reports of `refot verify --json`."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from refot.verification.runs.run import STATUSES

WRONG = ("failed", "error")

EVIDENCE = re.compile(r" \(\D*\d[^()]*\)$")
MEASURED = re.compile(r"""(?<![\w<>^|])(?:
    [-+]?\d+(?:\.\d+)?e[-+]?\d+ | [-+]?\d+\.\d+ | [-+]?\d\d+  # what was measured,
    | \d(?=\ \()                                          # a digit before "(rows)", too,
)(?!\w)""", re.VERBOSE)  # and not the 0, 1, 2 of a formula
"""The evidence of one call at the end of a diagnosis, and the numbers within it."""

Key = tuple[str, str, str]
"""(part, check, case)."""


class CompareError(ValueError):
    """A file that is no report of `refot verify --json`: says what is wrong with it."""


@dataclass(frozen=True)
class Line:
    """What is compared of one check on one case; `error` is NaN where there is none."""

    status: str
    error: float
    tolerance: float
    diagnosis: str
    message: str

    @property
    def wrong(self) -> bool:
        """Whether it failed."""
        return self.status in WRONG

    @property
    def why(self) -> str:
        """The diagnosis, or what else is to be said."""
        return self.diagnosis or self.message


@dataclass(frozen=True)
class Judged:
    """A report, read: who was judged by which refot, and every line by its key."""

    title: str
    lines: dict[Key, Line]


def read(path: Path) -> Judged:
    """Read a report. Raises CompareError, OSError."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        subject = found["subject"]
        name = f"{subject['name']} {subject['version']}".strip()
        title = f"{name}, profile {found['profile']}, refot {found['refot']}"
        lines = {_key(check): _line(check) for check in found["checks"]}
    except (ValueError, TypeError, KeyError, RecursionError) as error:
        raise CompareError(f"{path}: not a report of refot verify --json "
                           f"({type(error).__name__}: {error})") from None
    return Judged(title, lines)


def _key(check: dict[str, Any]) -> Key:
    part, id, case = (check[name] for name in ("part", "id", "case"))
    if not all(isinstance(name, str) for name in (part, id, case)):
        raise TypeError("part, id and case are strings")
    return part, id, case


def _line(check: dict[str, Any]) -> Line:
    if check["status"] not in STATUSES:
        raise ValueError(f"status {check['status']!r}")
    error, tolerance = (math.nan if check[name] is None else float(check[name])
                        for name in ("error", "tolerance"))
    return Line(check["status"], error, tolerance, str(check["diagnosis"]), str(check["message"]))


# ------------------------------------------------------------------ what changed
@dataclass(frozen=True)
class Comparison:
    """Two reports; an error has changed where it did by more than `factor`, either way."""

    old: Judged
    new: Judged
    factor: float = 10.0

    @property
    def broken(self) -> list[Key]:
        """What fails now and did not, or was not there."""
        return [key for key, line in self.new.lines.items()
                if line.wrong and not (key in self.old.lines and self.old.lines[key].wrong)]

    @property
    def lost(self) -> list[Key]:
        """What passed and is not answered any more."""
        return [key for key, line in self.old.lines.items() if line.status == "passed"
                and (key not in self.new.lines or self.new.lines[key].status == "not_provided")]

    @property
    def mended(self) -> list[Key]:
        """What failed and passes now."""
        return self._both(lambda old, new: old.wrong and new.status == "passed")

    @property
    def gone(self) -> list[Key]:
        """What failed and is not answered any more: not mended, and not known to be wrong."""
        return [key for key, line in self.old.lines.items() if line.wrong
                and (key not in self.new.lines or self.new.lines[key].status == "not_provided")]

    @property
    def said_otherwise(self) -> list[Key]:
        """What fails in both, with another diagnosis."""
        return self._both(lambda old, new: old.wrong and new.wrong
                          and cause(old.diagnosis) != cause(new.diagnosis))

    @property
    def moved(self) -> list[Key]:
        """What has the same status in both, and an error more than `factor` times another.

        An error of less than a thousandth of what is allowed is rounding, and counts as that.
        """
        return self._both(lambda old, new: old.status == new.status and self._far(old, new))

    @property
    def added(self) -> list[Key]:
        """What passes now and was not there, or was not provided."""
        return [key for key, line in self.new.lines.items() if line.status == "passed"
                and (key not in self.old.lines or self.old.lines[key].status == "not_provided")]

    @property
    def exit_status(self) -> int:
        """1 if something is worse: a check fails that did not, or one that passed is not there."""
        return int(bool(self.broken or self.lost))

    def _both(self, holds: Callable[[Line, Line], bool]) -> list[Key]:
        return [key for key, old in self.old.lines.items()
                if key in self.new.lines and holds(old, self.new.lines[key])]

    def _far(self, old: Line, new: Line) -> bool:
        if math.isnan(old.error) or math.isnan(new.error):
            return math.isnan(old.error) != math.isnan(new.error)
        one, other = (max(line.error, line.tolerance / 1000) for line in (old, new))
        return max(one, other) > self.factor * min(one, other)

    def report(self) -> Iterator[str]:
        """The comparison, line by line."""
        yield f"old: {_plain(self.old.title)}"
        yield f"new: {_plain(self.new.title)}"
        groups: dict[str, tuple[list[Key], Callable[[Key], str]]] = {
            "fails now": (self.broken, self._now),
            "passed, not there any more": (self.lost, lambda key: ""),
            "mended": (self.mended, lambda key: self.old.lines[key].why),
            "failed, not there any more": (self.gone, lambda key: self.old.lines[key].why),
            "another diagnosis": (self.said_otherwise, self._diagnoses),
            f"error changed by more than {self.factor:g}": (self.moved, self._errors),
            "new, and passes": (self.added, lambda key: ""),
        }
        for heading, (keys, words) in groups.items():
            if keys:
                yield f"{heading}: {len(keys)}"
                yield from (_entry(key, words(key)) for key in keys)
        if not any(keys for keys, _ in groups.values()):
            yield f"nothing changed in {len(self.new.lines)} checks"

    def _now(self, key: Key) -> str:
        return self.new.lines[key].why

    def _diagnoses(self, key: Key) -> str:
        return f"{self.old.lines[key].diagnosis or '-'} => {self.new.lines[key].diagnosis or '-'}"

    def _errors(self, key: Key) -> str:
        return f"{self.old.lines[key].error:.2g} => {self.new.lines[key].error:.2g}"


def compare(old: Path, new: Path, factor: float = 10.0) -> Comparison:
    """Two files of `refot verify --json`, compared. Raises CompareError, OSError."""
    return Comparison(read(old), read(new), factor)


def cause(diagnosis: str) -> str:
    """A diagnosis without its evidence, which comes last and in parentheses, and its numbers."""
    return MEASURED.sub("…", EVIDENCE.sub("", diagnosis))


def _entry(key: Key, words: str) -> str:
    part, id, case = key
    place = " on ".join(filter(None, (id, case)))
    return _plain(f"  {part}: {place}" + (f": {words}" if words else ""))


def _plain(text: str) -> str:
    """Text from a file on a terminal: what cannot be printed, escape sequences too, becomes `?`."""
    return "".join(c if c.isprintable() else "?" for c in text)
