"""The Sinkhorn divergence between histograms, as a metric and as a kernel of scikit-learn.

B = Bréchet et al. 2019.
"""

from __future__ import annotations

import math
from typing import Any, Self

import numpy as np
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.utils.validation import check_array, check_is_fitted, validate_data

from refot.arrays import Array
from refot.batches.solve import solve_batch
from refot.costs.operands import as_cost

TOGETHER = 1 << 22
"""Pairs of histograms are solved together while their matrices (k, k) have at most this number of
entries in all: 32 MB in float64."""


class SinkhornDistance(TransformerMixin, BaseEstimator):  # type: ignore[misc]
    """The distance sqrt(S), with S the Sinkhorn divergence B-9, between histograms over the same k
    bins, between which the costs are C (k, k).

    Parameters: `C`, symmetric and 0 on its diagonal; `eps` in the units of C; `tol`, the tolerance
    of the solves. A histogram is a row (k,) of counts or weights >= 0, which is divided by its sum.

    `transform` gives the distances to the histograms of the fit, as neighbours with
    metric="precomputed" need them; `__call__` is a metric of two histograms; `kernel` is
    exp(-gamma S).

        model = make_pipeline(SinkhornDistance(C, 0.1), KNeighborsClassifier(metric="precomputed"))
    """

    def __init__(self, C: Any = None, eps: float = 0.1, *, tol: float | None = None) -> None:
        self.C = C
        self.eps = eps
        self.tol = tol

    def fit(self, X: Any, y: Any = None) -> Self:
        """Keep the histograms X (n, k), and solve each against itself (F_xx)."""
        X = validate_data(self, X, dtype=np.float64)
        self.histograms_ = _as_histograms(X, self._bins())
        self.self_values_ = self._self_values(self.histograms_)
        return self

    def transform(self, X: Any) -> Array:
        """Distances (l, n) of the histograms X (l, k) to those of the fit."""
        return np.sqrt(self.divergences(X))

    def kernel(self, X: Any, gamma: float = 1.0) -> Array:
        """exp(-gamma S) of the histograms X (l, k) and those of the fit, (l, n)."""
        return np.exp(-gamma * self.divergences(X))

    def divergences(self, X: Any) -> Array:
        """S (l, n), in cost units, of the histograms X (l, k) and those of the fit."""
        check_is_fitted(self)
        X = _as_histograms(validate_data(self, X, dtype=np.float64, reset=False), self._bins())
        return self._between(X, self._self_values(X), self.histograms_, self.self_values_)

    def __call__(self, u: Any, v: Any) -> float:
        """The distance of two histograms (k,): a metric for scikit-learn. Much slower than
        `transform`, which solves in batches."""
        k = self._bins()
        for name, histogram in (("u", u), ("v", v)):
            if np.shape(histogram) != (k,):
                raise ValueError(f"{name}: shape {np.shape(histogram)}; allowed: ({k},)")
        X = _as_histograms(check_array(np.stack([u, v]), dtype=np.float64), self._bins())
        F = self._self_values(X)
        return math.sqrt(float(self._between(X[:1], F[:1], X[1:], F[1:])[0, 0]))

    def _bins(self) -> int:
        if self.C is None:
            raise ValueError("C: None; allowed: the costs (k, k) between the bins")
        n, m = as_cost(self.C).shape
        if n != m:
            raise ValueError(f"C: shape ({n}, {m}); allowed: (k, k), the costs between the bins")
        return n

    def _self_values(self, X: Array) -> Array:
        """F of each histogram (n, k) against itself, (n,)."""
        return self._values(X, X)

    def _between(self, X: Array, F: Array, Y: Array, G: Array) -> Array:
        """S = F_xy - F_xx / 2 - F_yy / 2 of each histogram of X with each of Y, (len(X), len(Y)); 0
        where rounding makes it negative. `F` holds F_xx for each of X, `G` F_yy for each of Y."""
        rows = np.repeat(np.arange(len(X)), len(Y))
        columns = np.tile(np.arange(len(Y)), len(X))
        values = np.concatenate([self._values(X[rows[part]], Y[columns[part]])
                                 for part in self._parts(len(rows))])
        S = values.reshape(len(X), len(Y)) - (F[:, None] + G) / 2
        return np.maximum(S, 0)

    def _values(self, X: Array, Y: Array) -> Array:
        """The entropic value F (B-10) of each pair (X[k], Y[k]) of histograms, (n,)."""
        return np.asarray(solve_batch(self.C, X, Y, self.eps, tol=self.tol).value)

    def _parts(self, pairs: int) -> list[slice]:
        """Slices of the pairs; those in a slice are solved together."""
        step = max(1, TOGETHER // self._bins() ** 2)
        return [slice(begin, begin + step) for begin in range(0, pairs, step)]


def _as_histograms(X: Array, k: int) -> Array:
    """The rows divided by their sums. Raises ValueError for one that has no mass."""
    if X.shape[1] != k:
        raise ValueError(f"X has {X.shape[1]} features, but C is for {k} bins")
    if (X < 0).any():
        raise ValueError("X: a count below 0; allowed: >= 0")
    sums = X.sum(axis=1, keepdims=True)
    if not (sums > 0).all():
        raise ValueError("X: a histogram without mass; allowed: a sum > 0")
    return X / sums
