"""The certified truth of a case: intervals and arrays that do not depend on any subject.

Small float64 problems are enclosed in ball arithmetic to 30 digits; where that is refused, or the
problem is large, the float64 certificate of a converged solve takes its place.
"""

from __future__ import annotations

import warnings
from functools import cached_property

import numpy as np

from refot.arrays import Array, ConvergenceWarning
from refot.costs import point_cost
from refot.divergences import mmd_squared
from refot.objectives import kantorovich, kl
from refot.plans import plan
from refot.sinkhorn import SinkhornResult
from refot.solvers import solve

from .cases import Case
from .certificates import Certificate, certify, certify_divergence
from .intervals import Interval


class Truth:
    """Certified answers for one case, each computed when it is first asked for."""

    def __init__(self, case: Case) -> None:
        self.case = case
        self.C = case.C.astype(np.float64)
        self.a, self.b = _normalised(case.a), _normalised(case.b)

    @cached_property
    def solved(self) -> SinkhornResult:
        """Optimal potentials, as far as float64 goes: NumPy, Newton, whatever the default backend.

        A tolerance below the rounding floor is asked for on purpose: the solve ends at the floor.
        """
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)
            return solve(self.C, self.a, self.b, self.case.eps, tol=1e-14, backend="numpy")

    @cached_property
    def certificate(self) -> Certificate:
        """The float64 certificate of the solve."""
        return certify(self.C, self.a, self.b, self.case.eps, self.solved.g)

    @property
    def value(self) -> Interval:
        """Contains the KL-inclusive value F."""
        return self.certificate.value

    @property
    def transport_cost(self) -> Interval:
        """Contains the sharp value s."""
        return self.certificate.transport_cost

    @cached_property
    def divergence(self) -> Interval:
        """Contains the Sinkhorn divergence S of B-9."""
        x, _, y, _, eps, cost = self.case.clouds
        x, y = x.astype(np.float64), y.astype(np.float64)
        xx, yy = self.selves
        potentials = (self.solved.g, xx.solved.g, yy.solved.g)
        return certify_divergence(x, self.a, y, self.b, eps, cost, potentials)

    @cached_property
    def selves(self) -> tuple[Truth, Truth]:
        """The truths of the two self terms of the divergence."""
        x, a, y, b, eps, cost = self.case.clouds
        return _self_term(x, a, eps, cost), _self_term(y, b, eps, cost)

    @cached_property
    def plan(self) -> Array:
        """The optimal plan (n, m)."""
        return plan(self.solved.f, self.solved.g, self.C, self.a, self.b, self.case.eps,
                    backend="numpy")

    @cached_property
    def kantorovich(self) -> float:
        """W0, by the linear programme."""
        return kantorovich(self.C, self.a, self.b)[0]

    @cached_property
    def mmd(self) -> float:
        """MMD^2, V-statistic, kernel -c."""
        x, _, y, _, _, cost = self.case.clouds
        return mmd_squared(x.astype(np.float64), self.a, y.astype(np.float64), self.b, cost)

    @cached_property
    def kl(self) -> float:
        """KL(P | a(x)b) of the optimal plan."""
        return kl(self.plan, np.outer(self.a, self.b))


def _self_term(x: Array, a: Array, eps: float, cost: str) -> Truth:
    x = x.astype(np.float64)
    return Truth(Case("self", "", point_cost(x, x, cost).dense(), a, a, eps, x, x, cost))


def _normalised(weights: Array) -> Array:
    weights = weights.astype(np.float64)
    return weights / weights.sum()
