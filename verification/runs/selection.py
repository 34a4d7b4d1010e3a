"""A few checks on a few cases, chosen by name, in place of a whole profile."""

from __future__ import annotations

import difflib
from dataclasses import replace

from refot.arrays import UnknownNameError, lookup
from refot.verification.cases.case import Case, collect
from refot.verification.checks import CHECKS
from refot.verification.checks.trial import Check
from refot.verification.subjects.isolation import undisturbed
from refot.verification.subjects.probe import Probe
from refot.verification.subjects.subject import Part, Subject

from .asked import Selection, asked
from .run import Examined, Report, examine, report


class SelectionError(ValueError):
    """The selection has no checks; the message says what was selected."""


def chosen(
    selection: Selection, subject: Subject, cases: list[Case]
) -> list[tuple[Part, Case, Check]]:
    """The selected checks. Raises SelectionError if there is none, and InputError."""
    if selection.check is not None and selection.check not in CHECKS:
        near = difflib.get_close_matches(selection.check, CHECKS, n=3, cutoff=0.0)
        raise UnknownNameError("--check", f"{selection.check!r}",
                               f"what refot verify --list lists, such as {', '.join(near)}")
    if selection.case is not None:
        lookup({case.name: case for case in cases}, selection.case, "--case")
    if selection.part is not None:
        lookup({part.name: part for part in subject.parts}, selection.part, "--part")
    found = list(asked(subject.parts, cases, selection))
    if not found:
        names = ", ".join(f"{name} {value}" for name, value in vars(selection).items() if value)
        raise SelectionError(f"{names}: {subject.name} does not offer it, or this check makes "
                             "no sense on this case; see refot verify --list")
    return found


def run_selection(
    subject: Subject, selection: Selection, profile: str = "quick", seed: int = 0
) -> Report:
    """As `run.run`, for the selected checks only. Raises SelectionError, InputError."""
    cases, _ = collect(profile, seed)
    found = chosen(selection, subject, cases)
    probes = [Probe(part) for part in subject.parts]
    with undisturbed():
        examined = list(examine(probes, cases, selection=selection))
    return selected_report(subject, found, profile, examined, probes)


def selected_report(
    subject: Subject, found: list[tuple[Part, Case, Check]], profile: str,
    examined: list[Examined], probes: list[Probe],
) -> Report:
    """As `run.report`, for the chosen parts, without a line for each capability that they lack."""
    parts = tuple(part for part in subject.parts if any(part is each for each, _, _ in found))
    whole = report(replace(subject, parts=parts), profile, examined, {}, probes)
    return replace(whole, checks=tuple(result for result in whole.checks if result.case))
