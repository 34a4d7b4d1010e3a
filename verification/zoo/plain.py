"""Right subjects in their plainest form: the formula and a loop, and no check of any argument.

They answer bad input with a number, and so fail the checks of bad input. `refot verify` calls that
lax, not wrong: its exit status is 0.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any, TypeVar

import numpy as np
from scipy.special import rel_entr

from refot.arrays import Array
from refot.verification.subjects.subject import Part, Subject

Function = TypeVar("Function", bound=Callable[..., Any])

PLAIN: dict[str, Callable[..., Any]] = {}
"""A right function for most capabilities, by the name of the capability."""


def plain(function: Function) -> Function:
    """Register the function under its name."""
    PLAIN[function.__name__] = function
    return function


def plain_subject(capability: str) -> Subject:
    """The plain function as a subject of one part."""
    return Subject(capability, "", (Part(capability, {capability: PLAIN[capability]}),))


# ------------------------------------------------------------------ solved
def transform(g: Array, C: Array, b: Array, eps: float) -> Array:
    """-eps log sum_j b_j exp((g_j - C_ij) / eps)."""
    t = (g - C) / eps
    top = t.max(axis=1)
    found: Array = -eps * (top + np.log(np.exp(t - top[:, None]) @ b))
    return found


@plain
def potentials(C: Array, a: Array, b: Array, eps: float) -> tuple[Array, Array]:
    """Sinkhorn's algorithm in the log domain."""
    g = np.zeros(len(b))
    for _ in range(3000):
        f = transform(g, C, b, eps)
        last, g = g, transform(f, C.T, a, eps)
        if abs(g - last).max() <= 1e-10 * eps:
            return f, g
    warnings.warn("Sinkhorn's algorithm did not converge in 3000 iterations", stacklevel=2)
    return f, g


@plain
def plan(C: Array, a: Array, b: Array, eps: float) -> Array:
    f, g = potentials(C, a, b, eps)
    return np.outer(a, b) * np.exp((f[:, None] + g - C) / eps)


@plain
def value(C: Array, a: Array, b: Array, eps: float) -> float:
    P = plan(C, a, b, eps)
    return float((P * C).sum() + eps * rel_entr(P, np.outer(a, b)).sum())


@plain
def transport_cost(C: Array, a: Array, b: Array, eps: float) -> float:
    return float((plan(C, a, b, eps) * C).sum())


@plain
def informative_plan(C: Array, Q: Array, lam: float, a: Array, b: Array, eps: float) -> Array:
    return plan(C - lam * Q, a, b, eps)


# ------------------------------------------------------------------ of given arguments
@plain
def softmin(C: Array, h: Array, eps: float) -> Array:
    return transform(h, C, np.ones(len(h)), eps)


@plain
def dual(f: Array, g: Array, C: Array, a: Array, b: Array, eps: float) -> float:
    mass = np.outer(a, b) * np.exp((f[:, None] + g - C) / eps)
    return float(a @ f + b @ g - eps * mass.sum() + eps)


@plain
def semidual(g: Array, C: Array, a: Array, b: Array, eps: float) -> float:
    return float(a @ transform(g, C, b, eps) + b @ g)


@plain
def semidual_gradient(g: Array, C: Array, a: Array, b: Array, eps: float) -> Array:
    f = transform(g, C, b, eps)
    return b - a @ (b * np.exp((f[:, None] + g - C) / eps))


@plain
def scaling_loss(C: Array, a: Array, b: Array, eps: float, L: int) -> float:
    K, v = np.exp(-C / eps), b
    for _ in range(L):
        u = a / (K @ v)
        v = b / (K.T @ u)
    return float(u @ (K * C) @ v)


@plain
def mutual_information(P: Array) -> float:
    return float(rel_entr(P, np.outer(P.sum(axis=1), P.sum(axis=0))).sum())


@plain
def q_objective(Q: Array, P: Array, a: Array, b: Array) -> float:
    return float((np.outer(a, b) * np.exp(Q) - Q * P).sum())


# ------------------------------------------------------------------ of points
def costs(x: Array, y: Array, cost: str) -> Array:
    """The matrix of costs."""
    d = x[:, None] - y
    if cost == "l1":
        return abs(d).sum(axis=2)
    squares = (d**2).sum(axis=2)
    return np.sqrt(squares) if cost == "euclidean" else squares


def slopes(x: Array, y: Array, cost: str) -> Array:
    """The gradients of the costs in x, (n, m, d); 0 where |x - y| has a kink."""
    d = x[:, None] - y
    if cost == "l1":
        return np.sign(d)
    if cost == "euclidean":
        length = np.sqrt((d**2).sum(axis=2, keepdims=True))
        return d / np.where(length > 0, length, 1)
    return 2 * d


@plain
def divergence(x: Array, a: Array, y: Array, b: Array, eps: float, cost: str) -> float:
    return (value(costs(x, y, cost), a, b, eps) - value(costs(x, x, cost), a, a, eps) / 2
            - value(costs(y, y, cost), b, b, eps) / 2)


@plain
def divergence_gradient(
    x: Array, a: Array, y: Array, b: Array, eps: float, cost: str
) -> Array:
    P, R = plan(costs(x, y, cost), a, b, eps), plan(costs(x, x, cost), a, a, eps)
    return (np.einsum("ij,ijk->ik", P, slopes(x, y, cost))
            - np.einsum("ij,ijk->ik", R, slopes(x, x, cost)))


@plain
def mmd(x: Array, a: Array, y: Array, b: Array, cost: str) -> float:
    return float(2 * a @ costs(x, y, cost) @ b - a @ costs(x, x, cost) @ a
                 - b @ costs(y, y, cost) @ b)
