"""What a bug of the zoo is, and how it is run: on the small cases that show it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Any

from refot.verification.cases.case import Case, synthetic
from refot.verification.runs.run import CheckResult, diagnosed, examine
from refot.verification.subjects.probe import Probe
from refot.verification.subjects.subject import Part, Subject

USUAL = ("gaussian", "euclidean", "one-by-one", "square-uniform", "asymmetric")
"""The cases on which most bugs show: n != m, n = m, a single atom, two ground costs."""


@dataclass(frozen=True)
class Bug:
    """A defect: its capability, the check meant for it, what must be said of it ("" if nothing is
    known to say), the cases that show it, and what else the part offers, which is right."""

    name: str
    function: Callable[..., Any]
    caught_by: str
    diagnosis: str
    cases: tuple[str, ...]
    beside: Mapping[str, Callable[..., Any]] = field(default_factory=dict)

    @property
    def capability(self) -> str:
        """The capability in which the defect sits."""
        return self.caught_by.partition(".")[0]

    def subject(self) -> Subject:
        """The buggy function as a subject of one part."""
        offered = {self.capability: self.function, **self.beside}
        return Subject(self.name, "", (Part(self.name, offered),))

    def results(self, seed: int = 0) -> list[CheckResult]:
        """The checks of the bug on the cases that show it."""
        return examined_on(self.subject(), small_cases(seed, self.cases))


BUGS: dict[str, Bug] = {}
"""Every bug by name."""


def bug(
    name: str, caught_by: str, diagnosis: str, function: Callable[..., Any],
    cases: tuple[str, ...] = USUAL, **beside: Callable[..., Any],
) -> None:
    """Register a bug."""
    assert name not in BUGS, name
    BUGS[name] = Bug(name, function, caught_by, diagnosis, cases, beside)


@cache
def _synthetic(seed: int) -> dict[str, Case]:
    return {case.name: case for case in synthetic(seed)}


def small_cases(seed: int, names: tuple[str, ...]) -> list[Case]:
    """The synthetic cases of a seed with these names."""
    return [_synthetic(seed)[name] for name in names]


def examined_on(subject: Subject, cases: list[Case]) -> list[CheckResult]:
    """The results of a subject on some cases."""
    return diagnosed(list(examine([Probe(part) for part in subject.parts], cases)))
