"""What `refot verify` does with what it was asked: load, examine, and where it examines."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from .reports import terminal as report
from .reports.html import page as html_report
from .reports.html import source as html_report_source
from .runs import debugger as debug
from .runs import run, scaling
from .runs.asked import Selection
from .runs.parallel import run_spread
from .runs.program import load_subject
from .runs.run import CheckResult, Progress, Report
from .runs.selection import run_selection
from .subjects.limits import Limits
from .subjects.subject import Subject


@dataclass(frozen=True)
class Asked:
    """The options of a run; one of `target` and `command` is not None."""

    target: str | None
    command: str | None
    capability: str | None
    limits: Limits
    profile: str
    seed: int
    selection: Selection
    processes: int | None
    scaling: bool

    @property
    def load(self) -> Callable[[], Subject]:
        """Loads the subject, here or in another process."""
        return partial(load_subject, self.target, self.command, self.capability, self.profile,
                       self.limits, self.seed)

    def stopped(self) -> CheckResult:
        """The check at which --debug stopped, which had the subject in this process."""
        return debug.stop(self.load(), self.selection, self.profile, self.seed)

    def found(self, progress: Progress) -> Report:
        """The report. A target in Python is called in other processes only, for it may end them;
        a program is a process of its own already."""
        measure = self.scaling or (self.profile == "full" and not self.selection.some)
        if self.command is None:
            return run_spread(self.load, self.profile, self.processes, progress, self.seed,
                              self.selection, measure)
        subject = self.load()
        found = (run_selection(subject, self.selection, self.profile, self.seed)
                 if self.selection.some else run.run(subject, self.profile, progress, self.seed))
        if not measure:
            return found
        progress("time and memory", 0, 1)
        return replace(found, scaling=scaling.measured(found.subject, memory=False))

    def write(self, found: Report, json: Path | None, html: Path | None) -> None:
        """The files that were asked for."""
        if json is not None:
            report.write_json(found, json)
        if html is not None:
            words = html_report_source.words(self.target, self.command, self.capability,
                                             self.profile, self.seed)
            html_report.write_html(found, html, words, self.seed)
