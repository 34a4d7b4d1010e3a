"""The discrete problem (C, a, b, eps): checked once, its arrays on the backend that will compute.

Every equation opens with `p = problem(C, a, b, eps, backend)` and then reads as in the paper.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from refot.arrays import Array, as_positive, as_vector, as_weights, namespace
from refot.backend_contract import Backend, BackendLike, get_backend
from refot.costs.operands import Cost, as_cost


def log_weights(a: Array) -> Array:
    """log a, and -inf where a weight is 0 (no warning: it is meant)."""
    xp = namespace(a)
    positive = a > 0
    return xp.where(positive, xp.log(xp.where(positive, a, 1)), -xp.inf)


@dataclass(frozen=True)
class Problem:
    """Cost operand C (n, m), weights a (n,) and b (m,), eps in cost units, and a backend."""

    C: Cost
    a: Array
    b: Array
    eps: float
    backend: Backend

    @property
    def T(self) -> Problem:
        """The same problem with the two measures exchanged."""
        return Problem(self.C.T, self.b, self.a, self.eps, self.backend)

    def F(self, f: Array) -> Array:
        """f + eps log a: the row potential with its weights folded in."""
        return f + self.eps * log_weights(self.a)

    def G(self, g: Array) -> Array:
        """g + eps log b: the column potential with its weights folded in."""
        return g + self.eps * log_weights(self.b)

    def transform(self, g: Array, guess: Array | None = None) -> Array:
        """The (c,eps)-transform of g, (n,): B-25. That of f is `p.T.transform(f)`.

        `guess` (n,), the previous f for example, may save time and changes nothing.
        """
        return self.backend.softmin(self.C, self.G(g), self.eps, guess)

    def row_sums(self, f: Array, g: Array) -> Array:
        """P 1, (n,), for P_ij = a_i b_j exp((f_i + g_j - C_ij) / eps)."""
        ones = namespace(g).ones((self.b.shape[0], 1), dtype=self.C.dtype)
        return self.backend.plan_apply(self.C, self.F(f), self.G(g), self.eps, ones)[:, 0]

    def marginal_error(self, f: Array, g: Array) -> float:
        """|P1 - a|_1 + |P'1 - b|_1."""
        rows, columns = self.backend.marginals(self.C, self.F(f), self.G(g), self.eps)
        return float(abs(rows - self.a).sum() + abs(columns - self.b).sum())

    def row_potential(self, f: Any, name: str = "f") -> Array:
        """`f` checked, (n,), on the backend."""
        f = as_vector(f, self.C.shape[0], name)
        return self.backend.asarray(f).astype(self.C.dtype, copy=False)

    def column_potential(self, g: Any, name: str = "g") -> Array:
        """`g` checked, (m,), on the backend."""
        return self.T.row_potential(g, name)


def problem(C: Any, a: Any, b: Any, eps: Any, backend: BackendLike = None) -> Problem:
    """(C, a, b, eps) checked, in the dtype of C, on the backend. Raises InputError.

    C: an operand, or a matrix (n, m); a (n,) and b (m,): weights that sum to 1; eps > 0.
    """
    C, eps = as_cost(C), as_positive(eps, "eps")
    a, b = as_weights(a, C.shape[0], "a"), as_weights(b, C.shape[1], "b")
    on = get_backend(backend)

    def convert(weights: Array) -> Array:
        return on.asarray(weights).astype(C.dtype, copy=False)

    return Problem(C.with_arrays(on.asarray), convert(a), convert(b), eps, on)
