"""`solve`, the one call in front of every method, and `solve_problem` for a checked problem.

U-1 is an equation of docs/equations.md.
"""

from __future__ import annotations

from dataclasses import replace
from os import PathLike
from pathlib import Path
from typing import Any

from refot.arrays import (
    REQUIRED,
    Array,
    CostLike,
    InputError,
    Potential,
    Weights,
    lookup,
    namespace,
)
from refot.backend_contract import BackendLike, prepared
from refot.foreign import as_given
from refot.problem import Problem, problem
from refot.solvers.loop import SinkhornResult, iterate
from refot.solvers.memory import kept, require_working_set, within
from refot.solvers.progress import Progress
from refot.solvers.sinkhorn import centred_start, log_iterates
from refot.solvers.stopping import Control
from refot.unbalanced_problem import UnbalancedProblem, unbalanced_problem

from .answers.gauge import in_gauge, require_gauge
from .auto import auto
from .newton import newton
from .newton_cg import newton_cg
from .overrelaxed import overrelaxed
from .resume import Follow, rescued_in, resumed
from .schedule import Method, P, Stage, schedule
from .stabilised import stabilised
from .unbalanced.auto import auto_free
from .unbalanced.gap import gap_of_best as _  # noqa: F401 - adds its case to gap_of
from .unbalanced.iteration import invariant, invariant_iterates
from .unbalanced.newton_tv import newton_tv
from .unbalanced.overrelaxed import overrelaxed_free, stabilised_free
from .unbalanced.result import with_mass
from .variants.accelerated import accelerated
from .variants.mixed import mixed

METHODS: dict[str, Method] = {
    "accelerated": accelerated,
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


UNBALANCED_METHODS: dict[str, Stage[UnbalancedProblem]] = {
    "auto": auto_free,
    "newton": newton,
    "newton-cg": newton_cg,
    "overrelaxed": overrelaxed_free,
    "schedule": invariant,
    "sinkhorn": invariant_iterates,
    "stabilised": stabilised_free,
}
"""The methods for an unbalanced problem, whose marginals may be missed at a price."""

TV_METHODS: dict[str, Stage[UnbalancedProblem]] = {
    "auto": auto_free,
    "newton": newton_tv,
    "overrelaxed": overrelaxed_free,
    "schedule": invariant,
    "sinkhorn": invariant_iterates,
}
"""The methods where that price is total variation. The optimal row sum for a given f_i (for KL it
is a_i exp(-f_i / rho)) is then no differentiable function of f_i, which the other methods need."""


@as_given
def solve(
    C: CostLike,
    a: Weights = None,
    b: Weights = None,
    eps: Any = REQUIRED,
    *,
    method: str = "auto",
    tol: float | None = None,
    max_iter: int = 10000,
    iterations: int | None = None,
    time_limit: float | None = None,
    gap: float | None = None,
    certified: bool = False,
    rho: Any | None = None,
    penalty: str = "kl",
    progress: Progress | bool = False,
    f: Potential | None = None,
    g: Potential | None = None,
    gauge: str | None = None,
    memory: int | str | None = None,
    normalise: bool = False,
    checkpoint: str | PathLike[str] | None = None,
    backend: BackendLike = None,
) -> SinkhornResult:
    """The optimal potentials (f, g), and how near they are. Warns if they are not near enough.

    C (n, m), or `point_cost(x, y)`, which needs no matrix; inf in a matrix forbids a pair
    (docs/forbidden-pairs.md). a (n,), b (m,); eps in cost units. `method` is a name of METHODS.

    It stops at the first of these; `stopped_by` of the result says which:
    - the L1 marginal error is <= `tol` (default 1e-9, in float32 1e-5), and every f_i and g_j,
      however small its weight, is within eps sqrt(tol) of the (c,eps)-transform of the other
      potential;
    - the relative gap between proved lower and upper bounds of the optimal value F is <= `gap`;
    - `time_limit` seconds are over, compilation included. The clock is read between passes over
      the pairs;
    - `max_iter` iterations, those of an eps schedule included;
    - the error has reached what rounding allows: about 1e-16 (in float32 6e-8) times the size of
      the costs of pairs that carry mass, over eps. A `tol` below that cannot be reached.

    Or it runs exactly `iterations` sweeps of Sinkhorn's algorithm, whatever their error, and does
    not warn: `converged` says whether they reached `tol`.

    `certified` proves bounds of F at the end, whatever stopped the solve. `progress` is called with
    (iteration, error, elapsed seconds), or is True for a bar. `g` (m,), or `f` (n,) alone, is a
    warm start, up to a constant. `gauge` fixes the constant t in (f + t, g - t), on which the plan
    and the value do not depend: "mean-zero" (the mean of f is 0), "weighted-zero" (a.f = 0),
    "symmetric" (a.f = b.g) or "last-zero" (the last g_j is 0); by default it is left as the method
    finds it. `memory` is what the solve may take, in bytes or as "2G" (default: REFOT_MEMORY, or a
    quarter of what is free). Weights None are uniform; with `normalise` they may be counts. Raises
    InputError.

    With a folder as `checkpoint`, a solve that was interrupted goes on where it was when the same
    call is made again, and ends at the same bits; docs/scale.md.

        result = refot.solve(C, a, b, eps, tol=1e-6)
        P = refot.plan(result.f, result.g, C, a, b, eps)

    With `rho` the problem is unbalanced (U-1): a and b are masses of any total, and the plan may
    miss its marginals at a price, `penalty` "kl" or "tv" times rho. rho is a number in cost units,
    or a pair (rows, columns); inf for a marginal that is exact. The result is then an
    `UnbalancedResult`, which says what its errors are.
    """
    if rho is None and penalty != "kl":
        raise InputError("penalty", f"{penalty!r} without rho", "rho=, the price of a penalty")
    control = Control(time_limit, gap, certified, progress, iterations)
    if rho is None:
        p = problem(C, a, b, eps, backend, normalise)
    elif normalise:
        raise InputError("normalise", "True beside rho", "False: masses may have any total")
    else:
        p = unbalanced_problem(C, a, b, eps, rho, penalty, backend)
    return solve_problem(p, method=method, tol=tol, max_iter=max_iter, control=control, f=f, g=g,
                         gauge=gauge, memory=memory, checkpoint=checkpoint)


def _sweeps(method: str) -> str:
    """The name of the method whose iterations are plain sweeps. Raises InputError where another one
    was chosen."""
    if method not in ("auto", "sinkhorn"):
        raise InputError("iterations", f"given beside method {method!r}",
                         "method 'sinkhorn': one of its iterations is one sweep")
    return "sinkhorn"


def solve_problem(
    p: Problem,
    *,
    method: str = "auto",
    tol: float | None = None,
    max_iter: int = 10_000,
    control: Control | None = None,
    f: Potential | None = None,
    g: Potential | None = None,
    gauge: str | None = None,
    memory: int | str | None = None,
    checkpoint: str | PathLike[str] | None = None,
    rescue: Path | None = None,
) -> SinkhornResult:
    """`solve` for a problem that is checked already, for use within refot. `rescue` is a file for
    the last potentials of a solve that is interrupted and has no checkpoint."""
    if control is not None and control.iterations is not None:
        method = _sweeps(method)
    if gauge is not None:
        require_gauge(p, gauge)
    iterates = method_for(p, method)
    with within(memory):
        require_working_set(p.C)
        inside = replace(p, C=kept(p.backend, p.C))
        inside = replace(inside, C=prepared(p.backend, inside.C, p.a, p.b))

        def run(p: Problem, follow: Follow) -> SinkhornResult:
            return iterate(p, follow(iterates(p, start(p, f, g))), tol, max_iter, control)

        if checkpoint is not None:
            found = resumed(checkpoint, inside, run)
        else:
            found = run(inside, iter) if rescue is None else rescued_in(rescue, inside, run)
        found = replace(found, problem=p)  # not the matrix that was formed for the solve
        found = with_mass(p, found) if isinstance(p, UnbalancedProblem) else found
    return found if gauge is None else in_gauge(found, gauge)


def method_for(p: P, method: str) -> Stage[P]:
    """The method of this name for the kind of problem. Raises UnknownNameError."""
    table: dict[str, Any] = METHODS
    if isinstance(p, UnbalancedProblem):
        table = UNBALANCED_METHODS if p.is_smooth else TV_METHODS
    choice: Stage[P] = lookup(table, method, "method")
    return choice


def start(p: Problem, f: Potential | None, g: Potential | None) -> Array:
    """The start of a method, (m,): g, or the transform of f, or 0 if neither is given. Raises
    InputError if both are."""
    if f is not None and g is not None:
        raise InputError("f", "given beside g", "one of them: the other is its transform")
    if f is None and g is None:
        return namespace(p.b).zeros_like(p.b)
    given = p.T.best(p.row_potential(f)) if g is None else p.column_potential(g)
    return given if isinstance(p, UnbalancedProblem) else centred_start(p, given)
