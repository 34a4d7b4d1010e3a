"""Enclosures of explicit formulas of their arguments (no optimum is sought), to 30 digits and more.

    softmin B-25 . dual B-13 . semi-dual B-24 and its gradient H-27 . MMD^2 G-2
    Q objective B-31 and its optimum . mutual information B-18
    scaling iterates G-7, loss G-8 and its gradient in C

B = Bréchet et al. 2019, H = Houdard et al., G = Genevay, Peyré, Cuturi 2018.

Inputs stand for exactly the numbers that the floats are; weights are divided by their exact sum.
The gradient of G-8 is computed with a power series in each C_ij, so that no derivative is derived
by hand. Digits are relative to the largest entry of an answer. E1, E2 and H1 are misprints of the
papers, listed in docs/errata.md."""

from __future__ import annotations

from typing import Any

import numpy as np
from flint import arb, arb_series, fmpq

from refot.arrays import (
    CostLike,
    InputError,
    Points,
    Potential,
    Weights,
    as_count,
    as_matrix,
    as_plan,
    as_vector,
)
from refot.costs.operands import point_cost

from .newton import Matrix, Vector, transform
from .precision import certified
from .problem import columns_of, cost_matrix, dot, exact_inputs, matrix, vector


# ------------------------------------------------------------------ softmin, dual, semi-dual
def enclose_softmin(C: CostLike, h: Potential, eps: Any, digits: int = 30) -> Vector:
    """-eps log sum_j exp((h_j - C_ij) / eps), (n,), for h (m,). B-25, H-8."""
    C = as_matrix(C, "C")
    h = as_vector(h, C.shape[1], "h")

    def attempt() -> Vector:
        return transform(matrix(C), vector(h), [arb(1)] * len(h), arb(float(eps)))

    return certified(attempt, digits)


def enclose_dual(
    f: Potential, g: Potential, C: CostLike, a: Weights, b: Weights, eps: Any, digits: int = 30
) -> arb:
    """a.f + b.g + eps - eps sum_ij a_i b_j exp((f_i + g_j - C_ij) / eps). B-13 with +eps (E1)."""
    p = exact_inputs(C, a, b, eps)

    def attempt() -> arb:
        F, G = vector(f), vector(g)
        mass = sum((ai * bj * ((fi + gj - c) / p.eps).exp()
                    for ai, fi, row in zip(p.a, F, cost_matrix(p.C), strict=True)
                    for bj, gj, c in zip(p.b, G, row, strict=True)), arb(0))
        return dot(p.a, F) + dot(p.b, G) + p.eps - p.eps * mass

    return certified(attempt, digits)


def enclose_semidual(
    g: Potential, C: CostLike, a: Weights, b: Weights, eps: Any, digits: int = 30
) -> arb:
    """a.g^(c,eps) + b.g, where g^(c,eps) is the transform of g (`newton.transform`), with sums over
    those j alone where b_j > 0. B-24/27 (E2), H-23."""
    p = exact_inputs(C, a, b, eps)

    def attempt() -> arb:
        G = vector(g)
        on_support = [[row[j] for j in p.columns] for row in cost_matrix(p.C)]
        f = transform(on_support, [G[j] for j in p.columns], [arb(p.b[j]) for j in p.columns],
                      p.eps)
        return dot(p.a, f) + dot(p.b, G)

    return certified(attempt, digits)


def enclose_semidual_gradient(
    g: Potential, C: CostLike, a: Weights, b: Weights, eps: Any, digits: int = 30
) -> Vector:
    """b - a @ chi, (m,), chi_ij = b_j exp((g_j - C_ij) / eps) over its row sum. H-27 (H1)."""
    p = exact_inputs(C, a, b, eps)

    def attempt() -> Vector:
        density = [[bj * ((gj - c) / p.eps).exp() for bj, gj, c in zip(p.b, vector(g), row,
                                                                     strict=True)]
                   for row in cost_matrix(p.C)]
        chi = [[d / sum(row, arb(0)) for d in row] for row in density]
        return [bj - dot(p.a, column) for bj, column in zip(p.b, columns_of(chi), strict=True)]

    return certified(attempt, digits)


# ------------------------------------------------------------------ MMD and information
def enclose_mmd(
    x: Points, a: Weights, y: Points, b: Weights, cost: str = "sqeuclidean", digits: int = 30
) -> arb:
    """2 a'C_xy b - a'C_xx a - b'C_yy b: MMD^2 with kernel -c, a V-statistic. G-2."""
    terms = [(exact_inputs(point_cost(u, v, cost), p, q, 1.0), sign)
             for u, p, v, q, sign in ((x, a, y, b, 2), (x, a, x, a, -1), (y, b, y, b, -1))]

    def attempt() -> arb:
        return sum((sign * dot(t.a, [dot(t.b, row) for row in cost_matrix(t.C)])
                    for t, sign in terms), arb(0))

    return certified(attempt, digits)


def enclose_q_objective(Q: Any, P: Any, a: Weights, b: Weights, digits: int = 30) -> arb:
    """sum_ij (-Q_ij P_ij + a_i b_j exp Q_ij), for any matrix Q (n, m), and P >= 0 (n, m). B-31."""
    P = as_plan(P, "P")
    p = exact_inputs(as_matrix(Q, "Q", P.shape), a, b, 1.0)

    def attempt() -> arb:
        return sum((ai * bj * q.exp() - q * x
                    for ai, Q_i, P_i in zip(p.a, cost_matrix(p.C), matrix(P), strict=True)
                    for bj, q, x in zip(p.b, Q_i, P_i, strict=True)), arb(0))

    return certified(attempt, digits)


def enclose_q_optimum(P: Any, a: Weights, b: Weights, digits: int = 30) -> arb:
    """min over Q of `enclose_q_objective`: sum P - KL(P | a(x)b), 1 - KL for a joint law P. B-31.

    The minimum is at Q = log(P / (a(x)b)). P (n, m), a (n,), b (m,). Raises InputError if P has
    mass at a pair where a_i b_j = 0: the objective then has no lower bound.
    """
    P = as_plan(P, "P")
    p = exact_inputs(P, a, b, 1.0)
    for i, j in np.argwhere(np.asarray(P) > 0):
        if p.a[i] == 0 or p.b[j] == 0:
            raise InputError("P", f"mass at [{i}, {j}], where a(x)b has none",
                             "P << a(x)b: else B-31 has no minimum")

    def attempt() -> arb:
        return sum((x - x * (x / (ai * bj)).log()
                    for ai, P_i in zip(p.a, matrix(P), strict=True)
                    for bj, x in zip(p.b, P_i, strict=True) if x > 0), arb(0))

    return certified(attempt, digits)


def enclose_mutual_information(P: Any, digits: int = 30) -> arb:
    """sum P log(P / (P1 (x) P'1)) in nats, with 0 log 0 = 0. B-18.

    P1 and P'1 are the marginals of P (n, m), which is used as it is, not divided by its sum."""
    P = as_plan(P, "P")

    def attempt() -> arb:
        joint = matrix(P)
        rows = [sum(row, arb(0)) for row in joint]
        columns = [sum(column, arb(0)) for column in columns_of(joint)]
        return sum((x * (x / (r * q)).log() for r, row in zip(rows, joint, strict=True)
                    for q, x in zip(columns, row, strict=True) if x > 0), arb(0))

    return certified(attempt, digits)


# ------------------------------------------------------------------ scaling form, G-7 and G-8
def _scaling(C: Any, a: Any, b: Any, eps: arb, L: int) -> tuple[Any, list[tuple[Any, Any]]]:
    """K = exp(-C / eps) and (u_l, v_l), l = 1..L: u = a / (K v), v = b / (K'u), started at v = b.
    The entries of C may be balls, or power series of balls."""
    K = [[(-c / eps).exp() for c in row] for row in C]
    v, steps = b, []
    for _ in range(L):
        u = [ai / dot(row, v) for ai, row in zip(a, K, strict=True)]
        v = [bj / dot(column, u) for bj, column in zip(b, columns_of(K), strict=True)]
        steps.append((u, v))
    return K, steps


def _loss(C: Any, a: Any, b: Any, eps: arb, L: int) -> Any:
    """sum_ij u_i K_ij C_ij v_j after L steps."""
    K, steps = _scaling(C, a, b, eps, L)
    u, v = steps[-1]
    return dot(u, [dot([k * c for k, c in zip(K_i, C_i, strict=True)], v)
                    for K_i, C_i in zip(K, C, strict=True)])


def enclose_scaling(
    C: CostLike, a: Weights, b: Weights, eps: Any, L: int, digits: int = 30
) -> tuple[Matrix, Matrix]:
    """The steps u (L, n) and v (L, m) of G-7, started at v = b."""
    p, n = exact_inputs(C, a, b, eps), len(np.atleast_1d(a))
    L = as_count(L, "L")

    def attempt() -> Matrix:
        _, steps = _scaling(cost_matrix(p.C), _arbs(p.a), _arbs(p.b), p.eps, L)
        return [u + v for u, v in steps]

    both = certified(attempt, digits)
    return [row[:n] for row in both], [row[n:] for row in both]


def enclose_scaling_loss(
    C: CostLike, a: Weights, b: Weights, eps: Any, L: int, digits: int = 30
) -> arb:
    """sum_ij u_i K_ij C_ij v_j after L steps from v = b. G-8, Algorithm 2 of G."""
    p, L = exact_inputs(C, a, b, eps), as_count(L, "L")
    return certified(
        lambda: _loss(cost_matrix(p.C), _arbs(p.a), _arbs(p.b), p.eps, L), digits)


def enclose_scaling_loss_gradient(
    C: CostLike, a: Weights, b: Weights, eps: Any, L: int, digits: int = 30
) -> Matrix:
    """The gradient of `enclose_scaling_loss` in C, (n, m). Its entry (i, j) is the coefficient of t
    in the loss at C_ij + t, computed as a power series."""
    p, L = exact_inputs(C, a, b, eps), as_count(L, "L")
    n, m = p.C.shape

    def slope(i: int, j: int) -> arb:
        moved = cost_matrix(p.C)
        moved[i][j] = arb_series([moved[i][j], arb(1)], prec=2)
        return _loss(moved, _arbs(p.a), _arbs(p.b), p.eps, L)[1]

    return certified(lambda: [[slope(i, j) for j in range(m)] for i in range(n)], digits)


def _arbs(weights: list[fmpq]) -> Vector:
    return [arb(w) for w in weights]
