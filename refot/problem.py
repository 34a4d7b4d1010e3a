"""The discrete problem (C, a, b, eps), checked once, with its arrays where they will be used.

Every equation opens with `p = problem(C, a, b, eps, backend)` and then reads as in the paper. The
methods below are the steps that the equations share: the potentials with their weights, the
transform, the marginals.

A second group of methods is what solvers call. `unbalanced_problem` overrides these methods, so
that the same solver serves both problems; on a balanced one many are trivial. In them "best" means:
with the largest dual. The sums that a potential "asks for" are those a plan must have at the
optimum: a here; in unbalanced transport they depend on f (`penalties`). The "level" of (f, g) is
the number t in (f + t, g - t).

B = Bréchet et al. 2019.
"""

from __future__ import annotations

import math
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
from refot.backend_contract import Backend, BackendLike, backend_for
from refot.costs.forbidden import obstruction, with_partners
from refot.costs.operands import Cost, as_cost, as_eps


def log_weights(a: Array) -> Array:
    """log a, and -inf where a weight is 0, without the warning that NumPy would give there."""
    xp = namespace(a)
    positive = a > 0
    return xp.where(positive, xp.log(xp.where(positive, a, 1)), -xp.inf)


@dataclass(frozen=True)
class Problem:
    """Cost C (n, m), a `PointCost` or a `DenseCost`, weights a (n,) and b (m,), eps in cost units,
    and a backend."""

    C: Cost
    a: Array
    b: Array
    eps: float
    backend: Backend

    @property
    def costs_with_mass(self) -> Cost:
        """The costs between points of positive weight.

        Code that needs the size of the costs must use these, so that a far point of weight 0 does
        not count.
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
        """f + eps log a, (n,), -inf where a_i = 0: the plan is exp((F_i + G_j - C_ij) / eps)."""
        return f + self.eps * log_weights(self.a)

    def G(self, g: Array) -> Array:
        """g + eps log b, (m,): the same for the columns."""
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
        return self.residual(f, g, rows, columns)

    # -------------------------------------------------------------- methods that solvers call
    # Here both marginals are exact; `UnbalancedProblem` overrides what follows.
    @property
    def is_exact(self) -> bool:
        """Whether both marginals are exact: then (f + t, g - t) has the same dual as (f, g)."""
        return True

    @property
    def coupling(self) -> float:
        """By how much the best f moves where the transform of g moves by 1."""
        return 1.0

    def prox(self, h: Array) -> Array:
        """The best f (n,) for a g whose transform is h (n,)."""
        return h

    def best(self, g: Array, guess: Array | None = None) -> Array:
        """The best f (n,) for g (m,). `guess` as in `transform`."""
        return self.prox(self.transform(g, guess))

    def answer(self, h: Array, g: Array) -> Array:
        """The f (n,) for which the dual of (f + t, g - t) with the best level t is largest. `h`
        (n,) is the transform of g."""
        return h

    def best_pair(self, h: Array, g: Array) -> tuple[Array, Array]:
        """(f, g - t) with the best level t and the best f for g - t, where h is the transform of
        g. Here every t gives the same dual, so t = 0 is taken, and h is the best f."""
        return h, g

    def shifted(self, f: Array, g: Array) -> tuple[Array, Array]:
        """(f + t, g - t) with the best level t. Here the dual does not depend on t."""
        return f, g

    def semi_dual(self, f: Array, g: Array) -> float:
        """The dual of (f, g), in cost units, where f is the best for g. B-24."""
        return float(self.a @ f + self.b @ g)

    def value_size(self, f: Array, g: Array) -> float:
        """A number, in cost units, to which the rounding error of `semi_dual` is taken to be
        relative. Here it is |semi_dual| + eps, which is > 0 even where the semi-dual is 0."""
        return abs(self.semi_dual(f, g)) + self.eps

    def stiffness(self, f: Array) -> Array | float:
        """-eps times the derivative in f of the row sums that f asks for, (n,)."""
        return 0.0

    def asked(self, f: Array, sums: Array) -> Array:
        """The row sums that f asks for, (n,). `sums` (n,), those of the plan, matter only in
        unbalanced transport, where several may be optimal."""
        return self.a

    def excess(self, f: Array, transform: Array) -> Array:
        """log of each row sum over the sum that f asks for, (n,); `transform` is that of g."""
        return (f - transform) / self.eps

    def residual(self, f: Array, g: Array, rows: Array, columns: Array) -> float:
        """The L1 distance of the row sums (n,) and column sums (m,) from those that f and g ask
        for."""
        return float(abs(rows - self.a).sum() + abs(columns - self.b).sum())

    def row_residual(self, f: Array, rows: Array) -> float:
        """The part of the rows in `residual`."""
        return float(abs(rows - self.a).sum())

    def levelled(self, g: Array) -> Array:
        """g less its mean under b. To add a constant to g changes no plan and no value here, but a
        large constant would cost digits."""
        return g - self.b @ g

    @property
    def gap_order(self) -> int:
        """The power k for which the certified gap falls like `residual` to the power k."""
        return 1

    def carried(self, f: Array) -> Array:
        """About which share of the mass each row carries at the optimum, (n,)."""
        return self.a

    def obstruction(self) -> str:
        """In words, why no plan avoids the forbidden pairs; "" if no such reason was found."""
        return obstruction(self.C, self.a, self.b)

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

    C (n, m) is an array, with inf where a pair is forbidden, a `PointCost` or a `DenseCost`. a (n,)
    and b (m,) are weights that sum to 1, or with `normalise` to any number > 0; None for uniform
    ones. They are divided by their sum as `as_weights` says. eps > 0 in cost units.
    """
    C = as_cost(C)
    a = as_weights(a, C.shape[0], "a", C.dtype, normalise)
    b = as_weights(b, C.shape[1], "b", C.dtype, normalise)
    return on_backend(with_partners(C, a, b), a, b, eps, backend)


def on_backend(C: Cost, a: Array, b: Array, eps: float, backend: BackendLike) -> Problem:
    """The problem on the backend, from a cost and weights that are checked and of one dtype."""
    eps, on = as_eps(eps, C), backend_for(math.prod(C.shape), backend)
    return Problem(C.with_arrays(on.asarray), on.asarray(a), on.asarray(b), eps, on)
