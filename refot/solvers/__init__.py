"""Faster roads to the same potentials, one a file, all of one shape: generators of iterates.

A method takes a problem and a start g (m,), and yields (f, g, L1 marginal error) for `iterate`,
which stops them all; the error is inf while the iterate is that of a larger eps or of float32.
docs/solvers.md says which one is for what.
"""

from refot.solvers.auto import auto
from refot.solvers.newton import NEWTON_LIMIT, newton_iterates
from refot.solvers.newton_cg import newton_cg_iterates
from refot.solvers.overrelaxed import overrelaxed_iterates
from refot.solvers.schedule import Iterates, Method, annealed, cost_range, eps_schedule, scheduled
from refot.solvers.solve import METHODS, solve, solve_problem

__all__ = [
    "METHODS",
    "NEWTON_LIMIT",
    "Iterates",
    "Method",
    "annealed",
    "auto",
    "cost_range",
    "eps_schedule",
    "newton_cg_iterates",
    "newton_iterates",
    "overrelaxed_iterates",
    "scheduled",
    "solve",
    "solve_problem",
]
