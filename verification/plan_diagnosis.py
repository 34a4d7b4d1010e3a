"""Diagnosis of a plan: is it a Gibbs plan of this cost and eps, and are its marginals right?"""

from __future__ import annotations

import numpy as np

from refot.arrays import Array
from refot.conventions import PotentialForm

from .check import Trial
from .gibbs import double_differences, slope


def diagnose_plan(capability: str, trial: Trial) -> str:
    """A sentence that names what is wrong with the plan (or the plan of the potentials), or ""."""
    if capability == "potentials" and (form := _other_form(trial)):
        return f"these potentials are in the form {form!r}: declare a `convention` that says so"
    P, truth, eps = _plan(capability, trial), trial.truth, trial.case.eps
    if not np.isfinite(P).all():
        return "the plan of the potentials is not finite"
    empty_atoms = bool((truth.a == 0).any() or (truth.b == 0).any())
    if P.sum() == 0:
        return "the plan is empty" + (": a weight is 0" if empty_atoms else
                                      f": exp(-C / eps) underflows at max C / eps = "
                                      f"{abs(truth.C).max() / eps:.3g}")
    a, b, exact = truth.a, truth.b, 1e-6 * trial.case.spread
    t, misfit = slope(*double_differences(P, truth.C, a, b, eps))
    if misfit < exact and abs(t - 1) > 1e-3:
        return f"a Gibbs plan, but of cost / eps times {t:.4g}: eps or the scale of the cost"
    if P.shape[0] == P.shape[1]:
        t, misfit_T = slope(*double_differences(P, truth.C.T, a, b, eps))
        if misfit_T < exact < misfit and abs(t - 1) < 1e-3:
            return "the Gibbs plan of the transposed cost"
    return _marginals(P, a, b, trial.rate)


def _plan(capability: str, trial: Trial) -> Array:
    if capability == "plan":
        return trial.probe.array("plan", trial.case.C.shape, *trial.case.matrix)
    f, g = trial.potentials(trial.case)
    mass = np.outer(trial.truth.a, trial.truth.b)
    with np.errstate(all="ignore"):  # what is not finite is told
        density = np.exp((f[:, None] + g - trial.truth.C) / trial.case.eps)
        return np.where(mass > 0, mass * density, 0)


def _other_form(trial: Trial) -> str:
    """The form of potentials under which the plan has the right marginals, or ""."""
    C, a, b, eps = trial.truth.C, trial.truth.a, trial.truth.b, trial.case.eps
    f, g = trial.probe.pair("potentials", *trial.case.matrix)
    for form in (PotentialForm.PLAIN, PotentialForm.LOG_SCALING):
        exponent = f[:, None] + g - C / eps if form is PotentialForm.LOG_SCALING else (
            f[:, None] + g - C) / eps
        with np.errstate(all="ignore"):
            P = np.exp(exponent)
        if _distance(P.sum(axis=1), a) + _distance(P.sum(axis=0), b) < trial.rate:
            return str(form)
    return ""


def _marginals(P: Array, a: Array, b: Array, rate: float) -> str:
    rows, columns, mass = P.sum(axis=1), P.sum(axis=0), float(P.sum())
    if abs(mass - 1) > 0.1:
        return f"the plan has mass {mass:.4g}, not 1"
    off_a, off_b = _distance(rows, a), _distance(columns, b)
    ignored = [name for name, off, marginal in (("a", off_a, rows), ("b", off_b, columns))
               if off > 1e-3 and _distance(marginal, np.full_like(marginal, 1 / len(marginal)))
               < off / 100]
    if ignored:
        return f"the weights {' and '.join(ignored)} are ignored: the marginal is uniform"
    if off_a + off_b > rate:
        return f"not converged: marginal errors {off_a:.1g} (rows) and {off_b:.1g} (columns)"
    return ""


def _distance(p: Array, q: Array) -> float:
    return float(abs(p - q).sum())
