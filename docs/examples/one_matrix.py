"""A backend that forms every matrix as a whole: short, and wasteful of memory."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy.sparse import csr_matrix
from scipy.special import logsumexp

from refot.arrays import Array
from refot.backend_contract import Entries
from refot.backends.numpy.backend import NumpyArrays
from refot.costs.operands import Cost, PointCost


class OneMatrix(NumpyArrays):
    """Its arrays are NumPy's: `NumpyArrays` says so to refot."""

    name = "one-matrix"

    def softmin(self, C: Cost, h: Array, eps: float, shift: Array | None = None) -> Array:
        return -eps * logsumexp((h - C.dense()) / eps, axis=1)

    def plan_apply(self, C: Cost, F: Array, G: Array, eps: float, V: Array) -> Array:
        return plan(C, F, G, eps) @ V

    def marginals(self, C: Cost, F: Array, G: Array, eps: float) -> tuple[Array, Array]:
        P = plan(C, F, G, eps)
        return P.sum(axis=1), P.sum(axis=0)

    def plan_cost(self, C: Cost, F: Array, G: Array, eps: float) -> float:
        P = plan(C, F, G, eps)
        return float((P * np.where(P > 0, C.dense(), 0)).sum())  # a forbidden pair costs inf

    def plan_cost_gradient(self, C: PointCost, F: Array, G: Array, eps: float) -> Array:
        return np.einsum("ij,ijd->id", plan(C, F, G, eps), C.gradient_rows(slice(None)))

    def plan_entries(self, C: Cost, F: Array, G: Array, eps: float, least: float,
                     most: int) -> Entries | None:
        P = plan(C, F, G, eps)
        rows, columns = (least < P).nonzero()
        starts = np.searchsorted(rows, np.arange(len(P) + 1))
        return None if len(rows) > most else (P[rows, columns], columns, starts)

    def gibbs(self, C: Cost, f: Array, g: Array, eps: float, least: float, K: Array) -> None:
        K[...] = np.maximum(plan(C, f, g, eps), least)

    def sweep(self, K: Any, v: Array, s: Array, w: float) -> tuple[Array, Array]:
        K = csr_matrix(K, (len(s), len(v))) if isinstance(K, tuple) else K.astype(np.float64)
        r = K @ v.astype(np.float64)
        return r, (s / r**w) @ K


def plan(C: Cost, F: Array, G: Array, eps: float) -> Array:
    """P_ij = exp((F_i + G_j - C_ij) / eps), (n, m); inf where that overflows."""
    with np.errstate(over="ignore"):
        return np.exp((F[:, None] + G - C.dense()) / eps)
