"""Causes in the numerics for one wrong call of unbalanced transport: overflow, underflow, no
convergence. `causes.py` has those of balanced transport; U-1 to U-8 are in docs/equations.md."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from refot.arrays import Array
from refot.verification.checks.trial import Call, Finding
from refot.verification.truth.unbalanced import STEPS, Unbalanced, gibbs, unbalanced_solution

UNDERFLOW = 708
"""C / eps at which exp(-C / eps) leaves the normal numbers of float64."""

SMALL_RHO = 0.1
"""A rho / eps below which the exponents f / rho are so much larger than the exponents divided by
eps that they overflow first."""

EXACT = 1e-7
"""The relative error up to which one side counts as satisfying U-4, as it does after its own
update in the iteration U-3."""


def not_finite(call: Call) -> str:
    """Why an answer on a matrix may not be finite, or ""."""
    named = call.arguments
    if len(named) != 5:
        return ""
    C, a, b, eps, rho = named
    ratio = float(abs(C).max()) / eps
    if bool((a == 0).any() or (b == 0).any()):
        return "not finite: a weight is 0, and its logarithm or quotient is taken"
    if ratio > UNDERFLOW:
        return (f"not finite: max C / eps = {ratio:.3g}, so exp(-C / eps) underflows, or exp(-f / "
                "rho) does: take logarithms of sums of exponentials, each shifted by its maximum")
    if rho < SMALL_RHO * eps:
        return ("not finite: exp(-f / rho) overflows or underflows at small rho: shift the "
                "logarithm of <a, exp(-f / rho)> by its maximum")
    return ""


def cause(call: Call, found: Finding, easy: Callable[[], bool], plan: Callable[[], Array | None]
          ) -> str:
    """The cause that one call shows, or "".

    `easy` says whether the subject's answer is right at an eps so large that an iteration or two
    are enough. `plan` returns the plan of the same part of the subject, or None if it offers none.
    """
    match call.capability:
        case "unbalanced_plan":
            return _of_plan(np.asarray(call.answer), unbalanced_solution(*call.arguments), easy)
        case "unbalanced_potentials":
            t, (f, g) = unbalanced_solution(*call.arguments), call.answer
            return _at_the_start(f, g, t) or _of_plan(gibbs(f, g, t.C, t.a, t.b, t.eps), t, easy)
        case "unbalanced_value":
            t = unbalanced_solution(*call.arguments)
            return _stopped(float(call.answer), t, found) or _own_plan(plan(), t)
    return ""


def _own_plan(P: Array | None, t: Unbalanced) -> str:
    """What is wrong with the plan that the same part of the subject returns, or ""."""
    said = "" if P is None else _of_plan(P, t, lambda: True)
    return f"its own plan: {said}" if said else ""


def _at_the_start(f: Array, g: Array, t: Unbalanced) -> str:
    """A sentence if all potentials are 0, or as good as 0, else ""."""
    if max(abs(f).max(), abs(g).max()) > 1e-9 * t.eps:
        return ""
    return "the potentials are 0, those of the start: the loop ended at once" + _why_empty(t)


# ------------------------------------------------------------------ not converged
def _stopped(measured: float, t: Unbalanced, found: Finding) -> str:
    """A sentence if the answer is the value at an iterate of the plain iteration U-3, by one of
    three formulas; else "".

    They must agree to nine digits, because among the values of so many iterates one is near by
    chance.
    """
    near = min(abs(measured - t.U) / 100, found.tolerance, 1e-9 * abs(measured))
    passed = (abs(t.iterate_values - measured) <= near).any(axis=1)
    if not passed.any():
        return ""
    return f"not converged: the answer after {int(passed.argmax()) % STEPS + 1} iterations"


def _of_plan(P: Array, t: Unbalanced, easy: Callable[[], bool]) -> str:
    """What is wrong with a plan, or "": among others, that U-4 holds for one side and not yet for
    the other one."""
    if not np.isfinite(P).all():
        return "the plan of the potentials is not finite"
    if P.sum() == 0 and t.mass > 0:
        return "the plan is empty" + _why_empty(t)
    if said := _exchanged(P, t):
        return said
    for side, other, of_side in (("columns", "rows", t), ("rows", "columns", _turned(t))):
        missed = _missed_by_an_iterate(P if of_side is t else P.T, of_side)
        if missed is not None and missed > EXACT and easy():
            return (f"not converged: U-4 holds for the {side}, and is missed by {missed:.1g} of "
                    f"the mass for the {other}")
    return ""


def _why_empty(t: Unbalanced) -> str:
    ratio = float(abs(t.C).max()) / t.eps
    if bool((t.a == 0).any() or (t.b == 0).any()):
        return ": a weight is 0"
    return f": exp(-C / eps) underflows at max C / eps = {ratio:.3g}" if ratio > UNDERFLOW else ""


def _turned(t: Unbalanced) -> Unbalanced:
    return Unbalanced(t.C.T, t.b, t.a, t.eps, t.rhos[::-1])


def _missed_by_an_iterate(P: Array, t: Unbalanced) -> float | None:
    """The share of the mass by which the rows miss U-4; None if the columns miss it.

    eps log(P_ij / (a_i b_j)) + C_ij is f_i + g_j. If U-4 holds for the columns, then
    g_j = -rho log((P'1)_j / b_j), and subtracting it leaves f_i, the same for every j. U-4 holds
    for the rows if P1 = a exp(-f / rho).
    """
    there = (P > 0) & (t.independent > 0)
    if not there.any():
        return None
    with np.errstate(all="ignore"):
        left = t.eps * np.log(P / t.independent) + t.C + t.rhos[1] * np.log(P.sum(axis=0) / t.b)
    rows = P.sum(axis=1)
    left, weight = np.where(there, left, 0), np.where(there, P, 0)
    f = (weight * left).sum(axis=1) / np.where(rows > 0, rows, 1)
    unit = float(np.ptp(t.C)) + t.eps + t.rhos[1]
    if float((weight * abs(left - f[:, None])).sum()) > EXACT * unit * float(rows.sum()):
        return None
    due = np.where(rows > 0, t.a * np.exp(-f / t.rhos[0]), 0)
    return float(abs(rows - due).sum() / rows.sum())


def _exchanged(P: Array, t: Unbalanced) -> str:
    """A sentence if the rows of the plan have the right sums of the columns, and the columns those
    of the rows; else ""."""
    if P.shape[0] != P.shape[1]:
        return ""
    (rows, columns), (due_rows, due_columns) = (P.sum(axis=1), P.sum(axis=0)), t.marginals
    right = float(abs(rows - due_rows).sum() + abs(columns - due_columns).sum())
    wrong = float(abs(rows - due_columns).sum() + abs(columns - due_rows).sum())
    if wrong < right / 20:
        return "the sums of rows and columns are exchanged"
    return ""

