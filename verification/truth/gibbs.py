"""Whether a plan has the Gibbs form diag(u) K diag(v) of this cost and eps, whatever u and v are.

K = exp(-C / eps). Every such plan, converged or not, has -eps log(P_ij / (a_i b_j)) = C_ij - f_i -
g_j. The potentials cancel in double differences M_kl - M_il - M_kj + M_ij of a matrix M, so that
those of the left side equal those of C. If an entry is off by `noise` (in a plan rounded to its
marginals, or from an interior-point solver), its logarithm is off by noise / P_ij. So only entries
well above the noise are used."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from refot.arrays import Array

FLOOR = 1e-200
"""Entries with a density P / (a(x)b) below this are left out, because they may have lost digits to
underflow."""

ABOVE_NOISE = 10
"""Entries below this multiple of the noise are left out."""


@dataclass(frozen=True)
class DoubleDifferences:
    """k double differences, (k,) each, in cost units. energy: of -eps log(P / (a(x)b)). cost: of C.
    noise: how far the noise may have moved `energy`."""

    energy: Array
    cost: Array
    noise: Array


def double_differences(
    P: Array, C: Array, a: Array, b: Array, eps: float, noise: float
) -> DoubleDifferences:
    """Double differences around one entry (i, j): the one with the most quadruples (k, l) whose
    four entries are all kept. `noise` in units of mass."""
    rows, columns = a > 0, b > 0
    P, C, mass = P[np.ix_(rows, columns)], C[np.ix_(rows, columns)], np.outer(a[rows], b[columns])
    kept = (ABOVE_NOISE * noise < P) & (FLOOR * mass < P)
    K = kept.astype(np.float64)
    i, j = map(int, np.unravel_index((K * (K @ K.T @ K)).argmax(), K.shape))
    energy = -eps * np.log(np.where(kept, P / mass, 1))
    # For an entry that is off by at most noise = x P: |log(1 +- x)| <= x / (1 - x).
    moved = eps * noise / np.where(kept, P - noise, 1)
    complete = kept & kept[i] & kept[:, [j]]
    # The double differences of row i and of column j are 0 whatever P is.
    complete[i], complete[:, j] = False, False
    around = moved + moved[i] + moved[:, [j]] + moved[i, j]
    return DoubleDifferences(
        _around(energy, i, j)[complete], _around(C, i, j)[complete], around[complete])


def _around(M: Array, i: int, j: int) -> Array:
    """M_kl - M_il - M_kj + M_ij for all k and l: the double differences of M around (i, j)."""
    differences: Array = M - M[i] - M[:, [j]] + M[i, j]
    return differences


def slope(found: DoubleDifferences) -> tuple[float, float]:
    """(t, the largest misfit in cost units) of the fit energy = t cost by least squares; (nan, inf)
    if all of `cost` is 0."""
    weight = float(found.cost @ found.cost)
    if weight == 0:
        return float("nan"), float("inf")
    t = float(found.energy @ found.cost) / weight
    return t, float(abs(found.energy - t * found.cost).max())
