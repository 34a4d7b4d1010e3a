"""MDOT-TNT (`import mdot_tnt`) as a subject. https://github.com/metekemertas/mdot_tnt

Its licence allows non-commercial use only. So nothing in refot depends on it, no extra of refot
installs it, and only a verification of this subject imports it.

`solve_OT(r, c, C, gamma_f)` takes gamma = 1/eps and advises costs in [0, 1]. So each cost is scaled
to [0, 1] here, which makes gamma = (max C - min C) / eps. It returns the cost or the plan, rounded
to exact marginals. Its aim is W0: it does not promise that the plan is the optimal one for gamma.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from importlib.metadata import version
from types import ModuleType
from typing import Any, NamedTuple

import numpy as np

from refot.arrays import Array
from refot.conventions.convert import PotentialForm, potentials_to_refot
from refot.objectives import entropy
from refot.verification.subjects.subject import Part, Subject

from . import in_double, once, require

CALLED = "mdot_tnt.solve_OT"
"""The convention of all its functions."""

HOW = "pip install --no-deps mdot-tnt, for non-commercial use only"
"""How to get the library. Without --no-deps, pip might replace the installed torch by another."""

ACCURATE = 1e-9
"""The L1 error of the marginals at which the accurate twin stops."""


def subject() -> Subject:
    """The functions of MDOT-TNT. Raises ImportError without it, or without torch."""
    torch = require("torch", "PyTorch")
    mdot_tnt = require("mdot_tnt", "MDOT-TNT", HOW)
    return Subject("MDOT-TNT", version("mdot-tnt"),
                   (*_solve(mdot_tnt, torch), _mirror_descent(torch)))


class Unit(NamedTuple):
    """A problem as tensors: weights r, c, and a cost C with entries in [0, 1]. The given cost is
    low + spread * C, and gamma = spread / eps."""

    r: Any
    c: Any
    C: Any
    gamma: float
    low: float
    spread: float


def _unit(torch: ModuleType, C: Array, a: Array, b: Array, eps: float) -> Unit:
    low, spread = 0.0, 1.0
    if C.size and np.isfinite(C).all():  # a cost that is not finite is passed on unscaled
        low, spread = float(C.min()), float(np.ptp(C)) or 1.0  # a constant cost becomes 0
    with np.errstate(all="ignore"):  # eps = 0 is an infinite gamma, which the library should refuse
        gamma = float(np.divide(spread, eps))
    return Unit(torch.tensor(a), torch.tensor(b), torch.tensor((C - low) / spread), gamma, low,
                spread)


# ------------------------------------------------------------------ what its README calls
def _solve(mdot_tnt: ModuleType, torch: ModuleType) -> Iterator[Part]:
    def alone(unit: Unit, **options: Any) -> Any:
        return mdot_tnt.solve_OT(unit.r, unit.c, unit.C, gamma_f=unit.gamma, **options)

    def batched(unit: Unit, **options: Any) -> Any:
        return mdot_tnt.solve_OT_batched(unit.r[None], unit.c[None], unit.C, gamma_f=unit.gamma,
                                         **options)[0]

    for solve, name in ((alone, "solve_OT"), (batched, "solve_OT_batched")):
        yield Part(f"mdot_tnt.{name}", {"transport_cost": _cost(torch, solve)}, calls=CALLED)
        yield Part(f"mdot_tnt.{name}(return_plan=True)", {"plan": _plan(torch, solve)},
                   calls=CALLED)


def _cost(torch: ModuleType, solve: Callable[..., Any]) -> Callable[..., float]:
    def transport_cost(*problem: Any) -> float:
        unit = _unit(torch, *problem)
        return unit.low + unit.spread * float(solve(unit))

    return transport_cost


def _plan(torch: ModuleType, solve: Callable[..., Any]) -> Callable[..., Array]:
    return lambda *problem: solve(_unit(torch, *problem), return_plan=True).numpy()


# ------------------------------------------------------------------ the solver inside
def _mirror_descent(torch: ModuleType) -> Part:
    """`mdot`, the solver within `solve_OT`, made to stop at the error ACCURATE. Its plan is taken
    as it is, without the rounding to exact marginals that `solve_OT` adds.

    Its rule is to stop at the L1 error min(H(r), H(c)) / gamma^p, from which p is computed here. No
    p has that effect for a single atom (H = 0), or if gamma is 1 or not a number in (0, inf): then
    p has its default.
    """
    mdot = require("mdot_tnt.mdot", "MDOT-TNT", HOW).mdot

    @once
    def solve(C: Array, a: Array, b: Array, eps: float) -> tuple[Array, Array]:
        if not eps:
            raise NotImplementedError("not called: log scalings hold no cost / eps at eps = 0")
        unit = _unit(torch, C.astype(np.float64), in_double(a), in_double(b), eps)
        least = min(float(entropy(weights)) for weights in (a, b))
        possible = least > ACCURATE and 0 < unit.gamma < math.inf and unit.gamma != 1
        options = {"p": math.log(least / ACCURATE) / math.log(unit.gamma)} if possible else {}
        u, v, *_ = mdot(unit.r, unit.c, unit.C, unit.gamma, **options)
        return u.numpy() + unit.low / eps, v.numpy()

    def plan(C: Array, a: Array, b: Array, eps: float) -> Array:
        u, v = solve(C, a, b, eps)
        entries: Array = np.exp(u[:, None] + v - C / eps)
        return entries

    def potentials(C: Array, a: Array, b: Array, eps: float) -> tuple[Array, Array]:
        u, v = solve(C, a, b, eps)
        return potentials_to_refot(u, v, PotentialForm.LOG_SCALING, a, b, eps, C=C)

    return Part(f"mdot_tnt.mdot.mdot(p: error {ACCURATE:g})",
                {"plan": plan, "potentials": potentials}, calls=CALLED)
