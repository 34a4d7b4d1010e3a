"""What a page is made of: a report, its cases, and the command line that gave it."""

from __future__ import annotations

import shlex
from dataclasses import dataclass

from refot.verification.cases.case import Case
from refot.verification.runs.run import CheckResult, Report


@dataclass(frozen=True)
class Rerun:
    """The command line of the run, `words` after `refot verify`, to which one check is added."""

    words: tuple[str, ...]

    def whole(self) -> str:
        """The whole run again."""
        return shlex.join(("refot", "verify", *self.words))

    def one(self, result: CheckResult, part: tuple[str, ...]) -> str:
        """One check on one case, in the debugger."""
        return shlex.join(("refot", "verify", *self.words, *part, "--check", result.id,
                           "--case", result.case, "--debug"))


@dataclass(frozen=True)
class Source:
    """What a page is made of: the report, its cases by name, how it was run."""

    report: Report
    cases: dict[str, Case]
    rerun: Rerun

    @property
    def title(self) -> str:
        """Name and version of the subject."""
        return f"{self.report.subject.name} {self.report.subject.version}".strip()

    @property
    def several_parts(self) -> bool:
        """Whether id and case are not enough to name a result."""
        return len(self.report.subject.parts) > 1

    def wrong(self, part: str | None = None) -> list[CheckResult]:
        """The failed results of one part, or of all parts."""
        return [result for result in self.report.checks if result.status in ("failed", "error")
                and part in (None, result.part)]


def words(
    target: str | None, command: str | None, capability: str | None, profile: str, seed: int
) -> tuple[str, ...]:
    """The words after `refot verify` that start this run, without those that are the default."""
    said = [target] if target is not None else ["--command", command or ""]
    said += ["--as", capability] if capability is not None else []
    said += ["--profile", profile] if profile != "quick" else []
    return (*said, *(["--seed", str(seed)] if seed else []))
