"""The zoo: subjects that are right but for one realistic defect, to show that the checks can fail.

Each bug is a few lines, as it would stand in somebody's code, with the check that must fail and a
part of the diagnosis that must be given.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

import refot
from refot.arrays import Array
from refot.sinkhorn import scaling_iterates

from .subjects import Part, Subject


@dataclass(frozen=True)
class Bug:
    """A defect: the capability it sits in, the check that must fail, what must be said of it."""

    name: str
    capability: str
    function: Callable[..., Any]
    caught_by: str
    diagnosis: str

    def subject(self) -> Subject:
        """The buggy function as a subject of one part."""
        return Subject(self.name, "", (Part(self.name, {self.capability: self.function}),))


BUGS: dict[str, Bug] = {}
"""Every bug by name."""


def bug(
    caught_by: str, diagnosis: str
) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Register the decorated function; its capability is that of the check that catches it."""

    def register(function: Callable[..., Any]) -> Callable[..., Any]:
        name = function.__name__
        BUGS[name] = Bug(name, caught_by.partition(".")[0], function, caught_by, diagnosis)
        return function

    return register


# ------------------------------------------------------------------ values
@bug("dual.optimum", "eps is missing: + eps of the dual B-13 (erratum E1)")
def missing_eps_in_the_dual(f: Array, g: Array, C: Array, a: Array, b: Array, eps: float) -> float:
    """Bug 1: B-13 as printed."""
    density = np.exp((f[:, None] + g - C) / eps)
    return float(a @ f + b @ g - eps * a @ density @ b)


@bug("semidual.optimum", "eps too much: the printed + eps of the semi-dual B-24 (erratum E2)")
def extra_eps_in_the_semidual(g: Array, C: Array, a: Array, b: Array, eps: float) -> float:
    """Bug 2: B-24 as printed."""
    return refot.semi_dual(g, C, a, b, eps, backend="numpy") + eps


@bug("value.certified", "the sharp cost <C,P>")
def sharp_for_full(C: Array, a: Array, b: Array, eps: float) -> float:
    """Bug 8: <C,P> where the KL-inclusive value is due."""
    return refot.sharp_value(C, a, b, eps, backend="numpy")


@bug("value.certified", "entropy for KL")
def entropy_for_kl(C: Array, a: Array, b: Array, eps: float) -> float:
    """Bug 9: <C,P> - eps H(P)."""
    F = refot.entropic_value(C, a, b, eps, backend="numpy")
    return F - eps * (refot.entropy(a) + refot.entropy(b))


@bug("value.split", "the weights b are ignored")
def no_log_b(C: Array, a: Array, b: Array, eps: float) -> float:
    """Bug 10: a log-sum-exp without log b, so that b is taken as uniform."""
    return refot.entropic_value(C, a, np.full_like(b, 1 / len(b)), eps, backend="numpy")


@bug("value.transposed", "the cost is transposed")
def transposed_cost(C: Array, a: Array, b: Array, eps: float) -> float:
    """Bug 13: C' for C where the shapes allow it, for one orientation only."""
    square = C.shape[0] == C.shape[1] and a[0] < b[0]
    return refot.entropic_value(C.T.copy() if square else C, a, b, eps, backend="numpy")


@bug("value.certified", "eps is halved")
def eps_divided_twice(C: Array, a: Array, b: Array, eps: float) -> float:
    """Bug 15: exp(-C / eps / eps'), eps used at half its size."""
    return refot.entropic_value(C, a, b, eps / 2, backend="numpy")


@bug("transport_cost.certified", "not converged: the answer after 5 iterations")
def five_iterations(C: Array, a: Array, b: Array, eps: float) -> float:
    """Bug 17: a fixed number of iterations, whatever eps."""
    K = np.exp(-C / eps)
    u, v = next(itertools.islice(scaling_iterates(C, a, b, eps), 4, None))
    return float(u @ (K * C) @ v)


# ------------------------------------------------------------------ plans
@bug("plan.marginals", "exp(-C / eps) underflows")
def underflowing_kernel(C: Array, a: Array, b: Array, eps: float) -> Array:
    """Bug 19: the scaling form at small eps."""
    K, v = np.exp(-C / eps), b
    with np.errstate(divide="ignore", invalid="ignore"):
        for _ in range(2_000):
            u = a / (K @ v)
            v = b / (K.T @ u)
        return u[:, None] * K * v


@bug("plan.marginals", "the weights a and b are ignored")
def no_weights(C: Array, a: Array, b: Array, eps: float) -> Array:
    """Bugs 10 and 11: uniform weights on both sides."""
    a, b = np.full_like(a, 1 / len(a)), np.full_like(b, 1 / len(b))
    solved = refot.solve(C, a, b, eps, backend="numpy")
    return refot.plan(solved.f, solved.g, C, a, b, eps, backend="numpy")


@bug("plan.gibbs", "a Gibbs plan, but of cost / eps times 0.5")
def half_the_cost(C: Array, a: Array, b: Array, eps: float) -> Array:
    """Bug 14: |x - y|^2 / 2 in the kernel, eps not halved with it."""
    solved = refot.solve(C / 2, a, b, eps, backend="numpy")
    return refot.plan(solved.f, solved.g, C / 2, a, b, eps, backend="numpy")


# ------------------------------------------------------------------ divergences
@bug("divergence.self", "the factors 1/2 of the self terms are missing")
def missing_halves(x: Array, a: Array, y: Array, b: Array, eps: float, cost: str) -> float:
    """Bug 6: F_xy - F_xx - F_yy."""
    F = _entropic
    return F(x, a, y, b, eps, cost) - F(x, a, x, a, eps, cost) - F(y, b, y, b, eps, cost)


@bug("divergence.certified", "twice the divergence")
def twice_the_divergence(x: Array, a: Array, y: Array, b: Array, eps: float, cost: str) -> float:
    """Bug 7: the scale of G-4 for that of B-9."""
    return 2 * refot.sinkhorn_divergence(x, a, y, b, eps, cost, backend="numpy")


@bug("mmd.value", "the U-statistic")
def u_for_v(x: Array, a: Array, y: Array, b: Array, cost: str) -> float:
    """Bug 32: self pairs left out."""
    if min(len(a), len(b)) == 1:
        return refot.mmd_squared(x, a, y, b, cost)
    return refot.mmd_squared_unbiased(x, a, y, b, cost)


def _entropic(x: Array, a: Array, y: Array, b: Array, eps: float, cost: str) -> float:
    return refot.entropic_value(refot.point_cost(x, y, cost), a, b, eps, backend="numpy")
