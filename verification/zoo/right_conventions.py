"""Right subjects that answer in the convention of a paper or library, and declare it.

G = Genevay, Peyré, Cuturi 2018.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

import refot
from refot.arrays import Array

from .right import F_of, normalised, right, s_of, solve, terms


@right("POT's entropy form", "pot.solve(entropy)")
def _pot() -> dict[str, Callable[..., Any]]:
    """The value <C,P> + eps sum P log P, and log scalings for potentials."""

    def value(C: Array, a: Array, b: Array, eps: float) -> float:
        P = solve(C, a, b, eps)[2]
        return float((P * C).sum() + eps * (P * np.log(np.where(P > 0, P, 1))).sum())

    def potentials(C: Array, a: Array, b: Array, eps: float) -> tuple[Array, Array]:
        f, g, _ = solve(C, a, b, eps)
        with np.errstate(divide="ignore"):  # a weight 0 has the log scaling -inf
            return f / eps + np.log(normalised(a)), g / eps + np.log(normalised(b))

    return {"value": value, "potentials": potentials}


@right("POT's clamped divergence", "pot.empirical_sinkhorn_divergence")
def _clamped() -> dict[str, Callable[..., Any]]:
    def divergence(*clouds: Any) -> float:
        xy, xx, yy = terms(s_of, *clouds)
        return max(0.0, xy - xx / 2 - yy / 2)

    return {"divergence": divergence}


@right("OTT's potentials", "ott.dual_cost")
def _ott() -> dict[str, Callable[..., Any]]:
    """Plain potentials, and as value a.f + b.g of these, which is <C,P> + eps sum P log P."""

    def potentials(C: Array, a: Array, b: Array, eps: float) -> tuple[Array, Array]:
        f, g, _ = solve(C, a, b, eps)
        with np.errstate(divide="ignore"):
            return f + eps * np.log(normalised(a)), g + eps * np.log(normalised(b))

    def value(C: Array, a: Array, b: Array, eps: float) -> float:
        f, g = potentials(C, a, b, eps)
        a, b = normalised(a), normalised(b)
        return float(a[a > 0] @ f[a > 0] + b[b > 0] @ g[b > 0])

    return {"potentials": potentials, "value": value}


@right("GeomLoss's half cost and blur", "geomloss.SamplesLoss(p=2)")
def _geomloss() -> dict[str, Callable[..., Any]]:
    """The cost is |x - y|^2 / 2, and the caller gives blur, with eps = blur^2."""

    def _eps(blur: float) -> float:
        if not blur > 0:
            raise ValueError(f"blur = {blur}")
        return blur**2

    def divergence(x: Array, a: Array, y: Array, b: Array, blur: float, cost: str) -> float:
        xy, xx, yy = terms(F_of, x, a, y, b, _eps(blur), cost, scale=0.5)
        return xy - xx / 2 - yy / 2

    def gradient(x: Array, a: Array, y: Array, b: Array, blur: float, cost: str) -> Array:
        return refot.sinkhorn_divergence_gradient(
            x, normalised(a), y, normalised(b), 2 * _eps(blur), cost, backend="numpy") / 2

    return {"divergence": divergence, "divergence_gradient": gradient}


@right("G's sharp loss", "G")
def _genevay() -> dict[str, Callable[..., Any]]:
    def divergence(*clouds: Any) -> float:
        xy, xx, yy = terms(s_of, *clouds)
        return 2 * xy - xx - yy

    return {"value": s_of, "divergence": divergence}


@right("MDOT's gamma", "mdot_tnt.solve_OT")
def _mdot() -> dict[str, Callable[..., Any]]:
    return {"plan": lambda C, a, b, gamma: solve(C, a, b, 1 / gamma)[2],
            "value": lambda C, a, b, gamma: s_of(C, a, b, 1 / gamma)}


@right("regot's negated dual", "regot.sinkhorn")
def _regot() -> dict[str, Callable[..., Any]]:
    """The value is the negated dual at plain potentials:
    eps sum exp((f + g - C) / eps) - a.f - b.g."""

    def value(C: Array, a: Array, b: Array, eps: float) -> float:
        f, g, P = solve(C, a, b, eps)
        a, b = normalised(a), normalised(b)
        plain = sum(w[w > 0] @ (h + eps * np.log(np.where(w > 0, w, 1)))[w > 0]
                    for w, h in ((a, f), (b, g)))
        return float(eps * P.sum() - plain)

    return {"value": value}
