"""Sinkhorn's algorithm in the log domain."""

import numpy as np


def transform(g, C, b, eps):
    """-eps log sum_j b_j exp((g_j - C_ij) / eps), shifted so that nothing overflows."""
    t = (g - C) / eps
    shift = t.max(axis=1)
    return -eps * (shift + np.log(np.exp(t - shift[:, None]) @ b))


def sinkhorn(C, a, b, eps):
    g = np.zeros(len(b))
    for _ in range(1000):
        f = transform(g, C, b, eps)
        g = transform(f, C.T, a, eps)
    return np.outer(a, b) * np.exp((f[:, None] + g - C) / eps)
