"""A transformer of scikit-learn that moves samples of one law towards samples of another."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Self

import numpy as np
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.utils.validation import check_is_fitted, validate_data

from refot.arrays import Array
from refot.costs.operands import point_cost, row_blocks
from refot.solvers.loop import SinkhornResult
from refot.solvers.solve import solve

SHARE = 0.05
"""eps="auto" is this share of the mean cost between the two clouds."""


class EntropicTransport(TransformerMixin, BaseEstimator):  # type: ignore[misc]
    """The entropic map: each sample goes to the mean of the target points, weighted by its row of
    the plan.

    Parameters: `eps` in units of the cost, or "auto" for 5 % of the mean cost (1 where that is 0,
    since then any eps gives the same map); `rho` as in `refot.solve`: with a finite one
    outliers may stay behind; `cost` as in `point_cost`; `tol`, the tolerance of the solve.

    Attributes after `fit`: `result_`, what `refot.solve` returns; `eps_`; `n_features_in_`.

        moved = EntropicTransport(eps=0.1).fit(Xs, Xt=Xt).transform(X_new)
    """

    def __init__(self, eps: float | str = "auto", *, rho: Any = None, cost: str = "sqeuclidean",
                 tol: float | None = None) -> None:
        self.eps = eps
        self.rho = rho
        self.cost = cost
        self.tol = tol

    def fit(self, Xs: Any, ys: Any = None, Xt: Any = None, *, sample_weight: Any = None,
            target_weight: Any = None) -> Self:
        """Solve between the samples Xs (n, d) and the target Xt (m, d), of equal weights by
        default. Weights are divided by their sum, but with `rho` they are masses, and stay as they
        are. `ys` is not used: it is there for pipelines."""
        if Xt is None:
            raise ValueError("Xt: None; allowed: the target points (m, d), as in fit(Xs, Xt=Xt)")
        Xs = validate_data(self, Xs, dtype=[np.float64, np.float32])
        Xt = validate_data(self, Xt, dtype=Xs.dtype, reset=False)
        C = point_cost(Xs, Xt, self.cost)
        a, b = (_equal(len(X)) if w is None else np.asarray(w)
                for X, w in ((Xs, sample_weight), (Xt, target_weight)))
        self.eps_ = (SHARE * _mean(C, a, b) or 1.0) if self.eps == "auto" else self.eps
        self.result_: SinkhornResult = solve(C, a, b, self.eps_, rho=self.rho, tol=self.tol,
                                             normalise=self.rho is None)
        return self

    def transform(self, X: Any) -> Array:
        """Where the points X (k, d) go to, (k, d). They need not be points of the fit."""
        return self._mapped(X, self.result_ if self._is_fitted() else None)

    def inverse_transform(self, X: Any) -> Array:
        """Where points X (k, d) near the target come from, (k, d), by the same plan."""
        return self._mapped(X, _reversed(self.result_) if self._is_fitted() else None)

    def _is_fitted(self) -> bool:
        check_is_fitted(self)
        return True

    def _mapped(self, X: Any, found: SinkhornResult | None) -> Array:
        assert found is not None
        X = validate_data(self, X, dtype=found.f.dtype, reset=False)
        return found.transform(X)


def _equal(n: int) -> Array:
    return np.full(n, 1 / n)


def _mean(C: Any, a: Array, b: Array) -> float:
    """The mean cost: sum a_i b_j C_ij over the total of a times that of b."""
    total = sum(float(a[rows] @ C.rows(rows) @ b) for rows in row_blocks(C))
    return total / float(a.sum() * b.sum())


def _reversed(found: SinkhornResult) -> SinkhornResult:
    """The same solution with both measures exchanged: from the target to the samples."""
    return replace(found, f=found.g, g=found.f, problem=found.problem.T)
