"""The losses: F (B-10), and S = F_xy - F_xx / 2 - F_yy / 2 (B-9), each solved once.

A loss is a sum of values, each with a factor. Solved, it gives its number, its gradients in the
points and weights of both measures, and products of its Hessian with a vector, and solves no more.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from refot.arrays import Array, namespace
from refot.autodiff.hessian import hessian_product
from refot.autodiff.measures import Pair
from refot.autodiff.term import Term, directions_of_self, solved_term
from refot.backend_contract import BackendLike
from refot.costs.operands import PointCost, point_cost
from refot.divergences import self_costs, self_solution
from refot.gradients import centred
from refot.problem import Problem, problem


class Loss(NamedTuple):
    """What is computed: eps and the cost, whose units are those of the loss; `debiased`: S and not
    F; `tol` and `backend` as for `refot.entropic_value_gradient_points`."""

    eps: float
    cost: str = "sqeuclidean"
    scale: float = 1.0
    debiased: bool = True
    tol: float | None = None
    backend: BackendLike = None

    def solved(self, at: Pair) -> SolvedLoss:
        """The loss at two measures. Warns as `solve` does; raises InputError."""
        xy, *selves = self.problems(at)
        own = [solved_term(p, self.tol, self_solution) for p in selves]
        return SolvedLoss(solved_term(xy, self.tol), *own)

    def restored(self, at: Pair, potentials: Array) -> SolvedLoss:
        """The solved loss from its `potentials`, without a solve."""
        xy, *selves = self.problems(at)
        n, m = xy.C.shape
        f, g, *own = _cut(potentials, [n, m] + [n, m] * bool(selves))
        selves_solved = [Term(p, h, h) for p, h in zip(selves, own, strict=True)]
        return SolvedLoss(Term(xy, f, g), *selves_solved)

    def problems(self, at: Pair) -> list[Problem]:
        """The problem xy, and for S those of xx and of yy."""
        C: PointCost = point_cost(at.x, at.y, self.cost, self.scale)
        xx, yy = self_costs(C)
        sides = [(C, at.a, at.b), (xx, at.a, at.a), (yy, at.b, at.b)]
        return [problem(*side, self.eps, self.backend)
                for side in sides[:3 if self.debiased else 1]]


@dataclass(frozen=True)
class SolvedLoss:
    """F_xy, and for S the two self terms too."""

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
        return self.xy.value() - sum(own) / 2

    def gradient_x(self) -> Array:
        """In x, (n, d): in F_xx / 2 the points stand twice."""
        cross = self.xy.gradient_points()
        return cross if self.xx is None else cross - self.xx.gradient_points()

    def gradient_a(self) -> Array:
        """In a, (n,), with sum 0."""
        cross = self.xy.gradient_weights()
        return cross if self.xx is None else centred(cross - self.xx.f, self.xx.p.a)

    def gradient_y(self) -> Array:
        """In y, (m, d)."""
        return self.T.gradient_x()

    def gradient_b(self) -> Array:
        """In b, (m,), with sum 0."""
        return self.T.gradient_a()

    @property
    def T(self) -> SolvedLoss:
        """The same loss with the two measures exchanged."""
        return SolvedLoss(self.xy.T, self.yy, self.xx)

    def hessian_product(self, v: Pair) -> Pair:
        """How the four gradients change along v."""
        change = hessian_product(self.xy, v)
        if self.xx is None or self.yy is None:
            return change
        x, y = (hessian_product(term, directions_of_self(w))
                for term, w in ((self.xx, v), (self.yy, v.T)))
        return Pair(change.x - x.x, change.a - x.a, change.y - y.x, change.b - y.a)


def _cut(array: Array, lengths: list[int]) -> list[Array]:
    """An array in pieces of these lengths."""
    ends = [sum(lengths[:k + 1]) for k in range(len(lengths))]
    return [array[end - length:end] for end, length in zip(ends, lengths, strict=True)]
