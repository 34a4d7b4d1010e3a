"""The discrete problem (C, a, b, eps), checked once, with its arrays where they will be used.

Every equation opens with `p = problem(C, a, b, eps, backend)` and then reads as in the paper. The
methods below are the steps that the equations share: the potentials with their weights, the
transform, the marginals. B-25 is an equation of B = Bréchet et al. 2019.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from refot.arrays import (
    Array,
    CostLike,
    InputError,
    Potential,
    Weights,
    as_vector,
    as_weights,
    in_dtype,
    largest,
    namespace,
)
from refot.backend_contract import Backend, BackendLike, get_backend
from refot.costs.forbidden import with_partners
from refot.costs.operands import Cost, as_cost, as_eps


def log_weights(a: Array) -> Array:
    """log a, and -inf where a weight is 0, without the warning that NumPy would give there."""
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
    def costs_with_mass(self) -> Cost:
        """The costs between points of positive weight.

        Whatever asks how large the costs are must ask these: a far point of weight 0 has no say.
        """
        return self.C.among(self.a > 0, self.b > 0)

    @property
    def with_mass(self) -> Problem:
        """The problem between the points of positive weight. It has the same value."""
        return replace(self, C=self.costs_with_mass, a=self.a[self.a > 0], b=self.b[self.b > 0])

    @property
    def T(self) -> Problem:
        """The same problem with the two measures exchanged."""
        return Problem(self.C.T, self.b, self.a, self.eps, self.backend)

    def F(self, f: Array) -> Array:
        """f + eps log a, so that P_ij = exp((F_i + G_j - C_ij) / eps): no weights are left."""
        return f + self.eps * log_weights(self.a)

    def G(self, g: Array) -> Array:
        """g + eps log b: the same for the columns."""
        return g + self.eps * log_weights(self.b)

    def transform(self, g: Array, guess: Array | None = None) -> Array:
        """The (c,eps)-transform of g, (n,): B-25. That of f is `p.T.transform(f)`.

        `guess` (n,), the previous f for example, may save time; the result is the same without it.
        """
        return self.backend.softmin(self.C, self.G(g), self.eps, guess)

    def row_sums(self, f: Array, g: Array) -> Array:
        """P 1, (n,), for P_ij = a_i b_j exp((f_i + g_j - C_ij) / eps)."""
        ones = namespace(g).ones((self.b.shape[0], 1), dtype=self.C.dtype)
        return self.backend.plan_apply(self.C, self.F(f), self.G(g), self.eps, ones)[:, 0]

    def marginal_error(self, f: Array, g: Array) -> float:
        """|P1 - a|_1 + |P'1 - b|_1: how far both marginals of the plan of (f, g) are off."""
        rows, columns = self.backend.marginals(self.C, self.F(f), self.G(g), self.eps)
        return float(abs(rows - self.a).sum() + abs(columns - self.b).sum())

    def row_potential(self, f: Potential, name: str = "f") -> Array:
        """`f` checked, (n,), on the backend."""
        f = in_dtype(as_vector(f, self.C.shape[0], name), self.C.dtype, name)
        bound = largest(self.C.dtype) * min(self.eps, 1.0)
        if not bool((abs(f) <= bound).all()):
            raise InputError(name, f"up to {float(abs(f).max()):.1g} in size",
                             f"at most {bound:.1g}: {name} / eps in the range of {self.C.dtype}")
        return self.backend.asarray(f)

    def column_potential(self, g: Potential, name: str = "g") -> Array:
        """`g` checked, (m,), on the backend."""
        return self.T.row_potential(g, name)


def problem(
    C: CostLike, a: Weights, b: Weights, eps: float, backend: BackendLike = None,
    normalise: bool = False,
) -> Problem:
    """(C, a, b, eps) checked, in the dtype of C, on the backend. Raises InputError.

    C is an operand or a matrix (n, m), with inf where a pair is forbidden. a (n,) and b (m,) are
    weights that sum to 1, or None for uniform ones; they are normalised in the dtype of C
    (`as_weights`), with `normalise` whatever their sum is. eps > 0.
    """
    C = as_cost(C)
    a = as_weights(a, C.shape[0], "a", C.dtype, normalise)
    b = as_weights(b, C.shape[1], "b", C.dtype, normalise)
    return on_backend(with_partners(C, a, b), a, b, eps, backend)


def on_backend(C: Cost, a: Array, b: Array, eps: float, backend: BackendLike) -> Problem:
    """The problem of a cost and weights that are checked and of one dtype, on the backend."""
    eps, on = as_eps(eps, C), get_backend(backend)
    return Problem(C.with_arrays(on.asarray), on.asarray(a), on.asarray(b), eps, on)
