"""What `refot certify PROBLEM.npz` prints: the certified values of the problem in the file, and
whether a value that somebody computed for it is right. `refot.datasets.problem_file` says what the
file holds.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from refot.arrays import Array, ConvergenceWarning, InputError, as_number
from refot.conventions.convert import (
    CONVENTIONS,
    Convention,
    ValueKind,
    convention,
    value_from_refot,
)
from refot.costs.forbidden import forbids
from refot.costs.operands import PointCost
from refot.datasets.problem_file import problem_of, read_problem_arrays
from refot.problem import Problem
from refot.solvers import cost_range, solve_problem
from refot.unbalanced_problem import UnbalancedProblem
from refot.verification.cases.case import Case
from refot.verification.certificates.balls import UNIT
from refot.verification.certificates.certify import Certificate, certify
from refot.verification.certificates.intervals import Interval
from refot.verification.checks.translation import scale_on

from .certify_unbalanced import CertifiedUnbalanced, certified_unbalanced, require_judged
from .verdict import DIAGNOSED_ENTRIES, Verdict, highest_cost, line, mistake_in, verdict

RATE = 1e-6
"""A value may be off by this share of max C - min C, plus 64 roundings (2^-53) of max |C| + eps, as
in `refot verify`."""


def read_problem(path: Path) -> tuple[Problem, Array | None]:
    """The problem of a file, and its potential g or None. Raises FileError, InputError."""
    arrays = read_problem_arrays(path)
    return problem_of(arrays, path, "numpy"), arrays.get("g")


# ------------------------------------------------------------------ the certificate in words
@dataclass(frozen=True)
class Certified:
    """A problem with the column potential g (m,) that proves its certificate."""

    problem: Problem
    certificate: Certificate
    g: Array

    def lines(self) -> Iterator[str]:
        """What `refot certify` prints, line by line."""
        n, m = self.problem.C.shape
        found = self.certificate
        yield f"n = {n}, m = {m}, eps = {self.problem.eps:g}"
        yield line("F = <C,P> + eps KL(P | a(x)b)", found.value)
        yield line("s = <C,P> at the same plan", found.transport_cost)
        yield f"L1 marginal error of the potentials: {found.marginal_error:.2g}"

    def expected(self, called: Convention) -> Interval:
        """The interval in which the value lies that the convention prescribes: of <C,P>, or of
        another value than F, and for the cost that its library uses, which may be half of ours."""
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
        """The name of the ground cost; None where the cost was given as a matrix."""
        C = self.problem.C
        return C.ground.name if isinstance(C, PointCost) else None

    def verdict(self, value: float, name: str) -> Verdict:
        """Judge a value in the named convention. Raises InputError for an unknown name."""
        value, called = as_number(value, "value"), value_convention(name)
        expected, scale = self.expected(called), scale_on(called, self.ground)
        spread = cost_range(self.problem)
        rounding = 64 * UNIT * (highest_cost(self.problem.costs_with_mass) + self.problem.eps)
        allowed = scale * (RATE * spread + rounding)
        off = expected.distance(value) > allowed
        return verdict(value, str(called.value), expected, allowed,
                       self._diagnosis(value, called, allowed) if off else "")

    def _diagnosis(self, value: float, called: Convention, allowed: float) -> str:
        """The known mistake that gives this value, or "".

        Known mistakes are tried on values F and <C,P> of problems that forbid no pair and have at
        most DIAGNOSED_ENTRIES costs. Any other value has no diagnosis.
        """
        p = self.problem
        capability = "transport_cost" if called.value is ValueKind.SHARP else "value"
        if forbids(p.C) or p.C.shape[0] * p.C.shape[1] > DIAGNOSED_ENTRIES or called.value not in (
            ValueKind.KL, ValueKind.SHARP
        ):
            return ""
        case = Case("the problem", "", np.asarray(p.C.dense()), p.a, p.b, p.eps)
        own = value / scale_on(called, self.ground)
        return mistake_in(own, capability, case, case.matrix, allowed)


def require_convention(p: Problem, name: str) -> None:
    """Raise InputError unless a value of this problem can be judged in the convention."""
    value_convention(name)
    if isinstance(p, UnbalancedProblem):
        require_judged(name)


def value_convention(name: str) -> Convention:
    """The convention of that name (`refot.conventions`), which says what a library's function or a
    paper's formula returns. Raises InputError for an unknown name, and for a convention in which
    that is not one value of a transport problem."""
    called = convention(name)
    if called.value is None or called.returns_divergence:
        what = "a divergence, made of three values" if called.value else "a plan and no value"
        raise InputError("convention", f"{name}, whose call returns {what}",
                         "one whose call returns one value: " + ", ".join(conventions()))
    return called


def certified(p: Problem, g: Array | None = None) -> Certified | CertifiedUnbalanced:
    """The problem with its certificate, from the potential g (m,) or, without one, from a solve."""
    if isinstance(p, UnbalancedProblem):
        return certified_unbalanced(p, g)
    if g is None:
        with warnings.catch_warnings():  # the width of the interval shows how far the solve came
            warnings.simplefilter("ignore", ConvergenceWarning)
            g = solve_problem(p, tol=1e-13, max_iter=2_000).g
    return Certified(p, certify(p.C, p.a, p.b, p.eps, g), g)


def conventions() -> list[str]:
    """The names that `--convention` takes: of conventions in which a call of the library returns
    one value."""
    return [name for name, entry in CONVENTIONS.items()
            if entry.value is not None and not entry.returns_divergence]
