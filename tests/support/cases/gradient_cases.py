"""Generated problems and forward formulas for the tests of gradients, and the complex step.

The complex step: the imaginary part of f(x + ih) / h is f'(x), without cancellation. In extended
precision, where the machine has it, it is exact to a rounding of float64. In the tests "quoted" is
the error published with a formula, and "seen" the largest error in 1,000 problems or more like
those drawn here. Both are relative to the largest entry or, where terms can cancel, to the size of
the terms (`term`).
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import numpy as np
from hypothesis import strategies as st
from point_costs.tables import EVERYWHERE

from refot import point_cost

COSTS = EVERYWHERE
STEP = 1e-30


# ------------------------------------------------------------------ problems
@dataclass(frozen=True)
class Case:
    """Two weighted point clouds in general position, eps between .2 and 1 of max C."""

    x: np.ndarray
    a: np.ndarray
    y: np.ndarray
    b: np.ndarray
    cost: str
    eps: float
    rng: np.random.Generator

    @property
    def C(self):
        return point_cost(self.x, self.y, self.cost)

    @property
    def term(self):
        """The size of what is summed in a gradient in points."""
        return max(term(self.C, self.a), term(self.C, self.b))


@st.composite
def cases(draw, least=1, most=6):
    size = st.integers(least, most)
    n, m, d = draw(size), draw(size), draw(st.integers(1, 3))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    x, y = rng.normal(size=(n, d)), rng.normal(size=(m, d)) + 0.5
    a, b = rng.dirichlet(np.full(n, 2.0)), rng.dirichlet(np.full(m, 2.0))
    cost = draw(st.sampled_from(COSTS))
    eps = rng.uniform(0.2, 1.0) * point_cost(x, y, cost).dense().max()
    return Case(x, a, y, b, cost, eps, rng)


def term(C, a):
    """The largest weight times the largest |d1 c|."""
    return a.max() * abs(C.gradient_rows(slice(None))).max()


def error(found, expected, scale=None):
    """The largest difference, relative to `scale`: if not given, the largest entry expected."""
    return abs(found - expected).max() / (abs(expected).max() if scale is None else scale)


# ------------------------------------------------------------------ forward formulas, complex
def gradient(function, at):
    """The gradient of `function` at `at`, of its shape; the function maps a stack to values."""
    directions = np.eye(at.size, dtype=np.clongdouble).reshape(-1, *at.shape)
    return (function(at + 1j * STEP * directions).imag / STEP).reshape(at.shape).astype(float)


def weights_gradient(function, a):
    """The derivatives along e_i - 1/n, which keep the sum of the weights: the centred gradient."""
    directions = np.eye(len(a), dtype=np.clongdouble) - 1 / len(a)
    return (function(a + 1j * STEP * directions).imag / STEP).astype(float)


def cost_matrix(x, y, cost):
    v = x[..., :, None, :] - y[..., None, :, :]
    if cost == "l1":
        return (v * np.sign(v.real)).sum(axis=-1)
    squared = (v * v).sum(axis=-1)
    return np.sqrt(squared) if cost == "euclidean" else squared


def transform(g, C, b, eps):
    return -eps * np.log((b[..., None, :] * np.exp((g[..., None, :] - C) / eps)).sum(axis=-1))


def plan_of(f, g, C, a, b, eps):
    weights = a[..., :, None] * b[..., None, :]
    return weights * np.exp((f[..., :, None] + g[..., None, :] - C) / eps)


def solved(C, a, b, eps):
    """(F, s) after 300 steps: converged to rounding, derivatives included, for these eps."""
    f, g = 0, np.zeros(C.shape[-1])
    for _ in range(300):
        f = transform(g, C, b, eps)
        g = transform(f, np.swapaxes(C, -1, -2), a, eps)
    f = transform(g, C, b, eps)
    return dot(a, f) + dot(b, g), (plan_of(f, g, C, a, b, eps) * C).sum(axis=(-1, -2))


def self_solved(C, a, eps):
    """(F, s) of a measure with itself, after 60 averaged steps (each halves the error)."""
    f = np.zeros(C.shape[-1])
    for _ in range(60):
        f = (f + transform(f, C, a, eps)) / 2
    return 2 * dot(a, f), (plan_of(f, f, C, a, a, eps) * C).sum(axis=(-1, -2))


def scaling_loss(C, a, b, eps, L):
    """G-8 by G-7, from v = b."""
    K, v = np.exp(-C / eps), b
    for _ in range(L):
        u = a / (K * v[..., None, :]).sum(axis=-1)
        v = b / (K * u[..., :, None]).sum(axis=-2)
    return (u[..., :, None] * K * C * v[..., None, :]).sum(axis=(-1, -2))


def dot(p, q):
    return (p * q).sum(axis=-1)


def extrapolated(function, h=1e-2):
    """The derivative at 0 by central differences, h to h/32, powers 1 to 5 of h eliminated."""
    table = [(function(t) - function(-t)) / (2 * t) for t in h / 2.0 ** np.arange(6)]
    for order in range(1, 6):
        table = [(2**order * fine - coarse) / (2**order - 1)
                 for coarse, fine in itertools.pairwise(table)]
    return table[0]
