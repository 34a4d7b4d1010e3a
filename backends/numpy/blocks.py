"""Operations that pass through a matrix (n, m), by blocks of rows, which several backends share.

They are written in array operations. `entries_by_blocks` and `gibbs_by_blocks` take arrays of NumPy
or of CuPy, the other two arrays of NumPy alone.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np

from refot.arrays import Array, namespace
from refot.backend_contract import Entries
from refot.costs.operands import Cost, PointCost, row_blocks

BLOCK = 1 << 16
"""Entries of a block of rows on the processor: few enough to stay in its cache."""

DEVICE_BLOCK = 1 << 24
"""Entries of a block of rows on a GPU: enough to keep it busy."""


def blocks(shape: tuple[int, int], entries: int = BLOCK) -> Iterator[slice]:
    """Slices of rows of a matrix of this shape, each with at most about this number of entries."""
    n, m = shape
    step = max(1, entries // m)
    yield from (slice(start, min(start + step, n)) for start in range(0, n, step))


def entries_by_blocks(C: Cost, F: Array, G: Array, eps: float, least: float,
                      most: int) -> Entries | None:
    """`plan_entries` of `refot.backend_contract.Backend`."""
    xp, m, cut, total = namespace(F), C.shape[1], eps * math.log(least), 0
    found = []
    for rows in blocks(C.shape):
        exponents = (G - C.rows(rows) + F[rows, None]).ravel()
        kept = xp.flatnonzero(exponents > cut)
        total += kept.size
        if total > most:
            return None
        i = kept // m
        found.append((xp.exp(exponents[kept] / eps), (kept - i * m).astype("int32"),
                      xp.bincount(i, minlength=rows.stop - rows.start)))
    values, columns, counts = (xp.concatenate(part) for part in zip(*found, strict=True))
    return values, columns, xp.concatenate([counts[:1] * 0, counts.cumsum()])


def gibbs_by_blocks(C: Cost, f: Array, g: Array, eps: float, least: float, K: Array) -> None:
    """`gibbs` of `refot.backend_contract.Backend`."""
    xp = namespace(f)
    for rows in blocks(C.shape, BLOCK if xp is np else DEVICE_BLOCK):
        t = g - C.rows(rows)
        t += f[rows, None]
        t *= 1 / eps
        xp.maximum(t, math.log(least), out=t)
        with np.errstate(over="ignore"):
            K[rows] = xp.exp(t, out=t)


def plan_rows(C: Cost, F: Array, G: Array, eps: float, rows: slice) -> Array:
    """P_ij = exp((F_i + G_j - C_ij) / eps) for some rows, (len(rows), m)."""
    with np.errstate(over="ignore"):  # potentials far too large: the plan is infinite there
        return np.exp((F[rows, None] + G - C.rows(rows)) / eps)


def plan_cost_gradient_by_blocks(C: PointCost, F: Array, G: Array, eps: float) -> Array:
    """`plan_cost_gradient` of `refot.backend_contract.Backend`."""
    return np.concatenate([
        np.einsum("ij,ijd->id", plan_rows(C, F, G, eps, rows), C.gradient_rows(rows))
        for rows in row_blocks(C, depth=C.x.shape[1])])
