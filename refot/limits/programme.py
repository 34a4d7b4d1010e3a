"""The cheapest flow over a list of pairs as a linear programme, by SciPy's HiGHS.

`exact` uses it with a backend that has no solver of its own for flows (`FlowSolver` in
backend_contract.py).
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from refot.arrays import Array

TOLERANCE = 1e-10
"""By how much HiGHS may miss a marginal, for a total mass of 1; and how far below 0 it may leave
(C_ij - f_i - g_j) / penalty, which is >= 0 for every listed pair if the potentials (f, g) are
exact. HiGHS accepts no smaller number."""


class LinearProgramme:
    """A `FlowProblem` (backend_contract.py) that is solved from scratch each time: HiGHS does not
    start from the last solution."""

    def __init__(self, supply: Array, demand: Array, penalty: float) -> None:
        self.masses, self.n, self.penalty = np.concatenate([supply, demand]), len(supply), penalty
        self.rows, self.columns = np.empty(0, np.int64), np.empty(0, np.int64)
        self.costs, self.flow, self.duals = np.empty(0), np.empty(0, np.int64), np.empty(0)

    def add(self, rows: Array, columns: Array, costs: Array) -> None:
        """Add k pairs: `rows`, `columns` and `costs`, each (k,)."""
        self.rows, self.columns = np.append(self.rows, rows), np.append(self.columns, columns)
        self.costs = np.append(self.costs, costs)

    def steps(self) -> Iterator[None]:
        """Solve the programme. A call of HiGHS cannot be interrupted, so this yields only once, at
        the end. The variables are the flow on each pair, and for each atom the mass that no pair
        moves, at the cost `penalty`."""
        from scipy.optimize import linprog  # 0.2 s to import: only where it is used
        from scipy.sparse import csr_array, eye_array, hstack

        atoms, pairs = len(self.masses), np.arange(len(self.costs))
        of_pairs = csr_array(
            (np.ones(2 * len(pairs)),
             (np.append(self.rows, self.n + self.columns), np.append(pairs, pairs))),
            shape=(atoms, len(pairs)))
        total = float(self.masses[:self.n].sum())
        costs = np.append(self.costs / self.penalty, np.ones(atoms))
        found = linprog(costs, A_eq=hstack([of_pairs, eye_array(atoms)]),
                        b_eq=self.masses / total, method="highs",
                        options={"primal_feasibility_tolerance": TOLERANCE,
                                 "dual_feasibility_tolerance": TOLERANCE})
        if found.x is None:
            raise RuntimeError(f"HiGHS found no flow: {found.message}")
        self.flow = np.rint(np.maximum(found.x[:len(pairs)], 0) * total).astype(np.int64)
        self.duals = found.eqlin.marginals * self.penalty
        yield

    @property
    def potentials(self) -> tuple[Array, Array]:
        """(f (n,), g (m,)): f_i + g_j = C_ij on pairs with mass, and at most C_ij on all pairs."""
        return self.duals[:self.n], self.duals[self.n:]
