"""The problem on which adapters are compared with refot, and the error of each capability on it.

An adapter makes another library's functions callable by the verifier; a capability is one kind of
function, such as "plan". Errors are in mass, or relative to max C - min C, as the verifier's are.
"""

from __future__ import annotations

import contextlib
import functools

import numpy as np

import refot
from refot.costs.ground import GROUND_COSTS

ALL_COSTS = ("sqeuclidean", "euclidean", "l1")
ON_POINTS = ("divergence", "divergence_gradient", "mmd", "unbalanced_divergence",
             "unbalanced_divergence_gradient")

RNG = np.random.default_rng(0)
X, Y = RNG.normal(size=(9, 2)), RNG.normal(size=(6, 2)) + 0.7
A, B = RNG.dirichlet(np.full(9, 2.0)), RNG.dirichlet(np.full(6, 2.0))
C = GROUND_COSTS["sqeuclidean"].matrix(X, Y)
EPS = 0.1 * float(C.max())
F0, G0 = RNG.normal(size=9), RNG.normal(size=6)  # potentials that are not optimal
STEPS = 5
MASS_A, MASS_B = 1.5 * A, 0.625 * B  # of unbalanced problems
RHO = 0.75 * float(np.ptp(C))


@functools.cache
def optimal_plan(cost, first="x", second="y"):
    """The plan between two of the clouds, to a marginal error of 1e-12."""
    clouds = {"x": (X, A), "y": (Y, B)}
    (x, a), (y, b) = clouds[first], clouds[second]
    matrix = GROUND_COSTS[cost].matrix(x, y)
    solved = refot.solve(matrix, a, b, EPS, tol=1e-12)
    return refot.plan(solved.f, solved.g, matrix, a, b, EPS)


def divergence_gradient(cost):
    """sum_j P_ij d1 c(x_i, y_j) - sum_j Pxx_ij d1 c(x_i, x_j). The second sum has no factor 1/2,
    because x is both arguments of the self term."""
    d1 = GROUND_COSTS[cost].gradient
    return (np.einsum("ij,ijd->id", optimal_plan(cost), d1(X, Y))
            - np.einsum("ij,ijd->id", optimal_plan(cost, "x", "x"), d1(X, X)))


@functools.cache
def scaling_loss_gradient():
    """Central differences of G-8, entry by entry."""
    gradient, h = np.empty_like(C), 1e-5
    for entry in np.ndindex(C.shape):
        step = np.zeros_like(C)
        step[entry] = h
        up, down = (refot.scaling_loss(C + s * step, A, B, EPS, STEPS) for s in (1, -1))
        gradient[entry] = (up - down) / (2 * h)
    return gradient


def largest(measured, expected):
    """The largest difference of an entry; NaN if an entry is NaN."""
    assert np.shape(measured) == np.shape(expected)
    return np.max(abs(np.asarray(measured) - expected))


def marginal_error(plan):
    return abs(plan.sum(axis=0) - B).sum() + abs(plan.sum(axis=1) - A).sum()


def plan_error(answer):
    """The larger of the marginal error of a plan and a tenth of its L1 distance to the right one.
    """
    return max(marginal_error(answer), abs(answer - optimal_plan("sqeuclidean")).sum() / 10)


def potentials_error(answer):
    f, g = answer
    return marginal_error(refot.plan(f, g, C, A, B, EPS))


@functools.cache
def unbalanced_plan():
    """The plan of UNBALANCED, to a residual of 1e-12."""
    solved = refot.solve(*UNBALANCED[:4], rho=RHO, tol=1e-12)
    return refot.unbalanced_plan(solved.f, solved.g, *UNBALANCED[:4])


def unbalanced_potentials_error(answer):
    """A tenth of the larger of two L1 errors: of the plan that belongs to the potentials, and of
    its marginals from those that U-4 gives for these potentials."""
    f, g = answer
    P = refot.unbalanced_plan(f, g, *UNBALANCED[:4])
    asked = MASS_A * np.exp(-f / RHO), MASS_B * np.exp(-g / RHO)
    return max(abs(P - unbalanced_plan()).sum(),
               *(abs(p - q).sum() for p, q in zip((P.sum(1), P.sum(0)), asked, strict=True))) / 10


PROBLEM = (C, A, B, EPS)
UNBALANCED = (C, MASS_A, MASS_B, EPS, RHO)

ERRORS = {
    "plan": lambda offered: plan_error(offered(*PROBLEM)),
    "potentials": lambda offered: potentials_error(offered(*PROBLEM)),
    "value": lambda offered: largest(
        offered(*PROBLEM), refot.entropic_value(*PROBLEM, tol=1e-12)) / np.ptp(C),
    "transport_cost": lambda offered: largest(
        offered(*PROBLEM), refot.sharp_value(*PROBLEM, tol=1e-12)) / np.ptp(C),
    "converged": lambda offered: float(not offered(*PROBLEM)),
    "softmin": lambda offered: largest(
        offered(C, G0, EPS), refot.softmin(C, G0, EPS)) / np.ptp(C),
    "dual": lambda offered: largest(
        offered(F0, G0, *PROBLEM), refot.dual(F0, G0, *PROBLEM)) / np.ptp(C),
    "semidual": lambda offered: largest(
        offered(G0, *PROBLEM), refot.semi_dual(G0, *PROBLEM)) / np.ptp(C),
    "semidual_gradient": lambda offered: largest(
        offered(G0, *PROBLEM), refot.semi_dual_gradient(G0, *PROBLEM)),
    "scaling_loss": lambda offered: largest(
        offered(*PROBLEM, STEPS), refot.scaling_loss(*PROBLEM, STEPS)) / np.ptp(C),
    "scaling_loss_gradient": lambda offered: largest(
        offered(*PROBLEM, STEPS), scaling_loss_gradient()),
    "unbalanced_plan": lambda offered: abs(
        offered(*UNBALANCED) - unbalanced_plan()).sum() / 10,
    "unbalanced_potentials": lambda offered: unbalanced_potentials_error(offered(*UNBALANCED)),
    "unbalanced_value": lambda offered: largest(
        offered(*UNBALANCED), refot.unbalanced_value(*UNBALANCED, tol=1e-12)) / np.ptp(C),
}

POINT_ERRORS = {
    "divergence": lambda offered, cost: largest(
        offered(X, A, Y, B, EPS, cost),
        refot.sinkhorn_divergence(X, A, Y, B, EPS, cost, tol=1e-12)),
    "divergence_gradient": lambda offered, cost: largest(
        offered(X, A, Y, B, EPS, cost), divergence_gradient(cost)),
    "mmd": lambda offered, cost: largest(
        offered(X, A, Y, B, cost), refot.mmd_squared(X, A, Y, B, cost)),
    "unbalanced_divergence": lambda offered, cost: largest(
        offered(X, MASS_A, Y, MASS_B, EPS, RHO, cost),
        refot.unbalanced_divergence(X, MASS_A, Y, MASS_B, EPS, RHO, cost, tol=1e-12)),
    "unbalanced_divergence_gradient": lambda offered, cost: largest(
        offered(X, MASS_A, Y, MASS_B, EPS, RHO, cost),
        refot.unbalanced_divergence_gradient(X, MASS_A, Y, MASS_B, EPS, RHO, cost)),
}


def measured(part):
    """(capability, cost, error) for all capabilities of a part of an adapter; costs that it does
    not support are left out."""
    for capability, offered in part.capabilities.items():
        if capability not in ON_POINTS:
            yield capability, "", ERRORS[capability](offered)
            continue
        for cost in ALL_COSTS:
            with contextlib.suppress(NotImplementedError):
                error = POINT_ERRORS[capability](offered, cost)
                yield capability, cost, error / np.ptp(GROUND_COSTS[cost].matrix(X, Y))
