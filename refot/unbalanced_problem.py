"""The unbalanced problem: (C, a, b, eps) with a penalty for each marginal in place of the marginal.

It is a `Problem`, with other answers to what solvers ask: which f is best against g, which sums a
potential asks for, how far the sums are from that. Masses a, b >= 0 may have any total.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from refot.arrays import (
    Array,
    CostLike,
    WeightError,
    Weights,
    as_vector,
    in_dtype,
    largest,
    namespace,
    nonnegative,
    uniform,
    weight_tolerance,
)
from refot.backend_contract import BackendLike
from refot.costs.forbidden import with_partners
from refot.costs.operands import Cost, as_cost
from refot.penalties import TV, Exact, Penalty, as_penalties
from refot.problem import Problem, on_backend


@dataclass(frozen=True)
class UnbalancedProblem(Problem):
    """C (n, m), masses a (n,) and b (m,), eps, a backend, and the penalties of both marginals."""

    rows: Penalty
    columns: Penalty

    @property
    def T(self) -> UnbalancedProblem:
        """The same problem with the two measures exchanged."""
        return UnbalancedProblem(self.C.T, self.b, self.a, self.eps, self.backend, self.columns,
                                 self.rows)

    @property
    def is_exact(self) -> bool:
        """Whether both marginals are: a balanced problem, of masses that need not be 1."""
        return isinstance(self.rows, Exact) and isinstance(self.columns, Exact)

    @property
    def masses(self) -> tuple[float, float]:
        """(m_a, m_b)."""
        return float(self.a.sum()), float(self.b.sum())

    @property
    def coupling(self) -> float:
        """How far the best f moves where its softmin moves by 1: rho / (rho + eps). U-3."""
        return 1 / (1 + self.eps * self.rows.softness)

    @property
    def contraction(self) -> float:
        """By this factor at least the iteration U-3 takes errors down; 1 where both sides are exact
        or TV."""
        return self.coupling * self.T.coupling

    # -------------------------------------------------------------- what solvers ask of a problem
    def prox(self, h: Array) -> Array:
        """The f that is best where the softmin is h. U-3."""
        return self.rows.prox(h, self.eps)

    def asked(self, f: Array, sums: Array) -> Array:
        """The row sums that f asks for, (n,). U-4."""
        return self.rows.asked(f, self.a, sums)

    def excess(self, f: Array, transform: Array) -> Array:
        """log of each row sum over the sum that f asks for, (n,); `transform` of the other g."""
        return self.rows.excess(f, transform, self.eps)

    def residual(self, f: Array, g: Array, rows: Array, columns: Array) -> float:
        """How far the sums are from those that f and g ask for, in L1, each side as a share of the
        mass that is asked for. U-4."""
        return self.row_residual(f, rows) + self.T.row_residual(g, columns)

    def row_residual(self, f: Array, rows: Array) -> float:
        """The part of the rows in `residual`."""
        return _miss(rows, self.asked(f, rows))

    def semi_dual(self, f: Array, g: Array) -> float:
        """The dual of (f, g) where f is the best for g: the plan has the row sums asked for."""
        return self.dual(f, g, float(self.asked(f, self.a).sum()))

    def value_size(self, f: Array, g: Array) -> float:
        """What the rounding of a dual is relative to: its terms may cancel."""
        m_a, m_b = self.masses
        return (4 * abs(self.rows.reward(f, self.a)) + 4 * abs(self.columns.reward(g, self.b))
                + self.eps * (m_a + m_a * m_b))

    def stiffness(self, f: Array) -> Array:
        """By how much the row sums that are asked for fall where f rises by eps, (n,)."""
        return self.eps * self.rows.softness * self.asked(f, self.a)

    def levelled(self, g: Array) -> Array:
        """g: its level counts."""
        return g

    @property
    def is_smooth(self) -> bool:
        """Whether the sums that are asked for have derivatives: with KL and exact marginals."""
        return not (isinstance(self.rows, TV) or isinstance(self.columns, TV))

    @property
    def gap_order(self) -> int:
        """The certified gap falls as this power of the residual: with KL it is rho KL of the sums
        and those that are asked for."""
        return 2 if self.is_smooth and not self.is_exact else 1

    def carried(self, f: Array) -> Array:
        """The shares of the mass that the rows carry, (n,), about."""
        asked = self.asked(f, self.a)
        return asked / max(float(asked.sum()), float(np.finfo(asked.dtype).tiny))

    def dual(self, f: Array, g: Array, mass: float) -> float:
        """The dual of (f, g), where the plan has this mass. U-2."""
        m_a, m_b = self.masses
        return (self.rows.reward(f, self.a) + self.columns.reward(g, self.b)
                - self.eps * (mass - m_a * m_b))

    def rise(self, f: Array, x: Array, sums: Array) -> float:
        """The dual of (f + x, g) less that of (f, g), where `sums` (n,) are the row sums of (f, g);
        nothing cancels for small x. U-2."""
        xp = namespace(x)
        with np.errstate(over="ignore", invalid="ignore"):
            moved = float(sums @ xp.expm1(x / self.eps))
        return self.rows.rise(f, x, self.a) - self.eps * moved

    def answer(self, h: Array, g: Array) -> Array:
        """The best f for g - t with the best t, less t again: so that it goes with g, and
        (f + t, g - t) is the best pair. `h` (n,) is the transform of g. U-3 with U-5."""
        return self.prox(h) - self.lag(self.prox_shift(h, g))

    def lag(self, t: float) -> float:
        """By how much the best f falls behind where its softmin rises by t: t - prox(h + t) +
        prox(h). From the formula, for t may be 1e9 eps; where a penalty is TV, t is 0."""
        rate = self.eps * self.rows.softness
        return t * (rate / (1 + rate))

    def prox_shift(self, h: Array, g: Array) -> float:
        """The best t for g - t and the best f for it, where the transform of g is h."""
        return self.rows.prox_shift(h, self.a, self.eps, self.columns, g, self.b)

    def best_pair(self, h: Array, g: Array) -> tuple[Array, Array]:
        """(f, g) with the best f for g, whose transform is h, both at the best level."""
        t = self.prox_shift(h, g)
        return self.prox(h + t), g - t

    def shifted(self, f: Array, g: Array) -> tuple[Array, Array]:
        """(f + t, g - t) with the best t. U-5."""
        t = self.shift(f, g)
        return f + t, g - t

    def shift(self, f: Array, g: Array) -> float:
        """The t for which the dual of (f + t, g - t) is largest. U-5."""
        return self.rows.shift(f, self.a, self.columns, g, self.b)

    def obstruction(self) -> str:
        """"": with a marginal that is free, some plan avoids the forbidden pairs."""
        return ""


def _miss(sums: Array, asked: Array) -> float:
    """|sums - asked|_1 as a share of the mass that is asked for; 0 where both are 0."""
    miss, mass = float(abs(sums - asked).sum()), float(asked.sum())
    return miss / mass if mass > 0 else (0.0 if miss == 0 else math.inf)


def unbalanced_problem(
    C: CostLike, a: Weights, b: Weights, eps: float, rho: object, penalty: str = "kl",
    backend: BackendLike = None,
) -> UnbalancedProblem:
    """(C, a, b, eps, rho) checked, in the dtype of C, on the backend. Raises InputError.

    C is an operand or a matrix (n, m), with inf where a pair is forbidden. a (n,) and b (m,) are
    masses >= 0 of any total > 0. rho is a number or a pair (rows, columns), in cost units; inf for
    a marginal that is exact, and if both are, a and b must have the same total.
    """
    C, a, b, rows, columns = checked(C, a, b, rho, penalty)
    p = on_backend(with_partners(C, a, b), a, b, eps, backend)
    return UnbalancedProblem(p.C, p.a, p.b, p.eps, p.backend, rows, columns)


def checked(C: CostLike, a: Weights, b: Weights, rho: object, penalty: str
            ) -> tuple[Cost, Array, Array, Penalty, Penalty]:
    """(C, a, b, penalty of the rows, that of the columns), the arrays where they came from."""
    C = as_cost(C)
    rows, columns = as_penalties(rho, penalty, C.dtype)
    a, b = (_as_masses(w, n, name, C.dtype) for w, n, name in zip((a, b), C.shape, "ab",
                                                                  strict=True))
    if isinstance(rows, Exact) and isinstance(columns, Exact):
        _require_equal_totals(a, b)
    return C, a, b, rows, columns


def _as_masses(values: Weights, n: int, name: str, dtype: object) -> Array:
    """Masses (n,) >= 0 of a total > 0, in the dtype of the cost; None are uniform, of total 1."""
    if values is None:
        values = uniform(n)
    masses = in_dtype(nonnegative(as_vector(values, n, name), name), dtype, name)
    with np.errstate(over="ignore"):
        total = float(masses.sum(dtype=np.float64))
    if not 0 < total <= largest(dtype):
        raise WeightError(name, f"a total of {total:g}",
                          f"a total > 0, at most {largest(dtype):.1g}")
    return masses


def _require_equal_totals(a: Array, b: Array) -> None:
    """Raise WeightError unless a plan can have both as its marginals."""
    totals = [float(masses.sum(dtype=np.float64)) for masses in (a, b)]
    if not abs(totals[0] - totals[1]) <= weight_tolerance(a.dtype) * max(totals):
        raise WeightError("b", f"a total of {totals[1]!r}, and a of {totals[0]!r}",
                          "the same total, where both marginals are exact (rho = inf)")


def normalised(p: UnbalancedProblem) -> Problem:
    """The balanced problem of an exact one, with both masses divided by their total."""
    m_a, m_b = p.masses
    return Problem(p.C, p.a / m_a, p.b / m_b, p.eps, p.backend)

