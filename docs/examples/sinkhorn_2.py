"""Sinkhorn's algorithm with the weights of both sides."""

import numpy as np


def sinkhorn(C, a, b, eps):
    K, v = np.exp(-C / eps), np.ones(len(b))
    for _ in range(1000):
        u = a / (K @ v)
        v = b / (K.T @ u)
    return u[:, None] * K * v
