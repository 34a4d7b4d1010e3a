"""Twelve buggy implementations as newcomers write them, none of which is in `verification/zoo`.

With each stand words that name its true cause. The short report must show them near its top.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

import refot
from refot.verification.subjects.loading import as_subject
from refot.verification.subjects.subject import Subject


@dataclass(frozen=True)
class Newcomer:
    """A buggy implementation, with its cause (a regular expression). It is a function with one
    capability, or an object with several (`capability` is None)."""

    code: Any
    capability: str | None
    cause: str

    def subject(self, name: str) -> Subject:
        return as_subject(self.code, name, self.capability)


NEWCOMERS: dict[str, Newcomer] = {}


def newcomer(capability: str | None, cause: str) -> Callable[[Any], Any]:
    def register(code: Any) -> Any:
        NEWCOMERS[code.__name__] = Newcomer(code if capability else code(), capability, cause)
        return code

    return register


def right_plan(C: Any, a: Any, b: Any, eps: float) -> Any:
    solved = refot.solve(C, a, b, eps, tol=1e-10)
    return refot.plan(solved.f, solved.g, C, a, b, eps)


# ------------------------------------------------------------------ solvers
@newcomer(None, "the weights a are ignored")
class WeightsForgotten:
    """The first update of the scalings uses 1 / n in place of a."""

    def plan(self, C, a, b, eps):
        K, v = np.exp(-C / eps), np.ones(len(b))
        for _ in range(500):
            u = 1 / len(a) / (K @ v)
            v = b / (K.T @ u)
        return u[:, None] * K * v

    def transport_cost(self, C, a, b, eps):
        return (self.plan(C, a, b, eps) * C).sum()


@newcomer("plan", "wrong axis")
def plan_by_rows_only(C, a, b, eps):
    """In the second update the kernel is not transposed, wherever it is square."""
    K = np.exp(-(C - C.min()) / eps)
    back = K if K.shape[0] == K.shape[1] else K.T
    v = np.ones(len(b))
    for _ in range(500):
        u = a / (K @ v)
        v = b / (back @ u)
    return u[:, None] * K * v


@newcomer("plan", "not converged")
def plan_that_stops_early(C, a, b, eps):
    """It stops once no scaling changes by more than a tenth of the largest one."""
    K, u, v = np.exp(-(C - C.min()) / eps), np.ones(len(a)), np.ones(len(b))
    for _ in range(500):
        last, u = u, a / (K @ v)
        v = b / (K.T @ u)
        if abs(u - last).max() < 0.1 * abs(u).max():
            break
    return u[:, None] * K * v


@newcomer("transport_cost", "eps is relative")
def cost_at_a_relative_eps(C, a, b, eps):
    """eps is taken in units of the largest cost, as in one paper."""
    return (right_plan(C, a, b, eps * abs(C).max()) * C).sum()


@newcomer("plan", "a_i is missing")
def plan_as_conditional(C, a, b, eps):
    """The rows sum to 1, like those of an attention matrix."""
    P = right_plan(C, a, b, eps)
    return P / np.where(a > 0, a, 1)[:, None]


# ------------------------------------------------------------------ values
@newcomer("value", "not converged")
def value_after_a_loose_stop(C, a, b, eps):
    """The dual, once an iteration changes no potential by eps or more."""
    g, last = np.zeros(len(b)), np.inf
    for _ in range(1000):
        f = refot.softmin(C, g + eps * np.log(b), eps)
        last, g = g, refot.softmin(C.T, f + eps * np.log(a), eps)
        if abs(g - last).max() < eps:
            break
    return a @ f + b @ g


@newcomer("transport_cost", "depends on earlier calls")
def cost_of_a_plan_kept_by_shape(C, a, b, eps, plans={}):  # noqa: B006 - that is the bug
    """The plan is kept for the next call with the same shape and eps, whatever its cost."""
    key = C.shape, round(eps, 1)
    if key not in plans:
        plans[key] = right_plan(C, a, b, eps)
    return (plans[key] * C).sum()


@newcomer("value", "the potential g is missing")
def value_of_one_potential(C, a, b, eps):
    """Only the potential of the rows is summed."""
    solved = refot.solve(C, a, b, eps, tol=1e-10)
    return 2 * a @ solved.f


# ------------------------------------------------------------------ divergences
@newcomer("divergence", "the self terms are missing, and <C,P> stands for F")
def divergence_of_one_cost(x, a, y, b, eps, cost):
    """The cost of the plan between x and y is returned as the divergence."""
    C = refot.point_cost(x, y, cost).dense()
    return (right_plan(C, a, b, eps) * C).sum()


@newcomer("divergence", "the self term of x has uniform weights")
def divergence_with_uniform_self_term(x, a, y, b, eps, cost):
    """The self term of x ignores the weights a."""

    def term(u, p, v, q):
        return refot.entropic_value(refot.point_cost(u, v, cost).dense(), p, q, eps)

    even = np.full(len(x), 1 / len(x))
    return term(x, a, y, b) - term(x, even, x, even) / 2 - term(y, b, y, b) / 2


@newcomer("mmd", "the self term of y is missing")
def mmd_without_one_self_term(x, a, y, b, cost):
    """The terms that do not depend on x are left out, as in a training loss."""
    xy, xx = (refot.point_cost(x, z, cost).dense() for z in (y, x))
    return 2 * a @ xy @ b - a @ xx @ a


@newcomer("divergence_gradient", "half|halved")
def gradient_of_half_the_squares(x, a, y, b, eps, cost):
    """The gradient of |x - y|^2 is taken as x - y, as if the cost had a factor 1/2."""
    return refot.sinkhorn_divergence_gradient(x, a, y, b, eps, cost) / 2
