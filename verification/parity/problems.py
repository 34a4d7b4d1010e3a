"""The inputs on which backends are compared: costs, potentials and an eps, with the rounding error
that an operation on them may have.

F = f + eps log a and G = g + eps log b are potentials with their weights. u is the unit roundoff of
the cost's dtype. A cost is a scaled sum over d coordinates and errs by (d + 3) u |C|, where |C| is
the sum of the absolute values of its terms (for -<x, y> more than the absolute value of the cost).
F + G - C adds 2 u of its operands, and the division by eps another u of the exponent. So
- a softmin may err by (d + 6) u (max|G| + max|C|) for its exponents, and by 32 u (1 + log m) eps
  for the sum of m exponentials, each right to 1.3 units in the last place, and its logarithm;
- an entry of the plan has the relative error exp(e) - 1 with
  e = (d + 6) u (max|F| + max|G| + max|C|) / eps + 32 u,
  the 32 for the exponential and for a sum of entries. In addition, entries may underflow.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from refot.arrays import Array
from refot.backends.numpy.backend import NumpyBackend
from refot.costs.ground import POINT_COSTS
from refot.costs.operands import Cost, DenseCost, PointCost, point_cost

REFERENCE = NumpyBackend()
"""The backend with which others are compared."""

WIDER: dict[Any, Any] = {np.float32: np.float64, np.float64: np.longdouble}
"""By the dtype of a problem, the wider one in which the reference computes."""

ROUNDINGS = 32
"""Roundings allowed for an exponential, a sum, and the operations on its result."""


def unit(dtype: Any) -> float:
    """u, the unit roundoff: half the spacing of floats at 1."""
    return float(np.finfo(dtype).eps) / 2


@dataclass(frozen=True)
class ParityProblem:
    """A cost C (n, m), potentials F (n,) and G (m,), which are -inf where a weight is 0, eps in
    cost units, and a matrix V (m, k) that the plan is applied to: arrays of NumPy, of one dtype."""

    name: str
    C: Cost
    F: Array
    G: Array
    eps: float
    V: Array

    @property
    def dtype(self) -> Any:
        """The type of the floats: numpy.float32 or numpy.float64."""
        return self.G.dtype.type

    @property
    def d(self) -> int:
        """Coordinates of a point; 0 for a matrix."""
        return self.C.x.shape[1] if isinstance(self.C, PointCost) else 0

    @property
    def T(self) -> ParityProblem:
        """The problem with rows and columns exchanged: a matrix becomes a view of itself."""
        return ParityProblem(f"{self.name}, transposed", self.C.T, self.G, self.F, self.eps,
                             np.ones((self.C.shape[0], 1), self.dtype))

    def converted(self, convert: Callable[[Array], Array]) -> ParityProblem:
        """The problem with its arrays converted: to a device, to another float."""
        return ParityProblem(self.name, self.C.with_arrays(convert), convert(self.F),
                             convert(self.G), self.eps, convert(self.V))

    @cached_property
    def wider(self) -> ParityProblem:
        """The problem in the float of the reference."""
        return self.converted(lambda array: np.asarray(array, WIDER[self.dtype]))

    @cached_property
    def plan(self) -> Array:
        """P_ij = exp((F_i + G_j - C_ij) / eps), (n, m), in the wider float."""
        r = self.wider
        with np.errstate(over="ignore", under="ignore"):
            P: Array = np.exp((r.F[:, None] + r.G - r.C.dense()) / r.eps)
        return P

    @cached_property
    def cost_sizes(self) -> Array:
        """The sum of the absolute values of the terms of each cost, (n, m), in the wider float."""
        C = self.wider.C
        if isinstance(C, PointCost) and C.ground.name == "dot":
            C = C.with_arrays(abs)
        return abs(C.dense())

    # ---------------------------------------------------------------- what may be off
    @property
    def softmin_error(self) -> float:
        """The largest error allowed for a softmin of G, in cost units."""
        size = float(self.cost_sizes.max()) + _largest(self.G)
        logarithm = ROUNDINGS * (1 + np.log(self.C.shape[1])) * self.eps
        return unit(self.dtype) * float((self.d + 6) * size + logarithm)

    @property
    def entry_error(self) -> float:
        """The largest relative error allowed for an entry of the plan, and for a sum of entries."""
        size = float(self.cost_sizes.max()) + _largest(self.F) + _largest(self.G)
        return float(np.expm1(unit(self.dtype) * ((self.d + 6) * size / self.eps + ROUNDINGS)))

    def underflow(self, largest_factor: Any = 1.0) -> float:
        """The most that the underflowing entries of a row may contribute to a sum in which each is
        multiplied by at most `largest_factor`."""
        return 2 * self.C.shape[1] * float(np.finfo(self.dtype).tiny) * float(largest_factor)


def _largest(potential: Array) -> float:
    """The largest |entry| of a potential at points that carry mass; 0 if none does."""
    return float(abs(potential[np.isfinite(potential)]).max(initial=0))


# ------------------------------------------------------------------ fixed problems
SIZES = ((1, 700, 3), (333, 1, 1), (700, 1030, 2), (64, 3000, 5), (130, 257, 64))
"""(n, m, d) of the fixed problems."""


def fixed_problems(dtype: Any) -> Iterator[ParityProblem]:
    """The problems of `parity`: every ground cost, and matrices in several layouts; d from 1 to
    784, n and m from 1 to 3,000; points far from the origin, and tiny eps."""
    for cost in sorted(POINT_COSTS):
        for n, m, d in SIZES:
            for offset, eps in ((0.0, 0.05), (1e4, 0.05), (0.0, 1e-5)):
                yield _clouds(n, m, d, cost, offset, eps, dtype)
    yield _clouds(40, 60, 784, "sqeuclidean", 0.0, 0.05, dtype)
    points = _clouds(333, 450, 3, "l1", 0.0, 0.05, dtype)
    for name, M in (("matrix", points.C.dense() + dtype(1e4)),
                    ("matrix, transposed", np.asfortranarray(points.C.dense())),
                    ("matrix, every other column", np.repeat(points.C.dense(), 2, axis=1)[:, ::2])):
        yield ParityProblem(f"{name} n=333 m=450", DenseCost(M), points.F, points.G, points.eps,
                            points.V)


def _clouds(n: int, m: int, d: int, cost: str, offset: float, eps: float, dtype: Any
            ) -> ParityProblem:
    """A problem of normal points moved by `offset`, some of which coincide. About a fifth of the
    columns have no mass. `eps` is in units of max |C|."""
    rng = np.random.default_rng(n + m + d)
    x, y = rng.normal(size=(n, d)), rng.normal(size=(m, d))
    y[: m // 4] = x[0]
    C = point_cost((x + offset).astype(dtype), (y + offset).astype(dtype), cost)
    spread = float(abs(C.dense()).max())
    G = (0.1 * spread * rng.normal(size=m)).astype(dtype)
    G[rng.random(m) < (0.2 if m > 1 else 0)] = -np.inf
    F = REFERENCE.softmin(C, G, eps * spread)  # so that no entry of the plan exceeds 1
    return ParityProblem(f"{cost} n={n} m={m} d={d} x+{offset:g} eps={eps:g} max C", C, F, G,
                         eps * spread, rng.normal(size=(m, 6)).astype(dtype))
