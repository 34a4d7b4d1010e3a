"""Run the checks of a profile on a subject: results in the shape that is published."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from typing import Any, TypeAlias

import refot
from refot.arrays import lookup
from refot.backend_contract import get_backend
from refot.conventions import ConversionError

from .cases import SEEDS, Case, collect
from .check import Check, Trial
from .checks import CHECKS
from .diagnosis import diagnose
from .probe import NotOfferedError, Probe, SubjectError
from .subjects import CAPABILITIES, Part, Subject
from .truth import Truth

STATUSES = ("failed", "error", "not_provided", "passed")
"""In the order in which a reader wants them."""

@dataclass(frozen=True)
class CheckResult:
    """One line of the report; `expected` is the certified interval, in the unit of `measured`."""

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


@dataclass(frozen=True)
class Report:
    """Everything one run of `refot verify` has to say; `as_dict` is the published JSON."""

    subject: Subject
    profile: str
    backend: str
    checks: tuple[CheckResult, ...]
    left_out: dict[str, str] = field(default_factory=dict)
    warnings: dict[str, tuple[str, ...]] = field(default_factory=dict)

    def count(self, status: str) -> int:
        """How many checks have this status."""
        return sum(check.status == status for check in self.checks)

    @property
    def exit_status(self) -> int:
        """0 if every provided check passed, 1 if not."""
        return int(self.count("failed") + self.count("error") > 0)

    def as_dict(self) -> dict[str, Any]:
        """The JSON shape of docs/report-format.md."""
        conventions = sorted({part.calls or part.convention for part in self.subject.parts})
        return {
            "refot": refot.__version__,
            "subject": {"name": self.subject.name, "version": self.subject.version,
                        "convention": ", ".join(conventions)},
            "backend": self.backend,
            "profile": self.profile,
            "summary": {"passed": self.count("passed"), "failed": self.count("failed"),
                        "not_provided": self.count("not_provided"), "errors": self.count("error")},
            "checks": [asdict(check) for check in self.checks],
            "left_out": self.left_out,
            "warnings": self.warnings,
        }


Progress: TypeAlias = Callable[[str, int, int], None]
"""Told what is being done, how many steps are done, and how many there are."""


def run(subject: Subject, profile: str = "quick", progress: Progress | None = None) -> Report:
    """Verify a subject: every check of every capability of every part, on every case of it."""
    lookup(SEEDS, profile, "profile")
    backend = get_backend().name  # a wrong REFOT_BACKEND is told before any work
    cases, left_out = collect(profile)
    truths = [Truth(case) for case in cases]
    results: list[CheckResult] = []
    warned = {}
    for k, part in enumerate(subject.parts):
        probe = Probe(part)
        for i, (case, truth) in enumerate(zip(cases, truths, strict=True)):
            if progress is not None:
                progress(f"{part.name} on {case.name}", k * len(cases) + i,
                         len(subject.parts) * len(cases))
            results += _run_case(probe, case, truth)
        warned[part.name] = tuple(sorted(probe.warned))
    results += _not_provided(subject)
    results.sort(key=lambda result: STATUSES.index(result.status))
    return Report(subject, profile, backend, tuple(results), left_out, warned)


def _run_case(probe: Probe, case: Case, truth: Truth) -> Iterator[CheckResult]:
    for check in CHECKS.values():
        if check.capability in probe.part.capabilities and check.applies(case):
            yield _run_check(check, Trial(probe, case, truth))


def _run_check(check: Check, trial: Trial) -> CheckResult:
    part, name = trial.probe.part, trial.case.name
    try:
        found = check.run(trial)
    except (SubjectError, ConversionError) as error:
        status = "not_provided" if isinstance(error, NotOfferedError) else "error"
        return CheckResult(check.id, part.name, check.capability, name, status, message=str(error))
    expected = None if found.expected is None else (found.expected.lower, found.expected.upper)
    diagnosis = "" if found.passed else diagnose(check.capability, trial, found)
    return CheckResult(
        check.id, part.name, check.capability, name, "passed" if found.passed else "failed",
        found.measured, expected, found.error, found.tolerance, found.message, diagnosis,
    )


def _not_provided(subject: Subject) -> list[CheckResult]:
    """One line for each capability that no part of the subject offers."""
    offered: set[str] = set().union(*(part.capabilities for part in subject.parts))
    return [CheckResult(f"{capability}.*", subject.name, capability, "", "not_provided",
                        message=f"not provided: {signature}")
            for capability, signature in CAPABILITIES.items() if capability not in offered]


def restricted(subject: Subject, parts: Callable[[Part], bool]) -> Subject:
    """The subject with some of its parts."""
    return Subject(subject.name, subject.version, tuple(filter(parts, subject.parts)))
