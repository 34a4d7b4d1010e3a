"""Potentials between the forms in which papers and libraries return them (B-15, G-7).

    P_ij = a_i b_j exp((f_i + g_j - C_ij)/eps)       density: refot, Bréchet et al. (B), GeomLoss
         = exp((F_i + G_j - C_ij)/eps)               plain: F = f + eps log a, OTT
         = exp(u_i + v_j - C_ij/eps)                 log scaling: u = F/eps, POT
         = u_i exp(-C_ij/eps) v_j                    scaling: u = exp(F/eps), Genevay et al., G-7
eps, f, g, F and G are in the units of the cost that the call used. To have them in the units of
refot's cost, divide them by the `scale` of `refot.conventions.convert.problem_to_refot`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

import numpy as np

from refot.arrays import (
    Array,
    CostLike,
    InputError,
    Potential,
    ShapeError,
    Weights,
    as_floating,
    as_positive,
    as_vector,
    as_weights,
    namespace,
)
from refot.backend_contract import BackendLike
from refot.conventions.terms import ConversionError, PotentialForm, as_term
from refot.costs.operands import as_cost
from refot.problem import log_weights
from refot.transforms import softmin

Entrywise: TypeAlias = Callable[[Array, float], Array]
"""(the entries of a potential, eps) -> the entries in another form."""


def weights_and_eps(a: Weights, b: Weights, eps: float) -> tuple[Array, Array, float]:
    """(a (n,), b (m,), eps), checked; n and m are taken from the weights themselves."""
    a, b = as_weights(a, None, "a"), as_weights(b, None, "b")
    return a, b, as_positive(eps, "eps")


# For each form: the function from its entries to those of the plain form F, and the one back.
_PLAIN: dict[PotentialForm, tuple[Entrywise, Entrywise]] = {
    PotentialForm.PLAIN: (lambda u, eps: u, lambda F, eps: F),
    PotentialForm.LOG_SCALING: (lambda u, eps: eps * u, lambda F, eps: F / eps),
    PotentialForm.SCALING: (
        lambda u, eps: eps * namespace(u).log(u),
        lambda F, eps: namespace(F).exp(F / eps),
    ),
}


def potentials_to_refot(
    f: Potential, g: Potential, form: PotentialForm | str, a: Weights, b: Weights, eps: float,
    *, C: CostLike | None = None, backend: BackendLike = None,
) -> tuple[Array, Array]:
    """(f (n,), g (m,)) in density form, from a pair (f, g) of the given form.

    The constant t in (f + t, g - t) is kept as it is. Where a weight is 0, every form but the
    density form holds -inf (the scaling form 0), whatever the potential is. There it is computed by
    B-25, for which the cost C (n, m) is needed. Raises ConversionError where C is missing and for
    forms that cannot be inverted, InputError for bad numbers.
    """
    form, (a, b, eps) = as_term(PotentialForm, form, "form"), weights_and_eps(a, b, eps)
    if form is PotentialForm.DENSITY:
        return as_vector(f, a.shape[0], "f"), as_vector(g, b.shape[0], "g")
    F, G = _plain(f, a, form, eps, "f"), _plain(g, b, form, eps, "g")
    f, g = F - eps * _log_positive(a), G - eps * _log_positive(b)
    if bool((a > 0).all()) and bool((b > 0).all()):
        return f, g
    if C is None:
        raise ConversionError(
            "at a point of weight 0 this form holds no potential: give C, from which B-25 has it"
        )
    C, xp = as_cost(C), namespace(f)
    if C.shape != (a.shape[0], b.shape[0]):
        raise ShapeError("C", f"shape {C.shape}", f"{(a.shape[0], b.shape[0])}, to fit a and b")
    return (
        xp.where(a > 0, f, softmin(C, G, eps, backend=backend)),
        xp.where(b > 0, g, softmin(C.T, F, eps, backend=backend)),
    )


def potentials_from_refot(
    f: Potential, g: Potential, form: PotentialForm | str, a: Weights, b: Weights, eps: float
) -> tuple[Array, Array]:
    """A pair of the given form, from potentials in density form: -inf where a weight is 0.

    A scaling is 0 there. Raises ConversionError where a scaling is too large or too small for its
    dtype; then use the log scaling.
    """
    form, (a, b, eps) = as_term(PotentialForm, form, "form"), weights_and_eps(a, b, eps)
    f, g = as_vector(f, a.shape[0], "f"), as_vector(g, b.shape[0], "g")
    if form is PotentialForm.DENSITY:
        return f, g
    _, from_plain = _forms(form)
    with np.errstate(over="ignore", under="ignore"):  # `_in_range` reports it below
        u = from_plain(f + eps * log_weights(a), eps)
        v = from_plain(g + eps * log_weights(b), eps)
    if form is PotentialForm.SCALING:
        _in_range(u, a, "f")
        _in_range(v, b, "g")
    return u, v


def _forms(form: PotentialForm) -> tuple[Entrywise, Entrywise]:
    """The entry of _PLAIN. Raises ConversionError for a form from which no plan follows."""
    if form in _PLAIN:
        return _PLAIN[form]
    if form is PotentialForm.DEBIASED:
        raise ConversionError(
            "debiased potentials are f - p and g - q: add p and q, those of (x,x) and (y,y), and "
            "convert the sums from density form"
        )
    raise ConversionError("no potentials are returned: solve with refot, or convert the plan")


def _plain(u: Potential, weights: Array, form: PotentialForm, eps: float, name: str) -> Array:
    """f + eps log a from the entries u of one side, checked where there is mass; -inf elsewhere."""
    u = as_floating(u, name, ndim=1)
    if u.shape != weights.shape:
        raise ShapeError(name, f"shape {u.shape}", f"{weights.shape}, that of its weights")
    xp = namespace(u)
    u = as_vector(xp.where(weights > 0, u, 1), weights.shape[0], name)  # every form can hold a 1
    if form is PotentialForm.SCALING and bool((u <= 0).any()):
        k = int(u.argmin())
        raise InputError(name, f"{u[k]} at [{k}], where there is mass", "scalings > 0")
    to_plain, _ = _forms(form)
    return xp.where(weights > 0, to_plain(u, eps), -xp.inf)


def _log_positive(weights: Array) -> Array:
    """log a where a > 0, and 0 elsewhere."""
    xp = namespace(weights)
    return xp.log(xp.where(weights > 0, weights, 1))


def _in_range(u: Array, weights: Array, name: str) -> None:
    """Raise ConversionError where a scaling is 0 or infinite although there is mass."""
    if bool(((weights > 0) & ((u == 0) | (u == namespace(u).inf))).any()):
        raise ConversionError(
            f"a scaling exp({name}/eps) leaves the range of {u.dtype}: use the log scaling"
        )
