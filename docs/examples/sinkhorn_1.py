"""Sinkhorn's algorithm, first try. It has a bug."""

import numpy as np


def sinkhorn(C, a, b, eps):
    K, v = np.exp(-C / eps), np.ones(len(b))
    for _ in range(1000):
        u = 1 / len(a) / (K @ v)
        v = b / (K.T @ u)
    return u[:, None] * K * v
