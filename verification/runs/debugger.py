"""`refot verify --check ID --case NAME --debug`: run one check, then open a Python console.

The console has the arrays of the case, the answer of the subject, and the right one.
"""

from __future__ import annotations

import code
import contextlib
import pdb
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from refot.terminal import plain_lines
from refot.verification.cases.case import collect
from refot.verification.checks.trial import Check, Trial
from refot.verification.diagnosis.vote import Suspects
from refot.verification.subjects.doubles import in_doubles
from refot.verification.subjects.isolation import undisturbed
from refot.verification.subjects.probe import Probe
from refot.verification.subjects.subject import Part, Subject
from refot.verification.truth.right import RIGHT
from refot.verification.truth.solution import solution_of

from .asked import Selection
from .run import CheckResult, diagnosed, run_check
from .selection import chosen


# ------------------------------------------------------------------ stopping
@dataclass
class RawCall:
    """One call into the subject, in its own convention: what was asked, and what came of it."""

    function: Callable[..., Any]
    arguments: tuple[Any, ...]
    answer: Any = None
    raised: BaseException | None = None


def recorded(part: Part, calls: list[RawCall]) -> Part:
    """The part, which appends each call to `calls`."""

    def recording(function: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any) -> Any:
            calls.append(RawCall(function, arguments))
            try:
                calls[-1].answer = function(*arguments)
            except BaseException as error:
                calls[-1].raised = error
                raise
            return calls[-1].answer

        return call

    return replace(part, capabilities={name: recording(function)
                                       for name, function in part.capabilities.items()})


def stop(
    subject: Subject, selection: Selection, profile: str = "quick", seed: int = 0
) -> CheckResult:
    """Run what is selected until a check fails, and open a Python console there.

    If none fails, the console is opened at the last check. Returns the result of that check. Raises
    SelectionError, InputError.
    """
    for part, case, check in chosen(selection, subject, collect(profile, seed)[0]):
        calls: list[RawCall] = []
        trial = Trial(Probe(recorded(part, calls)), case, solution_of(case))
        with undisturbed():
            (result,) = diagnosed([run_check(check, trial, Suspects(asks=False))])
        if result.status != "passed":
            break
    names = console_names(trial, result, calls)
    with contextlib.suppress(SystemExit):  # `exit()` leaves the console
        code.interact(plain_lines(banner(check, result, names)), local=names, exitmsg="")
    return result


def console_names(
    trial: Trial, result: CheckResult, calls: list[RawCall]
) -> dict[str, Any]:
    """The names that the console knows, which ABOUT describes."""
    case = trial.case
    known: dict[str, Any] = {
        "np": np, "case": case, "C": case.C, "a": case.a, "b": case.b, "eps": case.eps,
        "x": case.x, "y": case.y, "cost": case.cost, "result": result, "calls": trial.calls}
    if trial.calls:  # its arguments and its answer are in refot's convention
        last = trial.calls[-1]
        known |= {"arguments": last.arguments, "answer": last.answer,
                  "expected": RIGHT[last.capability](
                      *in_doubles(last.capability, last.arguments))}
    if calls:
        function, arguments, raised = calls[-1].function, calls[-1].arguments, calls[-1].raised
        known |= {"raw": calls[-1].answer, "again": lambda: function(*arguments)}
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
"""What each name of the console means."""


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
    """The shape of an array, or a number, or blanks, as a column of text."""
    if isinstance(value, np.ndarray):
        return f"{value.shape!s:10}"
    return f"{value:<10.6g}" if isinstance(value, float) else " " * 10
