"""A few checks on a few cases, chosen by name, in place of a whole profile."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from dataclasses import dataclass, replace

from refot.arrays import UnknownNameError, lookup
from refot.verification.cases.case import Case, collect
from refot.verification.checks import CHECKS
from refot.verification.checks.trial import Check, Trial
from refot.verification.diagnosis.vote import Suspects
from refot.verification.subjects.isolation import undisturbed
from refot.verification.subjects.probe import Probe
from refot.verification.subjects.subject import Part, Subject
from refot.verification.truth.solution import solution_of

from .run import Examined, Report, report, run_check


class SelectionError(ValueError):
    """There is nothing to run: says what was asked for, and what there is."""


@dataclass(frozen=True)
class Selection:
    """Some checks on some cases of some parts; None stands for all."""

    check: str | None = None
    case: str | None = None
    part: str | None = None

    @property
    def some(self) -> bool:
        """Whether anything is selected, so that not all is run."""
        return (self.check, self.case, self.part) != (None, None, None)

    def takes(self, part: Part, check: Check) -> bool:
        """Whether this check of this part is selected."""
        return self.part in (None, part.name) and self.check in (None, check.id)

    def among(self, subject: Subject, cases: Sequence[Case]) -> list[tuple[Part, Case, Check]]:
        """What of the subject and these cases is selected, case by case."""
        return [(part, case, check)
                for case in cases if self.case in (None, case.name)
                for part in subject.parts
                for check in CHECKS.values() if self.takes(part, check)
                and check.capability in part.capabilities and check.applies(case)]

    def chosen(self, subject: Subject, cases: list[Case]) -> list[tuple[Part, Case, Check]]:
        """What of the subject is selected, at least one thing. Raises SelectionError, InputError.
        """
        if self.check is not None and self.check not in CHECKS:
            near = difflib.get_close_matches(self.check, CHECKS, n=3, cutoff=0.0)
            raise UnknownNameError("--check", f"{self.check!r}",
                                   f"what refot verify --list lists, such as {', '.join(near)}")
        if self.case is not None:
            lookup({case.name: case for case in cases}, self.case, "--case")
        if self.part is not None:
            lookup({part.name: part for part in subject.parts}, self.part, "--part")
        found = self.among(subject, cases)
        if not found:
            asked = ", ".join(f"{name} {value}" for name, value in vars(self).items() if value)
            raise SelectionError(f"{asked}: {subject.name} does not offer it, or this check makes "
                                 "no sense on this case; see refot verify --list")
        return found


def run_selection(
    subject: Subject, selection: Selection, profile: str = "quick", seed: int = 0
) -> Report:
    """As `run.run`, of what is selected only. Raises SelectionError, InputError."""
    cases, _ = collect(profile, seed)
    chosen = selection.chosen(subject, cases)
    probes = {part.name: Probe(part) for part in subject.parts}
    suspects = {part.name: Suspects() for part in subject.parts}
    with undisturbed():
        examined: list[Examined] = [
            run_check(check, Trial(probes[part.name], case, solution_of(case)), suspects[part.name])
            for part, case, check in chosen]
    return selected_report(subject, chosen, profile, examined, list(probes.values()))


def selected_report(
    subject: Subject, chosen: list[tuple[Part, Case, Check]], profile: str,
    examined: list[Examined], probes: list[Probe],
) -> Report:
    """As `run.report`, of the chosen parts, and without a word on what was not chosen."""
    parts = tuple(part for part in subject.parts if any(part is each for each, _, _ in chosen))
    whole = report(replace(subject, parts=parts), profile, examined, {}, probes)
    return replace(whole, checks=tuple(result for result in whole.checks if result.case))
