"""The methods of a solve's result: what follows from its plan P_ij = a_i b_j exp((f_i + g_j -
C_ij) / eps), such as values, maps and files.

Each method computes when it is called, from the potentials and the problem, by passes of the
backend over the pairs (i, j). That takes memory O(n + m), but for `plan` (n m numbers) and
`sparse_plan` (as many as it has entries). B-10 and the like are equations of B = Bréchet et al.
2019.
"""

from __future__ import annotations

import warnings
from dataclasses import replace
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any

from refot.arrays import (
    Array,
    ConvergenceWarning,
    InputError,
    Points,
    ShapeError,
    as_floating,
    as_points,
    as_positive,
    namespace,
)
from refot.costs.forbidden import on_host
from refot.costs.operands import PointCost, as_point_cost
from refot.foreign import methods_as_given
from refot.problem import Problem
from refot.solvers.accuracy import Accuracy
from refot.solvers.gap import CertifiedGap, gap_of
from refot.solvers.memory import MemoryBudgetError, budget, gibbs_matrix
from refot.solvers.stopping import StoppedBy, level_outside

from . import draws, report
from .value import value_of

if TYPE_CHECKING:
    from matplotlib.figure import Figure

ENTRY_BYTES = 12
"""Bytes of each entry of a sparse plan: a float, and the number of its column."""


@methods_as_given
class Answers:
    """The methods of `SinkhornResult`. It inherits from this class, and defines the fields that are
    only declared here."""

    f: Array
    g: Array
    converged: bool
    marginal_error: float
    atom_error: float
    tolerance: float
    errors: tuple[float, ...]
    stopped_by: StoppedBy
    problem: Problem
    infeasible: str
    gap: CertifiedGap | None
    seconds: float

    @property
    def backend(self) -> str:
        """The name of the backend that solved the problem."""
        return self.problem.backend.name

    # -------------------------------------------------------------- the plan
    def plan(self) -> Array:
        """P, (n, m). B-15. Raises MemoryBudgetError where it does not fit."""
        p = self.problem
        return gibbs_matrix(p.C, p.F(self.f), p.G(self.g), p.eps)

    def sparse_plan(self, least: float) -> Any:
        """The entries P_ij > least (> 0) as a SciPy CSR array (n, m), on the host. Raises
        MemoryBudgetError where they do not fit the budget of a solve."""
        from scipy.sparse import csr_array  # 0.1 s to import: only where it is used

        p, most = self.problem, budget() // ENTRY_BYTES
        entries = p.backend.plan_entries(p.C, p.F(self.f), p.G(self.g), p.eps,
                                         as_positive(least, "least"), most)
        if entries is None:
            raise MemoryBudgetError("least", f"{least:g}: more than {most:,} entries",
                                    "a larger one, or more memory (REFOT_MEMORY)")
        return csr_array(tuple(on_host(part) for part in entries), p.C.shape)

    def apply(self, V: Any) -> Array:
        """P @ V, (n, k) for V (m, k), or (n,) for (m,)."""
        return _applied(self.problem, self.f, self.g, V)

    def apply_transpose(self, U: Any) -> Array:
        """P' @ U, (m, k) for U (n, k), or (m,) for (n,)."""
        return _applied(self.problem.T, self.g, self.f, U)

    # -------------------------------------------------------------- values
    def value(self) -> float:
        """F = <C,P> + eps KL(P | a(x)b) in cost units, computed as the semi-dual at g, which is
        never above the true F. B-10, B-24. Warns where the solve did not converge."""
        self.warn_unless_converged("value")
        return value_of(self.problem, self.g)

    def transport_cost(self) -> float:
        """<C, P>, in cost units: the sharp value. Warns where the solve did not converge."""
        self.warn_unless_converged("transport_cost")
        p = self.problem
        return p.backend.plan_cost(p.C, p.F(self.f), p.G(self.g), p.eps)

    def certificate(self) -> CertifiedGap:
        """An interval that is proved to contain F, whether or not the solve converged. B-16."""
        return gap_of(self.problem, self.g)

    # -------------------------------------------------------------- maps
    def barycentric_map(self, y: Points | None = None) -> Array:
        """sum_j P_ij y_j / sum_j P_ij, (n, d): where the mass of each x_i goes to on average.

        `y` (m, d) are by default the points of the cost. A point of weight 0 has an image too: the
        mean of its conditional law. Warns where the solve did not converge.
        """
        self.warn_unless_converged("barycentric_map")
        p = self.problem
        values = self._targets() if y is None else _checked(y, p.C.shape[1], "y", p)
        return _mean(p, self.f, p.G(self.g), values)

    def transform(self, x_new: Points) -> Array:
        """Where the mass at any points x_new (k, d) goes to on average, (k, d): the entropic map,
        which is `barycentric_map` at the points of the problem.

        f at x_new is the (c,eps)-transform of g there, B-25. Only for costs of points. Warns where
        the solve did not converge.
        """
        self.warn_unless_converged("transform")
        p = self.problem
        if not isinstance(p.C, PointCost):
            raise InputError("C", "a matrix", "a cost of points: refot.point_cost(x, y)")
        points, d = as_points(x_new, "x_new"), p.C.y.shape[1]
        if points.shape[1] != d:
            raise ShapeError("x_new", f"dimension {points.shape[1]}", f"{d}, that of x")
        new = as_point_cost(replace(p.C, x=p.backend.asarray(points), y=p.C.y))
        G = p.G(self.g)
        at_new = replace(p, C=new)
        return _mean(at_new, p.backend.softmin(new, G, p.eps), G, self._targets())

    def _targets(self) -> Array:
        C = self.problem.C
        if not isinstance(C, PointCost):
            raise InputError("y", "None", "points (m, d): the cost is a matrix and has none")
        return C.y

    # -------------------------------------------------------------- pairs
    def sample(self, k: int, rng: Any) -> tuple[Array, Array]:
        """k pairs (i, j) drawn from P, as two arrays of indices (k,), on the host. `rng` is a
        NumPy Generator, or a seed. O(k m) time at most."""
        self.warn_unless_converged("sample")
        return draws.sample(self.problem, self.f, self.g, k, rng)

    def matching(self) -> Array:
        """The j with the most mass P_ij, for each i: (n,), on the host. Not one to one in general.
        """
        self.warn_unless_converged("matching")
        return draws.heaviest(self.problem, self.g)

    # -------------------------------------------------------------- files and pictures
    def save(self, path: str | PathLike[str]) -> Path:
        """Write the problem and its solution, an .npz archive without pickles, whole or not at all.
        `refot.load_solution` reads it."""
        from . import stored  # zip archives take 10 ms to import: only where one is written

        return stored.write(self, path)

    def plot(self) -> Figure:
        """A picture of P, as a Matplotlib figure. Where P has many rows or columns, the mass of
        neighbouring ones is added up."""
        return report.picture(self)

    def __repr__(self) -> str:
        return report.text(self)

    def _repr_html_(self) -> str:
        return report.html(self)

    def shortfall(self) -> str:
        """In words, how far the errors are from the tolerance; "" where the solve converged."""
        if self.converged:
            return ""
        short = Accuracy(self.marginal_error, self.atom_error).shortfall(self.tolerance)
        return f"{short} after {len(self.errors)} iterations (stopped by {self.stopped_by})"

    def warn_unless_converged(self, what: str) -> None:
        """Where the solve did not converge, warn that `what` is computed from it all the same."""
        if not self.converged:
            warnings.warn(f"{what} of a solve that did not converge: {self.shortfall()}",
                          ConvergenceWarning, stacklevel=level_outside())


def _checked(V: Any, m: int, name: str, p: Problem) -> Array:
    """V (m,) or (m, k), in the dtype of the problem, on its backend."""
    values = as_floating(V, name, (1, 2))
    if len(values) != m:
        raise ShapeError(name, f"shape {values.shape}", f"({m},) or ({m}, k)")
    return p.backend.asarray(values).astype(p.C.dtype, copy=False)


def _applied(p: Problem, f: Array, g: Array, V: Any) -> Array:
    """P @ V."""
    values = _checked(V, p.C.shape[1], "V", p)
    columns = values[:, None] if values.ndim == 1 else values
    product = p.backend.plan_apply(p.C, p.F(f), p.G(g), p.eps, columns)
    return product[:, 0] if values.ndim == 1 else product


def _mean(p: Problem, f: Array, G: Array, y: Array) -> Array:
    """sum_j w_ij y_j / sum_j w_ij with w_ij = exp((f_i + G_j - C_ij) / eps): for each row i the
    mean of y (m, d) under the conditional law of y given x_i."""
    xp = namespace(G)
    columns = y[:, None] if y.ndim == 1 else y
    ones = xp.ones((len(y), 1), dtype=columns.dtype)
    sums = p.backend.plan_apply(p.C, f, G, p.eps, xp.concatenate([columns, ones], axis=1))
    mean = sums[:, :-1] / sums[:, -1:]
    return mean[:, 0] if y.ndim == 1 else mean
