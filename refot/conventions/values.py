"""Values and divergences in refot's convention and in others, in the same cost units.

For every kind of value, F = sign * value + offset, with F = <C,P> + eps KL(P | a b'). The offset is
made of the entropies of the weights (erratum L1), of KL(P | a b') (erratum G1), or of log m with m
the number of columns; `_affine` is the table of signs and offsets. A divergence has the same form,
since it is a sum of three values. A conversion that needs a number which the caller has not given
raises ConversionError, which names that number.

Papers: B = Bréchet et al. 2019, G = Genevay, Peyré, Cuturi 2018, L = Liu et al.; an erratum such as
"L1" is a heading of docs/errata.md.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from refot.arrays import Array, InputError, ShapeError, Weights, as_number, weight_tolerance
from refot.conventions.potentials import weights_and_eps
from refot.conventions.terms import ConversionError, Divergence, ValueKind, as_term
from refot.objectives import entropy

KLs = tuple[float, float, float]
"""The numbers KL(P | a b') of the three plans P of a divergence: those of (x,y), (x,x), (y,y)."""


# ------------------------------------------------------------------ values
def value_to_refot(
    value: float, kind: ValueKind | str, *, a: Weights, b: Weights, eps: float,
    kl: float | None = None,
) -> float:
    """F from a value of that kind, in the same cost units, of the problem with a (n,), b (m,), eps.

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
    """W_xy - W_xx/2 - W_yy/2, from a divergence of the given form."""
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
