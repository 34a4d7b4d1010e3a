"""What a report says in short: a verdict on each part, and the causes that its failures share.

The terminal and the HTML page both show this first.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from functools import cached_property

from refot.verification.cases.case import Difficulty
from refot.verification.runs.digit_table import digits_on
from refot.verification.runs.levels import LEVELS, Level, is_about_bad_input, worst
from refot.verification.runs.run import CheckResult, Report

from .compare import MEASURED, cause

BAD = (Level.WRONG, Level.SILENT, Level.SAID, Level.LAX)
"""The levels of results that have a cause."""

UNEXPLAINED = "no known mistake gives these answers"
"""The cause of failures without a diagnosis."""

CASES_SHOWN = 3
"""The verdict on a part names at most this many of the cases on which the part breaks."""


# ------------------------------------------------------------------ parts
@dataclass(frozen=True)
class PartVerdict:
    """The verdict on one part."""

    name: str
    results: tuple[CheckResult, ...]

    @cached_property
    def level(self) -> Level:
        """The worst level of its results."""
        return worst(result.level for result in self.results)

    def at(self, level: Level) -> list[CheckResult]:
        """Its results of one level."""
        return [result for result in self.results if result.level is level]

    def sentence(self) -> str:
        """The verdict in words: "right, 8.1 digits; breaks at tiny-eps, and says so; lax: 2"."""
        if self.level is Level.UNKNOWN:
            return "nothing was checked"
        silent, said, lax = (self.at(level) for level in (Level.SILENT, Level.SAID, Level.LAX))
        if wrong := self.at(Level.WRONG):  # then hard problems are not mentioned
            asked = [result for result in self.results if result.level is not Level.UNKNOWN
                     and result.difficulty == Difficulty.ORDINARY
                     and not is_about_bad_input(result.id)]
            return f"wrong: {len(wrong)} of {len(asked)} checks on ordinary problems"
        digits = digits_on(self.results, Difficulty.ORDINARY)
        return "; ".join(filter(None, (
            "right" if digits is None else f"right, {digits:.1f} digits",
            f"breaks silently at {_cases(silent)}" if silent else "",
            f"breaks at {_cases(said)}, and says so" if said else "",
            f"lax: {len(lax)}" if lax else "")))


def _cases(results: list[CheckResult]) -> str:
    names = list(dict.fromkeys(result.case for result in results))
    more = len(names) - CASES_SHOWN
    return ", ".join(names[:CASES_SHOWN]) + (f" and {more} more" if more > 0 else "")


def part_verdicts(report: Report) -> list[PartVerdict]:
    """The verdict on each part, the worst first."""
    groups: dict[str, list[CheckResult]] = defaultdict(list)
    for result in report.checks:
        groups[result.part].append(result)
    found = [PartVerdict(part.name, tuple(groups[part.name])) for part in report.subject.parts]
    return sorted(found, key=lambda verdict: LEVELS.index(verdict.level))


# ------------------------------------------------------------------ causes
@dataclass(frozen=True)
class Cause:
    """Failures with the same cause, the worst failure first."""

    words: str
    results: tuple[CheckResult, ...]

    @property
    def level(self) -> Level:
        """The level of the worst of them."""
        return worst(result.level for result in self.results)

    @property
    def first(self) -> CheckResult:
        """The failure to look at first."""
        return self.results[0]

    def count(self) -> str:
        """How often it was found: "23 checks in 9 parts"."""
        checks, parts = len(self.results), len({result.part for result in self.results})
        return f"{_plural(checks, 'check')}" + (f" in {parts} parts" if parts > 1 else "")


def _plural(count: int, noun: str) -> str:
    return f"{count} {noun}" + "s" * (count != 1)


def causes(report: Report) -> list[Cause]:
    """The causes of all failures, sorted by the worst level of each. At one level the explained
    ones come first, and then the ones with most failures."""
    groups: dict[str, list[CheckResult]] = defaultdict(list)
    for result in report.at(*BAD):
        groups[root_of(result)].append(result)
    found = [Cause(words, tuple(results)) for words, results in groups.items()]
    return sorted(found, key=lambda each: (
        LEVELS.index(each.level), each.words == UNEXPLAINED, -len(each.results)))


def root_of(result: CheckResult) -> str:
    """The cause of a failure in words, without numbers that were measured, so that failures with
    the same cause have the same words."""
    if result.level is Level.LAX:
        return "bad input is answered with a number"
    diagnosis = result.diagnosis.removeprefix("its own plan: ")
    if diagnosis.startswith("not converged") or result.status == "not_converged":
        return "not converged"
    if diagnosis:
        return cause(diagnosis)
    return MEASURED.sub("…", result.message) if result.status == "error" else UNEXPLAINED
