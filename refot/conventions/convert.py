"""Conversions between refot's convention and those of the papers and libraries of CONVENTIONS.

For F = <C,P> + eps KL(P | a b') (B-10), the sharp value s = <C,P> (G) and the entropy
H(p) = -sum p log p:
    <C,P> - eps H(P) = F - eps (H(a) + H(b))       (erratum L1)
    s = F - eps KL(P | a b')                       (erratum G1)
    F(t C, t eps) = t F(C, eps): potentials are t times as large too, and the plan is the same.
refot/conventions/table.py holds the table, refot/conventions/terms.py defines its terms. Each
conversion is exact. If one needs a number that the caller has not given, it raises ConversionError,
which names that number.

Papers: B = Bréchet et al. 2019, G = Genevay, Peyré, Cuturi 2018, H = Houdard et al. 2023, L = Liu
et al.; an erratum such as "L1" is a heading of docs/errata.md.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from refot.arrays import (
    TypeInputError,
    Weights,
    as_number,
    as_positive,
    lookup,
)
from refot.conventions.potentials import potentials_from_refot, potentials_to_refot
from refot.conventions.table import CONVENTIONS
from refot.conventions.terms import (
    Convention,
    ConversionError,
    Divergence,
    EpsParameter,
    Evidence,
    PotentialForm,
    TheirCost,
    ValueKind,
)
from refot.conventions.values import (
    divergence_from_refot,
    divergence_to_refot,
    value_from_refot,
    value_to_refot,
)

__all__ = [
    "CONVENTIONS",
    "Convention",
    "ConversionError",
    "Divergence",
    "EpsParameter",
    "Evidence",
    "PotentialForm",
    "RefotProblem",
    "TheirCost",
    "ValueKind",
    "convention",
    "divergence_from_refot",
    "divergence_to_refot",
    "eps_from_refot",
    "eps_to_refot",
    "parameter_from_eps",
    "potentials_from_refot",
    "potentials_to_refot",
    "problem_to_refot",
    "result_from_refot",
    "result_to_refot",
    "value_from_refot",
    "value_to_refot",
]


def convention(name: str | Convention) -> Convention:
    """The row of the table with that name. A row itself is returned unchanged. Raises
    UnknownNameError."""
    if isinstance(name, Convention):
        return name
    found: Convention = lookup(CONVENTIONS, name, "convention")
    return found


# ------------------------------------------------------------------ eps and the scale of the cost
@dataclass(frozen=True)
class RefotProblem:
    """The problem of refot with the same plan as a call of a library.

    The library's cost is `scale` times refot's cost `ground` (None for a matrix that is given), and
    its eps is `scale * eps`. So the library's F, potentials and divergences are `scale` times
    refot's, by F(t C, t eps) = t F(C, eps).
    """

    ground: str | None
    eps: float
    scale: float


# For each meaning of the parameter: the functions from it to eps, and from eps to it.
_EPS: dict[EpsParameter, tuple[Callable[[float], float], Callable[[float], float]]] = {
    EpsParameter.EPS: (lambda x: x, lambda eps: eps),
    EpsParameter.GAMMA: (lambda x: 1 / x, lambda eps: 1 / eps),
    EpsParameter.BLUR_SQUARED: (lambda x: x**2, lambda eps: eps**0.5),
    EpsParameter.TWICE_BLUR_SQUARED: (lambda x: 2 * x**2, lambda eps: (eps / 2) ** 0.5),
}


def problem_to_refot(
    name: str | Convention, parameter: float, cost: str | None = None, *, scale: float | None = None
) -> RefotProblem:
    """The problem of refot that a call solves which is given that parameter (eps, gamma or blur)
    and that cost.

    `cost` is a name among the `costs` of the convention, by default the first. `scale` is needed
    only for a cost whose scale depends on the data. Raises ConversionError, InputError.
    """
    called = convention(name)
    theirs = _their_cost(called, cost)
    t = _scale(theirs, scale)
    to_eps, _ = _EPS[called.eps]
    return RefotProblem(theirs.ground, to_eps(as_positive(parameter, called.parameter)) / t, t)


def eps_to_refot(
    name: str | Convention, parameter: float, cost: str | None = None, *, scale: float | None = None
) -> float:
    """The eps of refot, on its ground cost, for a call with that parameter."""
    return problem_to_refot(name, parameter, cost, scale=scale).eps


def eps_from_refot(
    name: str | Convention, eps: float, cost: str | None = None, *, scale: float | None = None
) -> float:
    """The parameter for which a call solves the problem that refot solves at `eps`."""
    called = convention(name)
    t = _scale(_their_cost(called, cost), scale)
    return parameter_from_eps(called, t * as_positive(eps, "eps"))


def parameter_from_eps(name: str | Convention, eps: float) -> float:
    """The parameter (eps, gamma or blur) by which a call is given this `eps`, which is in units of
    the call's own cost."""
    called = convention(name)
    _, from_eps = _EPS[called.eps]
    return from_eps(as_positive(eps, "eps"))


def _their_cost(called: Convention, cost: str | None) -> TheirCost:
    table = {each.name: each for each in called.costs}
    theirs: TheirCost = called.costs[0] if cost is None else lookup(table, cost, "cost")
    return theirs


def _scale(theirs: TheirCost, scale: float | None) -> float:
    if theirs.scale is None:
        if scale is None:
            raise ConversionError(f"the cost {theirs.name} depends on the data: give its scale")
        return as_positive(scale, "scale")
    if scale is not None:
        raise TypeInputError("scale", f"{scale!r}", f"nothing: {theirs.name} has {theirs.scale}")
    return theirs.scale


# ------------------------------------------------------------------ all of it
def result_to_refot(
    name: str | Convention, value: float, parameter: float, *, a: Weights, b: Weights,
    cost: str | None = None, scale: float | None = None, kl: Any = None,
) -> tuple[float, RefotProblem]:
    """(refot's F, or for a divergence its S; the problem of refot), from what a call returned.

    `kl` is needed for sharp values: one number, or for a divergence (KL_xy, KL_xx, KL_yy).
    """
    called, solved = convention(name), problem_to_refot(name, parameter, cost, scale=scale)
    kind, eps = _kind(called), solved.scale * solved.eps
    if called.divergence is Divergence.NONE:
        in_their_units = value_to_refot(value, kind, a=a, b=b, eps=eps, kl=kl)
    else:
        in_their_units = divergence_to_refot(
            value, called.divergence, kind, a=a, b=b, eps=eps, kl=kl)
    return in_their_units / solved.scale, solved


def result_from_refot(
    name: str | Convention, value: float, eps: float, *, a: Weights, b: Weights,
    cost: str | None = None, scale: float | None = None, kl: Any = None,
) -> tuple[float, float]:
    """(what the call returns, the parameter to call it with) for refot's F or S at refot's eps."""
    called, parameter = convention(name), eps_from_refot(name, eps, cost, scale=scale)
    t = _scale(_their_cost(called, cost), scale)
    kind, theirs, eps = _kind(called), t * as_number(value, "value"), t * as_positive(eps, "eps")
    if called.divergence is Divergence.NONE:
        returned = value_from_refot(theirs, kind, a=a, b=b, eps=eps, kl=kl)
    else:
        returned = divergence_from_refot(theirs, called.divergence, kind, a=a, b=b, eps=eps, kl=kl)
    return returned, parameter


def _kind(called: Convention) -> ValueKind:
    if called.value is None:
        raise ConversionError(
            f"{called.call} returns a plan and no value: use refot.objectives.primal on it"
        )
    return called.value
