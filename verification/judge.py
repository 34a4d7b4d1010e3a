"""Judging one value of one problem: what `refot certify` prints."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from refot.arrays import ConvergenceWarning, as_number
from refot.conventions import CONVENTIONS, ValueKind, convention, value_from_refot
from refot.problem import Problem
from refot.solvers import cost_range, solve

from .cases import Case
from .certificates import Certificate, certify
from .check import Finding, Trial
from .diagnosis import diagnose
from .intervals import Interval
from .probe import Probe
from .subjects import Part
from .truth import Truth

RATE = 1e-6
"""A value may be off by this part of max C - min C, as in `refot verify`."""

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

    def expected(self, kind: ValueKind) -> Interval:
        """The interval of the value of that kind, in cost units."""
        if kind is ValueKind.SHARP:
            return self.certificate.transport_cost
        p, F = self.problem, self.certificate.value
        a, b = (weights / weights.sum() for weights in (p.a, p.b))
        ends = [value_from_refot(end, kind, a=a, b=b, eps=p.eps) for end in (F.lower, F.upper)]
        return Interval(min(ends), max(ends))

    def verdict(self, value: Any, name: str) -> Verdict:
        """Judge a value in the named convention. Raises InputError for an unknown name."""
        value, kind = as_number(value, "value"), convention(name).value
        if kind is None:
            raise ValueError(f"convention {name}: its call returns no value of one problem")
        expected = self.expected(kind)
        allowed = RATE * cost_range(self.problem)
        off, unit = expected.distance(value), f"(allowed: {allowed:.1g})"
        if off <= allowed:
            where = "inside" if off == 0 else f"{off:.2g} outside"
            return Verdict(True, f"{value!r} is right as {kind} value: {where} the interval {unit}")
        why = self._diagnosis(value, kind, expected, allowed)
        return Verdict(False, f"{value!r} is wrong as {kind} value: {off:.6g} outside "
                       f"[{expected.lower!r}, {expected.upper!r}] {unit}{why}")

    def _diagnosis(
        self, value: float, kind: ValueKind, expected: Interval, allowed: float
    ) -> str:
        p = self.problem
        capability = "transport_cost" if kind is ValueKind.SHARP else "value"
        if p.C.shape[0] * p.C.shape[1] > DIAGNOSED_ENTRIES or kind not in (
            ValueKind.KL, ValueKind.SHARP
        ):
            return ""
        case = Case("the problem", "", np.asarray(p.C.dense()), p.a, p.b, p.eps)
        part = Part("the value", {capability: lambda *_: value})
        found = Finding(value, expected, expected.distance(value), allowed)
        trial = Trial(Probe(part), case, Truth(case))
        sentence = diagnose(capability, trial, found)
        return f"; {sentence}" if sentence else ""


def certified(p: Problem, g: Any | None = None) -> Certified:
    """The problem with its certificate, from potentials g (m,) or from a solve."""
    if g is None:
        with warnings.catch_warnings():  # the certificate tells how far the solve came
            warnings.simplefilter("ignore", ConvergenceWarning)
            g = solve(p.C, p.a, p.b, p.eps, tol=1e-13, max_iter=2_000, backend=p.backend).g
    return Certified(p, certify(p.C, p.a, p.b, p.eps, g))


def conventions() -> list[str]:
    """The names that `--convention` takes: those whose call returns one value."""
    return [name for name, entry in CONVENTIONS.items() if entry.value is not None]


def _line(what: str, interval: Interval) -> str:
    return (f"{what} in [{interval.lower!r}, {interval.upper!r}]  "
            f"(relative width {interval.relative_width:.1g})")
