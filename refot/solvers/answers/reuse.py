"""The argument `solved` of values and gradients: an earlier solve of the problem, to use again."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from refot.arrays import Array, InputError, TypeInputError, namespace
from refot.backend_contract import BackendLike
from refot.costs.operands import Cost, DenseCost
from refot.problem import Problem
from refot.solvers.accuracy import accuracy
from refot.solvers.answers.answers import Answers
from refot.unbalanced_problem import UnbalancedProblem

if TYPE_CHECKING:
    from refot.solvers.loop import SinkhornResult


SLACK = 2.0
"""The marginal error of a solution, evaluated anew, may be this multiple of what it was in the
solve. The two differ by rounding: the solve may have summed in another order, or used another form
of the cost."""


def reused(p: Problem, solved: SinkhornResult, tol: float | None) -> SinkhornResult:
    """`solved` as the solution of p, on the backend of p. Nothing is solved again: what
    is computed from it is as accurate as `solved`. Warns where that did not converge.

    Raises InputError where `solved` is the solution of another problem, or where `tol` is given. A
    result holds the caller's own arrays. If the caller has written to them since the solve, both
    problems hold the new numbers and compare as equal. So the marginals of the plan are evaluated
    anew, in a pass over the pairs, and compared with the errors of the solve.
    """
    if not isinstance(solved, Answers):
        raise TypeInputError("solved", f"{type(solved).__name__}", "what `refot.solve` returned")
    if tol is not None:
        raise InputError("tol", f"{tol!r} beside solved",
                         "one of them: `solved` has been solved to a tolerance already")
    if (other := difference(p, solved.problem)):
        raise InputError("solved", f"the solution for another {other}",
                         "the solution of the problem that is given beside it")
    solved.warn_unless_converged("an answer")
    f, g = p.row_potential(solved.f), p.column_potential(solved.g)
    error, known = accuracy(p, f, g).marginal_error, solved.marginal_error
    if not (error <= max(solved.tolerance, SLACK * known) or math.isnan(known)):
        raise InputError("solved", f"potentials that miss the marginals by {error:.3g}, not by "
                         f"{known:.3g} as when they were found",
                         "arrays that have not been written to since the solve")
    return replace(solved, f=f, g=g, problem=p)


def backend_of(solved: SinkhornResult | None, backend: BackendLike) -> BackendLike:
    """The backend that is given, or else that of `solved`."""
    return solved.problem.backend if backend is None and isinstance(solved, Answers) else backend


def three(solved: Any) -> tuple[Any, Any, Any]:
    """The argument `solved` of a divergence as its three solutions, of xy, xx and yy; three times
    None where nothing was given. Raises InputError."""
    if solved is None:
        return None, None, None
    if not isinstance(solved, tuple) or len(solved) != 3:
        raise TypeInputError("solved", f"{type(solved).__name__}",
                             "what `solve_divergence` returned: three solutions")
    return solved


def difference(p: Problem, q: Problem) -> str:
    """The first thing in which two problems differ, "" if they are the same."""
    if type(p) is not type(q):
        return "kind of marginals (rho)"
    if p.backend is not q.backend:
        return f"backend ({q.backend.name})"
    if not same_cost(p.C, q.C):
        return "C"
    for name in ("a", "b"):
        if not _equal(getattr(p, name), getattr(q, name)):
            return name
    if p.eps != q.eps:
        return "eps"
    if isinstance(p, UnbalancedProblem) and isinstance(q, UnbalancedProblem):
        return "" if (p.rows, p.columns) == (q.rows, q.columns) else "rho or penalty"
    return ""


def same_cost(C: Cost, D: Cost) -> bool:
    """Whether two costs are the same, in the same form (matrix or points) and dtype."""
    if isinstance(C, DenseCost) and isinstance(D, DenseCost):
        return _equal(C.matrix, D.matrix)
    if isinstance(C, DenseCost) or isinstance(D, DenseCost):
        return False
    return ((C.ground, C.scale) == (D.ground, D.scale)
            and _equal(C.x, D.x) and _equal(C.y, D.y))


def _equal(x: Array, y: Array) -> bool:
    """Whether two arrays agree in shape, dtype and every entry."""
    return x is y or (x.dtype == y.dtype and bool(namespace(x).array_equal(x, y)))
