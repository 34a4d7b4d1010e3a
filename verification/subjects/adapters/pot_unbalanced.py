"""POT's functions of unbalanced transport: `ot.unbalanced`, and `ot.solve` with `unbalanced`.

`sinkhorn_unbalanced` takes (a, b, M, reg, reg_m), the masses first; reg_m is rho. With reg_type
'entropy' its KL compares the plan with ones, where refot's compares it with a b'. So it is given
another cost (`their_cost_matrix`), for which its plan is the plan of refot's problem.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from types import ModuleType
from typing import Any

import numpy as np

from refot.arrays import Array
from refot.conventions.unbalanced import (
    their_cost_matrix,
    unbalanced_potentials_to_refot,
    unbalanced_value_to_refot,
)
from refot.verification.subjects.subject import Part

from . import Capabilities, once

METHODS = ("sinkhorn", "sinkhorn_stabilized", "sinkhorn_translation_invariant")
"""The methods of `sinkhorn_unbalanced`, less 'sinkhorn_reg_scaling': POT says that this one runs
'sinkhorn' in its place."""

STEPS = 1_000
"""The default `numItermax` of the two functions that do not use Sinkhorn's algorithm."""

LBFGS = 1e-3
"""The tolerance of L-BFGS-B, the square root of 1e-6. On the cases here, when it ends (after STEPS
iterations at most), a step decreases its objective by a share of 1e-6 or less. Near the minimum the
objective grows with the square of the error of the plan, which may so be about 1e-3. The default
stopThr of L-BFGS-B, 1e-15, asks for more than it reaches."""

Solve = Callable[[Array, Array, Array, float, float], Any]
"""A function of (C, a, b, eps, rho)."""

PRODUCT, ONES = "pot.sinkhorn_unbalanced", "pot.sinkhorn_unbalanced(entropy)"
"""The conventions of the two reg_types."""


def unbalanced(ot: ModuleType) -> Iterator[Part]:
    """A part for each function, method and reg_type."""
    yield from _sinkhorn(ot)
    yield from _solve(ot)
    yield from _descents(ot)


# ------------------------------------------------------------------ Sinkhorn
def _sinkhorn(ot: ModuleType) -> Iterator[Part]:
    for method in METHODS:
        for reg_type, called in (("kl", PRODUCT), ("entropy", ONES)):
            solve = once(_logged(ot, called, method=method, reg_type=reg_type))
            name = f"ot.unbalanced.sinkhorn_unbalanced(method='{method}', reg_type='{reg_type}')"
            offered = _of_log(solve, called)
            if (method, reg_type) not in (("sinkhorn", "entropy"), *((m, "kl") for m in METHODS)):
                # with reg_type 'entropy', only the plain method is asked for its potentials
                del offered["unbalanced_potentials"]
            yield Part(name, offered, calls="pot.sinkhorn2")
    yield Part("ot.unbalanced.sinkhorn_unbalanced2(returnCost='total')", {
        "unbalanced_value": lambda C, a, b, eps, rho: ot.unbalanced.sinkhorn_unbalanced2(
            a, b, C, eps, rho, returnCost="total")}, calls="pot.sinkhorn2")


def _logged(ot: ModuleType, called: str, **options: Any) -> Solve:
    """A function (C, a, b, eps, rho) -> (plan, log), for the cost that the convention needs."""

    def solve(C: Array, a: Array, b: Array, eps: float, rho: float) -> Any:
        C = their_cost_matrix(called, C, a, b, eps)
        return ot.unbalanced.sinkhorn_unbalanced(a, b, C, eps, rho, log=True, **options)

    return solve


def _of_log(solve: Solve, called: str) -> Capabilities:
    """The plan, and the potentials of logu and logv."""

    def potentials(C: Array, a: Array, b: Array, eps: float, rho: float) -> tuple[Array, Array]:
        log = solve(C, a, b, eps, rho)[1]
        return unbalanced_potentials_to_refot(called, log["logu"], log["logv"], a, b, eps)

    return {"unbalanced_plan": lambda *problem: solve(*problem)[0],
            "unbalanced_potentials": potentials}


# ------------------------------------------------------------------ ot.solve
def _solve(ot: ModuleType) -> Iterator[Part]:
    @once
    def product(C: Array, a: Array, b: Array, eps: float, rho: float) -> Any:
        return ot.solve(C, a, b, reg=eps, unbalanced=rho)

    def potentials(C: Array, a: Array, b: Array, eps: float, rho: float) -> tuple[Array, Array]:
        u, v = product(C, a, b, eps, rho).potentials
        return unbalanced_potentials_to_refot(PRODUCT, u, v, a, b, eps)

    # Documented: the value is that of the problem solved, the total loss.
    yield Part("ot.solve(unbalanced=reg_m)", {
        "unbalanced_plan": lambda *problem: product(*problem).plan,
        "unbalanced_potentials": potentials,
        "unbalanced_value": lambda *problem: product(*problem).value,
    }, calls="pot.solve")

    @once
    def ones(C: Array, a: Array, b: Array, eps: float, rho: float) -> Any:
        C = their_cost_matrix(ONES, C, a, b, eps)
        return ot.solve(C, a, b, reg=eps, reg_type="entropy", unbalanced=rho)

    def value_of_ones(C: Array, a: Array, b: Array, eps: float, rho: float) -> float:
        given = float(ones(C, a, b, eps, rho).value)
        if not np.isfinite(given):
            return given
        return unbalanced_value_to_refot("pot.solve(entropy, unbalanced)", given, a=a, b=b,
                                         eps=eps)

    # its plan is that of lbfgsb_unbalanced, which has a part of its own and takes long
    yield Part("ot.solve(reg_type='entropy', unbalanced=reg_m)",
               {"unbalanced_value": value_of_ones}, calls="pot.solve(entropy)", tolerance=LBFGS)


# ------------------------------------------------------------------ without Sinkhorn's algorithm
def _descents(ot: ModuleType) -> Iterator[Part]:
    def majorised(C: Array, a: Array, b: Array, eps: float, rho: float) -> Any:
        return ot.unbalanced.mm_unbalanced(a, b, C, rho, reg=eps, log=True)

    def quasi_newton(C: Array, a: Array, b: Array, eps: float, rho: float) -> Any:
        return ot.unbalanced.lbfgsb_unbalanced(a, b, C, eps, rho)

    steps = once(majorised)
    yield Part("ot.unbalanced.mm_unbalanced(reg=reg)", {
        "unbalanced_plan": lambda *problem: steps(*problem)[0],
        "unbalanced_value": lambda *problem: steps(*problem)[1]["total_cost"],
    }, calls="pot.sinkhorn2")
    yield Part("ot.unbalanced.lbfgsb_unbalanced", {"unbalanced_plan": quasi_newton},
               calls="pot.sinkhorn2", tolerance=LBFGS)
