"""What the scoreboard keeps of a report, in memory and as a small file.

A record has every result of the report. Of those that are right it has the case and the digits
only, which makes it more than ten times smaller. The scoreboard reads reports of `refot verify
--json` and records alike, and writes a record of each. The file is described in
docs/scoreboard.md.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from refot.files import UnreadableError, read_json, write_text
from refot.verification.cases.case import Difficulty
from refot.verification.reports.rerun import Rerun
from refot.verification.runs.levels import Level, is_about_bad_input
from refot.verification.runs.run import FORMAT as REPORT_FORMAT

FORMAT = "refot record 1"
"""The field `format` of a record."""

NUMBERS = ("measured", "low", "high", "error", "tolerance")
"""The numbers of a result that is not right, in the order of the file."""

DIFFICULTIES = [difficulty.value for difficulty in Difficulty]

DECIMALS = 2
"""The number of right digits, such as 11.25, is kept with this many decimals."""


class RecordError(ValueError):
    """A file that is neither a report nor a record; the message says what is wrong with it."""


@dataclass(frozen=True)
class Result:
    """One check on one case. `numbers` are those of NUMBERS, None where there are none; `why` is
    the diagnosis, or the message where there is none."""

    part: str
    id: str
    case: str
    level: Level
    difficulty: str
    digits: float | None = None
    numbers: tuple[float | None, ...] = (None,) * len(NUMBERS)
    why: str = ""

    @property
    def capability(self) -> str:
        """What was asked for."""
        return self.id.partition(".")[0]

    @property
    def about_bad_input(self) -> bool:
        """Whether the check gives the subject bad input."""
        return is_about_bad_input(self.id)


@dataclass(frozen=True)
class Record:
    """One run of `refot verify`. `arguments` are the words that followed on its command line."""

    name: str
    version: str
    refot: str
    profile: str
    arguments: tuple[str, ...]
    parts: tuple[str, ...]
    results: tuple[Result, ...]

    @property
    def title(self) -> str:
        """Name and version of the library."""
        return f"{self.name} {self.version}".strip()

    @cached_property
    def cases(self) -> dict[str, str]:
        """The difficulty of each case by its name, the ordinary ones first."""
        found = {result.case: result.difficulty for result in self.results}
        return dict(sorted(found.items(), key=lambda each: (DIFFICULTIES.index(each[1]), each[0])))

    @property
    def rerun(self) -> Rerun:
        """The command that repeats the run."""
        return Rerun(self.arguments or ("TARGET",))

    def of(self, part: str) -> list[Result]:
        """The results of one part."""
        return self._by_part[part]

    @cached_property
    def _by_part(self) -> dict[str, list[Result]]:
        found: dict[str, list[Result]] = {part: [] for part in self.parts}
        for result in self.results:
            found[result.part].append(result)
        return found


# ------------------------------------------------------------------ reading
def read(path: Path) -> Record:
    """The record of a file, which holds a record or a report. Raises RecordError, OSError."""
    try:
        found = read_json(path)
        return _from_record(found) if found.get("format") == FORMAT else _from_report(found)
    except UnreadableError as error:
        raise RecordError(f"{path}: {error}") from None
    except (ValueError, TypeError, KeyError, IndexError, AttributeError) as error:
        raise RecordError(f"{path}: neither a report of refot verify --json nor a record of refot "
                          f"scoreboard ({type(error).__name__}: {error})") from None


def _from_report(found: Mapping[str, Any]) -> Record:
    if found.get("format") != REPORT_FORMAT:
        raise ValueError(f"format {found.get('format', 1)!r}, and this refot reads format "
                         f"{REPORT_FORMAT}: make it again")
    results = [_from_check(check) for check in found["checks"] if check["case"]]
    return _record(found, sorted({result.part for result in results}, key=str.casefold), results)


def _from_check(check: Mapping[str, Any]) -> Result:
    level = Level(check["level"])
    low, high = check["expected"] or (None, None)
    numbers = (check["measured"], low, high, check["error"], check["tolerance"])
    right = level is Level.RIGHT
    return Result(
        str(check["part"]), str(check["id"]), str(check["case"]), level,
        Difficulty(check["difficulty"]).value, _digits(check["digits"]),
        (None,) * len(NUMBERS) if right else tuple(map(_number, numbers)),
        "" if right else str(check["diagnosis"] or check["message"]))


def _digits(found: Any) -> float | None:
    return None if found is None else round(float(found), DECIMALS)


def _number(found: Any) -> float | None:
    return None if found is None else float(found)


def _record(found: Mapping[str, Any], parts: Iterable[str], results: Iterable[Result]) -> Record:
    subject = found["subject"]
    return Record(str(subject["name"]), str(subject["version"]), str(found["refot"]),
                  str(found["profile"]), tuple(map(str, found["arguments"])), tuple(parts),
                  tuple(results))


def _from_record(found: Mapping[str, Any]) -> Record:
    results = [result for check in found["checks"] for result in _from_row(found, check)]
    return _record(found, map(str, found["parts"]), results)


def _from_row(found: Mapping[str, Any], row: Mapping[str, Any]) -> Iterator[Result]:
    """The results of one check of one part on all cases."""
    part, id = str(found["parts"][row["part"]]), str(row["id"])
    for case, digits in row["right"]:
        name, difficulty = found["cases"][case]
        yield Result(part, id, str(name), Level.RIGHT, Difficulty(difficulty).value,
                     _digits(digits))
    for case, level, digits, why, *numbers in row["others"]:
        name, difficulty = found["cases"][case]
        if len(numbers) not in (0, len(NUMBERS)):
            raise ValueError(f"{len(numbers)} numbers where {len(NUMBERS)} are due")
        yield Result(part, id, str(name), Level(level), Difficulty(difficulty).value,
                     _digits(digits), tuple(map(_number, numbers or [None] * len(NUMBERS))),
                     str(found["whys"][why]))


# ------------------------------------------------------------------ writing
def write(record: Record, path: Path) -> None:
    """Write a record as JSON, a line for each check of each part."""
    cases = {case: k for k, case in enumerate(record.cases)}
    whys = {why: k for k, why in enumerate(dict.fromkeys(each.why for each in record.results))}
    rows: dict[tuple[str, str], dict[str, Any]] = {}
    for each in record.results:
        row = rows.setdefault((each.part, each.id), {
            "part": record.parts.index(each.part), "id": each.id, "right": [], "others": []})
        if each.level is Level.RIGHT:
            row["right"].append([cases[each.case], each.digits])
        else:
            row["others"].append([cases[each.case], each.level.value, each.digits, whys[each.why],
                                  *_plain(each.numbers)])
    fields = {"format": FORMAT, "subject": {"name": record.name, "version": record.version},
              "refot": record.refot, "profile": record.profile, "arguments": record.arguments,
              "parts": record.parts, "cases": list(record.cases.items()), "whys": list(whys)}
    head = [f"{json.dumps(name)}: {_line(field)}" for name, field in fields.items()]
    checks = ",\n".join(map(_line, rows.values()))
    write_text(path, "{" + ",\n".join([*head, f'"checks": [\n{checks}\n]']) + "}\n")


def _line(found: Any) -> str:
    return json.dumps(found, allow_nan=False, separators=(",", ":"))


def _plain(numbers: tuple[float | None, ...]) -> list[float | str | None]:
    """The numbers as JSON has them, or nothing if none is known."""
    if not any(number is not None for number in numbers):
        return []
    return [str(number) if number is not None and not abs(number) < float("inf") else number
            for number in numbers]
