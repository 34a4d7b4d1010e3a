"""What `solve_batch` returns: the numbers of all problems, and a `SinkhornResult` for each."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field

from refot.arrays import Array
from refot.batches.batch import Batch
from refot.solvers.accuracy import Accuracy
from refot.solvers.gap import CertifiedGap
from refot.solvers.loop import SinkhornResult
from refot.solvers.stopping import StoppedBy

NAMED = 8
"""A warning names at most this number of problems that did not converge."""


@dataclass(frozen=True)
class BatchResult:
    """Potentials of B problems in cost units, and how near to optimal they are, in arrays (B,).

    `f` (B, n) and `g` (B, m), or tuples of vectors where sizes differ. `value` is
    F = <C,P> + eps KL(P | a(x)b) in cost units, computed as the semi-dual at g, which is off only
    to second order in the errors.
    `converged`, `marginal_error`, `atom_error`, `iterations` and `stopped_by` mean for each problem
    what they mean for `solve`. `gap` are intervals around F, if `certified` was set. `seconds`
    is the time of all solves together. `result[k]` is the result of problem k, with its problem.
    """

    f: Array | tuple[Array, ...]
    g: Array | tuple[Array, ...]
    value: Array
    converged: Array
    marginal_error: Array
    atom_error: Array
    tolerance: float
    iterations: Array
    stopped_by: tuple[StoppedBy, ...]
    seconds: float
    problems: Batch = field(repr=False)
    gap: tuple[CertifiedGap, ...] | None = None
    infeasible: tuple[str, ...] = ()

    @property
    def backend(self) -> str:
        """The name of the backend that solved the problems."""
        return self.problems.backend.name

    def __repr__(self) -> str:
        """How many problems converged and the worst error, in a line."""
        return (f"BatchResult({len(self)} problems, {int(self.converged.sum())} converged, "
                f"iterations {int(self.iterations.min())} to {int(self.iterations.max())}, "
                f"marginal errors up to {float(self.marginal_error.max()):.3g} "
                f"(tol {self.tolerance:g}), backend {self.backend})")

    def __len__(self) -> int:
        return len(self.problems)

    def __iter__(self) -> Iterator[SinkhornResult]:
        return (self[k] for k in range(len(self)))

    def __getitem__(self, k: int) -> SinkhornResult:
        """The result of problem k. Only the last of its `errors` is known, the others are NaN; and
        its `seconds` are those of the whole batch."""
        if not -len(self) <= k < len(self):
            raise IndexError(f"problem {k} of {len(self)}")
        k %= len(self)
        error = float(self.marginal_error[k])
        history = (*[math.nan] * (int(self.iterations[k]) - 1), error)
        return SinkhornResult(
            self.f[k], self.g[k], bool(self.converged[k]), error, float(self.atom_error[k]),
            self.tolerance, history, self.stopped_by[k], self.seconds, self.problems.problem(k),
            None if self.gap is None else self.gap[k], self.infeasible[k])

    def shortfall(self) -> str:
        """How many problems did not converge, which, why, and what to do; "" where all did."""
        short = [k for k in range(len(self)) if not self.converged[k]]
        if not short:
            return ""
        worst = max(short, key=lambda k: (math.isnan(self.marginal_error[k]),
                                          self.marginal_error[k], self.atom_error[k]))
        found = Accuracy(float(self.marginal_error[worst]), float(self.atom_error[worst]))
        named = ", ".join(map(str, short[:NAMED])) + (", ..." if len(short) > NAMED else "")
        reasons = Counter(self.stopped_by[k] for k in short)
        advice = "; ".join(f"{number} stopped by {reason}: {reason.advice}"
                           for reason, number in reasons.most_common())
        return (f"{len(short)} of {len(self)} problems are short of tol {self.tolerance:g} "
                f"(problems {named}); the worst, problem {worst}: "
                f"{found.shortfall(self.tolerance)}. {advice}")
