"""What `refot certify` says of a value: right or wrong, and the known mistake that gives it."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from refot.costs.forbidden import finite_part
from refot.costs.operands import Cost, row_blocks
from refot.verification.cases.case import Case
from refot.verification.certificates.intervals import Interval
from refot.verification.checks.trial import Finding, Trial
from refot.verification.diagnosis.vote import Suspects, named, sentence
from refot.verification.subjects.probe import Probe
from refot.verification.subjects.subject import Part
from refot.verification.truth.solution import Truth

DIAGNOSED_ENTRIES = 250_000
"""A wrong value is compared with the catalogue of mistakes if its cost has at most this many
entries: every mistake is computed, which takes long on a larger problem."""


@dataclass(frozen=True)
class Verdict:
    """Whether a value is right, and the sentence that says so."""

    inside: bool
    sentence: str


def line(what: str, interval: Interval) -> str:
    """An interval of floats with its name."""
    return (f"{what} in [{interval.lower!r}, {interval.upper!r}]  "
            f"(relative width {interval.relative_width:.1g})")


def highest_cost(C: Cost) -> float:
    """max |C_ij| over all pairs (i, j) that are not forbidden by an infinite cost."""
    return max(float(abs(finite_part(C.rows(rows))).max()) for rows in row_blocks(C))


def verdict(value: float, kind: str, expected: Interval, allowed: float, why: str) -> Verdict:
    """The verdict on a value of a kind ("KL"), which may be outside of the interval by `allowed`.
    `why` is appended to the sentence on a wrong value."""
    off, unit = expected.distance(value), f"(allowed: {allowed:.1g})"
    if off <= allowed:
        where = "inside" if off == 0 else f"{off:.2g} outside"
        return Verdict(True, f"{value!r} is right as {kind} value: {where} the interval {unit}")
    return Verdict(False, f"{value!r} is wrong as {kind} value: {off:.6g} outside "
                   f"[{expected.lower!r}, {expected.upper!r}] {unit}{why}")


def mistake_in(value: float, capability: str, case: Case, arguments: Any, allowed: float) -> str:
    """The known mistake that makes the capability answer this value to the arguments, after "; ";
    "" if there is none."""
    trial = Trial(Probe(Part("the value", {capability: lambda *_: value})), case, Truth(case))
    measured = trial.number(capability, *arguments)
    found = Finding(measured, Interval(measured, measured), math.inf, allowed)
    own = Suspects(asks=False).evidence(trial, found)
    said = sentence(own, named(own))
    return f"; {said}" if said else ""
