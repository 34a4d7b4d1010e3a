"""The translation-invariant iteration of unbalanced transport, U-3 with U-5.

f = prox(softmin) alone takes the level of the potentials only the part eps / rho of its way a step:
at rho = 1e4 eps it stands still. So each half-step takes the best level together with the best f
(`Problem.answer`): with h the softmin of g, f = prox(h + t), which answers g - t, for the t at
which both ask for the same mass (sejourne2022faster in docs/references.bib). For total variation
the shift follows the step.
"""

from __future__ import annotations

import numpy as np

from refot.arrays import Array, namespace
from refot.problem import Problem
from refot.solvers.schedule import Iterates, scheduled


def invariant_iterates(p: Problem, g: Array) -> Iterates:
    """(f, g, residual), l = 1, 2, ...: both potentials at their best level. Columns are exact up to
    rounding before the shift; the next softmin gives the sums of the rows for nothing."""
    h = p.transform(g)
    while True:
        f = p.answer(h, g)
        f, g = p.shifted(f, p.T.answer(p.T.transform(f), f))
        h = p.transform(g, h)
        f = namespace(f).where(p.a > 0, f, p.prox(h))
        with np.errstate(over="ignore"):
            rows = p.a * namespace(f).exp((f - h) / p.eps)
        yield f, g, p.row_residual(f, rows)


invariant = scheduled(invariant_iterates)
"""The same under an eps schedule."""
