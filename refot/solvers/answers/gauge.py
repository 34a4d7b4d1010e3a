"""Gauges: rules that choose the constant t in (f + t, g - t), all of which have the same plan."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import replace

from refot.arrays import Array, ConvergenceWarning, InputError, lookup
from refot.problem import Problem
from refot.solvers.accuracy import accuracy
from refot.solvers.loop import SinkhornResult
from refot.solvers.stopping import StoppedBy, level_outside

OF_POTENTIALS: dict[str, Callable[[Array, Array], float]] = {
    "last-zero": lambda f, g: float(g[-1]),
    "mean-zero": lambda f, g: -float(f.mean()),
}
"""The gauges that need the potentials alone, each as the t that it chooses: the last g_j is 0; the
mean of f is 0."""

WEIGHTED: dict[str, Callable[[Array, Array, Array, Array], float]] = {
    "symmetric": lambda a, b, f, g: float(b @ g - a @ f) / 2,
    "weighted-zero": lambda a, b, f, g: -float(a @ f),
}
"""The gauges that need the weights a and b too, of mass 1, each as its t: a.f = b.g; a.f = 0."""

GAUGES = OF_POTENTIALS | WEIGHTED
"""Every gauge, by name."""


def require_gauge(p: Problem, gauge: str) -> None:
    """Raise InputError for a name that is no gauge; and for a problem in which a marginal may be
    missed at a price, since its potentials have no free constant."""
    lookup(GAUGES, gauge, "gauge")
    if not p.is_exact:
        raise InputError("gauge", f"{gauge!r} beside rho",
                         "None: marginals that may be missed leave no constant free")


def in_gauge(found: SinkhornResult, gauge: str) -> SinkhornResult:
    """The result with its constant chosen. Its errors are evaluated anew, because adding a large
    constant rounds. Warns where only that has made them larger than the tolerance."""
    p = found.problem
    f, g = shifted(p, found.f, found.g, gauge)
    errors = accuracy(p, f, g)
    converged = errors.within(found.tolerance) or (
        found.converged and found.stopped_by == StoppedBy.GAP)
    if found.converged and not converged:
        warnings.warn(f"{errors.shortfall(found.tolerance)} in the gauge {gauge!r}, whose constant "
                      "is so large that it rounds the potentials: take another gauge",
                      ConvergenceWarning, stacklevel=level_outside())
    return replace(found, f=f, g=g, converged=converged, marginal_error=errors.marginal_error,
                   atom_error=errors.atom_error)


def constant(gauge: str, a: Array, b: Array, f: Array, g: Array) -> float:
    """The t with which (f + t, g - t) is in the gauge, for weights a and b of mass 1."""
    if gauge in WEIGHTED:
        return WEIGHTED[gauge](a, b, f, g)
    return OF_POTENTIALS[gauge](f, g)


def shifted(p: Problem, f: Array, g: Array, gauge: str) -> tuple[Array, Array]:
    """(f + t, g - t) with the t of the gauge."""
    mass = float(p.a.sum())
    t = constant(gauge, p.a / mass, p.b / mass, f, g)
    return f + t, g - t
