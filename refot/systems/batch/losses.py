"""The loss of Algorithm 1 of G (Genevay, Peyré, Cuturi 2018), and its gradients in the points.

The loss of two mini-batches x and y, whose points have equal weights, is

    2 W(x, y) - W(x, x) - W(y, y)

as Algorithm 1 prints it; G-5 has W(x, y) without the factor 2 (erratum G4). W is the cost of the
plan after L steps of Sinkhorn's algorithm (G-8), and its gradient is computed back through these
steps (`refot.unrolled`). W(x, x) and W(y, y) include the pairs of a point with itself, and so the
gradient is biased (erratum G8).
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Protocol

from refot.arrays import Array, namespace
from refot.backend_contract import BackendLike
from refot.problem import problem
from refot.solvers.scaling import scaling_loss
from refot.solvers.sinkhorn import log_iterates
from refot.systems.batch.costs import BatchCost, pull_back, squared_distances
from refot.unrolled import scaling_loss_gradient, scaling_loss_gradient_log

SCALING_RANGE = 300.0
"""The largest max |C| / eps for which the scaling form is used: K = exp(-C / eps), u, v and u^2 / a
then stay far within the range of float64."""


class Term(Protocol):
    """A function W of a cost matrix (n, m) with uniform weights, and its gradient in the matrix."""

    def value(self, C: Array) -> float:
        """W, in cost units."""

    def gradient(self, C: Array) -> Array:
        """dW/dC, (n, m)."""


@dataclass(frozen=True)
class SinkhornTerm:
    """<P_L, C> with the plan P_L after L steps from v = b: G-8, Algorithm 2.

    It is computed in the scaling form, as Algorithm 2 is printed, if numbers stay within the range
    of float64 (`fits_scaling`); else in the log domain, on `backend`. Both give the same value up
    to rounding.
    """

    eps: float
    L: int
    backend: BackendLike = None

    def value(self, C: Array) -> float:
        a, b = uniform(C)
        if fits_scaling(C, self.eps):
            return scaling_loss(C, a, b, self.eps, self.L)
        p = problem(C, a, b, self.eps, self.backend)
        steps = log_iterates(p, namespace(p.b).zeros_like(p.b))
        f, g, _ = next(itertools.islice(steps, self.L - 1, None))
        return float(p.backend.plan_cost(p.C, p.F(f), p.G(g), p.eps))

    def gradient(self, C: Array) -> Array:
        a, b = uniform(C)
        if fits_scaling(C, self.eps):
            return scaling_loss_gradient(C, a, b, self.eps, self.L)
        return scaling_loss_gradient_log(C, a, b, self.eps, self.L, backend=self.backend)


@dataclass(frozen=True)
class ProductTerm:
    """W = mean C, the limit as eps goes to infinity, where the plan is the product of the weights.

    The loss is then MMD^2 with the kernel -c (G-2, Theorem 1).
    """

    def value(self, C: Array) -> float:
        return float(C.mean())

    def gradient(self, C: Array) -> Array:
        return namespace(C).full_like(C, 1 / C.size)


def fits_scaling(C: Array, eps: float) -> bool:
    """Whether the scaling form stays far within the range of float64: see SCALING_RANGE."""
    return float(abs(C).max()) <= SCALING_RANGE * eps


def uniform(C: Array) -> tuple[Array, Array]:
    """The weights of two mini-batches: 1/n (n,) and 1/m (m,)."""
    xp, (n, m) = namespace(C), C.shape
    return xp.full(n, 1 / n), xp.full(m, 1 / m)


@dataclass(frozen=True)
class DebiasedLoss:
    """2 W(x, y) - W(x, x) - W(y, y) between points or features x (n, d) and y (m, d), of any float
    dtype; `term` is W."""

    x: Array
    y: Array
    cost: BatchCost
    term: Term

    @property
    def value(self) -> float:
        """The loss, in cost units."""
        xy, xx, yy = (self.cost.of(r2) for r2 in (self.xy, self.xx, self.yy))
        W: Callable[[Array], float] = self.term.value
        return 2 * W(xy) - W(xx) - W(yy)

    def gradient_x(self) -> Array:
        """The gradient of the loss in x, (n, d), in the dtype of x."""
        of_xy = pull_back(2 * self.T_xy, self.cost, self.x, self.y, self.xy)
        return of_xy - self._of_self(self.x, self.xx)

    def gradient_y(self) -> Array:
        """The gradient of the loss in y, (m, d). It is not `gradient_x` with x and y exchanged,
        because after L steps the columns of the plan are exact and its rows are not."""
        of_xy = pull_back(2 * self.T_xy.T, self.cost, self.y, self.x, self.xy.T)
        return of_xy - self._of_self(self.y, self.yy)

    def _of_self(self, x: Array, r2: Array) -> Array:
        """The gradient in x of W(x, x), where x is both arguments; r2 are the squared distances."""
        T = self.term.gradient(self.cost.of(r2))
        return pull_back(T + T.T, self.cost, x, x, r2)

    @cached_property
    def T_xy(self) -> Array:
        """dW(x, y) / dC, (n, m)."""
        return self.term.gradient(self.cost.of(self.xy))

    @cached_property
    def xy(self) -> Array:
        return squared_distances(self.x, self.y)

    @cached_property
    def xx(self) -> Array:
        return squared_distances(self.x, self.x)

    @cached_property
    def yy(self) -> Array:
        return squared_distances(self.y, self.y)
