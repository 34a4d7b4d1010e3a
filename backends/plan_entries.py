"""The entries of a plan that count, by blocks of rows in array operations: for any namespace."""

from __future__ import annotations

import math

from refot.arrays import Array, namespace
from refot.backend_contract import Entries
from refot.costs import Cost

BLOCK = 1 << 16
"""Costs that are looked at together: they stay in the cache."""


def entries_by_blocks(C: Cost, F: Array, G: Array, eps: float, least: float,
                      most: int) -> Entries | None:
    """`plan_entries` of the contract."""
    (n, m), xp, cut = C.shape, namespace(F), eps * math.log(least)
    step, total = max(1, BLOCK // m), 0
    found = []
    for start in range(0, n, step):
        rows = slice(start, min(start + step, n))
        exponents = (G - C.rows(rows) + F[rows, None]).ravel()
        kept = xp.flatnonzero(exponents > cut)
        total += kept.size
        if total > most:
            return None
        i = kept // m
        found.append((xp.exp(exponents[kept] / eps), (kept - i * m).astype("int32"),
                      xp.bincount(i, minlength=rows.stop - start)))
    values, columns, counts = (xp.concatenate(part) for part in zip(*found, strict=True))
    return values, columns, xp.concatenate([counts[:1] * 0, counts.cumsum()])
