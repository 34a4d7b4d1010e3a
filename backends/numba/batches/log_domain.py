"""The transforms B-25 of a small problem in the log domain, where no eps makes them overflow.

The costs of many problems lie one after the other in the flat array C; those of this problem, row
by row, begin at C[at]. k = log2(e) / eps, and exp(t / eps) is computed as 2^(k t). h, top and total
are work arrays of the caller. B-25 is an equation of B = Bréchet et al. 2019.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from refot.backends.numba.compile import elementwise, full_width, larger, reduction
from refot.backends.numba.exponential import exp2_scaled


@elementwise
def _folded(g: Any, b: Any, k: Any, h: Any) -> None:
    """h = g + eps log b, the potential with its weights b; -inf where b is 0."""
    for j in range(g.size):
        h[j] = g[j] + math.log2(b[j]) / k if b[j] > 0 else -np.inf


@reduction
def _softmin_row(C: Any, at: Any, h: Any, k: Any) -> Any:
    """-eps log sum_j exp((h_j - C_j) / eps), where C_j are the costs of the row from C[at] on."""
    full_width()
    top = -np.inf
    for j in range(np.uintp(h.size)):
        top = larger(top, h[j] - C[at + j])
    total = 0.0
    for j in range(np.uintp(h.size)):
        total += exp2_scaled(h[j] - C[at + j] - top, k)
    return -(top + math.log2(total) / k)


@elementwise
def _raise_tops(C: Any, at: Any, h: Any, top: Any) -> None:
    """top_j = max(top_j, h - C_j) for every column j. The costs C_j of one row begin at C[at]; h is
    that row's f + eps log a."""
    full_width()
    for j in range(np.uintp(top.size)):
        top[j] = larger(top[j], h - C[at + j])


@elementwise
def _add_exponentials(C: Any, at: Any, h: Any, k: Any, top: Any, total: Any) -> None:
    """total_j += 2^((h - C_j - top_j) k) for every column j. The costs C_j of one row begin at
    C[at]; h is that row's f + eps log a."""
    full_width()
    for j in range(np.uintp(top.size)):
        total[j] += exp2_scaled(h - C[at + j] - top[j], k)


@elementwise
def transform_rows(C: Any, at: Any, b: Any, k: Any, f: Any, g: Any, h: Any) -> None:
    """f_i = -eps log sum_j b_j exp((g_j - C_ij) / eps), which B writes g^(c,eps): B-25."""
    h = h[:g.size]
    _folded(g, b, k, h)
    for i in range(np.uintp(f.size)):
        f[i] = _softmin_row(C, at + i * np.uintp(g.size), h, k)


@elementwise
def transform_columns(C: Any, at: Any, a: Any, k: Any, f: Any, g: Any, h: Any, top: Any,
                       total: Any) -> None:
    """g_j = -eps log sum_i a_i exp((f_i - C_ij) / eps): B-25 for the columns. A first pass over the
    rows finds the largest exponent of each column, a second one sums the exponentials."""
    _folded(f, a, k, h)
    top[:], total[:] = -np.inf, 0.0
    for i in range(np.uintp(f.size)):
        if a[i] > 0:
            _raise_tops(C, at + i * np.uintp(g.size), h[i], top)
    for i in range(np.uintp(f.size)):
        if a[i] > 0:
            _add_exponentials(C, at + i * np.uintp(g.size), h[i], k, top, total)
    for j in range(g.size):
        g[j] = -(top[j] + math.log2(total[j]) / k)
