"""Bugs of the unbalanced divergence U-8 and of its gradient in the points.

U-8 is an equation of docs/equations.md.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from refot.arrays import Array
from refot.costs.operands import point_cost
from refot.gradients import points_gradient
from refot.verification.zoo.bug import bug

from .bugs_values import potentials, value
from .right import plan_of

CLOUDS = ("gaussian", "euclidean", "square-uniform")
"""Cases of point clouds: n != m, n = m, two ground costs."""


def _dense(x: Array, y: Array, cost: str) -> Array:
    C: Array = point_cost(x, y, cost).dense()
    return C


def _terms(W: Callable[..., float], x: Array, a: Array, y: Array, b: Array, eps: float,
           rho: float, cost: str) -> tuple[float, float, float]:
    """The value W(C, a, b, eps, rho) of the three problems (x, y), (x, x) and (y, y)."""
    return (W(_dense(x, y, cost), a, b, eps, rho), W(_dense(x, x, cost), a, a, eps, rho),
            W(_dense(y, y, cost), b, b, eps, rho))


def _bias(a: Array, b: Array, eps: float) -> float:
    """The mass bias eps/2 (m_a - m_b)^2 of U-8."""
    return float(eps / 2 * (a.sum() - b.sum()) ** 2)


def _halves(xy: float, xx: float, yy: float) -> float:
    return xy - xx / 2 - yy / 2


def _made(form: Callable[..., float], W: Callable[..., float] = value, times: float = 1.0) -> Any:
    """A divergence: form(W_xy, W_xx, W_yy) of the values W of its three problems, plus `times` the
    mass bias, of which S has 1."""
    return lambda x, a, y, b, eps, *rest: form(*_terms(W, x, a, y, b, eps, *rest)) + times * _bias(
        a, b, eps)


def _at_rho(change: Callable[[float, float], float], answer: Callable[..., Any]) -> Any:
    """The answer at change(rho, eps) in place of rho; rho <= 0 is kept, so that it is refused."""
    return lambda x, a, y, b, eps, rho, cost: answer(
        x, a, y, b, eps, change(rho, eps) if rho > 0 else rho, cost)


def _sharp(*problem: Any) -> float:
    return float((problem[0] * plan_of(*problem)).sum())


def _linear(C: Array, a: Array, b: Array, eps: float, rho: float) -> float:
    """a.f + b.g."""
    f, g = potentials(C, a, b, eps, rho)
    return float(a @ f + b @ g)


def _for_mass_one(C: Array, a: Array, b: Array, eps: float, rho: float) -> float:
    """A formula of the value U that is right only if 2 m_a m_b = m_a + m_b, for instance if both
    masses are 1."""
    return float((rho + eps / 2) * (a.sum() + b.sum() - 2 * plan_of(C, a, b, eps, rho).sum()))


def _zero(*problem: Any) -> float:
    """U with sum p log(p/q) in place of each KL, without its -p + q: this is 0 at every optimum.

    `plan_of` is called only to refuse bad arguments.
    """
    plan_of(*problem)
    return 0.0


divergence = _made(_halves)

for _name, _check, _diagnosis, _divergence in (
    ("no mass bias", "doubled", "mass-bias-missing", _made(_halves, times=0.0)),
    ("mass bias without 1/2", "certified", "mass-bias-doubled", _made(_halves, times=2.0)),
    ("mass bias subtracted", "doubled", "mass-bias-subtracted", _made(_halves, times=-1.0)),
    ("halves missing", "self", "halves-missing", _made(lambda xy, xx, yy: xy - xx - yy)),
    ("twice", "certified", "doubled", lambda *clouds: 2 * divergence(*clouds)),
    ("no self terms", "self", "self-terms-missing", _made(lambda xy, xx, yy: xy, times=0.0)),
    ("one self term", "symmetric", "self-term-y-missing", _made(lambda xy, xx, yy: xy - xx / 2)),
    ("sharp values", "certified", "sharp", _made(_halves, _sharp)),
    ("no mass terms", "certified", "mass-terms-missing", _made(_halves, _zero)),
    ("balanced formula", "certified", "balanced-formula", _made(_halves, _linear)),
    ("values right for mass 1", "certified", "eps-masses-wrong", _made(_halves, _for_mass_one)),
    ("reach^2", "certified", "rho-squared", _at_rho(lambda rho, eps: rho**2, divergence)),
    ("tau for rho", "certified", "rho-is-damping",
     _at_rho(lambda rho, eps: rho / (rho + eps), divergence)),
):
    bug(f"unbalanced_divergence: {_name}", f"unbalanced_divergence.{_check}",
        f"unbalanced_divergence.{_diagnosis}", _divergence, CLOUDS)

bug("unbalanced_divergence: moved to the positive quadrant first",
    "unbalanced_divergence.translation", "",
    lambda x, a, y, b, *rest: divergence(np.clip(x, 0, None), a, np.clip(y, 0, None), b, *rest),
    ("gaussian",))


# ------------------------------------------------------------------ its gradient
def _slopes(x: Array, a: Array, y: Array, b: Array, eps: float, rho: float, cost: str
            ) -> tuple[Array, Array]:
    """(the gradient in x of U_xy, that of U_xx in one of its two arguments x)."""
    xy, xx = point_cost(x, y, cost), point_cost(x, x, cost)
    return (points_gradient(plan_of(xy.dense(), a, b, eps, rho), xy),
            points_gradient(plan_of(xx.dense(), a, a, eps, rho), xx))


def gradient(*clouds: Any) -> Array:
    """The right gradient of the divergence S in x."""
    cross, own = _slopes(*clouds)
    return cross - own


for _name, _check, _diagnosis, _form in (
    ("self term detached", "self", "self-term-missing", lambda G, H: G),
    ("one self slot", "self", "one-self-slot", lambda G, H: G - H / 2),
    ("twice", "value", "doubled", lambda G, H: 2 * (G - H)),
    ("descent", "value", "negated", lambda G, H: H - G),
):
    bug(f"unbalanced_divergence_gradient: {_name}", f"unbalanced_divergence_gradient.{_check}",
        f"unbalanced_divergence_gradient.{_diagnosis}",
        lambda *clouds, form=_form: form(*_slopes(*clouds)), CLOUDS)

for _name, _diagnosis, _gradient in (
    ("damping not made up for", "damped-twice",
     lambda x, a, y, b, eps, rho, cost: gradient(x, a, y, b, eps, rho, cost) * rho / (rho + eps)),
    ("per unit of mass", "per-unit-of-mass",
     lambda x, a, *rest: gradient(x, a, *rest) / a[:, None]),
    ("reach^2", "rho-squared", _at_rho(lambda rho, eps: rho**2, gradient)),
):
    bug(f"unbalanced_divergence_gradient: {_name}", "unbalanced_divergence_gradient.value",
        f"unbalanced_divergence_gradient.{_diagnosis}", _gradient, CLOUDS)
