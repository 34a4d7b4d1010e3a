"""`solve`, the one call in front of every method, and `solve_problem` for a checked problem."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from refot.arrays import Array, InputError, lookup, namespace
from refot.backend_contract import BackendLike, prepared
from refot.foreign import as_given
from refot.problem import Problem, problem
from refot.solvers.loop import SinkhornResult, iterate
from refot.solvers.memory import kept, require_working_set, within
from refot.solvers.progress import Progress
from refot.solvers.sinkhorn import centred_start, log_iterates
from refot.solvers.stopping import Control

from .auto import auto
from .mixed import mixed
from .newton import newton
from .newton_cg import newton_cg
from .overrelaxed import overrelaxed
from .schedule import Method, schedule
from .stabilised import stabilised

METHODS: dict[str, Method] = {
    "auto": auto,
    "mixed": mixed,
    "newton": newton,
    "newton-cg": newton_cg,
    "overrelaxed": overrelaxed,
    "schedule": schedule,
    "sinkhorn": log_iterates,
    "stabilised": stabilised,
}
"""The methods by name. A method of your own is one more entry: docs/contributing-solver.md."""


@as_given
def solve(
    C: Any,
    a: Any,
    b: Any,
    eps: Any,
    *,
    method: str = "auto",
    tol: float | None = None,
    max_iter: int = 10_000,
    time_limit: float | None = None,
    gap: float | None = None,
    certified: bool = False,
    progress: Progress | bool = False,
    f: Any | None = None,
    g: Any | None = None,
    memory: int | str | None = None,
    normalise: bool = False,
    backend: BackendLike = None,
) -> SinkhornResult:
    """Optimal potentials to an L1 marginal error <= tol; warns and says so where it fails.

    C (n, m) or an operand, inf where a pair is forbidden (docs/forbidden-pairs.md); a (n,), b (m,);
    eps in cost units; `method` a name of METHODS (docs/solvers.md). Stops at the first of: marginal
    error <= tol (default 1e-9, in float32 1e-5) and every f_i and g_j, however light its atom,
    within eps sqrt(tol) of the (c,eps)-transform of the other side; certified relative gap of F <=
    `gap`; `time_limit` seconds, those of compilation among them, looked at between two passes over
    the pairs; `max_iter` iterations, those of an eps schedule among them; the floor of rounding.
    `certified` proves the gap at the end. `progress`: called with (iteration, error, elapsed
    seconds), or True for a bar. Warm start: `g` (m,), or `f` (n,) alone, up to a constant.
    `memory`: bytes it may take, or "2G" (default: REFOT_MEMORY, or a quarter of what is free).
    `normalise`: a and b may be counts; None are uniform weights. The error that floating point can
    reach is about u c / eps, u = 1e-16 in float64, 6e-8 in float32, c the size of the costs that
    carry mass: a smaller tol is reported as not converged, stopped by "rounding". Raises
    InputError.
    """
    control = Control(time_limit, gap, certified, progress)
    p = problem(C, a, b, eps, backend, normalise)
    return solve_problem(p, method=method, tol=tol, max_iter=max_iter, control=control, f=f, g=g,
                         memory=memory)


def solve_problem(
    p: Problem,
    *,
    method: str = "auto",
    tol: float | None = None,
    max_iter: int = 10_000,
    control: Control | None = None,
    f: Any | None = None,
    g: Any | None = None,
    memory: int | str | None = None,
) -> SinkhornResult:
    """`solve` of a problem that is checked already: what a public function has opened once."""
    choice = lookup(METHODS, method, "method")
    with within(memory):
        require_working_set(p.C)
        p = replace(p, C=kept(p.C))
        p = replace(p, C=prepared(p.backend, p.C, p.a, p.b))
        return iterate(p, choice(p, start(p, f, g)), tol, max_iter, control)


def start(p: Problem, f: Any | None, g: Any | None) -> Array:
    """g, or the transform of f, or 0; (m,). Raises InputError where both are given."""
    if f is not None and g is not None:
        raise InputError("f", "given beside g", "one of them: the other is its transform")
    if f is None and g is None:
        return namespace(p.b).zeros_like(p.b)
    return centred_start(p, p.T.transform(p.row_potential(f)) if g is None else
                         p.column_potential(g))
