"""Bugs of unbalanced plans and potentials: a right solve with one changed line."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from refot.arrays import Array
from refot.verification.zoo.bug import bug
from refot.verification.zoo.solvers import density_plan

from .bugs_values import CASES, at, at_rho, of_plan, potentials, to_ones
from .right import plan_of
from .solvers import checked

SQUARE = ("square-uniform", "asymmetric")
"""Cases of n = m, where rows and columns can be confused; the first with uniform weights."""


def _divided(P: Array, a: Array, b: Array, rows: bool, columns: bool) -> Array:
    """P divided by the weights a if `rows`, and by b if `columns`."""
    return P / ((a[:, None] if rows else 1) * (b if columns else 1))


def _exchanged_potentials(C: Array, a: Array, b: Array, eps: float, rho: float) -> Array:
    """The plan of f and g exchanged, where n = m, so that all shapes are right."""
    f, g = potentials(C, a, b, eps, rho)
    f, g = (g, f) if C.shape[0] == C.shape[1] else (f, g)
    return density_plan(f, g, C, a, b, eps)


def _sums_exchanged(C: Array, a: Array, b: Array, eps: float, rho: float) -> Array:
    """Where n = m, a diagonal plan with the right column sums, which are its row sums, too; the
    right plan where n != m."""
    P = plan_of(C, a, b, eps, rho)
    return np.diag(P.sum(0)) if C.shape[0] == C.shape[1] else P


for _name, _check, _diagnosis, _plan in (
    ("KL to 1", "entries", "reference-ones", at(to_ones, plan_of)),
    ("normalised", "marginals", "mass-one", of_plan(lambda P, *_: P / P.sum())),
    ("density", "entries", "density-for-plan",
     of_plan(lambda P, C, a, b, *_: _divided(P, a, b, True, True))),
    ("a missing outside", "transposed", "a-missing-outside",
     of_plan(lambda P, C, a, b, *_: _divided(P, a, b, True, False))),
    ("kernel", "entries", "kernel-alone",
     lambda C, a, b, eps, rho: np.outer(a, b) * np.exp(-C / eps)),
    ("independent", "entries", "independent-coupling",
     lambda C, a, b, eps, rho: np.outer(a, b)),
    ("of masses divided out", "entries", "weights-normalised",
     at(lambda C, a, b, eps, rho: (C, a / a.sum(), b / b.sum(), eps, rho), plan_of)),
    ("tau for rho", "marginals", "rho-is-damping",
     at_rho(lambda rho, eps: rho / (rho + eps), plan_of)),
    ("reach^2", "entries", "rho-squared", at_rho(lambda rho, eps: rho**2, plan_of)),
):
    bug(f"unbalanced_plan: {_name}", f"unbalanced_plan.{_check}", f"unbalanced_plan.{_diagnosis}",
        _plan, CASES)

bug("unbalanced_plan: f and g exchanged", "unbalanced_plan.marginals",
    "unbalanced_plan.potentials-exchanged", _exchanged_potentials, SQUARE)
bug("unbalanced_plan: sums of rows and columns exchanged", "unbalanced_plan.entries",
    "unbalanced_plan.marginals-exchanged", _sums_exchanged, SQUARE)


# ------------------------------------------------------------------ potentials
def _log(weights: Array) -> Array:
    return np.log(np.where(weights > 0, weights, 1e-300))


def of_both(form: Callable[..., Any]) -> Any:
    """Wrong potentials form(f, g, a, b, eps, rho), computed from the right ones."""

    def answer(C: Array, a: Array, b: Array, eps: float, rho: float) -> Any:
        f, g = potentials(C, a, b, eps, rho)
        _, a, b = checked(C, a, b, eps, rho)
        return form(f, g, a, b, eps, rho)

    return answer


for _name, _check, _diagnosis, _form in (
    ("plain", "optimal", "unbalanced_potentials.plain-form",
     lambda f, g, a, b, eps, rho: (f + eps * _log(a), g + eps * _log(b))),
    ("log scalings", "optimal", "unbalanced_potentials.log-scaling-form",
     lambda f, g, a, b, eps, rho: (f / eps + _log(a), g / eps + _log(b))),
    ("over eps", "optimal", "unbalanced_potentials.divided-by-eps",
     lambda f, g, a, b, eps, rho: (f / eps, g / eps)),
    ("over rho", "optimal", "unbalanced_potentials.divided-by-rho",
     lambda f, g, a, b, eps, rho: (f / rho, g / rho)),
    ("not damped", "marginals", "unbalanced_potentials.not-damped",
     lambda f, g, a, b, eps, rho: (f * (1 + eps / rho), g * (1 + eps / rho))),
    ("wrong sign", "optimal", "unbalanced_potentials.negated",
     lambda f, g, a, b, eps, rho: (-f, -g)),
    ("last g = 0", "marginals", "free-constant",
     lambda f, g, a, b, eps, rho: (f + g[-1], g - g[-1])),
):
    bug(f"unbalanced_potentials: {_name}", f"unbalanced_potentials.{_check}", _diagnosis,
        of_both(_form), CASES)
bug("unbalanced_potentials: reach^2", "unbalanced_potentials.optimal",
    "unbalanced_potentials.rho-squared", at_rho(lambda rho, eps: rho**2, potentials), CASES)
