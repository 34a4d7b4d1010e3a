"""The readable backend: each operation as its formula in NumPy, one block of rows at a time.

`refot.backend_contract.Backend` describes the operations and their letters; P is the plan. No
matrix (n, m) is formed here, except the K that `gibbs` fills.
"""

from __future__ import annotations

from types import ModuleType
from typing import Any

import numpy as np

from refot.arrays import Array
from refot.backend_contract import Entries
from refot.costs.operands import Cost, PointCost, row_blocks

from .blocks import (
    blocks,
    entries_by_blocks,
    gibbs_by_blocks,
    plan_cost_gradient_by_blocks,
    plan_rows,
)


class NumpyArrays:
    """The part of the contract that concerns arrays, for a backend whose arrays are NumPy's."""

    @property
    def xp(self) -> ModuleType:
        return np

    def asarray(self, values: Any) -> Array:
        return np.asarray(values)

    def to_numpy(self, array: Array) -> Array:
        return np.asarray(array)

    def synchronize(self) -> None:
        """Nothing to wait for: an operation has finished when it returns."""


class NumpyBackend(NumpyArrays):
    """NumPy, on one thread except in matrix products. Tests compare every other backend to it."""

    name = "numpy"
    recomputes = True
    """Each operation computes the costs between points anew, so that it saves time to keep them."""

    def softmin(self, C: Cost, h: Array, eps: float, shift: Array | None = None) -> Array:
        """-eps log sum_j exp((h_j - C_ij) / eps), (n,). The largest exponent of each row is taken
        out of the sum, so that nothing overflows; `shift`, a guess of the result, is not used."""
        out = np.empty(C.shape[0], dtype=C.dtype)
        for rows in row_blocks(C):
            t = h - C.rows(rows)
            top = t.max(axis=1)
            out[rows] = -(top + eps * np.log(np.exp((t - top[:, None]) / eps).sum(axis=1)))
        return out

    def plan_apply(self, C: Cost, F: Array, G: Array, eps: float, V: Array) -> Array:
        """P @ V with P_ij = exp((F_i + G_j - C_ij) / eps), (n, k) for V (m, k)."""
        return np.concatenate([plan_rows(C, F, G, eps, rows) @ V for rows in row_blocks(C)])

    def marginals(self, C: Cost, F: Array, G: Array, eps: float) -> tuple[Array, Array]:
        """(P 1 (n,), P'1 (m,))."""
        rows, columns = np.empty_like(F), np.zeros_like(G)
        for block in row_blocks(C):
            P = plan_rows(C, F, G, eps, block)
            rows[block] = P.sum(axis=1)
            columns += P.sum(axis=0)
        return rows, columns

    def plan_cost(self, C: Cost, F: Array, G: Array, eps: float) -> float:
        """<P, C>. A pair with P_ij = 0 adds 0, also where it is forbidden (C_ij = inf)."""
        return sum(float((P * np.where(P > 0, C.rows(rows), 0)).sum())
                   for rows in row_blocks(C) for P in [plan_rows(C, F, G, eps, rows)])

    def plan_cost_gradient(self, C: PointCost, F: Array, G: Array, eps: float) -> Array:
        """sum_j P_ij d1 c(x_i, y_j), (n, d); d1 c is the derivative of c(x, y) in x."""
        return plan_cost_gradient_by_blocks(C, F, G, eps)

    def plan_entries(self, C: Cost, F: Array, G: Array, eps: float, least: float,
                     most: int) -> Entries | None:
        """The entries P_ij > least as (values, columns, row starts); None if more than `most`."""
        return entries_by_blocks(C, F, G, eps, least, most)

    def gibbs(self, C: Cost, f: Array, g: Array, eps: float, least: float, K: Array) -> None:
        """K_ij = max(exp((f_i + g_j - C_ij) / eps), least), into K (n, m)."""
        gibbs_by_blocks(C, f, g, eps, least, K)

    def sweep(self, K: Array | Entries, v: Array, s: Array, w: float) -> tuple[Array, Array]:
        """(K v, K'u) with u = s / (K v)^w, in float64. Both products are formed for one block of
        rows before the next one, while the block is in the cache."""
        v, s = v.astype(np.float64, copy=False), s.astype(np.float64, copy=False)
        if isinstance(K, tuple):
            from scipy.sparse import csr_matrix  # 0.1 s to import: only where it is used

            sparse = csr_matrix(K, (len(s), len(v)))
            r = sparse @ v
            return r, (s * r**-w) @ sparse
        r, c = np.empty_like(s), np.zeros_like(v)
        for rows in blocks(K.shape):
            block = K[rows].astype(v.dtype, copy=False)
            r[rows] = block @ v
            c += (s[rows] * r[rows] ** -w) @ block
        return r, c
