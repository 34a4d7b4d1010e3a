"""The gradient of L steps of Sinkhorn's algorithm, G-8, on scalings and in the log domain.

This file writes out what automatic differentiation does to Algorithm 2 of G: first the steps
forward, all of which are kept, then the derivatives backward, from the last step to the first. A
name with a b at its end is the derivative of the loss in that variable (its adjoint), of the same
shape: Cb in C, ub in u, fb in f.
The envelope theorem is not used: this is the gradient of the sharp value after L steps, whether
these have converged or not. G = Genevay, Peyré, Cuturi 2018.
"""

from __future__ import annotations

import itertools

import numpy as np

from refot.arrays import (
    REQUIRED,
    Array,
    CostLike,
    InputError,
    Weights,
    as_both_weights,
    as_count,
    namespace,
)
from refot.backend_contract import BackendLike
from refot.costs.forbidden import finite_part
from refot.costs.operands import as_cost, as_eps, as_point_cost
from refot.foreign import as_given
from refot.gradients import points_gradient
from refot.problem import problem
from refot.solvers.scaling import scaling_iterates
from refot.solvers.sinkhorn import log_iterates


@as_given
@np.errstate(all="ignore")  # `scaling_iterates` warns where something is not finite
def scaling_loss_gradient(
    C: CostLike, a: Weights = None, b: Weights = None, eps: float = REQUIRED, L: int = REQUIRED, *,
    normalise: bool = False
) -> Array:
    """The gradient of `scaling_loss` in C, (n, m), computed with scalings. G-8, Algorithm 2.

    (u_l, v_l) are the scalings of G-7 after step l. With K = exp(-C / eps), M = K * C (entry by
    entry), p = K v, q = K'u, and uv' the matrix with entries u_i v_j, the derivatives start as
    ub = M v, vb = M'u, Cb = K * uv', Kb = C * uv'. Then for the steps l = L, ..., 1:
        qb = -vb v_l^2 / b,   Kb += u_l qb',       ub += K qb        (v_l = b / q_l)
        pb = -ub u_l^2 / a,   Kb += pb v_{l-1}',   vb = K'pb, ub = 0 (u_l = a / p_l)
    and Cb -= K * Kb / eps. C (n, m), a (n,), b (m,), eps in cost units. Where C / eps > 745 the
    kernel K underflows in float64, as it does in G-7, with a ScalingWarning; then use
    `scaling_loss_gradient_log`.
    """
    C = as_cost(C)
    eps, C = as_eps(eps, C), C.dense()
    a, b = as_both_weights(a, b, C.shape, C.dtype, normalise)
    xp = namespace(C)
    K, C_finite = xp.exp(-C / eps), finite_part(C)
    steps = list(itertools.islice(scaling_iterates(C, a, b, eps), as_count(L, "L")))
    v_before = [b, *(v for _, v in steps)]
    u, v = steps[-1]
    Cb, Kb = K * xp.outer(u, v), C_finite * xp.outer(u, v)
    ub, vb = (K * C_finite) @ v, (K * C_finite).T @ u
    for (u, v), v_last in zip(reversed(steps), reversed(v_before[:-1]), strict=True):
        # The derivatives go back through v = b / (K'u), then through u = a / (K v_last).
        qb = -vb * _square_over(v, b)
        Kb += xp.outer(u, qb)
        pb = -(ub + K @ qb) * _square_over(u, a)
        Kb += xp.outer(pb, v_last)
        ub, vb = xp.zeros_like(u), K.T @ pb
    return Cb - K * Kb / eps


@as_given
def scaling_loss_gradient_log(
    C: CostLike, a: Weights = None, b: Weights = None, eps: float = REQUIRED, L: int = REQUIRED, *,
    normalise: bool = False, backend: BackendLike = None
) -> Array:
    """The gradient of `scaling_loss` in C, (n, m), in the log domain: safe for every eps. G-8.

    With the plan P after L steps, the derivatives start as Cb = P - P * C / eps,
    fb = (P * C / eps) 1, gb = (P * C / eps)'1. Then for the steps l = L, ..., 1, where T and R are
    the softmax weights of the transforms of f and of g:
        T_ij = a_i exp((f_l + g_l - C) / eps),      Cb += T gb_j,  fb -= T gb      (g_l = f_l^c)
        R_ij = b_j exp((f_l + g_{l-1} - C) / eps),  Cb += R fb_i,  gb = -R'fb, fb = 0
    C may be an array, a `PointCost` or a `DenseCost`.
    """
    p = problem(C, a, b, eps, backend, normalise)
    xp, C = namespace(p.b), p.C.dense()
    start = xp.zeros_like(p.b)
    steps = [(f, g) for f, g, _ in itertools.islice(log_iterates(p, start), as_count(L, "L"))]
    g_before = [start, *(g for _, g in steps)]
    f, g = steps[-1]
    P = xp.exp((p.F(f)[:, None] + p.G(g) - C) / p.eps)
    W = P * finite_part(C) / p.eps
    Cb, fb, gb = P - W, W.sum(axis=1), W.sum(axis=0)
    for (f, g), g_last in zip(reversed(steps), reversed(g_before[:-1]), strict=True):
        # They go back through g, the transform of f, then through f, the transform of g_last.
        T = xp.exp((p.F(f)[:, None] + g - C) / p.eps)
        Cb += T * gb
        fb = fb - T @ gb
        R = xp.exp((f[:, None] + p.G(g_last) - C) / p.eps)
        Cb += R * fb[:, None]
        fb, gb = xp.zeros_like(f), -R.T @ fb
    return Cb


@as_given
def scaling_loss_gradient_points(
    C: CostLike, a: Weights = None, b: Weights = None, eps: float = REQUIRED, L: int = REQUIRED, *,
    normalise: bool = False, backend: BackendLike = None
) -> tuple[Array, Array]:
    """The gradients of `scaling_loss` in x (n, d) and y (m, d): G-8 and the chain rule through C.

    C is the PointCost of x and y. For the learned cost of G, c_phi = |f_phi(x) - f_phi(y)|, give
    `point_cost(f_phi(x), f_phi(y), "euclidean")`. The results are then the gradients in the
    features u_i = f_phi(x_i) and v_j = f_phi(y_j): sum_j Cb_ij N_ij and -sum_i Cb_ij N_ij, where
    N_ij = (u_i - v_j) / |u_i - v_j|, or 0 where u_i = v_j.
    """
    C = as_point_cost(C)
    Cb = scaling_loss_gradient_log(C, a, b, eps, L, backend=backend, normalise=normalise)
    return points_gradient(Cb, C), points_gradient(Cb.T, C.T)


@as_given
def scaling_loss_gradient_self(
    C: CostLike, a: Weights = None, eps: float = REQUIRED, L: int = REQUIRED, *,
    normalise: bool = False, backend: BackendLike = None
) -> Array:
    """The gradient in x (n, d) of the self term: `scaling_loss` of c(x, x) where both weights are
    a. It is a term of G-4 in Algorithm 1 of G.

    It is sum_k (Cb + Cb')_ik d1 c(x_i, x_k), where d1 c is the derivative of c(x, y) in x: the
    points are both arguments of the cost, and after finitely many steps Cb is not symmetric. C is
    `point_cost(x, x, cost)`; a cost between two different sets of points raises InputError.
    """
    C = as_point_cost(C)
    if C.x.shape != C.y.shape or not bool((C.x == C.y).all()):
        raise InputError("C", "a cost between two sets of points", "point_cost(x, x, cost)")
    Cb = scaling_loss_gradient_log(C, a, a, eps, L, backend=backend, normalise=normalise)
    return points_gradient(Cb + Cb.T, C)


def _square_over(u: Array, a: Array) -> Array:
    """u^2 / a, where u = a / (K v): 0 where a = 0."""
    xp = namespace(a)
    return xp.where(a > 0, u**2 / xp.where(a > 0, a, 1), 0)
