"""Newton's method on the semi-dual, at eps halved from the range of the cost down."""

import numpy as np


def transform(g, C, b, eps):
    """-eps log sum_j b_j exp((g_j - C_ij) / eps), shifted so that nothing overflows."""
    t = (g - C) / eps
    shift = t.max(axis=1)
    return -eps * (shift + np.log(np.exp(t - shift[:, None]) @ b))


def newton(g, C, a, b, eps, tol):
    """(f, g, P) at which the columns of P miss b by at most tol; its rows always sum to a."""
    for _ in range(200):
        f = transform(g, C, b, eps)
        P = np.outer(a, b) * np.exp((f[:, None] + g - C) / eps)
        missing = b - P.sum(axis=0)
        if abs(missing).sum() <= tol:
            return f, g, P
        hessian = np.diag(P.sum(axis=0)) - P.T @ (P / np.where(a > 0, a, 1)[:, None])
        step = np.linalg.lstsq(hessian, missing, rcond=1e-13)[0]
        length = abs(step).max()
        g = g + eps * step * np.log1p(length) / length
    raise ArithmeticError(f"column error {abs(missing).sum():.2g} > {tol} after 200 steps")


def solve(C, a, b, eps, tol=1e-8):
    C, a, b = (np.asarray(array, dtype=float) for array in (C, a, b))
    if C.shape != (len(a), len(b)) or not C.size or not (np.isfinite(C).all() and 0 < eps < np.inf):
        raise ValueError("due: finite costs (n, m) for weights (n,) and (m,), and eps > 0")
    if min(a.min(), b.min()) < 0 or abs(a.sum() - 1) + abs(b.sum() - 1) > 1e-5:
        raise ValueError("due: weights >= 0 with sum 1")
    a, b = a / a.sum(), b / b.sum()
    g, stage = np.zeros(len(b)), max(np.ptp(C), eps)
    while stage > eps:
        _, g, _ = newton(g, C, a, b, stage, 1e-3)
        stage /= 2
    return newton(g, C, a, b, eps, tol)


def sinkhorn(C, a, b, eps):
    return solve(C, a, b, eps)[2]
