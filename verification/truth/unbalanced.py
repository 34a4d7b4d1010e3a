"""The right answers of unbalanced transport, U-1 to U-8 of docs/equations.md. Each problem is
solved once.

With finite rho every P >= 0 is feasible, so that the dual at any potentials and the primal of any
plan bound U from both sides: `Unbalanced.value` is such an interval.
"""

from __future__ import annotations

import itertools
import warnings
from collections.abc import Hashable, Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from scipy.special import rel_entr

from refot.arrays import Array, ConvergenceWarning
from refot.backend_contract import get_backend
from refot.costs.operands import DenseCost, point_cost
from refot.solvers import solve
from refot.verification.certificates.balls import UNIT
from refot.verification.certificates.intervals import Interval

Rho = float | tuple[float, float]
"""The strength of the KL penalties in cost units: one for both sides, or (rows, columns). Infinity
makes a marginal exact."""

ROUNDINGS = 64
"""A result may be off by this many unit roundoffs (2^-53) of the largest terms of its sum: dozens
of terms are added, and a logarithm and a product follow."""


def kl_divergence(p: Array, q: Array) -> float:
    """KL(p | q) = sum p log(p / q) - p + q >= 0, for p and q of any masses."""
    return float((rel_entr(p, q) - p + q).sum())


def relative(p: Array, q: Array) -> float:
    """sum p log(p / q): KL without its mass terms -p + q."""
    return float(rel_entr(p, q).sum())


@dataclass(frozen=True)
class Unbalanced:
    """One unbalanced problem and its solution: C (n, m), a (n,), b (m,) in float64, eps and the two
    rhos in cost units."""

    C: Array
    a: Array
    b: Array
    eps: float
    rhos: tuple[float, float]

    # -------------------------------------------------------------- the solve
    @cached_property
    def potentials(self) -> tuple[Array, Array]:
        """The optimal (f, g), (n,) and (m,), as exact as float64 allows."""
        with warnings.catch_warnings():
            # The solve goes on until rounding stops it, and then warns that it missed this
            # tolerance.
            warnings.simplefilter("ignore", ConvergenceWarning)
            solved = solve(self.C, self.a, self.b, self.eps, rho=self.rhos, tol=1e-14,
                           backend="numpy")
        return solved.f, solved.g

    @property
    def f(self) -> Array:
        return self.potentials[0]

    @property
    def g(self) -> Array:
        return self.potentials[1]

    @cached_property
    def plan(self) -> Array:
        """P_ij = a_i b_j exp((f_i + g_j - C_ij) / eps), (n, m)."""
        return gibbs(self.f, self.g, self.C, self.a, self.b, self.eps)

    @cached_property
    def independent(self) -> Array:
        """The plan a b', with which KL compares the plan, (n, m)."""
        return np.outer(self.a, self.b)

    # -------------------------------------------------------------- masses and values
    @property
    def masses(self) -> tuple[float, float]:
        """m_a and m_b, the sums of a and of b."""
        return float(self.a.sum()), float(self.b.sum())

    @property
    def mass(self) -> float:
        """m(P), the sum of the plan."""
        return float(self.plan.sum())

    @cached_property
    def U(self) -> float:
        """U, computed by the dual U-2, in which an error of the potentials enters only squared."""
        return dual(self.f, self.g, self.C, self.a, self.b, self.eps, self.rhos)

    @cached_property
    def value(self) -> Interval:
        """An interval that contains U: [dual U-2, primal U-1], widened by the rounding of both."""
        lost = ROUNDINGS * UNIT * self.largest_term
        upper = primal(self.plan, self.C, self.a, self.b, self.eps, self.rhos)
        return Interval(self.U - lost, max(upper, self.U) + lost)

    @property
    def largest_term(self) -> float:
        """The sum of the absolute values of the terms of U, to which its rounding is relative."""
        m_a, m_b = self.masses
        moved = float((abs(self.C) * self.plan).sum())
        rhos = sum(rho * m for rho, m in zip(self.rhos, (m_a, m_b), strict=True)
                   if np.isfinite(rho))
        return moved + rhos + self.eps * (m_a * m_b + self.mass)

    @cached_property
    def sharp(self) -> float:
        """The sharp value <C, P>, without the terms of KL."""
        return float((self.C * self.plan).sum())

    @cached_property
    def marginals(self) -> tuple[Array, Array]:
        """The row sums P1 (n,) and the column sums P'1 (m,) of the plan."""
        return self.plan.sum(axis=1), self.plan.sum(axis=0)

    @property
    def mass_gradient(self) -> Array:
        """U-7: dU/da_i = rho + eps m_b - (rho + eps) exp(-f_i / rho), (n,)."""
        rho = self.rhos[0]
        return self.eps * self.masses[1] - self.eps * np.exp(-self.f / rho) - rho * np.expm1(
            -self.f / rho)

    # -------------------------------------------------------------- what stopping early computes
    @cached_property
    def iterates(self) -> tuple[tuple[Array, Array], ...]:
        """The iterates (f, g) of the plain iteration U-3: STEPS of them from g = 0, where f is
        updated first, and then STEPS from f = 0, where g is updated first."""
        found = []
        for C, a, b, rhos, turned in (
            (self.C, self.a, self.b, self.rhos, False),
            (self.C.T, self.b, self.a, self.rhos[::-1], True),
        ):
            for f, g in itertools.islice(iterates(C, a, b, self.eps, rhos), STEPS):
                found.append((g, f) if turned else (f, g))
        return tuple(found)

    @cached_property
    def iterate_values(self) -> Array:
        """For each of `iterates` what three formulas of the value give at potentials that are not
        optimal: the dual U-2, the primal U-1, and U-4, (2 STEPS, 3)."""
        m_a, m_b = self.masses
        found = []
        for f, g in self.iterates:
            P = gibbs(f, g, self.C, self.a, self.b, self.eps)
            of_mass = self.rhos[0] * m_a + self.rhos[1] * m_b + self.eps * m_a * m_b - (
                sum(self.rhos) + self.eps) * float(P.sum())
            found.append((dual(f, g, self.C, self.a, self.b, self.eps, self.rhos),
                          primal(P, self.C, self.a, self.b, self.eps, self.rhos), of_mass))
        return np.array(found)


STEPS = 300
"""Iterations that `Unbalanced.iterates` has in each of its two orders."""


# ------------------------------------------------------------------ the equations, on NumPy alone
def gibbs(f: Array, g: Array, C: Array, a: Array, b: Array, eps: float) -> Array:
    """a_i b_j exp((f_i + g_j - C_ij) / eps), (n, m); 0 where a weight is 0."""
    mass = np.outer(a, b)
    return np.where(mass > 0, mass * np.exp((f[:, None] + g - C) / eps), 0)


def _side(h: Array, w: Array, rho: float) -> float:
    """The term of one side in the dual U-2, for its potential h and its weights w:
    -rho <w, exp(-h / rho) - 1>, or <w, h> where rho is infinite."""
    return float(w @ h) if np.isinf(rho) else -rho * float(w @ np.expm1(-h / rho))


def dual(
    f: Array, g: Array, C: Array, a: Array, b: Array, eps: float, rhos: tuple[float, float]
) -> float:
    """U-2, a lower bound of U at any potentials."""
    moved = float(gibbs(f, g, C, a, b, eps).sum()) - float(a.sum() * b.sum())
    return _side(f, a, rhos[0]) + _side(g, b, rhos[1]) - eps * moved


def primal(
    P: Array, C: Array, a: Array, b: Array, eps: float, rhos: tuple[float, float]
) -> float:
    """U-1 at any plan, an upper bound of U. Where rho is infinite, that marginal has to be exact:
    it is not penalised."""
    penalties = sum(rho * kl_divergence(p, w) for rho, p, w in (
        (rhos[0], P.sum(axis=1), a), (rhos[1], P.sum(axis=0), b)) if np.isfinite(rho))
    return float((C * P).sum()) + eps * kl_divergence(P, np.outer(a, b)) + penalties


def iterates(
    C: Array, a: Array, b: Array, eps: float, rhos: tuple[float, float]
) -> Iterator[tuple[Array, Array]]:
    """(f, g) of the plain iteration U-3 from g = 0: damped softmins, and no shift."""
    rows, columns = (1.0 if np.isinf(rho) else rho / (rho + eps) for rho in rhos)
    # The backend's softmin, because `refot.softmin` would check its arguments at every step.
    softmin = get_backend("numpy").softmin
    on_rows = DenseCost(C)
    with np.errstate(divide="ignore"):
        log_a, log_b = np.log(a), np.log(b)
    g = np.zeros_like(b)
    while True:
        f = rows * softmin(on_rows, g + eps * log_b, eps)
        g = columns * softmin(on_rows.T, f + eps * log_a, eps)
        yield f, g


# ------------------------------------------------------------------ remembered by the arguments
REMEMBERED = 8192
"""The most solutions that are kept: enough for the problems of a run, and for the problems that
known mistakes solve in place of these, for one part of a subject."""

_solutions: dict[Hashable, Unbalanced] = {}


def unbalanced_solution(C: Array, a: Array, b: Array, eps: float, rho: Rho) -> Unbalanced:
    """The solution of this problem; it is solved once and remembered."""
    rhos = rho if isinstance(rho, tuple) else (float(rho), float(rho))
    C, a, b = (np.ascontiguousarray(array, dtype=np.float64) for array in (C, a, b))
    key = (C.shape, C.tobytes(), a.tobytes(), b.tobytes(), float(eps), rhos)
    if key not in _solutions:
        while len(_solutions) >= REMEMBERED:
            del _solutions[next(iter(_solutions))]
        _solutions[key] = Unbalanced(C, a, b, float(eps), rhos)
    return _solutions[key]


Terms = tuple[Unbalanced, Unbalanced, Unbalanced]
"""The solutions between x and y, x and x, y and y."""


def unbalanced_terms(
    x: Array, a: Array, y: Array, b: Array, eps: float, rho: Rho, cost: str
) -> Terms:
    """The solutions of the three problems of a divergence."""
    x, y = x.astype(np.float64), y.astype(np.float64)
    rows, columns = rho if isinstance(rho, tuple) else (rho, rho)
    C, C_xx, C_yy = (point_cost(p, q, cost).dense() for p, q in ((x, y), (x, x), (y, y)))
    return (unbalanced_solution(C, a, b, eps, rho),
            unbalanced_solution(C_xx, a, a, eps, (rows, rows)),
            unbalanced_solution(C_yy, b, b, eps, (columns, columns)))
