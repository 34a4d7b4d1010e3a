"""`refot compare A.json B.json`: what changed between two reports of `refot verify --json`."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from refot.files import UnreadableError, read_json
from refot.terminal import plain
from refot.verification.cases.case import Difficulty
from refot.verification.runs.digit_table import digit_table
from refot.verification.runs.levels import LEVELS, Level
from refot.verification.runs.run import FORMAT, STATUSES, UNANSWERED

WRONG = ("failed", "error")
"""The statuses of checks that fail."""

MEASURED = re.compile(r"""(?<![\w<>^|])(?:
    [-+]?\d+(?:\.\d+)?e[-+]?\d+ | [-+]?\d+\.\d+ | [-+]?\d\d+  # several digits
    | \d(?=\ \()                                          # a single digit in front of " ("
)(?!\w)""", re.VERBOSE)
"""Matches the numbers in a diagnosis that were measured in a call, but not the single digits of a
formula, such as the 2 of x / 2. Two diagnoses that differ only in measured numbers are the same."""

Key = tuple[str, str, str]
"""(part, check, case): a function of the library, the id of the check, the name of the problem."""


class CompareError(ValueError):
    """A file is no report of `refot verify --json`; the message says what is wrong with it."""


@dataclass(frozen=True)
class Line:
    """The fields of one check on one case that are compared; `error` is NaN where there is none."""

    status: str
    error: float
    tolerance: float
    diagnosis: str
    message: str
    level: Level = Level.UNKNOWN
    part: str = ""
    capability: str = ""
    difficulty: str = ""
    digits: float | None = None

    @property
    def wrong(self) -> bool:
        """Whether the answer was wrong, or missing because of an error."""
        return self.status in WRONG

    @property
    def why(self) -> str:
        """The diagnosis, or the message where there is none."""
        return self.diagnosis or self.message


@dataclass(frozen=True)
class ReadReport:
    """A report as it was read: the subject and the version of refot, and every line by its key."""

    title: str
    lines: dict[Key, Line]


def read(path: Path) -> ReadReport:
    """Read a report. Raises CompareError, OSError."""
    try:
        found = read_json(path)
        if found.get("format") != FORMAT:
            raise ValueError(f"format {found.get('format', 1)!r}, and this refot reads format "
                             f"{FORMAT}: make it again")
        subject = found["subject"]
        name = f"{subject['name']} {subject['version']}".strip()
        title = f"{name}, profile {found['profile']}, refot {found['refot']}"
        lines = {_key(check): _line(check) for check in found["checks"]}
    except UnreadableError as error:
        raise CompareError(f"{path}: not a report of refot verify --json ({error})") from None
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise CompareError(f"{path}: not a report of refot verify --json "
                           f"({type(error).__name__}: {error})") from None
    return ReadReport(title, lines)


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
    digits = None if check["digits"] is None else float(check["digits"])
    named = check["difficulty"]
    difficulty = "" if named == "" else Difficulty(named).value
    return Line(check["status"], error, tolerance, str(check["diagnosis"]), str(check["message"]),
                Level(check["level"]), check["part"], check["id"].partition(".")[0], difficulty,
                digits)


# ------------------------------------------------------------------ what changed
@dataclass(frozen=True)
class Comparison:
    """Two reports, and what differs between them. An error counts as changed if it became more than
    `factor` times larger or smaller."""

    old: ReadReport
    new: ReadReport
    factor: float = 10.0

    @property
    def broken(self) -> list[Key]:
        """Checks that fail now, and did not fail or did not exist before."""
        return [key for key, line in self.new.lines.items()
                if line.wrong and not (key in self.old.lines and self.old.lines[key].wrong)]

    @property
    def worse(self) -> list[Key]:
        """Checks that fail in both, at a worse level now. For example, the subject no longer says
        that its answer is not right."""
        return self._both(lambda old, new: old.wrong and new.wrong
                          and LEVELS.index(new.level) < LEVELS.index(old.level))

    @property
    def lost(self) -> list[Key]:
        """Checks that passed, and now have no answer that can be judged."""
        return [key for key, line in self.old.lines.items() if line.status == "passed"
                and (key not in self.new.lines or self.new.lines[key].status in UNANSWERED)]

    @property
    def mended(self) -> list[Key]:
        """Checks that failed and pass now."""
        return self._both(lambda old, new: old.wrong and new.status == "passed")

    @property
    def gone(self) -> list[Key]:
        """Checks that failed, and now have no answer that can be judged."""
        return [key for key, line in self.old.lines.items() if line.wrong
                and (key not in self.new.lines or self.new.lines[key].status in UNANSWERED)]

    @property
    def said_otherwise(self) -> list[Key]:
        """Checks that fail in both, with different diagnoses."""
        return self._both(lambda old, new: old.wrong and new.wrong
                          and cause(old.diagnosis) != cause(new.diagnosis))

    @property
    def moved(self) -> list[Key]:
        """Checks with the same status in both, whose errors differ by more than `factor`.

        An error below a thousandth of the tolerance is rounding, and counts as a thousandth of it.
        """
        return self._both(lambda old, new: old.status == new.status and self._far(old, new))

    @property
    def added(self) -> list[Key]:
        """Checks that pass now, and did not exist or were not provided before."""
        return [key for key, line in self.new.lines.items() if line.status == "passed"
                and (key not in self.old.lines or self.old.lines[key].status in UNANSWERED)]

    @property
    def not_judged(self) -> list[Key]:
        """Checks of the new report that were not judged, because refot's own code raised."""
        return [key for key, line in self.new.lines.items() if line.status == "refot_error"]

    @property
    def exit_status(self) -> int:
        """3 if refot's own code raised, so that the reports cannot be compared; 1 if `broken`,
        `worse` or `lost` has a check; else 0."""
        return 3 if self.not_judged else int(bool(self.broken or self.worse or self.lost))

    def digits(self) -> Iterator[str]:
        """A line for each part, capability and difficulty whose worst or median error changed by
        `factor` or more."""
        least = math.log10(self.factor)
        old, new = ({(row.part, row.capability, row.difficulty): row
                     for row in digit_table(report.lines.values())}
                    for report in (self.old, self.new))
        for key in old.keys() & new.keys():
            pairs = [(getattr(old[key], name), getattr(new[key], name))
                     for name in ("worst", "median")]
            moves = [after - before for before, after in pairs]
            if max(map(abs, moves)) >= least:
                what = "gained" if sum(moves) > 0 else "lost"
                worst, middle = (f"{before:.1f} => {after:.1f}" for before, after in pairs)
                yield plain(f"  {what}: {key[0]}: {key[1]}, {key[2]}: worst {worst}, "
                            f"median {middle}")

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
        yield f"old: {plain(self.old.title)}"
        yield f"new: {plain(self.new.title)}"
        groups: dict[str, tuple[list[Key], Callable[[Key], str]]] = {
            "fails now": (self._by_level(self.broken), self._now),
            "fails at a worse level": (self._by_level(self.worse), self._levels),
            "not judged, by an error of refot": (self.not_judged, self._now),
            "passed, not there any more": (self.lost, self._instead),
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
        digits = sorted(self.digits())
        if digits:
            yield "right digits:"
            yield from digits
        if not digits and not any(keys for keys, _ in groups.values()):
            yield f"nothing changed in {len(self.new.lines)} checks"

    def _by_level(self, keys: list[Key]) -> list[Key]:
        return sorted(keys, key=lambda key: LEVELS.index(self.new.lines[key].level))

    def _now(self, key: Key) -> str:
        line = self.new.lines[key]
        return ": ".join(filter(None, (line.level.value, line.why)))

    def _levels(self, key: Key) -> str:
        old, new = self.old.lines[key], self.new.lines[key]
        return f"{old.level.value} => {new.level.value}: {new.why}"

    def _instead(self, key: Key) -> str:
        """Why a check that passed has no answer now: what the subject said about not converging, or
        "" if the capability is no longer provided."""
        line = self.new.lines.get(key)
        return line.why if line and line.status == "not_converged" else ""

    def _diagnoses(self, key: Key) -> str:
        return f"{self.old.lines[key].diagnosis or '-'} => {self.new.lines[key].diagnosis or '-'}"

    def _errors(self, key: Key) -> str:
        return f"{self.old.lines[key].error:.2g} => {self.new.lines[key].error:.2g}"


def compare(old: Path, new: Path, factor: float = 10.0) -> Comparison:
    """Two files of `refot verify --json`, compared. Raises CompareError, OSError."""
    return Comparison(read(old), read(new), factor)


def cause(diagnosis: str) -> str:
    """A diagnosis without its numbers, and without the evidence in parentheses at its end."""
    return MEASURED.sub("…", without_evidence(diagnosis))


def without_evidence(diagnosis: str) -> str:
    """A diagnosis without the evidence that ends it: text with numbers in parentheses.

    It is the last pair of parentheses, if there are digits in it. Remarks in parentheses directly
    before it are cut off with it, if they have no digits: the cut is at the first " (" behind the
    last digit that stands before the evidence.

    Diagnoses come from somebody's file, and may be very long. So no regular expression is used for
    this, whose time might grow with the square of the length.
    """
    if not diagnosis.endswith(")"):
        return diagnosis
    inside = diagnosis[:-1]
    last = max(inside.rfind("("), inside.rfind(")"))
    if not re.search(r"\d", inside[last + 1:]):
        return diagnosis
    number_before = max((found.end() for found in re.finditer(r"\d", inside[:last + 1])), default=0)
    begin = inside.find(" (", number_before)
    return diagnosis if begin < 0 else diagnosis[:begin]


def _entry(key: Key, words: str) -> str:
    part, id, case = key
    place = " on ".join(filter(None, (id, case)))
    return plain(f"  {part}: {place}" + (f": {words}" if words else ""))
