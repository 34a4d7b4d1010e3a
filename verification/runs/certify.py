"""Judging one value of one problem: what `refot certify` prints."""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from refot.arrays import ConvergenceWarning, InputError, as_number
from refot.conventions.convert import (
    CONVENTIONS,
    Convention,
    ValueKind,
    convention,
    value_from_refot,
)
from refot.costs.forbidden import finite_part, forbids
from refot.costs.operands import Cost, PointCost, row_blocks
from refot.problem import Problem
from refot.solvers import cost_range, solve_problem
from refot.verification.cases.case import Case
from refot.verification.certificates.balls import UNIT
from refot.verification.certificates.certify import Certificate, certify
from refot.verification.certificates.intervals import Interval
from refot.verification.checks.translation import scale_on
from refot.verification.checks.trial import Finding, Trial
from refot.verification.diagnosis.vote import Suspects, named, sentence
from refot.verification.subjects.probe import Probe
from refot.verification.subjects.subject import Part
from refot.verification.truth.solution import Truth

RATE = 1e-6
"""A value may be off by this part of max C - min C, and by 64 roundings of max |C| + eps, as in
`refot verify`."""

DIAGNOSED_ENTRIES = 250_000
"""Up to this many entries of the cost, a value that misses is compared with the catalogue."""


@dataclass(frozen=True)
class Verdict:
    """Whether a value is right, and the sentence that says so."""

    inside: bool
    sentence: str


@dataclass(frozen=True)
class Certified:
    """A problem with its certificate."""

    problem: Problem
    certificate: Certificate

    def lines(self) -> Iterator[str]:
        """What is certified, line by line."""
        n, m = self.problem.C.shape
        found = self.certificate
        yield f"n = {n}, m = {m}, eps = {self.problem.eps:g}"
        yield _line("F = <C,P> + eps KL(P | a(x)b)", found.value)
        yield _line("s = <C,P> at the same plan", found.transport_cost)
        yield f"L1 marginal error of the potentials: {found.marginal_error:.2g}"

    def expected(self, called: Convention) -> Interval:
        """The interval of the value in that convention, in the units of its cost."""
        scale = scale_on(called, self.ground)
        if called.value is ValueKind.SHARP:
            return scale * self.certificate.transport_cost
        p, F = self.problem, self.certificate.value
        a, b = (weights / weights.sum() for weights in (p.a, p.b))
        kind = called.value or ValueKind.KL
        ends = [value_from_refot(scale * end, kind, a=a, b=b, eps=scale * p.eps)
                for end in (F.lower, F.upper)]
        return Interval(min(ends), max(ends))

    @property
    def ground(self) -> str | None:
        """The name of the cost of the points, None of a matrix."""
        C = self.problem.C
        return C.ground.name if isinstance(C, PointCost) else None

    def verdict(self, value: Any, name: str) -> Verdict:
        """Judge a value in the named convention. Raises InputError for an unknown name."""
        value, called = as_number(value, "value"), value_convention(name)
        expected, scale = self.expected(called), scale_on(called, self.ground)
        spread = cost_range(self.problem)
        rounding = 64 * UNIT * (highest_cost(self.problem.costs_with_mass) + self.problem.eps)
        allowed = scale * (RATE * spread + rounding)
        off, unit = expected.distance(value), f"(allowed: {allowed:.1g})"
        if off <= allowed:
            where = "inside" if off == 0 else f"{off:.2g} outside"
            return Verdict(True, f"{value!r} is right as {called.value} value: {where} "
                           f"the interval {unit}")
        why = self._diagnosis(value, called, allowed)
        return Verdict(False, f"{value!r} is wrong as {called.value} value: {off:.6g} outside "
                       f"[{expected.lower!r}, {expected.upper!r}] {unit}{why}")

    def _diagnosis(self, value: float, called: Convention, allowed: float) -> str:
        """The mistake that gives this value, for values that are F or <C,P> on refot's cost."""
        p = self.problem
        capability = "transport_cost" if called.value is ValueKind.SHARP else "value"
        if forbids(p.C) or p.C.shape[0] * p.C.shape[1] > DIAGNOSED_ENTRIES or called.value not in (
            ValueKind.KL, ValueKind.SHARP
        ):
            return ""
        case = Case("the problem", "", np.asarray(p.C.dense()), p.a, p.b, p.eps)
        part = Part("the value", {capability: lambda *_: value / scale_on(called, self.ground)})
        trial = Trial(Probe(part), case, Truth(case))
        measured = trial.number(capability, *case.matrix)
        found = Finding(measured, Interval(measured, measured), math.inf, allowed)
        own = Suspects(asks=False).evidence(trial, found)
        said = sentence(own, named(own))
        return f"; {said}" if said else ""


def value_convention(name: str) -> Convention:
    """The convention of one value. Raises InputError, before any work, if it is another thing."""
    called = convention(name)
    if called.value is None or called.returns_divergence:
        what = "a divergence, made of three values" if called.value else "a plan and no value"
        raise InputError("convention", f"{name}, whose call returns {what}",
                         "one whose call returns one value: " + ", ".join(conventions()))
    return called


def highest_cost(C: Cost) -> float:
    """max |C| of the allowed pairs."""
    return max(float(abs(finite_part(C.rows(rows))).max()) for rows in row_blocks(C))


def certified(p: Problem, g: Any | None = None) -> Certified:
    """The problem with its certificate, from potentials g (m,) or from a solve."""
    if g is None:
        with warnings.catch_warnings():  # the certificate tells how far the solve came
            warnings.simplefilter("ignore", ConvergenceWarning)
            g = solve_problem(p, tol=1e-13, max_iter=2_000).g
    return Certified(p, certify(p.C, p.a, p.b, p.eps, g))


def conventions() -> list[str]:
    """The names that `--convention` takes: those whose call returns one value."""
    return [name for name, entry in CONVENTIONS.items()
            if entry.value is not None and not entry.returns_divergence]


def _line(what: str, interval: Interval) -> str:
    return (f"{what} in [{interval.lower!r}, {interval.upper!r}]  "
            f"(relative width {interval.relative_width:.1g})")
