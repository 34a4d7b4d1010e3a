"""Run the checks of a profile on a subject, and make the report in the JSON shape of
docs/report-format.md."""

from __future__ import annotations

import traceback
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, field, replace
from itertools import groupby
from typing import Any, TypeAlias

import numpy as np

import refot
from refot.backend_contract import get_backend
from refot.conventions.convert import ConversionError
from refot.verification.cases.case import Case, collect
from refot.verification.checks.digits import digits
from refot.verification.checks.trial import Check, Trial
from refot.verification.diagnosis.patterns import pattern
from refot.verification.diagnosis.vote import Evidence, Suspects, named, sentence
from refot.verification.subjects.capabilities import missing_from
from refot.verification.subjects.isolation import undisturbed
from refot.verification.subjects.probe import NotOfferedError, Probe, SubjectError
from refot.verification.subjects.subject import Subject
from refot.verification.subjects.text import one_line, printable
from refot.verification.truth.solution import solution_of

from .asked import EVERYTHING, Selection, asked
from .digit_table import digit_table
from .levels import LEVELS, Level, exit_status, level_of
from .said import (
    may_fail_to_converge,
    said_in_error,
    said_of_a_miss,
    stated,
    states_in_error,
)
from .scaling import Scaling

STATUSES = ("refot_error", "failed", "error", "not_converged", "not_provided", "passed")
"""The statuses of a check. `refot_error`: refot's own code raised. `not_converged`: the subject
says itself that a solve did not converge, on an extreme case, where that is no failure."""

FORMAT = 2
"""The version of the JSON shape of docs/report-format.md."""

UNANSWERED = ("not_provided", "not_converged", "refot_error")
"""The statuses of checks that found the subject neither right nor wrong."""

PLEASE_REPORT = ("refot's own code raised, which is a defect of refot and says nothing of the "
                 "subject; please report it with this traceback")
"""The message of a check during which refot's own code raised."""

PRINTED = 100
"""The report has at most this many different lines that a part printed."""


@dataclass(frozen=True)
class CheckResult:
    """One line of the report: a check of a part on a case.

    `expected` is the certified interval, in the unit of `measured`; `error` is how far `measured`
    is outside of it, and `tolerance` how far it may be. `difficulty` is that of the case, `said`
    what the subject itself said of a wrong or missing answer (`said.py`), and `digits` the number
    of right digits (`checks/digits.py`).
    """

    id: str
    part: str
    capability: str
    case: str
    status: str
    measured: float | None = None
    expected: tuple[float, float] | None = None
    error: float | None = None
    tolerance: float | None = None
    message: str = ""
    diagnosis: str = ""
    traceback: str = ""
    difficulty: str = ""
    said: str = ""
    digits: float | None = None

    @property
    def level(self) -> Level:
        """How bad the result is."""
        return level_of(self)

    def as_dict(self) -> dict[str, Any]:
        """The JSON shape of docs/report-format.md."""
        return asdict(self) | {"level": self.level.value}


@dataclass(frozen=True)
class Report:
    """The results of one run of `refot verify`; `as_dict` is the published JSON."""

    subject: Subject
    profile: str
    backend: str
    checks: tuple[CheckResult, ...]
    left_out: dict[str, str] = field(default_factory=dict)
    warnings: dict[str, tuple[str, ...]] = field(default_factory=dict)
    printed: dict[str, tuple[str, ...]] = field(default_factory=dict)
    scaling: tuple[Scaling, ...] = ()

    def count(self, status: str) -> int:
        """How many checks have this status."""
        return sum(check.status == status for check in self.checks)

    def at(self, *levels: Level) -> list[CheckResult]:
        """The results of these levels."""
        return [check for check in self.checks if check.level in levels]

    @property
    def exit_status(self) -> int:
        """The exit status, unless `refot verify --strict` was called."""
        return self.exit_status_of(strict=False)

    def exit_status_of(self, strict: bool) -> int:
        """The exit status of `refot verify`.

        0: no result counts as a failure. 1: one is WRONG or SILENT or, if `strict`, SAID or LAX.
        2: nothing was provided to check. 3: refot's own code raised.
        """
        if self.count("refot_error"):
            return 3
        return exit_status((check.level for check in self.checks), strict)

    def as_dict(self) -> dict[str, Any]:
        """The JSON shape of docs/report-format.md."""
        conventions = sorted({part.calls or part.convention for part in self.subject.parts})
        return {
            "format": FORMAT,
            "refot": refot.__version__,
            "subject": {"name": self.subject.name, "version": self.subject.version,
                        "convention": ", ".join(conventions)},
            "backend": self.backend,
            "profile": self.profile,
            "summary": {"passed": self.count("passed"), "failed": self.count("failed"),
                        "not_provided": self.count("not_provided"), "errors": self.count("error"),
                        "not_converged": self.count("not_converged"),
                        "refot_errors": self.count("refot_error")},
            "levels": {level.value: len(self.at(level)) for level in LEVELS},
            "digits": [row.as_dict() for row in digit_table(self.checks)],
            "checks": [check.as_dict() for check in self.checks],
            "left_out": self.left_out,
            "warnings": self.warnings,
            "printed": self.printed,
            "scaling": [each.as_dict() for each in self.scaling],
        }


Progress: TypeAlias = Callable[[str, int, int], None]
"""Called with (what is being done, the number of steps done, the number of all steps)."""


@dataclass(frozen=True)
class Examined:
    """One result with its evidence: known mistakes that its calls fit or rule out. The diagnosis is
    made later, from the evidence of all cases."""

    result: CheckResult
    evidence: tuple[Evidence, ...] = ()


def run(
    subject: Subject, profile: str = "quick", progress: Progress | None = None, seed: int = 0
) -> Report:
    """Verify a subject: each check of each capability of each part, on each case it applies to.

    `seed` >= 0 draws other synthetic cases. Raises InputError for an unknown profile.
    """
    get_backend()  # a wrong REFOT_BACKEND raises here, before any work
    probes = [Probe(part) for part in subject.parts]
    with undisturbed():
        cases, left_out = collect(profile, seed)
        examined = list(examine(probes, cases, progress))
    return report(subject, profile, examined, left_out, probes)


def examine(
    probes: list[Probe], cases: Sequence[Case], progress: Progress | None = None,
    suspects: list[Suspects] | None = None, selection: Selection = EVERYTHING,
) -> Iterator[Examined]:
    """The result and the evidence of every selected check of every part on these cases."""
    suspects = suspects or [Suspects() for _ in probes]
    by_part = {id(probe.part): (probe, own) for probe, own in zip(probes, suspects, strict=True)}
    steps = [(case.name, probe.part.name) for case in cases for probe in probes]
    walk = asked([probe.part for probe in probes], cases, selection)
    for step, checks in groupby(walk, lambda each: (each[1].name, each[0].name)):
        if progress is not None:
            progress(": ".join(step), steps.index(step), len(steps))
        for part, case, check in checks:
            probe, own = by_part[id(part)]
            yield run_check(check, Trial(probe, case, solution_of(case)), own)


def run_check(check: Check, trial: Trial, suspects: Suspects | None = None) -> Examined:
    """The result of one check and, unless the check names a cause itself, the evidence for one.

    If refot's own code raises, the result has the status `refot_error`.
    """
    try:
        # numbers of the subject may be huge or not finite: refot must not warn when it uses them
        with np.errstate(all="ignore"):
            return _examined(check, trial, suspects or Suspects())
    except Exception as error:  # noqa: BLE001 - all that a subject raises is a SubjectError
        return Examined(refot_error(check, trial.probe.part.name, trial.case, error))


def _examined(check: Check, trial: Trial, suspects: Suspects) -> Examined:
    result = CheckResult(check.id, trial.probe.part.name, check.capability, trial.case.name, "",
                         difficulty=trial.case.difficulty.value)
    try:
        found = check.run(trial)
    except NotOfferedError as error:
        return Examined(replace(result, status="not_provided", message=str(error)))
    except (SubjectError, ConversionError) as error:
        return Examined(replace(result, message=str(error), said=said_in_error(trial.case, error),
                                status=_status_of_error(check, trial, error)))
    expected = None if found.expected is None else (found.expected.lower, found.expected.upper)
    result = replace(
        result, status="passed" if found.passed else "failed", measured=found.measured,
        expected=expected, error=found.error, tolerance=found.tolerance, message=found.message,
        digits=digits(check.id, found))
    if found.passed:  # a right answer is evidence against all mistakes that would have changed it
        return Examined(result, suspects.evidence(trial, found))
    if may_fail_to_converge(trial.case, check.id, found.measured) and (said := stated(trial)):
        return Examined(replace(result, status="not_converged", message=said, said=said))
    result = replace(result, said=said_of_a_miss(trial, check.id))
    if found.cause:
        return Examined(replace(result, diagnosis=found.cause))
    return Examined(result, suspects.evidence(trial, found))


def _status_of_error(check: Check, trial: Trial, error: Exception) -> str:
    """The status of a check that ended with an error of the subject."""
    honest = (isinstance(error, SubjectError) and states_in_error(error)
              and may_fail_to_converge(trial.case, check.id))
    return "not_converged" if honest else "error"


def refot_error(check: Check, part: str, case: Case, error: BaseException) -> CheckResult:
    """The result of a check during which refot's own code raised `error`."""
    lines = traceback.format_exception(error)
    return CheckResult(check.id, part, check.capability, case.name, "refot_error",
                       message=f"{PLEASE_REPORT}: {one_line(f'{type(error).__name__}: {error}')}",
                       traceback=printable("".join(lines)), difficulty=case.difficulty.value)


def diagnosed(examined: list[Examined]) -> list[CheckResult]:
    """The results. A failed one has a diagnosis, for which the evidence of all calls of its part
    and capability counts."""
    groups: dict[tuple[str, str], list[Evidence]] = defaultdict(list)
    for each in examined:
        groups[each.result.part, each.result.capability] += each.evidence
    agreed = {key: (named(evidence), pattern(evidence)) for key, evidence in groups.items()}
    return [
        replace(each.result, diagnosis=each.result.diagnosis or sentence(
            each.evidence, *agreed[each.result.part, each.result.capability]))
        if each.result.status == "failed" else each.result
        for each in examined
    ]


def report(
    subject: Subject, profile: str, examined: list[Examined], left_out: dict[str, str],
    probes: list[Probe],
) -> Report:
    """The report on what was examined, the worst levels first."""
    results = diagnosed(examined) + _not_provided(subject)
    part_order = {part.name: k for k, part in enumerate(subject.parts)}
    results.sort(key=lambda result: (result.status != "refot_error", LEVELS.index(result.level),
                                     part_order.get(result.part, 0)))
    return Report(
        subject, profile, get_backend().name, tuple(results), left_out,
        {probe.part.name: tuple(sorted(probe.warned)) for probe in probes},
        {probe.part.name: tuple(sorted(probe.printed)[:PRINTED]) for probe in probes},
    )


def _not_provided(subject: Subject) -> list[CheckResult]:
    """One result for each capability that no part of the subject offers."""
    return [CheckResult(f"{missing.name}.*", subject.name, missing.name, "", "not_provided",
                        message=f"not provided: {missing.signature}")
            for missing in missing_from(subject.offered)]
