"""The methods that find the optimal potentials, one a file, behind the one call `solve`.

All methods have one shape: a generator that takes a problem and a start g (m,), and yields (f, g,
L1 marginal error) after each iteration. `iterate` (in `loop`) takes these until a criterion is met.
Some methods begin at a larger eps, or in float32; until they work on the given problem itself, they
yield inf in place of the error. docs/solvers.md says which method is for what.
"""

from refot.solvers.auto import auto
from refot.solvers.newton import NEWTON_LIMIT, newton_of_smaller
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
    "newton_of_smaller",
    "overrelaxed_iterates",
    "scheduled",
    "solve",
    "solve_problem",
]
