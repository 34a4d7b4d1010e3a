"""What a solve leaves open that stops at a marginal error, and not at the optimum.

The plan P of the potentials (f, g) has the marginals that it sums to, (a + da, b + db) with
|da|_1 + |db|_1 <= tol, and is the optimal plan of those. So an answer is off by as much as the
right answer changes from (a, b) to there. To first order (docs/certificates.md, "What a solve
leaves open"),

    H (df, dg) / eps = (da, db),    H = [[diag a, P], [P', diag b]],    d<C,P> = v.H^-1 (da, db),

with v = (rows, columns) of the sums of P * C. H is singular in the direction (1, -1), the shift
that potentials are free to take; H^-1 is its pseudo-inverse. In F an error counts squared.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from .balls import UNIT, Floats


@dataclass(frozen=True)
class Stopped:
    """The plan P (n, m) of a solve, at points with mass, and the marginal error `tol` that it may
    have, of which an atom of weight w has at most w sqrt(tol): `solve` sees to both. Where P is no
    plan, as the solve did not come that far, all bounds are infinite."""

    P: Floats
    tol: float

    @cached_property
    def weights(self) -> Floats:
        """The sums of the rows, then of the columns, (n + m,)."""
        return np.concatenate([self.P.sum(axis=1), self.P.sum(axis=0)])

    @cached_property
    def is_plan(self) -> bool:
        """Whether all sums are positive and finite."""
        return bool(np.isfinite(self.weights).all() and (self.weights > 0).all())

    @cached_property
    def roots(self) -> Floats:
        """The roots of the weights, the diagonal of R."""
        return np.sqrt(self.weights) if self.is_plan else np.ones(len(self.weights))

    @cached_property
    def scaled_plan(self) -> Floats:
        """P_ij / sqrt(a_i b_j), the part of R^-1 H R^-1 beside its diagonal, which is 1 however
        uneven the weights are."""
        n = len(self.P)
        scaled: Floats = self.P / self.roots[:n, None] / self.roots[n:]
        return scaled if self.is_plan else np.zeros_like(self.P)

    @cached_property
    def spectrum(self) -> tuple[Floats, Floats]:
        """The eigenvalues and vectors of R^-1 H R^-1. What floats cannot tell from singular is left
        out."""
        n, size = len(self.P), len(self.roots)
        H = np.eye(size)
        H[:n, n:], H[n:, :n] = self.scaled_plan, self.scaled_plan.T
        values, vectors = np.linalg.eigh(H)
        known = values > 8 * size * UNIT
        return values[known], vectors[:, known]

    @property
    def is_coupled(self) -> bool:
        """Whether only the one direction is left out in which H is singular: all parts of the plan
        exchange mass that floats can see."""
        return len(self.spectrum[0]) == len(self.weights) - 1

    @cached_property
    def scaled_inverse(self) -> Floats:
        """R H^-1 R, (n + m, n + m)."""
        values, vectors = self.spectrum
        inverse: Floats = (vectors / values) @ vectors.T
        return inverse

    def potentials(self) -> tuple[Floats, Floats]:
        """Bounds of |df_i| / eps, (n,), and |dg_j| / eps, (m,), for the shift with
        sum a df = sum b dg, which a light atom does not move."""
        w = self._most(self.scaled_inverse / self.roots[:, None] / self.roots)
        return w[:len(self.P)], w[len(self.P):]

    def transport_cost(self, C: Floats) -> float:
        """A bound of |d<C,P>|, in cost units. da and db have the same sum, so that their factors
        may be shifted by (t, -t): to the least size of those of heavy atoms, as those of light ones
        are known to fewer digits."""
        largest = float(abs(C).max())
        if not self.is_plan or largest == 0:
            return 0.0 if self.is_plan else np.inf
        PC = self.P * (C / largest)
        v = np.concatenate([PC.sum(axis=1), PC.sum(axis=0)])
        slopes = self.scaled_inverse @ (v / self.roots) / self.roots
        shift = np.where(np.arange(len(slopes)) < len(self.P), 1.0, -1.0)
        heavy = (shift * slopes)[self.weights >= min(np.sqrt(self.tol), self.weights.max())]
        middle = heavy.max() / 2 + heavy.min() / 2
        return largest * float(self._most(slopes - shift * middle))

    def value(self, g: Floats, eps: float) -> float:
        """A bound of F less the semi-dual of potentials like g, in cost units: the smaller of
        eps/2 db.(H^-1)_gg db, where the root of such a form is at most sum |db_j| sqrt(H^-1_jj),
        and of |db|_1 (max g - min g), by concavity."""
        factors = np.sqrt(np.maximum(np.diag(self.scaled_inverse), 0)) / self.roots
        squared = eps / 2 * float(self._most(factors)) ** 2 if self.is_coupled else np.inf
        return min(squared, self.tol * float(np.ptp(g)))

    # -------------------------------------------------------------- a measure and itself
    @cached_property
    def self_inverse(self) -> Floats:
        """(diag a + P)^-1, (n, n), of a symmetric plan: where f = g, (diag a + P) df / eps = da,
        and parts of the plan that exchange no mass are determined all the same."""
        root = self.roots[:len(self.P)]
        scaled = np.linalg.inv(np.eye(len(root)) + self.scaled_plan)
        inverse: Floats = scaled / root[:, None] / root
        return inverse

    def self_potential(self) -> Floats:
        """A bound of |df_i| / eps, (n,)."""
        return self._most(self.self_inverse)

    def self_value(self, eps: float) -> float:
        """A bound of F less the semi-dual of f, in cost units: eps/2 (df/eps).(diag a - P diag(1/a)
        P)(df/eps), at most eps/2 sum a_i (df_i / eps)^2."""
        moved = self.roots[:len(self.P)] * self.self_potential()  # R df / eps
        return eps / 2 * float(moved @ moved)

    def _most(self, factors: Floats) -> Floats:
        """max factors.x over |x|_1 <= tol, |x_k| <= w_k sqrt(tol), for each row of factors: the
        mass goes where the factors are largest."""
        if not self.is_plan:
            return np.full(factors.shape[:-1], np.inf)
        sizes = abs(factors)
        order = np.argsort(-sizes, axis=-1)
        allowed = (np.sqrt(self.tol) * self.weights)[:sizes.shape[-1]][order]
        taken = np.diff(np.minimum(np.cumsum(allowed, axis=-1), self.tol), axis=-1, prepend=0)
        ordered = np.take_along_axis(sizes, order, axis=-1)
        most: Floats = (taken * np.where(taken > 0, ordered, 0)).sum(axis=-1)
        return most
