"""The Gibbs form of a plan, seen through double differences, which are blind to the potentials.

-eps log(P_ij / (a_i b_j)) = C_ij - f_i - g_j for every plan diag(u) K diag(v), converged or not. So
the double differences of both sides around one entry agree, whatever f and g are.
"""

from __future__ import annotations

import numpy as np

from refot.arrays import Array

FLOOR = 1e-200
"""Densities below this are left out: they may have lost digits to underflow."""


def double_differences(P: Array, C: Array, a: Array, b: Array, eps: float) -> tuple[Array, Array]:
    """(of -eps log(P / (a(x)b)), of C), around the entry that makes most quadruples complete."""
    rows, columns = a > 0, b > 0
    density = P[np.ix_(rows, columns)] / np.outer(a[rows], b[columns])
    C = C[np.ix_(rows, columns)]
    kept = density > FLOOR
    K = kept.astype(np.float64)
    i, j = map(int, np.unravel_index((K * (K @ K.T @ K)).argmax(), K.shape))
    energy = -eps * np.log(np.where(kept, density, 1))
    complete = kept & kept[i] & kept[:, [j]]
    complete[i], complete[:, j] = False, False  # there the differences are 0 whatever P is
    return _around(energy, i, j)[complete], _around(C, i, j)[complete]


def _around(M: Array, i: int, j: int) -> Array:
    """M_kl - M_il - M_kj + M_ij."""
    differences: Array = M - M[i] - M[:, [j]] + M[i, j]
    return differences


def slope(of_log: Array, of_cost: Array) -> tuple[float, float]:
    """(t, the largest misfit) of the fit of_log ~ t of_cost; (nan, inf) where there is none."""
    weight = float(of_cost @ of_cost)
    if weight == 0:
        return float("nan"), float("inf")
    t = float(of_log @ of_cost) / weight
    return t, float(abs(of_log - t * of_cost).max())
