"""The losses: F (B-10), and S = F_xy - F_xx / 2 - F_yy / 2 (B-9), each solved once. With `rho` they
are unbalanced: U (U-1) stands in place of F, and S (U-8) also has eps / 2 (m_a - m_b)^2, where m_a
and m_b are the masses.

A loss is a sum of values, each with a factor. Once it is solved, its value, its gradients in the
points and weights of both measures, and products of its Hessian with a vector take no other solve.
B = Bréchet et al. 2019. U-1 and U-8 are equations of docs/equations.md.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple, TypeAlias

from refot.arrays import Array, namespace
from refot.autodiff.free_term import FreeTerm, solved_free_self, solved_free_term
from refot.autodiff.hessian import hessian_product
from refot.autodiff.measures import Pair
from refot.autodiff.term import Term, directions_of_self, solved_term
from refot.backend_contract import BackendLike
from refot.costs.operands import PointCost, point_cost
from refot.divergences import common_backend, self_costs
from refot.gradients import centred
from refot.problem import Problem, problem
from refot.solvers.answers.solutions import Near, Start, self_solution
from refot.solvers.loop import SinkhornResult
from refot.unbalanced_problem import UnbalancedProblem, unbalanced_problem

Warm: TypeAlias = tuple[Near, ...]
"""For each problem of a loss what its solve starts from: the solution of a nearby problem, a start,
or None."""

NOTHING: Warm = (None, None, None)
"""Nothing to start from, for any of the three problems."""


class Loss(NamedTuple):
    """Which loss, and how it is solved. `eps` and the loss are in units of `scale` times `cost`.
    With `debiased` the loss is S, else F. `rho` is in cost units, or None for exact marginals;
    `penalty` is "kl" or "tv". `tol` and `backend` are as for
    `refot.entropic_value_gradient_points`."""

    eps: float
    cost: str = "sqeuclidean"
    scale: float = 1.0
    debiased: bool = True
    rho: float | None = None
    penalty: str = "kl"
    tol: float | None = None
    backend: BackendLike = None

    def solved(self, at: Pair, start: Array | None = None) -> SolvedLoss:
        """The loss at two measures. Warns as `solve` does; raises InputError.

        `start`: the `potentials` of two measures of the same sizes, which need not be near: bad
        ones cost time, and nothing else."""
        warm = NOTHING
        if start is not None and bool(namespace(start).isfinite(start).all()):
            warm = tuple(Start(*pair) for pair in self._cut(at, start))
        return solved_loss(self.problems(at), self.tol, warm)[0]

    def restored(self, at: Pair, potentials: Array) -> SolvedLoss:
        """The solved loss from its `potentials`, without a solve."""
        return SolvedLoss(*(_term(p, *pair) for p, pair in zip(
            self.problems(at), self._cut(at, potentials), strict=True)))

    def _cut(self, at: Pair, potentials: Array) -> list[tuple[Array, Array]]:
        """The two potentials of each problem; those of a self term are one."""
        n, m = len(at.x), len(at.y)
        f, g, *own = _pieces(potentials, [n, m] + [n, m] * self.debiased)
        return [(f, g), *((h, h) for h in own)]

    def problems(self, at: Pair) -> list[Problem]:
        """The problem xy, and for S those of xx and of yy."""
        C: PointCost = point_cost(at.x, at.y, self.cost, self.scale)
        xx, yy = self_costs(C)
        sides = [(C, at.a, at.b), (xx, at.a, at.a), (yy, at.b, at.b)][:3 if self.debiased else 1]
        on = common_backend(C, self.backend)
        if self.rho is None:
            return [problem(*side, self.eps, on) for side in sides]
        return [unbalanced_problem(*side, self.eps, self.rho, self.penalty, on)
                for side in sides]


@dataclass(frozen=True)
class SolvedLoss:
    """A loss whose problems are solved: F_xy, and for S the two self terms too."""

    xy: Term
    xx: Term | None = None
    yy: Term | None = None

    @property
    def potentials(self) -> Array:
        """f and g of xy, and for S those of xx and of yy, one after the other, (2 n + 2 m,)."""
        own = [term.f for term in (self.xx, self.yy) if term is not None]
        return namespace(self.xy.f).concatenate([self.xy.f, self.xy.g, *own])

    def value(self) -> float:
        """F_xy, or S, in cost units."""
        own = [term.value() for term in (self.xx, self.yy) if term is not None]
        miss = self._mass_miss  # its square as a product: a power raises where it overflows
        return self.xy.value() - sum(own) / 2 + self.xy.p.eps / 2 * miss * miss

    @property
    def _mass_miss(self) -> float:
        """m_a - m_b, whose square is part of the unbalanced S; else 0."""
        if self.xx is None or not isinstance(self.xy.p, UnbalancedProblem):
            return 0.0
        m_a, m_b = self.xy.p.masses
        return m_a - m_b

    def gradient_x(self) -> Array:
        """The gradient in x, (n, d). F_xx / 2 has x in both of its measures, so that its gradient
        is that of F_xx in one of them."""
        cross = self.xy.gradient_points()
        return cross if self.xx is None else cross - self.xx.gradient_points()

    def gradient_a(self) -> Array:
        """The gradient in a, (n,); its sum is 0 where the mass is 1."""
        cross = self.xy.gradient_weights()
        if self.xx is None:
            return cross
        if isinstance(self.xx, FreeTerm):
            return cross - self.xx.slope() + self.xy.p.eps * self._mass_miss
        return centred(cross - self.xx.slope(), self.xx.p.a)

    def gradient_y(self) -> Array:
        """The gradient in y, (m, d)."""
        return self.T.gradient_x()

    def gradient_b(self) -> Array:
        """The gradient in b, (m,); its sum is 0 where the mass is 1."""
        return self.T.gradient_a()

    @property
    def T(self) -> SolvedLoss:
        """The same loss with the two measures exchanged."""
        return SolvedLoss(self.xy.T, self.yy, self.xx)

    def hessian_product(self, v: Pair) -> Pair:
        """The Hessian times v: how the four gradients change along v."""
        change = hessian_product(self.xy, v)
        if self.xx is None or self.yy is None:
            return change
        x, y = (hessian_product(term, directions_of_self(w))
                for term, w in ((self.xx, v), (self.yy, v.T)))
        miss = 0.0
        if isinstance(self.xy, FreeTerm):
            miss = self.xy.p.eps * float(v.a.sum() - v.b.sum())
        return Pair(change.x - x.x, change.a - x.a + miss, change.y - y.x, change.b - y.a - miss)


def solved_loss(problems: Sequence[Problem], tol: float | None, warm: Warm = NOTHING
                ) -> tuple[SolvedLoss, tuple[SinkhornResult, ...]]:
    """(the loss made of the problems xy, or xy, xx and yy; their solutions). Each solve starts from
    its entry of `warm`, or from 0 where that is None. Warns as `solve` does."""
    solvers = (_solved, _solved_self, _solved_self)
    terms, found = zip(*(solver(p, tol, near) for solver, p, near in zip(
        solvers, problems, warm, strict=False)), strict=True)
    return SolvedLoss(*terms), found


def _term(p: Problem, f: Array, g: Array) -> Term:
    """The term of a problem, balanced or unbalanced, at the potentials f and g."""
    return FreeTerm(p, f, g) if isinstance(p, UnbalancedProblem) else Term(p, f, g)


def _solved(p: Problem, tol: float | None, warm: Near
            ) -> tuple[Term, SinkhornResult]:
    """(the term of a problem of either kind, its solution)."""
    if isinstance(p, UnbalancedProblem):
        return solved_free_term(p, tol, warm)
    return solved_term(p, tol, warm=warm)


def _solved_self(p: Problem, tol: float | None, warm: Near
                 ) -> tuple[Term, SinkhornResult]:
    """The same for a measure and itself."""
    if isinstance(p, UnbalancedProblem):
        return solved_free_self(p, tol, warm)
    return solved_term(p, tol, self_solution, warm)


def _pieces(array: Array, lengths: list[int]) -> list[Array]:
    """An array in pieces of these lengths."""
    ends = [sum(lengths[:k + 1]) for k in range(len(lengths))]
    return [array[end - length:end] for end, length in zip(ends, lengths, strict=True)]
