"""The unbalanced problem: (C, a, b, eps), and a penalty in place of each marginal constraint.

It is a `Problem` in which the methods that solvers call are overridden: which f is best for g,
which sums a potential asks for, how far the sums are from those. (problem.py defines these words.)
The masses a, b >= 0 may have any totals m_a, m_b. U: the equations of unbalanced transport in
docs/equations.md.
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
from refot.costs.forbidden import obstruction, with_partners
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
        """Whether both marginals are exact. Then it is a balanced problem, whose mass may differ
        from 1."""
        return isinstance(self.rows, Exact) and isinstance(self.columns, Exact)

    @property
    def masses(self) -> tuple[float, float]:
        """The totals (m_a, m_b) of a and b."""
        return float(self.a.sum()), float(self.b.sum())

    @property
    def coupling(self) -> float:
        """By how much, at most, the best f moves where the transform of g moves by 1:
        rho / (rho + eps) under KL, 1 under TV and for an exact marginal. U-3."""
        return 1 / (1 + self.eps * self.rows.softness)

    @property
    def contraction(self) -> float:
        """An iteration of U-3 multiplies the error of the potentials by this factor at most. It is
        1, and so promises nothing, where each marginal is exact or TV."""
        return self.coupling * self.T.coupling

    # -------------------------------------------------------------- methods that solvers call
    def prox(self, h: Array) -> Array:
        """The best f (n,) for a g whose transform is h (n,). U-3."""
        return self.rows.prox(h, self.eps)

    def asked(self, f: Array, sums: Array) -> Array:
        """The row sums that f asks for, (n,). U-4. Where several are optimal (TV), the nearest to
        `sums`, the row sums of the plan."""
        return self.rows.asked(f, self.a, sums)

    def excess(self, f: Array, transform: Array) -> Array:
        """log of each row sum over the sum that f asks for, (n,); `transform` is that of g."""
        return self.rows.excess(f, transform, self.eps)

    def residual(self, f: Array, g: Array, rows: Array, columns: Array) -> float:
        """The L1 distance of the row sums from those that f asks for, as a share of their total,
        plus the same for the columns and g. U-4."""
        return self.row_residual(f, rows) + self.T.row_residual(g, columns)

    def row_residual(self, f: Array, rows: Array) -> float:
        """The part of the rows in `residual`."""
        return _miss(rows, self.asked(f, rows))

    def semi_dual(self, f: Array, g: Array) -> float:
        """The dual of (f, g), in cost units, where f is the best for g: then the plan has the row
        sums that f asks for, and so their total mass."""
        return self.dual(f, g, float(self.asked(f, self.a).sum()))

    def value_size(self, f: Array, g: Array) -> float:
        """The size of the terms of a dual, in cost units, in which each reward counts four times.
        The rounding error of a dual is a share of this, and not of the dual itself, since the terms
        may cancel."""
        m_a, m_b = self.masses
        return (4 * abs(self.rows.reward(f, self.a)) + 4 * abs(self.columns.reward(g, self.b))
                + self.eps * (m_a + m_a * m_b))

    def stiffness(self, f: Array) -> Array:
        """-eps times the derivative in f of the row sums that f asks for, (n,)."""
        return self.eps * self.rows.softness * self.asked(f, self.a)

    def levelled(self, g: Array) -> Array:
        """g unchanged. (`Problem.levelled` subtracts the mean of g, but here that would change the
        dual.)"""
        return g

    @property
    def is_smooth(self) -> bool:
        """Whether the sums that potentials ask for are differentiable: with KL and exact
        marginals."""
        return not (isinstance(self.rows, TV) or isinstance(self.columns, TV))

    @property
    def gap_order(self) -> int:
        """The power k for which the certified gap falls like `residual` to the power k. With KL
        that is 2, because the gap is rho KL(sums | sums that are asked for)."""
        return 2 if self.is_smooth and not self.is_exact else 1

    def carried(self, f: Array) -> Array:
        """About which share of the mass each row carries at the optimum, (n,)."""
        asked = self.asked(f, self.a)
        return asked / max(float(asked.sum()), float(np.finfo(asked.dtype).tiny))

    def dual(self, f: Array, g: Array, mass: float) -> float:
        """The dual of (f, g), in cost units, where `mass` is that of their plan. U-2."""
        m_a, m_b = self.masses
        return (self.rows.reward(f, self.a) + self.columns.reward(g, self.b)
                - self.eps * (mass - m_a * m_b))

    def rise(self, f: Array, x: Array, sums: Array) -> float:
        """The dual of (f + x, g) less that of (f, g), in cost units, computed so that no digits
        cancel for a small step x (n,). `sums` (n,) are the row sums of the plan of (f, g). U-2."""
        xp = namespace(x)
        with np.errstate(over="ignore", invalid="ignore"):
            moved = float(sums @ xp.expm1(x / self.eps))
        return self.rows.rise(f, x, self.a) - self.eps * moved

    def answer(self, h: Array, g: Array) -> Array:
        """The f (n,) for which the dual of (f + t, g - t) with the best level t is largest: the
        best potential for g - t, less t. `h` (n,) is the transform of g. U-3 with U-5."""
        return self.prox(h) - self.lag(self.prox_shift(h, g))

    def lag(self, t: float) -> float:
        """t - (prox(h + t) - prox(h)): by how much less than t the best f rises where the transform
        h of g rises by t. The difference is not computed as such, because it would lose its digits:
        t may be 1e9 eps. The formula is for KL and exact marginals; with TV it is called for t = 0
        only."""
        rate = self.eps * self.rows.softness
        return t * (rate / (1 + rate))

    def prox_shift(self, h: Array, g: Array) -> float:
        """The level t for which g - t, together with its best f, has the largest dual. `h` (n,) is
        the transform of g."""
        return self.rows.prox_shift(h, self.a, self.eps, self.columns, g, self.b)

    def best_pair(self, h: Array, g: Array) -> tuple[Array, Array]:
        """(f, g - t) with the best level t and the best f for g - t, where h is the transform of
        g."""
        t = self.prox_shift(h, g)
        return self.prox(h + t), g - t

    def shifted(self, f: Array, g: Array) -> tuple[Array, Array]:
        """(f + t, g - t) with the best level t, the one of the largest dual. U-5."""
        t = self.shift(f, g)
        return f + t, g - t

    def shift(self, f: Array, g: Array) -> float:
        """The t for which the dual of (f + t, g - t) is largest. U-5."""
        return self.rows.shift(f, self.a, self.columns, g, self.b)

    def obstruction(self) -> str:
        """In words, why no plan avoids the forbidden pairs, or "". There is such a reason only
        where both marginals are exact; it is then that of the balanced problem, with masses as
        shares of the total. Where a marginal may be missed, some plan always avoids the forbidden
        pairs."""
        if not self.is_exact:
            return ""
        m_a, m_b = self.masses
        return obstruction(self.C, self.a / m_a, self.b / m_b)


def _miss(sums: Array, asked: Array) -> float:
    """|sums - asked|_1 / sum of asked, with 0 / 0 = 0: how far sums are from those asked for."""
    miss, mass = float(abs(sums - asked).sum()), float(asked.sum())
    return miss / mass if mass > 0 else (0.0 if miss == 0 else math.inf)


def unbalanced_problem(
    C: CostLike, a: Weights, b: Weights, eps: float, rho: object, penalty: str = "kl",
    backend: BackendLike = None,
) -> UnbalancedProblem:
    """(C, a, b, eps, rho) checked, in the dtype of C, on the backend. Raises InputError.

    C (n, m) is an array, with inf where a pair is forbidden, a `PointCost` or a `DenseCost`. a (n,)
    and b (m,) are masses >= 0 of any total > 0. eps is in cost units, and so is rho, a number or a
    pair (rows, columns). rho = inf stands for an exact marginal; if both are exact, a and b must
    have the same total.
    """
    C, a, b, rows, columns = checked(C, a, b, rho, penalty)
    p = on_backend(with_partners(C, a, b), a, b, eps, backend)
    return UnbalancedProblem(p.C, p.a, p.b, p.eps, p.backend, rows, columns)


def checked(C: CostLike, a: Weights, b: Weights, rho: object, penalty: str
            ) -> tuple[Cost, Array, Array, Penalty, Penalty]:
    """(C, a, b, penalty of the rows, that of the columns), checked. The arrays stay on the device
    where they are."""
    C = as_cost(C)
    rows, columns = as_penalties(rho, penalty, C.dtype)
    a, b = (_as_masses(w, n, name, C.dtype) for w, n, name in zip((a, b), C.shape, "ab",
                                                                  strict=True))
    if isinstance(rows, Exact) and isinstance(columns, Exact):
        _require_equal_totals(a, b)
    return C, a, b, rows, columns


def _as_masses(values: Weights, n: int, name: str, dtype: object) -> Array:
    """Masses (n,) >= 0 of a total > 0, in the dtype of the cost; None stands for uniform weights of
    total 1."""
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
    """Raise WeightError unless a and b have the same total, as the marginals of a plan do."""
    totals = [float(masses.sum(dtype=np.float64)) for masses in (a, b)]
    if not abs(totals[0] - totals[1]) <= weight_tolerance(a.dtype) * max(totals):
        raise WeightError("b", f"a total of {totals[1]!r}, and a of {totals[0]!r}",
                          "the same total, where both marginals are exact (rho = inf)")


def normalised(p: UnbalancedProblem) -> Problem:
    """The balanced problem for an unbalanced one with exact marginals: a and b are divided by their
    totals."""
    m_a, m_b = p.masses
    return Problem(p.C, p.a / m_a, p.b / m_b, p.eps, p.backend)

