"""`refot verify --check ID --case NAME --debug`: one check, stopped with the arrays in hand."""

from __future__ import annotations

import code
import contextlib
import difflib
import pdb
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from refot.arrays import UnknownNameError, lookup
from refot.terminal import plain_lines

from .cases import Case, collect
from .check import Check, Trial
from .checks import CHECKS
from .diagnosis import RIGHT, Suspects
from .doubles import in_doubles
from .isolation import undisturbed
from .probe import Probe
from .run import CheckResult, Examined, Report, diagnosed, report, run_check
from .subjects import Part, Subject
from .truth import solution_of


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


# ------------------------------------------------------------------ stopping
@dataclass
class Asked:
    """One call into the subject, in its own convention: what was asked, and what came of it."""

    function: Callable[..., Any]
    arguments: tuple[Any, ...]
    answer: Any = None
    raised: BaseException | None = None


def recorded(part: Part, asked: list[Asked]) -> Part:
    """The part, each call of which is written down."""

    def recording(function: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any) -> Any:
            asked.append(Asked(function, arguments))
            try:
                asked[-1].answer = function(*arguments)
            except BaseException as error:
                asked[-1].raised = error
                raise
            return asked[-1].answer

        return call

    return replace(part, capabilities={name: recording(function)
                                       for name, function in part.capabilities.items()})


def stop(
    subject: Subject, selection: Selection, profile: str = "quick", seed: int = 0
) -> CheckResult:
    """Run what is selected up to the first failure, and open a Python console there; without a
    failure, at the last check. Returns the result that it stopped at. Raises as `run_selection`."""
    for part, case, check in selection.chosen(subject, collect(profile, seed)[0]):
        asked: list[Asked] = []
        trial = Trial(Probe(recorded(part, asked)), case, solution_of(case))
        with undisturbed():
            (result,) = diagnosed([run_check(check, trial, Suspects(asks=False))])
        if result.status != "passed":
            break
    names = hand(trial, result, asked)
    with contextlib.suppress(SystemExit):  # `exit()` leaves the console
        code.interact(plain_lines(banner(check, result, names)), local=names, exitmsg="")
    return result


def hand(trial: Trial, result: CheckResult, asked: list[Asked]) -> dict[str, Any]:
    """What the console knows: the arrays of the case, the answer and the right one, and tools."""
    case = trial.case
    known: dict[str, Any] = {
        "np": np, "case": case, "C": case.C, "a": case.a, "b": case.b, "eps": case.eps,
        "x": case.x, "y": case.y, "cost": case.cost, "result": result, "calls": trial.calls}
    if trial.calls:  # in refot's convention
        last = trial.calls[-1]
        known |= {"arguments": last.arguments, "answer": last.answer,
                  "expected": RIGHT[last.capability](
                      *in_doubles(last.capability, last.arguments))}
    if asked:
        function, arguments, raised = asked[-1].function, asked[-1].arguments, asked[-1].raised
        known |= {"raw": asked[-1].answer, "again": lambda: function(*arguments)}
        if raised is not None:
            known |= {"raised": raised,
                      "post_mortem": lambda: pdb.post_mortem(raised.__traceback__)}
    return known


ABOUT = {
    "case": "the problem, its arrays below by name",
    "C": "the cost", "a": "weights of the rows", "b": "weights of the columns", "eps": "",
    "x": "points of the first measure", "y": "points of the second", "cost": "of these points",
    "arguments": "of the last call, in refot's convention",
    "answer": "to the last call, in refot's convention", "expected": "the right answer to it",
    "calls": "every call of the check, with its arguments and its answer",
    "raw": "the last answer as it came", "again": "again() makes the last call again",
    "raised": "what the last call raised",
    "post_mortem": "post_mortem() opens pdb where it was raised",
    "result": "what the check says",
}
"""What each name of the console is."""


def banner(check: Check, result: CheckResult, names: dict[str, Any]) -> str:
    """What is said before the first prompt."""
    lines = [f"{check.id} on {result.case}: {result.status}", check.sentence + "."]
    if result.measured is not None:
        lines.append(f"measured {result.measured!r}, expected {result.expected}, "
                     f"off by {result.error:.3g}, allowed {result.tolerance:.3g}")
    lines += filter(None, (result.message, result.diagnosis))
    known = [f"  {name:12}{_shape(names[name])}{ABOUT[name]}" for name in ABOUT
             if names.get(name) is not None]
    return "\n".join([*lines, "", *known, ""])


def _shape(value: Any) -> str:
    """The shape of an array, or a number; nothing of anything else."""
    if isinstance(value, np.ndarray):
        return f"{value.shape!s:10}"
    return f"{value:<10.6g}" if isinstance(value, float) else " " * 10
