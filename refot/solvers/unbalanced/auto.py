"""method="auto" for an unbalanced problem."""

from __future__ import annotations

from refot.arrays import Array
from refot.solvers.auto import auto_with
from refot.solvers.schedule import Iterates
from refot.unbalanced_problem import UnbalancedProblem

from .overrelaxed import FREE, overrelaxed_free


def auto_free(p: UnbalancedProblem, g: Array) -> Iterates:
    """As for a balanced problem, with the sweeps of an unbalanced one. Total variation asks for
    sums that have no derivative: over-relaxation alone."""
    return auto_with(FREE, p, g) if p.is_smooth else overrelaxed_free(p, g)
