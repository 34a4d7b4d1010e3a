"""Batches of samples against a finite support, and one law on the line, for the tests of H."""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import numpy as np
from hypothesis import strategies as st

from refot import point_cost

STEP = 1e-30


@dataclass(frozen=True)
class Batch:
    """Samples x of mu_theta, the support y of nu with weights b, psi, and lam >= 0."""

    x: np.ndarray
    y: np.ndarray
    b: np.ndarray
    psi: np.ndarray
    lam: float
    rng: np.random.Generator

    @property
    def C(self):
        return point_cost(self.x, self.y)

    @property
    def arguments(self):
        return self.psi, self.C, self.b, self.lam


@st.composite
def batches(draw, regularised=None):
    """Batches with lam = 0 and with lam > 0; only those with lam > 0 if `regularised` is true, and
    only the others if it is false."""
    n, m, d = draw(st.integers(1, 8)), draw(st.integers(2, 6)), draw(st.integers(1, 3))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    x, y = rng.normal(size=(n, d)), rng.normal(size=(m, d))
    positive = draw(st.booleans()) if regularised is None else regularised
    lam = rng.uniform(0.2, 1.0) * point_cost(x, y).dense().max() if positive else 0.0
    psi = rng.normal(size=m) * (lam if lam > 0 else 1.0)
    return Batch(x, y, rng.dirichlet(np.full(m, 2.0)), psi, lam, rng)


def draws(y, size):
    """A function of `rng`: the costs between new draws of the uniform law on [0, 1] and y (m, 1).
    """
    return lambda rng: point_cost(rng.uniform(size=(size, 1)), y)


Y = np.array([[-0.5], [0.1], [0.4], [1.3]])
B = np.array([0.1, 0.3, 0.4, 0.2])
GRID = ((np.arange(1000) + 0.5) / 1000)[:, None]
"""Midpoints of 1,000 cells of [0, 1]: the mean over them is an integral, to about 1e-7."""


def nth(steps, k):
    """The averaged potential psi_k, k = 1, 2, ..., of an iterator of steps."""
    return next(itertools.islice(steps, k - 1, None))[1]
