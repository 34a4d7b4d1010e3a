"""What `refot certify PROBLEM.npz` prints where the file holds `rho`: U (U-1), and whether a value
that somebody computed for it is right.

U-1 and U-4 are equations of docs/equations.md."""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from refot.arrays import Array, ConvergenceWarning, InputError, as_number
from refot.costs.forbidden import forbids
from refot.penalties import KL, TV, Exact, Penalty
from refot.solvers import cost_range, solve_problem
from refot.solvers.gap import gap_of
from refot.unbalanced_problem import UnbalancedProblem
from refot.verification.cases.case import Case
from refot.verification.certificates.balls import UNIT
from refot.verification.certificates.intervals import Interval

from .verdict import DIAGNOSED_ENTRIES, Verdict, highest_cost, line, mistake_in, verdict

RATE = 1e-6
"""How far a value may be off: by this share of (max C - min C) m(P), where m(P) is the mass of the
plan, plus 64 roundings (2^-53) of the largest terms of U."""


@dataclass(frozen=True)
class CertifiedUnbalanced:
    """An unbalanced problem with an interval that contains U. The potentials that prove it have a
    plan, whose mass is `mass`; `residual` says how far they are from the optimality conditions U-4.
    """

    problem: UnbalancedProblem
    value: Interval
    mass: float
    residual: float

    def lines(self) -> Iterator[str]:
        """What `refot certify` prints, line by line."""
        p, (m_a, m_b) = self.problem, self.problem.masses
        n, m = p.C.shape
        yield (f"n = {n}, m = {m}, eps = {p.eps:g}, rows: {_said(p.rows)}, "
               f"columns: {_said(p.columns)}")
        yield line("U = <C,P> + eps KL(P | a(x)b) + D(P1 | a) + D(P'1 | b)", self.value)
        yield f"masses: a {m_a:g}, b {m_b:g}, the plan {self.mass:.6g}"
        yield f"residual of the optimality conditions: {self.residual:.2g}"

    def verdict(self, value: float, name: str) -> Verdict:
        """Judge a value; `name` is a convention that `require_judged` lets pass."""
        require_judged(name)
        value, allowed = as_number(value, "value"), self.allowed
        off = self.value.distance(value) > allowed
        return verdict(value, "unbalanced", self.value, allowed,
                       self._mistake(value, allowed) if off else "")

    @property
    def allowed(self) -> float:
        """By how much a value may be off. The terms of U of which roundings are allowed are <C,P>,
        eps m_a m_b, for each penalty rho times the two masses that it compares, and U itself."""
        p, (m_a, m_b) = self.problem, self.problem.masses
        paid = sum(side.rho * (mass + self.mass) for side, mass in ((p.rows, m_a), (p.columns, m_b))
                   if math.isfinite(side.rho))
        terms = (highest_cost(p.costs_with_mass) * self.mass + paid + p.eps * m_a * m_b
                 + abs(self.value.midpoint))
        return RATE * cost_range(p) * self.mass + 64 * UNIT * terms

    def _mistake(self, value: float, allowed: float) -> str:
        """The known mistake that gives this value, or "". Known mistakes are tried on problems with
        KL and one rho for both sides, that forbid no pair and have at most DIAGNOSED_ENTRIES
        costs."""
        p = self.problem
        one = isinstance(p.rows, KL) and p.rows == p.columns
        if not one or forbids(p.C) or p.C.shape[0] * p.C.shape[1] > DIAGNOSED_ENTRIES:
            return ""
        case = Case("the problem", "", np.asarray(p.C.dense()), p.a, p.b, p.eps)
        return mistake_in(value, "unbalanced_value", case, (*case.matrix, p.rows.rho), allowed)


def _said(side: Penalty) -> str:
    if isinstance(side, Exact):
        return "exact"
    return f"rho = {side.rho:g} {'TV' if isinstance(side, TV) else 'KL'}"


def require_judged(name: str) -> None:
    """Raise InputError for a convention in which no unbalanced value can be judged."""
    if name != "refot":
        raise InputError("convention", f"{name}, whose value is balanced",
                         "refot, for a problem with rho")


def certified_unbalanced(p: UnbalancedProblem, g: Array | None = None) -> CertifiedUnbalanced:
    """The problem with its interval, from the potential g (m,) or, without one, from a solve."""
    if g is None:
        with warnings.catch_warnings():  # how far the solve came is seen in the interval's width
            warnings.simplefilter("ignore", ConvergenceWarning)
            g = solve_problem(p, tol=1e-13, max_iter=2_000).g
    g = p.column_potential(g)
    f, gap = p.best(g), gap_of(p, g)
    rows, columns = p.backend.marginals(p.C, p.F(f), p.G(g), p.eps)
    return CertifiedUnbalanced(p, Interval(gap.lower, gap.upper), float(rows.sum()),
                               p.residual(f, g, rows, columns))
