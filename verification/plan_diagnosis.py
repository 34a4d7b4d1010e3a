"""Diagnosis of a plan: is it a Gibbs plan of this cost and eps, and are its marginals right?

A plan diag(u) K diag(v) satisfies eps log(P / (a(x)b)) + C = f_i + g_j whether it is converged or
not. So the double differences of log P against those of C tell the eps that was really used, and
the marginals tell the rest.
"""

from __future__ import annotations

import numpy as np

from refot.arrays import Array

from .check import Trial


def diagnose_plan(capability: str, trial: Trial) -> str:
    """A sentence that names what is wrong with the plan (or the plan of the potentials), or ""."""
    try:
        P = _plan(capability, trial)
    except ArithmeticError:
        return "the plan of the potentials overflows"
    truth, eps = trial.truth, trial.case.eps
    if P.sum() == 0:
        return "the plan is empty: exp(-C / eps) has underflowed"
    slope, spread = _gibbs_slope(P, truth.C, eps)
    if np.isfinite(slope) and spread < 1e-6 * trial.case.spread and abs(slope - 1) > 1e-3:
        return f"a Gibbs plan, but of cost / eps times {slope:.4g}: eps or the scale of the cost"
    if P.shape[0] == P.shape[1]:
        slope_T, spread_T = _gibbs_slope(P, truth.C.T, eps)
        if spread_T < 1e-6 * trial.case.spread < spread and abs(slope_T - 1) < 1e-3:
            return "the Gibbs plan of the transposed cost"
    return _marginals(P, truth.a, truth.b)


def _plan(capability: str, trial: Trial) -> Array:
    if capability == "plan":
        return trial.probe.array("plan", trial.case.C.shape, *trial.case.matrix)
    f, g = trial.potentials(trial.case)
    with np.errstate(over="ignore", invalid="ignore"):
        P = np.outer(trial.truth.a, trial.truth.b) * np.exp(
            (f[:, None] + g - trial.truth.C) / trial.case.eps)
    if not np.isfinite(P).all():
        raise OverflowError
    return P


def _gibbs_slope(P: Array, C: Array, eps: float) -> tuple[float, float]:
    """(t, the misfit in cost units) of the best fit -eps log P ~ t C + f_i + g_j."""
    rows, columns = (P > 1e-200).all(axis=1), (P > 1e-200).all(axis=0)
    if rows.sum() < 2 or columns.sum() < 2:
        return float("nan"), float("inf")
    log_P = _centred(-eps * np.log(P[np.ix_(rows, columns)]))
    centred_C = _centred(C[np.ix_(rows, columns)])
    weight = float((centred_C**2).sum())
    if weight == 0:
        return float("nan"), float("inf")
    slope = float((log_P * centred_C).sum()) / weight
    return slope, float(abs(log_P - slope * centred_C).max())


def _centred(M: Array) -> Array:
    """M with its row and column means taken out: blind to f_i + g_j."""
    centred: Array = M - M.mean(axis=0) - M.mean(axis=1, keepdims=True) + M.mean()
    return centred


def _marginals(P: Array, a: Array, b: Array) -> str:
    rows, columns, mass = P.sum(axis=1), P.sum(axis=0), float(P.sum())
    off_a, off_b = float(abs(rows - a).sum()), float(abs(columns - b).sum())
    uniform_a, uniform_b = abs(rows - 1 / len(a)).sum(), abs(columns - 1 / len(b)).sum()
    if abs(mass - 1) > 0.1:
        return f"the plan has mass {mass:.4g}, not 1"
    sides = (("a", off_a, uniform_a), ("b", off_b, uniform_b))
    ignored = [name for name, off, from_uniform in sides
               if off > 1e-3 and from_uniform < off / 100]
    if ignored:
        return f"the weights {' and '.join(ignored)} are ignored: the marginal is uniform"
    if off_a + off_b > 1e-12:
        return f"not converged: marginal errors {off_a:.1g} (rows) and {off_b:.1g} (columns)"
    return ""
