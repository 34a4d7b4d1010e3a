"""What an HTML page is made from: a report, its cases, and the command line of the run."""

from __future__ import annotations

from dataclasses import dataclass

from refot.verification.cases.case import Case
from refot.verification.reports.rerun import Rerun
from refot.verification.runs.run import CheckResult, Report


@dataclass(frozen=True)
class Source:
    """The report, its cases by name, and the command line of the run."""

    report: Report
    cases: dict[str, Case]
    rerun: Rerun

    @property
    def title(self) -> str:
        """Name and version of the subject."""
        return f"{self.report.subject.name} {self.report.subject.version}".strip()

    @property
    def several_parts(self) -> bool:
        """Whether there are several parts, so that a result must be named with its part, too."""
        return len(self.report.subject.parts) > 1

    def wrong(self, part: str | None = None) -> list[CheckResult]:
        """The failed results of one part, or of all parts."""
        return [result for result in self.report.checks if result.status in ("failed", "error")
                and part in (None, result.part)]
