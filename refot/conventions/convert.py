"""Conversions between refot's convention and those of the papers and libraries of CONVENTIONS.

With F = <C,P> + eps KL(P | a b') (B-10), s = <C,P> (G), H(p) = -sum p log p:
    <C,P> - eps H(P) = F - eps (H(a) + H(b))       (erratum L1)
    s = F - eps KL(P | a b')                       (erratum G1)
    F(t C, t eps) = t F(C, eps), potentials likewise, same plan.
refot/conventions/table.py holds the table, refot/conventions/terms.py defines its words. Each
conversion is exact. If one needs a number that the caller has not given, it raises ConversionError,
which says the number's name.

Papers: B = Bréchet et al. 2019, G = Genevay, Peyré, Cuturi 2018, H = Houdard et al. 2023, L = Liu
et al.; an erratum such as "L1" is a heading of docs/errata.md.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from refot.arrays import (
    Array,
    InputError,
    ShapeError,
    TypeInputError,
    Weights,
    as_number,
    as_positive,
    lookup,
    weight_tolerance,
)
from refot.conventions.potentials import potentials_from_refot, potentials_to_refot, weights_and_eps
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
    as_term,
)
from refot.objectives import entropy

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

KLs = tuple[float, float, float]
"""KL(P | a b') of the three plans of a divergence: those of (x,y), (x,x) and (y,y)."""


def convention(name: str | Convention) -> Convention:
    """The convention of that name; a Convention is returned as it is. Raises UnknownNameError."""
    if isinstance(name, Convention):
        return name
    found: Convention = lookup(CONVENTIONS, name, "convention")
    return found


# ------------------------------------------------------------------ values
def value_to_refot(
    value: float, kind: ValueKind | str, *, a: Weights, b: Weights, eps: float,
    kl: float | None = None,
) -> float:
    """F from a value of that kind, in the same cost units. a (n,), b (m,) and eps are its problem.

    Only the sharp value needs `kl`, KL(P | a b') of its plan in nats. Raises ConversionError where
    it is missing, and for an unweighted value of weights that are not uniform.
    """
    sign, offset = _affine(as_term(ValueKind, kind, "kind"), *weights_and_eps(a, b, eps), kl)
    return sign * as_number(value, "value") + offset


def value_from_refot(
    F: float, kind: ValueKind | str, *, a: Weights, b: Weights, eps: float,
    kl: float | None = None,
) -> float:
    """The value of that kind from F: the inverse of `value_to_refot`."""
    sign, offset = _affine(as_term(ValueKind, kind, "kind"), *weights_and_eps(a, b, eps), kl)
    return sign * (as_number(F, "F") - offset)


def _affine(
    kind: ValueKind, a: Array, b: Array, eps: float, kl: float | None
) -> tuple[float, float]:
    """(sign, offset) such that F = sign * value + offset: all that the kinds of value differ by."""
    match kind:
        case ValueKind.KL:
            return 1.0, 0.0
        case ValueKind.SHARP:
            return 1.0, eps * _relative_entropy(kl)
        case ValueKind.ENTROPY:
            return 1.0, eps * (entropy(a) + entropy(b))
        case ValueKind.UNWEIGHTED_LSE:
            return 1.0, eps * _log_count(b)
        case ValueKind.NEGATED_DUAL:
            return -1.0, eps * (1 + entropy(a) + entropy(b))


def _relative_entropy(kl: float | None) -> float:
    """`kl` checked: given, and a number >= 0."""
    if kl is None:
        raise ConversionError(
            "the sharp value <C,P> differs from F by eps KL(P | a b'), which the weights do not "
            "determine: give kl, computed from the plan (refot.objectives.kl)"
        )
    number = as_number(kl, "kl")
    if number < -weight_tolerance(np.float64):  # plans of mass 1 + rounding may give -1e-16
        raise InputError("kl", f"{number}", "a number >= 0")
    return number


def _log_count(b: Array) -> float:
    """log m, for uniform weights b (m,)."""
    m: int = b.shape[0]
    if bool((abs(m * b - 1) > weight_tolerance(b.dtype)).any()):
        raise ConversionError(
            "a log-sum-exp without weights is off by eps log m for uniform b only; for other b it "
            "is the value of another problem: recompute it with log b inside"
        )
    return math.log(m)


# ------------------------------------------------------------------ divergences
def divergence_to_refot(
    value: float, divergence: Divergence | str, kind: ValueKind | str,
    *, a: Weights, b: Weights, eps: float, kl: KLs | None = None,
) -> float:
    """S of B-9, from a divergence made of values of that kind, in the same cost units.

    For the entropy value nothing changes: the entropies of the weights cancel. For the sharp value
    give `kl` = (KL_xy, KL_xx, KL_yy). Raises ConversionError.
    """
    sign, offset = _affine_divergence(kind, a, b, eps, kl)
    form = as_term(Divergence, divergence, "divergence")
    return sign * _halves(as_number(value, "value"), form) + offset


def divergence_from_refot(
    S: float, divergence: Divergence | str, kind: ValueKind | str,
    *, a: Weights, b: Weights, eps: float, kl: KLs | None = None,
) -> float:
    """The divergence of that form made of values of that kind, from S of B-9."""
    sign, offset = _affine_divergence(kind, a, b, eps, kl)
    halves = sign * (as_number(S, "S") - offset)
    match as_term(Divergence, divergence, "divergence"):
        case Divergence.HALVES:
            return halves
        case Divergence.HALVES_CLAMPED:
            return max(0.0, halves)
        case Divergence.TWICE:
            return 2 * halves
        case Divergence.NONE:
            raise _not_a_divergence()


def _halves(value: float, divergence: Divergence) -> float:
    """W_xy - W_xx/2 - W_yy/2 from the form in which it is given."""
    match divergence:
        case Divergence.HALVES:
            return value
        case Divergence.HALVES_CLAMPED:
            if value > 0:
                return value
            raise ConversionError(
                f"{value} was clamped at 0, which hides the value: give the three values it is "
                "made of to value_to_refot"
            )
        case Divergence.TWICE:
            return value / 2
        case Divergence.NONE:
            raise _not_a_divergence()


def _not_a_divergence() -> ConversionError:
    return ConversionError(
        "one value is not a divergence: values of (x,y), (x,x) and (y,y) are needed"
    )


def _affine_divergence(
    kind: ValueKind | str, a: Weights, b: Weights, eps: float, kl: KLs | None
) -> tuple[float, float]:
    """(sign, offset) such that S = sign * halves + offset, from `_affine` of the three values."""
    term = as_term(ValueKind, kind, "kind")
    a, b, eps = weights_and_eps(a, b, eps)
    kl_xy, kl_xx, kl_yy = (None, None, None) if kl is None else _triple(kl)
    sign, xy = _affine(term, a, b, eps, kl_xy)
    xx, yy = _affine(term, a, a, eps, kl_xx)[1], _affine(term, b, b, eps, kl_yy)[1]
    return sign, xy - (xx + yy) / 2


def _triple(kl: Any) -> KLs:
    """`kl` checked to be three numbers."""
    if np.shape(kl) != (3,):
        raise ShapeError("kl", f"{kl!r}", "(KL_xy, KL_xx, KL_yy), one for each of the three plans")
    return kl[0], kl[1], kl[2]


# ------------------------------------------------------------------ eps and the scale of the cost
@dataclass(frozen=True)
class RefotProblem:
    """The problem that a call of a library solves, in refot's terms: it has the same plan.

    The library's cost is `scale` times refot's cost `ground` (None for a matrix that is given), and
    its eps is `scale * eps`. So its F, potentials and divergences are `scale` times refot's, by
    F(t C, t eps) = t F(C, eps).
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
    """What a call with that parameter (eps, gamma or blur) and cost solves, in refot's terms.

    `cost` is a name among the `costs` of the convention, by default the first. `scale` is needed if
    the scale of that cost depends on the data. Raises ConversionError, InputError.
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
    """The parameter of a call for `eps` in the units of the call's own cost."""
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
    """(refot's F, or its S for a divergence, from what a call returned; the problem of refot).

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
