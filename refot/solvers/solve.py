"""`solve`, the one call in front of every method, and `solve_problem` for a checked problem."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from refot.arrays import (
    Array,
    CostLike,
    InputError,
    Potential,
    Weights,
    lookup,
    namespace,
)
from refot.backend_contract import BackendLike, prepared
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


def solve(
    C: CostLike,
    a: Weights,
    b: Weights,
    eps: Any,
    *,
    method: str = "auto",
    tol: float | None = None,
    max_iter: int = 10_000,
    time_limit: float | None = None,
    gap: float | None = None,
    certified: bool = False,
    progress: Progress | bool = False,
    f: Potential | None = None,
    g: Potential | None = None,
    memory: int | str | None = None,
    backend: BackendLike = None,
) -> SinkhornResult:
    """The optimal potentials (f, g), and how near they are. Warns if they are not near enough.

    C (n, m), or an operand such as `point_cost(x, y)`; inf in a matrix forbids a pair
    (docs/forbidden-pairs.md). a (n,), b (m,); eps in cost units. `method` is a name of METHODS.

    It stops at the first of these; `stopped_by` of the result says which:
    - the L1 marginal error is <= `tol` (default 1e-9, in float32 1e-5), and every f_i and g_j,
      however light its atom, is within eps sqrt(tol) of the (c,eps)-transform of the other side;
    - the relative gap of the value F is proved to be <= `gap`;
    - `time_limit` seconds are over, compilation included. It is looked at between passes over the
      pairs;
    - `max_iter` iterations, those of an eps schedule included;
    - the error has reached what rounding allows, about u c / eps with u = 1e-16 in float64, 6e-8 in
      float32, and c the size of the costs that carry mass. A `tol` below that cannot be reached.

    `certified` proves the gap at the end. `progress` is called with (iteration, error, elapsed
    seconds), or is True for a bar. `g` (m,), or `f` (n,) alone, is a warm start, up to a constant.
    `memory` is what it may take, in bytes or as "2G" (default: REFOT_MEMORY, or a quarter of what
    is free). Raises InputError.

        result = refot.solve(C, a, b, eps, tol=1e-6)
        P = refot.plan(result.f, result.g, C, a, b, eps)
    """
    control = Control(time_limit, gap, certified, progress)
    p = problem(C, a, b, eps, backend)
    return solve_problem(p, method=method, tol=tol, max_iter=max_iter, control=control, f=f, g=g,
                         memory=memory)


def solve_problem(
    p: Problem,
    *,
    method: str = "auto",
    tol: float | None = None,
    max_iter: int = 10_000,
    control: Control | None = None,
    f: Potential | None = None,
    g: Potential | None = None,
    memory: int | str | None = None,
) -> SinkhornResult:
    """`solve` for a problem that is checked already, as other functions of refot have it."""
    choice = lookup(METHODS, method, "method")
    with within(memory):
        require_working_set(p.C)
        p = replace(p, C=kept(p.C))
        p = replace(p, C=prepared(p.backend, p.C, p.a, p.b))
        return iterate(p, choice(p, start(p, f, g)), tol, max_iter, control)


def start(p: Problem, f: Potential | None, g: Potential | None) -> Array:
    """The start of a method, (m,): g, or the transform of f, or 0 if neither is given. Raises
    InputError if both are."""
    if f is not None and g is not None:
        raise InputError("f", "given beside g", "one of them: the other is its transform")
    if f is None and g is None:
        return namespace(p.b).zeros_like(p.b)
    return centred_start(p, p.T.transform(p.row_potential(f)) if g is None else
                         p.column_potential(g))
