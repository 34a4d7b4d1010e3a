"""How far an answer may be off if the solve stops at a marginal error, short of the optimum.

The plan P of the potentials (f, g) sums to (a + da, b + db), with |da|_1 + |db|_1 <= tol, and is
the optimal plan between these marginals. So an answer is off by as much as the right answer changes
if (a, b) becomes (a + da, b + db). To first order (docs/certificates.md, "What a solve leaves
open"),

    H (df, dg) / eps = (da, db),    H = [[diag a, P], [P', diag b]],    d<C,P> = v.H^-1 (da, db),

with v the row sums and then the column sums of P * C. H is singular in the direction (1, -1),
because a constant may be added to f and subtracted from g; H^-1 is its pseudo-inverse. The error of
the value F = <C,P> + eps KL(P | a(x)b) is of second order in (da, db). R is the diagonal matrix of
the square roots of the row and column sums of P.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from .balls import UNIT, Floats


@dataclass(frozen=True)
class Stopped:
    """The plan P (n, m) of a solve, at points with mass, and the most by which its marginals may be
    off: `tol` in L1, and w sqrt(tol) at an atom of weight w. `solve` stops only when both hold.
    Where a row or column sum of P is 0 or not finite, P is no plan, and all bounds are infinite."""

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
        """P_ij / sqrt(a_i b_j): the upper right block of R^-1 H R^-1, whose diagonal is 1 however
        uneven the weights are."""
        n = len(self.P)
        scaled: Floats = self.P / self.roots[:n, None] / self.roots[n:]
        return scaled if self.is_plan else np.zeros_like(self.P)

    @cached_property
    def spectrum(self) -> tuple[Floats, Floats]:
        """The eigenvalues and vectors of R^-1 H R^-1, without those values that are 0 up to
        rounding."""
        n, size = len(self.P), len(self.roots)
        H = np.eye(size)
        H[:n, n:], H[n:, :n] = self.scaled_plan, self.scaled_plan.T
        values, vectors = np.linalg.eigh(H)
        known = values > 8 * size * UNIT
        return values[known], vectors[:, known]

    @property
    def is_coupled(self) -> bool:
        """Whether the spectrum leaves out only one direction, the shift. Then all parts of the plan
        exchange more mass than float64 loses to rounding."""
        return len(self.spectrum[0]) == len(self.weights) - 1

    @cached_property
    def scaled_inverse(self) -> Floats:
        """R H^-1 R, (n + m, n + m): the pseudo-inverse of R^-1 H R^-1, from its spectrum."""
        values, vectors = self.spectrum
        inverse: Floats = (vectors / values) @ vectors.T
        return inverse

    def potentials(self) -> tuple[Floats, Floats]:
        """Bounds of |df_i| / eps, (n,), and |dg_j| / eps, (m,), where (df, dg) is shifted such that
        sum a df = sum b dg. Weighted in this way, the shift hardly depends on light atoms, whose
        potentials are the least accurate."""
        w = self._most(self.scaled_inverse / self.roots[:, None] / self.roots)
        return w[:len(self.P)], w[len(self.P):]

    def transport_cost(self, C: Floats) -> float:
        """A bound of |d<C,P>|, in cost units.

        It is the largest |s.(da, db)| with the slopes s = H^-1 v. da and db have the same sum, so
        that this product stays the same if a number is added to all slopes of rows and subtracted
        from all slopes of columns. The number is chosen such that the slopes of heavy atoms become
        as small in size as possible; those of light atoms are less accurate."""
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
        """A bound of F minus the semi-dual at the g (m,) where the solve stopped, in cost units.

        By concavity the difference is at most |db|_1 (max g - min g). To second order it is eps/2
        db.(H^-1)_gg db, with the block of H^-1 that belongs to g, and the root of db.(H^-1)_gg db
        is at most sum |db_j| sqrt(H^-1_jj). The smaller bound is returned; only the first where
        `is_coupled` is false, since H^-1 is then not known."""
        factors = np.sqrt(np.maximum(np.diag(self.scaled_inverse), 0)) / self.roots
        squared = eps / 2 * float(self._most(factors)) ** 2 if self.is_coupled else np.inf
        return min(squared, self.tol * float(np.ptp(g)))

    # -------------------------------------------------------------- a measure and itself
    @cached_property
    def self_inverse(self) -> Floats:
        """(diag a + P)^-1, (n, n), of a symmetric plan. There f = g and (diag a + P) df / eps = da,
        which has one solution even where parts of the plan exchange no mass."""
        root = self.roots[:len(self.P)]
        scaled = np.linalg.inv(np.eye(len(root)) + self.scaled_plan)
        inverse: Floats = scaled / root[:, None] / root
        return inverse

    def self_potential(self) -> Floats:
        """A bound of |df_i| / eps, (n,)."""
        return self._most(self.self_inverse)

    def self_value(self, eps: float) -> float:
        """A bound of F minus the semi-dual of f, in cost units. To second order the difference is
        eps/2 (df/eps).(diag a - P diag(1/a) P)(df/eps), at most eps/2 sum a_i (df_i / eps)^2."""
        moved = self.roots[:len(self.P)] * self.self_potential()  # the bound of |R df / eps|
        return eps / 2 * float(moved @ moved)

    def _most(self, factors: Floats) -> Floats:
        """max factors.x over |x|_1 <= tol, |x_k| <= w_k sqrt(tol), for each row of factors. The
        maximum fills the entries of x up to their limits in the order of the factors' size."""
        if not self.is_plan:
            return np.full(factors.shape[:-1], np.inf)
        sizes = abs(factors)
        order = np.argsort(-sizes, axis=-1)
        allowed = (np.sqrt(self.tol) * self.weights)[:sizes.shape[-1]][order]
        taken = np.diff(np.minimum(np.cumsum(allowed, axis=-1), self.tol), axis=-1, prepend=0)
        ordered = np.take_along_axis(sizes, order, axis=-1)
        most: Floats = (taken * np.where(taken > 0, ordered, 0)).sum(axis=-1)
        return most
