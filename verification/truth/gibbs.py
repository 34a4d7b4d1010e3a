"""The Gibbs form of a plan, seen through double differences, which are blind to the potentials.

-eps log(P_ij / (a_i b_j)) = C_ij - f_i - g_j for every plan diag(u) K diag(v), converged or not. So
the double differences of both sides around one entry agree, whatever f and g are. An entry that is
off by `noise` (a plan rounded to its marginals, or one of an interior-point solver) moves its
logarithm by noise / P_ij: only entries well above the noise say anything.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from refot.arrays import Array

FLOOR = 1e-200
"""Densities below this are left out: they may have lost digits to underflow."""

ABOVE_NOISE = 10
"""Entries of less than so many times the noise are left out."""


@dataclass(frozen=True)
class DoubleDifferences:
    """Of -eps log(P / (a(x)b)), of C, and what the noise may have done to the first: (k,) each."""

    energy: Array
    cost: Array
    noise: Array


def double_differences(
    P: Array, C: Array, a: Array, b: Array, eps: float, noise: float
) -> DoubleDifferences:
    """Around the entry that makes most quadruples complete; `noise` in units of mass."""
    rows, columns = a > 0, b > 0
    P, C, mass = P[np.ix_(rows, columns)], C[np.ix_(rows, columns)], np.outer(a[rows], b[columns])
    kept = (ABOVE_NOISE * noise < P) & (FLOOR * mass < P)
    K = kept.astype(np.float64)
    i, j = map(int, np.unravel_index((K * (K @ K.T @ K)).argmax(), K.shape))
    energy = -eps * np.log(np.where(kept, P / mass, 1))
    moved = eps * noise / np.where(kept, P - noise, 1)  # |log(1 +- x)| <= x / (1 - x)
    complete = kept & kept[i] & kept[:, [j]]
    complete[i], complete[:, j] = False, False  # there the differences are 0 whatever P is
    around = moved + moved[i] + moved[:, [j]] + moved[i, j]
    return DoubleDifferences(
        _around(energy, i, j)[complete], _around(C, i, j)[complete], around[complete])


def _around(M: Array, i: int, j: int) -> Array:
    """M_kl - M_il - M_kj + M_ij."""
    differences: Array = M - M[i] - M[:, [j]] + M[i, j]
    return differences


def slope(found: DoubleDifferences) -> tuple[float, float]:
    """(t, the largest misfit) of the fit energy ~ t cost; (nan, inf) where there is none."""
    weight = float(found.cost @ found.cost)
    if weight == 0:
        return float("nan"), float("inf")
    t = float(found.energy @ found.cost) / weight
    return t, float(abs(found.energy - t * found.cost).max())
