"""Pairs (i, j) of a plan that is never formed: random draws, and the heaviest pair of each row."""

from __future__ import annotations

from typing import Any

import numpy as np

from refot.arrays import Array, TypeInputError, as_count, namespace
from refot.costs.forbidden import on_host
from refot.costs.operands import row_blocks
from refot.problem import Problem


def sample(p: Problem, f: Array, g: Array, k: int, rng: Any) -> tuple[Array, Array]:
    """k independent pairs (i, j) with the law P, as two arrays (k,) on the host: i is drawn by the
    sums of the rows, then j by row i."""
    generator = _generator(rng)
    rows = on_host(p.row_sums(f, g)).astype(np.float64)
    i = np.sort(generator.choice(len(rows), size=as_count(k, "k"), p=rows / rows.sum()))
    j, levels = np.empty(len(i), np.int64), generator.random(len(i))
    drawn, first = np.unique(i, return_index=True)
    ends = np.append(first[1:], len(i))
    xp = namespace(f)
    chosen, every = xp.zeros(len(rows), bool), xp.ones(p.C.shape[1], bool)
    chosen[xp.asarray(drawn)] = True
    C, f, G = p.C.among(chosen, every), f[chosen], p.G(g)
    for block in row_blocks(C):
        conditional = on_host(_normalised(C.rows(block), f[block], G, p.eps)).astype(np.float64)
        for row, cumulated in enumerate(np.cumsum(conditional, axis=1), start=block.start):
            some = slice(first[row], ends[row])
            j[some] = np.searchsorted(cumulated, levels[some] * cumulated[-1], side="right")
    order = generator.permutation(len(i))
    return i[order], np.minimum(j[order], p.C.shape[1] - 1)


def heaviest(p: Problem, g: Array) -> Array:
    """argmax_j P_ij = argmax_j g_j + eps log b_j - C_ij, (n,)."""
    G = p.G(g)
    return np.concatenate([on_host((G - p.C.rows(block)).argmax(axis=1))
                           for block in row_blocks(p.C)])


def _normalised(C: Array, f: Array, G: Array, eps: float) -> Array:
    """exp((f_i + G_j - C_ij) / eps) = P_ij / a_i, with G_j = g_j + eps log b_j. Where row i of P
    sums to a_i, this is the law of j given i; elsewhere it is proportional to it."""
    return namespace(f).exp((f[:, None] + G - C) / eps)


def _generator(rng: Any) -> np.random.Generator:
    """`rng` itself where it is a generator, else a new one with that seed."""
    if isinstance(rng, np.random.Generator):
        return rng
    if isinstance(rng, bool) or not isinstance(rng, int | np.integer) or rng < 0:
        raise TypeInputError("rng", repr(rng), "a numpy.random.Generator, or a whole number >= 0")
    return np.random.default_rng(rng)
