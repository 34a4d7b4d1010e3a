"""The unbalanced problem that is enclosed, without any rounding of its inputs.

Weights are the floats as they are: their totals matter, so that nothing is divided by a sum."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from flint import arb, fmpq

from refot.arrays import InputError, as_masses, as_positive, as_vector, lookup
from refot.costs.forbidden import require_finite
from refot.costs.operands import Cost, as_cost
from refot.verification.enclosures.newton import Matrix, Vector
from refot.verification.enclosures.precision import EnclosureError
from refot.verification.enclosures.problem import LARGEST_SIZE, cost_matrix, rational

from .penalties import KL, TV, Exact, Penalty

PENALTIES: dict[str, Callable[[arb], Penalty]] = {"kl": KL, "tv": TV}
"""The penalties with a finite rho, by their names."""


@dataclass(frozen=True)
class UnbalancedInputs:
    """The cost, rational weights of any total, eps, the penalty of each side, and the largest rho.

    scale: about the largest magnitude of a cost; eps where all costs are 0. `rows` and `columns`
    are the indices of the points that carry mass.
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
        """The same problem, rows for columns."""
        turned = [list(column) for column in zip(*self.C, strict=True)]
        return replace(self, C=turned, a=self.b, b=self.a, rows=self.columns, columns=self.rows)


def unbalanced_inputs(
    C: Any, a: Any, b: Any, eps: Any, rho: Any, penalty: Any
) -> UnbalancedInputs:
    """The checked problem, exactly. Raises InputError, and EnclosureError beyond LARGEST_SIZE."""
    C, eps = as_cost(C), as_positive(eps, "eps")
    if max(C.shape) > LARGEST_SIZE:
        raise EnclosureError(f"C: shape {C.shape}; enclosures go up to {LARGEST_SIZE} a side")
    require_finite(C, "for a forbidden pair one at which its mass is below the digits asked for")
    a, b = _masses(a, C.shape[0], "a"), _masses(b, C.shape[1], "b")
    finite = lookup(PENALTIES, penalty, "penalty")
    rho_1, rho_2 = _sides(rho)
    largest = max(abs(c).mid() for row in cost_matrix(C.among(a > 0, b > 0)) for c in row)
    return UnbalancedInputs(
        C, [rational(w) for w in a], [rational(w) for w in b], arb(eps),
        (_penalty(finite, rho_1), _penalty(finite, rho_2)),
        max(r for r in (rho_1, rho_2) if not math.isinf(r)), largest if largest > 0 else arb(eps))


def _penalty(finite: Callable[[arb], Penalty], rho: float) -> Penalty:
    return Exact() if math.isinf(rho) else finite(arb(rho))


def _masses(weights: Any, n: int, name: str) -> Any:
    """Weights >= 0 (n,), of any total but 0."""
    masses = as_masses(as_vector(weights, n, name), name)
    if not masses.any():
        raise InputError(name, "no mass at all", "at least one weight > 0")
    return masses


def _sides(rho: Any) -> tuple[float, float]:
    """rho of the rows and of the columns."""
    is_pair = isinstance(rho, tuple | list) or getattr(rho, "ndim", 0) == 1
    pair = tuple(rho) if is_pair else (rho, rho)
    if len(pair) != 2:
        raise InputError("rho", f"{len(pair)} numbers", "one number, or a pair (rows, columns)")
    rows, columns = (math.inf if _is_infinite(r) else as_positive(r, "rho") for r in pair)
    if math.isinf(rows) and math.isinf(columns):
        raise InputError("rho", "inf on both sides", "inf on one side at most")
    return rows, columns


def _is_infinite(value: Any) -> bool:
    return isinstance(value, float) and value == math.inf


def on_support(p: UnbalancedInputs, C: Matrix) -> UnbalancedProblem:
    """The problem of the points that carry mass."""
    return UnbalancedProblem(
        [[C[i][j] for j in p.columns] for i in p.rows],
        [arb(p.a[i]) for i in p.rows],
        [arb(p.b[j]) for j in p.columns],
        p.eps,
        *p.penalties,
    )
