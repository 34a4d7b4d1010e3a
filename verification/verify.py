"""What `refot verify` does with its options: load the subject, examine it, write the reports."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from .reports.html.page import write_html
from .reports.rerun import Rerun, words
from .reports.terminal import write_json
from .runs import debugger
from .runs.asked import Selection
from .runs.parallel import run_parallel
from .runs.program import load_subject
from .runs.run import CheckResult, Progress, Report, run
from .runs.scaling import measured
from .runs.selection import run_selection
from .subjects.limits import Limits
from .subjects.subject import Subject


@dataclass(frozen=True)
class VerifyOptions:
    """The options of a run. The subject is either a `target` (Python code) or a `command` (a
    program); the other one is None."""

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
        """A function that loads the subject; it can be pickled and so called in a worker process.
        """
        return partial(load_subject, self.target, self.command, self.capability, self.profile,
                       self.limits, self.seed)

    def stopped(self) -> CheckResult:
        """Run the selected check under --debug, and return its result. The subject runs in this
        process, so that the console of the debugger can reach it."""
        return debugger.stop(self.load(), self.selection, self.profile, self.seed)

    def found(self, progress: Progress) -> Report:
        """Run the checks and return the report. A target in Python runs in worker processes, for it
        may crash; the program of a --command is a separate process already."""
        measure = self.scaling or (self.profile == "full" and not self.selection.some)
        if self.command is None:
            return run_parallel(self.load, self.profile, self.processes, progress, self.seed,
                                self.selection, measure)
        subject = self.load()
        found = (run_selection(subject, self.selection, self.profile, self.seed)
                 if self.selection.some else run(subject, self.profile, progress, self.seed))
        if not measure:
            return found
        progress("time and memory", 0, 1)
        return replace(found, scaling=measured(found.subject, memory=False))

    @property
    def rerun(self) -> Rerun:
        """The command line of this run."""
        return Rerun(words(self.target, self.command, self.capability, self.profile, self.seed))

    def write(self, found: Report, json: Path | None, html: Path | None) -> None:
        """Write the report to the files whose paths are not None."""
        if json is not None:
            write_json(found, json, self.rerun.words)
        if html is not None:
            write_html(found, html, self.rerun.words, self.seed)
