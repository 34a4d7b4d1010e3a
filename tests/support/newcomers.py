"""Twelve buggy subjects as newcomers write them, none of which is in the zoo.

Beside each stand the words of its true cause, which the short report must show near its top.
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
    """A buggy subject: a function of one capability, or an object of several; and its cause."""

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
    """Everything from scalings whose first update has 1 / n in place of a."""

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
    """The kernel is not transposed in the second update where that fits."""
    K = np.exp(-(C - C.min()) / eps)
    back = K if K.shape[0] == K.shape[1] else K.T
    v = np.ones(len(b))
    for _ in range(500):
        u = a / (K @ v)
        v = b / (back @ u)
    return u[:, None] * K * v


@newcomer("plan", "not converged")
def plan_that_stops_early(C, a, b, eps):
    """Stops once the scalings move by less than a tenth of their size."""
    K, u, v = np.exp(-(C - C.min()) / eps), np.ones(len(a)), np.ones(len(b))
    for _ in range(500):
        last, u = u, a / (K @ v)
        v = b / (K.T @ u)
        if abs(u - last).max() < 0.1 * abs(u).max():
            break
    return u[:, None] * K * v


@newcomer("transport_cost", "eps is relative")
def cost_at_a_relative_eps(C, a, b, eps):
    """eps in units of the largest cost, as one paper has it."""
    return (right_plan(C, a, b, eps * abs(C).max()) * C).sum()


@newcomer("plan", "a_i is missing")
def plan_as_conditional(C, a, b, eps):
    """Rows that sum to 1, as an attention matrix has them."""
    P = right_plan(C, a, b, eps)
    return P / np.where(a > 0, a, 1)[:, None]


# ------------------------------------------------------------------ values
@newcomer("value", "not converged")
def value_after_a_loose_stop(C, a, b, eps):
    """The dual after as many iterations as move the potentials by more than eps."""
    g, last = np.zeros(len(b)), np.inf
    for _ in range(1000):
        f = refot.softmin(C, g + eps * np.log(b), eps)
        last, g = g, refot.softmin(C.T, f + eps * np.log(a), eps)
        if abs(g - last).max() < eps:
            break
    return a @ f + b @ g


@newcomer("transport_cost", "depends on earlier calls")
def cost_of_a_plan_kept_by_shape(C, a, b, eps, plans={}):  # noqa: B006 - that is the bug
    """The plan is solved once for each shape and eps."""
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
    """The cost of the plan between x and y, called a divergence."""
    C = refot.point_cost(x, y, cost).dense()
    return (right_plan(C, a, b, eps) * C).sum()


@newcomer("divergence", "the self term of x has uniform weights")
def divergence_with_uniform_self_term(x, a, y, b, eps, cost):
    """The self term of x is a function of x alone, with uniform weights."""

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
    """x - y for the gradient of |x - y|^2, as if the cost had a factor 1/2."""
    return refot.sinkhorn_divergence_gradient(x, a, y, b, eps, cost) / 2
