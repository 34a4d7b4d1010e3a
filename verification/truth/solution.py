"""The certified truth of a case: intervals and arrays that do not depend on any subject.

The intervals are float64 certificates of the potentials that `refot.solve` finds. A certificate is
proven whatever the potentials are (docs/certificates.md), and the tests compare it with enclosures
of 30 digits on every case. B = Bréchet et al. 2019.
"""

from __future__ import annotations

import itertools
import warnings
from collections.abc import Hashable
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from refot.arrays import Array, ConvergenceWarning
from refot.costs.operands import point_cost
from refot.divergences import mmd_squared
from refot.objectives import kantorovich, kl, semi_dual, transport_cost
from refot.plans import plan
from refot.problem import problem
from refot.solvers import solve
from refot.solvers.loop import SinkhornResult
from refot.solvers.sinkhorn import log_iterates
from refot.verification.cases.case import Case
from refot.verification.certificates.certify import Certificate, certify, certify_divergence
from refot.verification.certificates.intervals import Interval

ITERATIONS = 2_000
"""Iterations of Sinkhorn's algorithm in a trajectory, at most."""


@dataclass(frozen=True)
class Iterate:
    """The answers of a solver that stops after `number` iterations: the value a.f + b.g, and the
    transport cost <C,P>, in cost units. `marginal_error` is in L1."""

    number: int
    marginal_error: float
    value: float
    transport_cost: float


class Truth:
    """The right answers for one case, each computed when it is first used. C is (n, m), a (n,) and
    b (m,), in float64, with weights divided by their sum."""

    def __init__(self, case: Case) -> None:
        self.case = case
        self.C = case.C.astype(np.float64)
        self.a, self.b = _normalised(case.a), _normalised(case.b)

    @cached_property
    def solved(self) -> SinkhornResult:
        """The optimal potentials, as exact as float64 allows, always computed by the NumPy backend.

        The tolerance is smaller than rounding allows, so that the solve goes on until rounding
        stops it. It then warns that it did not converge, as expected.
        """
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)
            return solve(self.C, self.a, self.b, self.case.eps, tol=1e-14, backend="numpy")

    # -------------------------------------------------------------- certified intervals
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
        """The solutions of the two self terms of the divergence, x with x and y with y."""
        x, a, y, b, eps, cost = self.case.clouds
        return _self_term(x, a, eps, cost), _self_term(y, b, eps, cost)

    # -------------------------------------------------------------- plain float64 numbers
    @cached_property
    def F(self) -> float:
        """The KL-inclusive value of the solve."""
        return semi_dual(self.solved.g, self.C, self.a, self.b, self.case.eps, backend="numpy")

    @cached_property
    def s(self) -> float:
        """The sharp value of the solve."""
        return transport_cost(self.plan, self.C)

    @cached_property
    def plan(self) -> Array:
        """The optimal plan (n, m)."""
        return plan(self.solved.f, self.solved.g, self.C, self.a, self.b, self.case.eps,
                    backend="numpy")

    @cached_property
    def kantorovich(self) -> float:
        """W0, the least transport cost <C,P> of all couplings P, by a linear programme."""
        return kantorovich(self.C, self.a, self.b)[0]

    @cached_property
    def mmd(self) -> float:
        """MMD^2 of the two clouds with the kernel -c, as a V-statistic: pairs of a point with
        itself count."""
        x, _, y, _, _, cost = self.case.clouds
        return mmd_squared(x.astype(np.float64), self.a, y.astype(np.float64), self.b, cost)

    @cached_property
    def kl(self) -> float:
        """KL(P | a(x)b) of the optimal plan."""
        return kl(self.plan, np.outer(self.a, self.b))

    # -------------------------------------------------------------- what a mistake computes instead
    @cached_property
    def trajectory(self) -> tuple[Iterate, ...]:
        """The iterates of Sinkhorn's algorithm from its two usual starts, g = 0 and v = 1."""
        p = problem(self.C, self.a, self.b, self.case.eps, "numpy")
        log_b = np.log(np.where(p.b > 0, p.b, 1))
        found = []
        for start in (np.zeros_like(p.b), -p.eps * log_b):
            iterates = itertools.islice(log_iterates(p, start), ITERATIONS)
            for k, (f, g, error) in enumerate(iterates, 1):
                cost = p.backend.plan_cost(p.C, p.F(f), p.G(g), p.eps)
                found.append(Iterate(k, error, float(p.a @ f + p.b @ g), cost))
                if error < 1e-9:
                    break
        return tuple(found)


def _self_term(x: Array, a: Array, eps: float, cost: str) -> Truth:
    x = x.astype(np.float64)
    return Truth(Case("self", "", point_cost(x, x, cost).dense(), a, a, eps, x, x, cost))


# ------------------------------------------------------------------ by its arguments
REMEMBERED = 512
"""The most solutions that are kept: enough for the cases of a run and their derived cases."""

_solutions: dict[Hashable, Truth] = {}


def solution(C: Array, a: Array, b: Array, eps: float) -> Truth:
    """The right answers for the problem with these arguments, which is solved once and remembered.
    """
    key = (C.shape, *((array.dtype.str, array.tobytes()) for array in (C, a, b)), eps)
    return _remembered(key, Case("a problem", "", C, a, b, eps))


def solution_of(case: Case) -> Truth:
    """The right answers for a case, with those for its points if it has any; solved once and
    remembered."""
    key = (case.name, case.eps, case.C.dtype.str, case.C.tobytes(), case.a.tobytes(),
           case.b.tobytes())
    return _remembered(key, case)


def _remembered(key: Hashable, case: Case) -> Truth:
    if key not in _solutions:
        while len(_solutions) >= REMEMBERED:
            del _solutions[next(iter(_solutions))]
        _solutions[key] = Truth(case)
    return _solutions[key]


def point_solutions(
    x: Array, a: Array, y: Array, b: Array, eps: float, cost: str
) -> tuple[Truth, Truth, Truth]:
    """The right answers for the three problems (x, y), (x, x), (y, y) of a divergence."""
    x, y = x.astype(np.float64), y.astype(np.float64)
    C, C_xx, C_yy = (point_cost(p, q, cost).dense() for p, q in ((x, y), (x, x), (y, y)))
    return solution(C, a, b, eps), solution(C_xx, a, a, eps), solution(C_yy, b, b, eps)


def _normalised(weights: Array) -> Array:
    weights = weights.astype(np.float64)
    return weights / weights.sum()
