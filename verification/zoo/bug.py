"""What a bug of the zoo is, and how it is verified: on a few small cases on which it shows."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Any

from refot.verification.cases.case import Case, synthetic
from refot.verification.mistakes.catalogue import CATALOGUE
from refot.verification.runs.run import CheckResult, diagnosed, examine
from refot.verification.subjects.probe import Probe
from refot.verification.subjects.subject import Part, Subject
from refot.verification.zoo.symptoms import SYMPTOMS

USUAL = ("gaussian", "euclidean", "one-by-one", "square-uniform", "asymmetric")
"""The cases on which most bugs show, with n != m and n = m, a single atom, two ground costs."""


@dataclass(frozen=True)
class Bug:
    """A function with a bug.

    `caught_by` is the id of the check that must fail on at least one of the `cases`. `diagnosis` is
    the id of what must be diagnosed, a mistake of the catalogue or one of SYMPTOMS; "" if no
    diagnosis is expected. `beside` has right capabilities that the part offers in addition.
    """

    name: str
    function: Callable[..., Any]
    caught_by: str
    diagnosis: str
    cases: tuple[str, ...]
    beside: Mapping[str, Callable[..., Any]] = field(default_factory=dict)

    @property
    def capability(self) -> str:
        """The capability that has the bug."""
        return self.caught_by.partition(".")[0]

    @property
    def words(self) -> str:
        """The words that the diagnosis must contain."""
        known = CATALOGUE.get(self.diagnosis)
        return known.said if known else SYMPTOMS.get(self.diagnosis, "")

    def is_named(self, said: str) -> bool:
        """Whether a diagnosis names the symptom or mistake of the bug, alone or as one of several.

        The sentence of a mistake is compared as a whole, because it may be part of another
        sentence.
        """
        if self.diagnosis not in CATALOGUE:
            return self.words in said
        return any(named == self.words or named.startswith(f"{self.words} (")
                   for named in said.split(" - or: "))

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
    """Register a bug in BUGS; the fields of `Bug` describe the arguments."""
    assert name not in BUGS, name
    assert diagnosis in CATALOGUE or diagnosis in SYMPTOMS or not diagnosis, diagnosis
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
