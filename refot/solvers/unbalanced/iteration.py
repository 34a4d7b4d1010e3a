"""The translation-invariant iteration of unbalanced transport, U-3 with U-5.

Let h be the softmin of g. The best f for g, the one with the largest dual, is f = prox(h) (U-3: for
KL rho / (rho + eps) h). The level of potentials is the t in (f + t, g - t). A step f = prox(h)
alone moves the level only by the part eps / rho of its distance to the best one: at rho = 1e4 eps
it stands still. So each half-step finds the best level together with the best f (`Problem.answer`):
it takes f = prox(h + t), the best f for g - t, at the t at which the sums that f and g - t ask for,
those for which they are optimal (U-4), have the same total (sejourne2022faster in
docs/references.bib). For total variation the level is set after the step. U-3, U-4 and U-5 are
equations of docs/equations.md.
"""

from __future__ import annotations

import numpy as np

from refot.arrays import Array, namespace
from refot.problem import Problem
from refot.solvers.schedule import Iterates, scheduled


def invariant_iterates(p: Problem, g: Array) -> Iterates:
    """(f, g, residual) of each step, both potentials at their best level. The residual is that of
    the rows alone, because the columns have the sums that g asks for (U-4), up to rounding. (For
    total variation they have these before the shift to the best level.) The row sums follow from
    the next softmin, without an extra pass."""
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
"""The translation-invariant iteration under an eps schedule."""
