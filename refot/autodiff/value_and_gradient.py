"""A value and its gradients from one solve of each of its problems: for F (B-10), the sharp value
s = <C, P>, the divergences S (B-9) and G-4, and the unbalanced U (U-1) and S (U-8).

A gradient flow, or a training loop, asks for both at each step. `warm` starts a step from the
solutions of the step before, which are near; and a problem that has not changed, such as the self
term of a fixed target, is not solved again.

Points x (n, d) with weights a (n,), y (m, d) with b (m,). `wrt` names what the gradients are with
respect to: any of the letters x, a, y, b. `tol` is by default that of the gradients
(`first_order_tolerance`, or that of `unbalanced.tight`), at which a value is accurate too.
B = Bréchet et al. 2019, G = Genevay, Peyré, Cuturi 2018, H = Houdard et al. 2023. U-1, U-7 and U-8
are equations of docs/equations.md.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, NamedTuple, TypeAlias

from refot.arrays import (
    REQUIRED,
    Array,
    CostLike,
    InputError,
    Points,
    TypeInputError,
    Weights,
    in_range,
)
from refot.autodiff.losses import NOTHING, SolvedLoss, Warm, solved_loss
from refot.autodiff.sharp_term import solved_sharp_self, solved_sharp_term
from refot.backend_contract import BackendLike
from refot.costs.forbidden import require_all_partners
from refot.costs.named import CostName
from refot.costs.operands import PointCost, as_cost, as_point_cost
from refot.divergences import three_problems
from refot.foreign import as_given
from refot.problem import Problem, problem
from refot.solvers.loop import SinkhornResult
from refot.unbalanced.values import divergence_problems
from refot.unbalanced_problem import UnbalancedProblem, unbalanced_problem


class Gradient(NamedTuple):
    """The gradients that `wrt` asked for, the others None."""

    x: Array | None = None
    """(n, d)."""

    a: Array | None = None
    """(n,), with sum 0 where the mass is 1."""

    y: Array | None = None
    """(m, d)."""

    b: Array | None = None
    """(m,), with sum 0 where the mass is 1."""


class ValueAndGradient(NamedTuple):
    """A value in cost units, its gradients, and what was solved for them."""

    value: float
    gradient: Gradient
    solved: tuple[SinkhornResult, ...]
    """The solution of xy, and of a divergence those of xx and yy: what `solved=` takes elsewhere is
    `solved[0]` for a value, and `solved` for a divergence."""


# ------------------------------------------------------------------ one pair of measures
@as_given
def entropic_value_and_gradient(
    C: CostLike, a: Weights = None, b: Weights = None, eps: float = REQUIRED, *, wrt: str = "x",
    tol: float | None = None, normalise: bool = False, backend: BackendLike = None,
    warm: ValueAndGradient | None = None,
) -> ValueAndGradient:
    """F, as `entropic_value`, and its gradients. B-10, H-24.

    C is the PointCost of x and y, or for wrt="a", "b" or "ab" any cost. Raises InputError.

        value, gradient, _ = refot.entropic_value_and_gradient(point_cost(x, y), a, b, eps)
        x = x - step * gradient.x
    """
    p = problem(C, a, b, eps, backend, normalise)
    _require(wrt, p, C)
    return _found([p], wrt, tol, warm)


@as_given
def sharp_value_and_gradient(
    C: CostLike, a: Weights = None, b: Weights = None, eps: float = REQUIRED, *, wrt: str = "x",
    tol: float | None = None, normalise: bool = False, backend: BackendLike = None,
    warm: ValueAndGradient | None = None,
) -> ValueAndGradient:
    """s, as `sharp_value`, and its gradients, by implicit differentiation. W_{c,eps} of G.

    C is the PointCost of x and y, or for wrt="a", "b" or "ab" any cost. Forms the plan, and solves
    a linear system of min(n, m) unknowns. Raises InputError.
    """
    p = problem(C, a, b, eps, backend, normalise)
    _require(wrt, p, C)
    return _found([p], wrt, tol, warm, sharp_loss)


# ------------------------------------------------------------------ divergences
@as_given
def sinkhorn_divergence_value_and_gradient(
    x: Points, a: Weights = None, y: Points = REQUIRED, b: Weights = None, eps: float = REQUIRED,
    cost: CostName = "sqeuclidean", *, wrt: str = "x", tol: float | None = None,
    normalise: bool = False, backend: BackendLike = None, warm: ValueAndGradient | None = None,
) -> ValueAndGradient:
    """S, as `sinkhorn_divergence`, and its gradients. B-9.

        step = None
        for _ in range(50):  # a gradient flow
            step = refot.sinkhorn_divergence_value_and_gradient(x, a, y, b, eps, warm=step)
            x = x - 0.1 * len(x) * step.gradient.x

    Raises InputError.
    """
    return _found(three_problems(x, a, y, b, eps, cost, backend, normalise), wrt, tol, warm)


@as_given
def sinkhorn_loss_value_and_gradient(
    x: Points, a: Weights = None, y: Points = REQUIRED, b: Weights = None, eps: float = REQUIRED,
    cost: CostName = "sqeuclidean", *, wrt: str = "x", tol: float | None = None,
    normalise: bool = False, backend: BackendLike = None, warm: ValueAndGradient | None = None,
) -> ValueAndGradient:
    """2 s_xy - s_xx - s_yy, as `sinkhorn_loss`, and its gradients. G-4. Raises InputError.

    Forms three plans, and solves a linear system for each.
    """
    half = _found(three_problems(x, a, y, b, eps, cost, backend, normalise), wrt, tol, warm,
                  sharp_loss)
    twice = (None if part is None else 2 * part for part in half.gradient)
    return half._replace(value=2 * half.value, gradient=Gradient(*twice))


# ------------------------------------------------------------------ unbalanced
@as_given
def unbalanced_value_and_gradient(
    C: CostLike, a: Weights = None, b: Weights = None, eps: float = REQUIRED,
    rho: object = REQUIRED, penalty: str = "kl", *, wrt: str = "x", tol: float | None = None,
    backend: BackendLike = None, warm: ValueAndGradient | None = None,
) -> ValueAndGradient:
    """U, as `unbalanced_value`, and its gradients; from those in the masses no mean is subtracted.
    U-1, U-7.

    C is the PointCost of x and y, or for wrt="a", "b" or "ab" any cost. Raises InputError.
    """
    p = unbalanced_problem(C, a, b, eps, rho, penalty, backend)
    _require(wrt, p, C)
    if p.is_exact and {"a", "b"} & set(wrt):
        raise InputError("rho", "inf on both sides", "a finite rho: a or b alone cannot change")
    return _found([p], wrt, tol, warm)


@as_given
def unbalanced_divergence_value_and_gradient(
    x: Points, a: Weights = None, y: Points = REQUIRED, b: Weights = None, eps: float = REQUIRED,
    rho: object = REQUIRED, cost: CostName = "sqeuclidean", penalty: str = "kl", *, wrt: str = "x",
    tol: float | None = None, backend: BackendLike = None, warm: ValueAndGradient | None = None,
) -> ValueAndGradient:
    """S, as `unbalanced_divergence`, and its gradients; from those in the masses no mean is
    subtracted. U-8.

    rho is one number, for all marginals. Raises InputError.
    """
    problems = divergence_problems(x, a, y, b, eps, rho, cost, penalty, backend)
    return _found(problems, wrt, tol, warm)


# ------------------------------------------------------------------ parts
Solved: TypeAlias = Callable[[Sequence[Problem], float | None, Warm],
                             tuple[SolvedLoss, tuple[SinkhornResult, ...]]]
"""(problems, tol, what each solve starts from) -> the loss of these problems, and their
solutions."""


def sharp_loss(problems: Sequence[Problem], tol: float | None, warm: Warm
               ) -> tuple[SolvedLoss, tuple[SinkhornResult, ...]]:
    """The solved loss of sharp values: s of the problem xy alone; or s_xy - s_xx / 2 - s_yy / 2 of
    the problems xy, xx and yy, which is half of G-4."""
    solvers = (solved_sharp_term, solved_sharp_self, solved_sharp_self)
    terms, found = zip(*(solver(p, tol, near) for solver, p, near in zip(
        solvers, problems, warm, strict=False)), strict=True)
    return SolvedLoss(*terms), found


def _found(problems: Sequence[Problem], wrt: str, tol: float | None,
           warm: ValueAndGradient | None, solved: Solved = solved_loss) -> ValueAndGradient:
    """The value and the gradients of a loss of these problems."""
    _require_letters(wrt)
    problems = [_kept_apart(p) for p in problems]
    loss, found = solved(problems, tol, _starts(problems, warm))
    value, *gradients = value_and_gradient(loss, wrt)
    return ValueAndGradient(value, Gradient(**dict(zip(wrt, gradients, strict=True))), found)


@in_range
def value_and_gradient(loss: SolvedLoss, wrt: str) -> tuple[Any, ...]:
    """The value, and the gradients in the order of `wrt`."""
    return loss.value(), *(getattr(loss, f"gradient_{name}")() for name in wrt)


def _kept_apart(p: Problem) -> Problem:
    """The problem with copies of its points and weights. The caller may move the points in place,
    and the next step must notice that they differ from those of this one."""
    C = p.C.with_arrays(lambda x: x.copy()) if isinstance(p.C, PointCost) else p.C
    return replace(p, C=C, a=p.a.copy(), b=p.b.copy())


def _starts(problems: Sequence[Problem], warm: Any) -> Warm:
    """What each solve starts from. Raises InputError where `warm` does not fit these problems."""
    if warm is None:
        return NOTHING
    if not isinstance(warm, ValueAndGradient) or len(warm.solved) != len(problems):
        raise TypeInputError("warm", f"{type(warm).__name__}", "what this function returned before")
    for p, near in zip(problems, warm.solved, strict=True):
        if near.problem.C.shape != p.C.shape:
            raise InputError("warm", f"a solution for a cost of shape {near.problem.C.shape}",
                             f"{p.C.shape}, that of the problem")
    return warm.solved


def _require_letters(wrt: str) -> None:
    """Raise InputError unless `wrt` is made of the names of a Gradient."""
    allowed = Gradient._fields
    if not isinstance(wrt, str) or not set(wrt) <= set(allowed) or len(set(wrt)) < len(wrt):
        raise InputError("wrt", f"{wrt!r}", f"some of the letters {', '.join(allowed)}: \"xy\"")


def _require(wrt: str, p: Problem | UnbalancedProblem, C: CostLike) -> None:
    """Raise InputError where the value has no such gradient: in points, if the cost is a matrix; in
    weights, if all pairs of a point are forbidden."""
    _require_letters(wrt)
    if {"x", "y"} & set(wrt):
        as_point_cost(C)
    for name, cost, others in (("a", as_cost(C), p.b), ("b", as_cost(C).T, p.a)):
        if name in wrt:
            require_all_partners(cost, others)
