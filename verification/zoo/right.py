"""Right subjects, written in different ways and answering in different conventions.

None of them may fail a check: a false alarm is a defect of the verifier. Those that cannot solve a
problem raise NotImplementedError, and are reported as not provided there.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache, partial
from typing import Any

import numpy as np
from scipy.optimize import minimize
from scipy.special import rel_entr

import refot
from refot.arrays import Array
from refot.costs import point_cost
from refot.verification.subjects import Part, Subject
from refot.verification.zoo.program import compiled
from refot.verification.zoo.solvers import (
    Solver,
    absorbed,
    density_plan,
    log_domain,
    newton,
    over_relaxed,
    scaling,
    symmetric,
    transform,
)

RIGHT: dict[str, Callable[[], Subject]] = {}
"""What makes each right subject, by name."""


def right(
    name: str, convention: str = "refot", tolerance: float | None = None
) -> Callable[[Callable[[], dict[str, Callable[..., Any]]]], Any]:
    """Register the capabilities that the decorated function returns as a right subject."""

    def register(capabilities: Callable[[], dict[str, Callable[..., Any]]]) -> Any:
        RIGHT[name] = lambda: Subject(
            name, "", (Part(name, capabilities(), convention, tolerance),))
        return capabilities

    return register


def _remembered(solver: Solver) -> Solver:
    """The solver, which solves each problem once, whichever capability asks."""

    @cache
    def solved(shape: tuple[int, int], C: bytes, a: bytes, b: bytes, eps: float) -> Any:
        return solver(np.frombuffer(C).reshape(shape), np.frombuffer(a), np.frombuffer(b), eps)

    def solve(C: Array, a: Array, b: Array, eps: float) -> tuple[Array, Array]:
        C, a, b = np.ascontiguousarray(C, dtype=np.float64), _normalised(a), _normalised(b)
        if not np.isfinite(C).all():
            raise ValueError("a cost is not finite")
        f, g = solved(C.shape, C.tobytes(), a.tobytes(), b.tobytes(), eps)
        return f, g

    return solve


def _normalised(weights: Array) -> Array:
    weights = weights.astype(np.float64)
    return weights / weights.sum()


def _of(solver: Solver) -> dict[str, Callable[..., Any]]:
    """Every capability of a solve, from its potentials."""
    solver = _remembered(solver)

    def plan(*problem: Any) -> Array:
        return density_plan(*solver(*problem), *problem)

    def value(C: Array, a: Array, b: Array, eps: float) -> float:
        P = plan(C, a, b, eps)
        return float((P * C).sum() + eps * rel_entr(P, np.outer(a, b)).sum())

    return {"plan": plan, "potentials": solver, "value": value,
            "transport_cost": lambda *problem: (plan(*problem) * problem[0]).sum()}


for _solver in (scaling, log_domain, over_relaxed, absorbed, newton):
    right(_solver.__name__.replace("_", " "))(partial(_of, _solver))


_newton = _remembered(newton)


def _solve(C: Array, a: Array, b: Array, eps: float) -> tuple[Array, Array, Array]:
    """(f, g, P), for the subjects whose way of answering is the point, not their way of solving."""
    f, g = _newton(C, a, b, eps)
    P = density_plan(f, g, C.astype(np.float64), _normalised(a), _normalised(b), eps)
    return f, g, P


def _F(C: Array, a: Array, b: Array, eps: float) -> float:
    f, g, _ = _solve(C, a, b, eps)
    return float(_normalised(a) @ f + _normalised(b) @ g)


def _s(C: Array, a: Array, b: Array, eps: float) -> float:
    return float((_solve(C, a, b, eps)[2] * C).sum())


def _terms(
    W: Callable[..., float], x: Array, a: Array, y: Array, b: Array, eps: float, cost: str,
    scale: float = 1.0,
) -> tuple[float, float, float]:
    """W of (x, y), (x, x), (y, y) on scale * cost."""
    return tuple(W(scale * point_cost(u, v, cost).dense(), p, q, eps)  # type: ignore[return-value]
                 for u, p, v, q in ((x, a, y, b), (x, a, x, a), (y, b, y, b)))


# ------------------------------------------------------------------ other ways
@right("exchanged sides")
def _exchanged() -> dict[str, Callable[..., Any]]:
    def potentials(C: Array, a: Array, b: Array, eps: float) -> tuple[Array, Array]:
        g, f, _ = _solve(C.T, b, a, eps)
        return f + 7.0, g - 7.0  # another gauge

    return {"potentials": potentials,
            "plan": lambda C, a, b, eps: _solve(C.T, b, a, eps)[2].T}


@right("rounded to exact marginals")
def _rounded() -> dict[str, Callable[..., Any]]:
    """A solve that stops early enough to leave something to round (Altschuler et al. 2017)."""

    def plan(C: Array, a: Array, b: Array, eps: float) -> Array:
        P = _solve(C, a, b, eps)[2] + 1e-9 * np.outer(a, b)  # as far off as it may be
        a, b = _normalised(a), _normalised(b)
        P = P * np.minimum(a / np.where(a > 0, P.sum(1), 1), 1)[:, None]
        P = P * np.minimum(b / np.where(b > 0, P.sum(0), 1), 1)
        rows, columns = np.maximum(a - P.sum(1), 0), np.maximum(b - P.sum(0), 0)
        return P + np.outer(rows, columns) / max(rows.sum(), columns.sum(), 1e-300)

    return {"plan": plan}


@right("an interior-point plan")
def _interior() -> dict[str, Callable[..., Any]]:
    """Absolute noise of 1e-9 in every entry, of both signs, as an LP or conic solver leaves."""

    def plan(C: Array, a: Array, b: Array, eps: float) -> Array:
        P = _solve(C, a, b, eps)[2]
        return P + np.random.default_rng(3).uniform(-1e-9, 1e-9, P.shape) / len(a)

    return {"plan": plan, "transport_cost": lambda *problem: (plan(*problem) * problem[0]).sum()}


@right("L-BFGS on the semi-dual", tolerance=1e-4)
def _quasi_newton() -> dict[str, Callable[..., Any]]:
    def value(C: Array, a: Array, b: Array, eps: float) -> float:
        C, a, b = C.astype(np.float64), _normalised(a), _normalised(b)
        if not np.isfinite(C).all():
            raise ValueError("a cost is not finite")
        if np.ptp(C) > 30 * eps:
            raise NotImplementedError("too ill-conditioned for a quasi-Newton method")

        def loss(g: Array) -> tuple[float, Array]:
            f = transform(C, g, b, eps)
            return -float(a @ f + b @ g), density_plan(f, g, C, a, b, eps).sum(0) - b

        found = minimize(loss, np.zeros_like(b), jac=True, method="L-BFGS-B",
                         options={"maxiter": 300, "ftol": 1e-14, "gtol": 1e-10})
        return -float(found.fun)

    return {"value": value}


@right("linear programme at tiny eps", tolerance=5e-3)
def _linear() -> dict[str, Callable[..., Any]]:
    """W0 for <C,P>, where eps H is below the tolerance: 0 <= s - W0 <= eps min(H(a), H(b))."""

    def transport_cost(C: Array, a: Array, b: Array, eps: float) -> float:
        if eps * np.log(min(C.shape)) > 5e-3 * np.ptp(C):
            raise NotImplementedError("eps is not tiny")
        return refot.kantorovich(C, a, b)[0]

    return {"transport_cost": transport_cost}


@right("float32 inside", tolerance=2e-3)
def _single() -> dict[str, Callable[..., Any]]:
    """Costs centred, then float32: its plan is off by the rounding of C / eps."""

    def plan(C: Array, a: Array, b: Array, eps: float) -> Array:
        f, g, _ = _solve(C, a, b, eps)
        if np.ptp(C) > 1000 * eps:
            raise NotImplementedError("float32 does not resolve C / eps")
        exponent = (f[:, None] + g - C).astype(np.float32) / np.float32(eps)
        return np.outer(_normalised(a), _normalised(b)).astype(np.float32) * np.exp(exponent)

    return {"plan": plan, "value": lambda *problem: np.float32(_F(*problem))}


@right("a C program")
def _program() -> dict[str, Callable[..., Any]]:
    def potentials(C: Array, a: Array, b: Array, eps: float) -> tuple[Array, Array]:
        if np.ptp(C) > 100 * eps:
            raise NotImplementedError("the C program is a plain Sinkhorn iteration")
        return compiled()(C, a, b, eps)

    return _of(potentials)


@right("symmetric updates for self terms")
def _self_terms() -> dict[str, Callable[..., Any]]:
    def value(C: Array, a: Array, b: Array, eps: float) -> float:
        if C.shape == C.T.shape and (a == b).all() and (C == C.T).all():
            return 2 * float(a @ symmetric(C, a, eps))
        return _F(C, a, b, eps)

    def divergence(x: Array, a: Array, y: Array, b: Array, eps: float, cost: str) -> float:
        x, a, y, b = x.astype(np.float64), _normalised(a), y.astype(np.float64), _normalised(b)
        xy, xx, yy = _terms(value, x, a, y, b, eps, cost)
        return xy - xx / 2 - yy / 2

    return {"divergence": divergence}


# ------------------------------------------------------------------ other conventions
@right("POT's entropy form", "pot.solve(entropy)")
def _pot() -> dict[str, Callable[..., Any]]:
    """<C,P> + eps sum P log P, and log-scalings."""

    def value(C: Array, a: Array, b: Array, eps: float) -> float:
        P = _solve(C, a, b, eps)[2]
        return float((P * C).sum() + eps * (P * np.log(np.where(P > 0, P, 1))).sum())

    def potentials(C: Array, a: Array, b: Array, eps: float) -> tuple[Array, Array]:
        f, g, _ = _solve(C, a, b, eps)
        with np.errstate(divide="ignore"):  # log 0 = -inf is meant
            return f / eps + np.log(_normalised(a)), g / eps + np.log(_normalised(b))

    return {"value": value, "potentials": potentials}


@right("POT's clamped divergence", "pot.empirical_sinkhorn_divergence")
def _clamped() -> dict[str, Callable[..., Any]]:
    def divergence(*clouds: Any) -> float:
        xy, xx, yy = _terms(_s, *clouds)
        return max(0.0, xy - xx / 2 - yy / 2)

    return {"divergence": divergence}


@right("OTT's potentials", "ott.dual_cost")
def _ott() -> dict[str, Callable[..., Any]]:
    """Plain potentials, and a.f + b.g of them: the entropy value."""

    def potentials(C: Array, a: Array, b: Array, eps: float) -> tuple[Array, Array]:
        f, g, _ = _solve(C, a, b, eps)
        with np.errstate(divide="ignore"):
            return f + eps * np.log(_normalised(a)), g + eps * np.log(_normalised(b))

    def value(C: Array, a: Array, b: Array, eps: float) -> float:
        f, g = potentials(C, a, b, eps)
        a, b = _normalised(a), _normalised(b)
        return float(a[a > 0] @ f[a > 0] + b[b > 0] @ g[b > 0])

    return {"potentials": potentials, "value": value}


@right("GeomLoss's half cost and blur", "geomloss.SamplesLoss(p=2)")
def _geomloss() -> dict[str, Callable[..., Any]]:
    """|x - y|^2 / 2 at eps = blur^2."""

    def divergence(x: Array, a: Array, y: Array, b: Array, blur: float, cost: str) -> float:
        xy, xx, yy = _terms(_F, x, a, y, b, blur**2, cost, scale=0.5)
        return xy - xx / 2 - yy / 2

    def gradient(x: Array, a: Array, y: Array, b: Array, blur: float, cost: str) -> Array:
        return refot.sinkhorn_divergence_gradient(
            x, _normalised(a), y, _normalised(b), 2 * blur**2, cost, backend="numpy") / 2

    return {"divergence": divergence, "divergence_gradient": gradient}


@right("G's sharp loss", "G")
def _genevay() -> dict[str, Callable[..., Any]]:
    def divergence(*clouds: Any) -> float:
        xy, xx, yy = _terms(_s, *clouds)
        return 2 * xy - xx - yy

    return {"value": _s, "divergence": divergence}


@right("MDOT's gamma", "mdot_tnt.solve_OT")
def _mdot() -> dict[str, Callable[..., Any]]:
    return {"plan": lambda C, a, b, gamma: _solve(C, a, b, 1 / gamma)[2],
            "value": lambda C, a, b, gamma: _s(C, a, b, 1 / gamma)}


@right("regot's negated dual", "regot.sinkhorn")
def _regot() -> dict[str, Callable[..., Any]]:
    """eps sum exp((f + g - C) / eps) - a.f - b.g of plain potentials."""

    def value(C: Array, a: Array, b: Array, eps: float) -> float:
        f, g, P = _solve(C, a, b, eps)
        a, b = _normalised(a), _normalised(b)
        plain = sum(w[w > 0] @ (h + eps * np.log(np.where(w > 0, w, 1)))[w > 0]
                    for w, h in ((a, f), (b, g)))
        return float(eps * P.sum() - plain)

    return {"value": value}
