"""The unbalanced problem whose answers are enclosed, without any rounding of its inputs.

Weights are exactly the floats, and not divided by their sum, because their totals matter here."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any

from flint import arb, fmpq

from refot import penalties
from refot.arrays import CostLike, InputError, Masses, as_positive
from refot.costs.forbidden import require_finite
from refot.costs.operands import Cost
from refot.unbalanced_problem import checked
from refot.verification.enclosures.newton import Matrix, Vector
from refot.verification.enclosures.precision import EnclosureError
from refot.verification.enclosures.problem import LARGEST_SIZE, cost_matrix, rational

from .penalties import KL, TV, Exact, Penalty


@dataclass(frozen=True)
class UnbalancedInputs:
    """The cost, rational weights of any total, eps, and the penalty of each side.

    stiffest: the largest finite rho. scale: about the largest |C_ij| between points that carry
    mass; eps where all costs are 0. `rows` and `columns` are the indices of the points that carry
    mass.
    """

    C: Cost
    a: list[fmpq]
    b: list[fmpq]
    eps: arb
    penalties: tuple[Penalty, Penalty]
    stiffest: float
    scale: arb

    @property
    def rows(self) -> list[int]:
        return [i for i, ai in enumerate(self.a) if ai > 0]

    @property
    def columns(self) -> list[int]:
        return [j for j, bj in enumerate(self.b) if bj > 0]


@dataclass(frozen=True)
class UnbalancedProblem:
    """C (n, m), weights a (n,), b (m,) > 0, eps, the penalties of rows and columns, as balls."""

    C: Matrix
    a: Vector
    b: Vector
    eps: arb
    rows: Penalty
    columns: Penalty

    @property
    def transposed(self) -> UnbalancedProblem:
        """The same problem with rows and columns exchanged."""
        turned = [list(column) for column in zip(*self.C, strict=True)]
        return replace(self, C=turned, a=self.b, b=self.a, rows=self.columns, columns=self.rows)


def unbalanced_inputs(
    C: CostLike, a: Masses, b: Masses, eps: Any, rho: Any, penalty: Any
) -> UnbalancedInputs:
    """The problem after the checks of all arguments, its inputs unrounded. Raises InputError, and
    EnclosureError beyond LARGEST_SIZE."""
    C, a, b, first, second = checked(C, a, b, rho, penalty)
    eps = as_positive(eps, "eps")
    if max(C.shape) > LARGEST_SIZE:
        raise EnclosureError(f"C: shape {C.shape}; enclosures go up to {LARGEST_SIZE} a side")
    require_finite(C, "for a forbidden pair one at which its mass is below the digits asked for")
    rows, columns = in_balls(first), in_balls(second)
    if isinstance(rows, Exact) and isinstance(columns, Exact):
        raise InputError("rho", "inf on both sides", "inf on one side at most")
    largest = max(abs(c).mid() for row in cost_matrix(C.among(a > 0, b > 0)) for c in row)
    return UnbalancedInputs(
        C, [rational(w) for w in a], [rational(w) for w in b], arb(eps), (rows, columns),
        max(side.rho for side in (first, second) if side.rho < math.inf),
        largest if largest > 0 else arb(eps))


def in_balls(side: penalties.Penalty) -> Penalty:
    """The penalty of `refot.penalties` as one in balls."""
    if isinstance(side, penalties.Exact):
        return Exact()
    return KL(arb(side.rho)) if isinstance(side, penalties.KL) else TV(arb(side.rho))


def on_support(p: UnbalancedInputs, C: Matrix) -> UnbalancedProblem:
    """The problem of the points that carry mass."""
    return UnbalancedProblem(
        [[C[i][j] for j in p.columns] for i in p.rows],
        [arb(p.a[i]) for i in p.rows],
        [arb(p.b[j]) for j in p.columns],
        p.eps,
        *p.penalties,
    )
