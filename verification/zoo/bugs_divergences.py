"""Bugs of divergences between point clouds: S of B-9, its gradient, MMD.

S = F_xy - F_xx / 2 - F_yy / 2, with the values F of three problems. F_xy is its cross term, F_xx
and F_yy are its self terms, in which a cloud is transported to itself.

B = Bréchet et al. 2019.
"""

from __future__ import annotations

from typing import Any

import numpy as np

import refot
from refot.arrays import Array
from refot.costs.operands import point_cost
from refot.gradients import points_gradient

from .bug import bug
from .bugs_transport import even, plan, sharp, value

CLOUDS = ("gaussian", "euclidean", "l1", "one-by-one", "square-uniform")
"""Cases of point clouds, with all three ground costs."""


def _terms(W: Any, x: Array, a: Array, y: Array, b: Array, eps: float, cost: str) -> Any:
    """The value W(C, a, b, eps) of the three problems (x, y), (x, x) and (y, y)."""
    return (W(point_cost(x, y, cost).dense(), a, b, eps),
            W(point_cost(x, x, cost).dense(), a, a, eps),
            W(point_cost(y, y, cost).dense(), b, b, eps))


def _made(form: Any, W: Any = value) -> Any:
    """A divergence form(W_xy, W_xx, W_yy), computed from the values W of its three problems."""
    return lambda *clouds: form(*_terms(W, *clouds))


def _halves(xy: float, xx: float, yy: float) -> float:
    return xy - xx / 2 - yy / 2


def _self_weights(answer: Any, other_side: bool) -> Any:
    """A divergence whose self terms have wrong weights p of x and q of y.

    They are those of the other side, or uniform. answer(xy, xx, yy) computes the divergence from
    the arguments of its three terms.
    """

    def changed(x: Array, a: Array, y: Array, b: Array, *rest: Any) -> Any:
        p, q = (b, a) if other_side and len(a) == len(b) else (a, b)
        if not other_side:
            p, q = even(a), even(b)
        return answer((x, a, y, b, *rest), (x, p, x, p, *rest), (y, q, y, q, *rest))

    return changed


def _on(change: Any) -> Any:
    """The right divergence, but of the arguments that `change` returns."""
    return lambda *clouds: _halves(*_terms(value, *change(*clouds)))


for _name, _check, _diagnosis, _divergence in (
    ("halves missing", "self", "divergence.halves-missing",
     _made(lambda xy, xx, yy: xy - xx - yy)),
    ("twice", "certified", "divergence.doubled", _made(
        lambda xy, xx, yy: 2 * xy - xx - yy)),
    ("no self terms", "self", "divergence.self-terms-missing", _made(lambda xy, xx, yy: xy)),
    ("one self term", "symmetric", "divergence.self-term-y-missing", _made(
        lambda xy, xx, yy: xy - xx / 2)),
    ("self terms added", "self", "divergence.self-terms-added", _made(
        lambda xy, xx, yy: xy + xx / 2 + yy / 2)),
    ("sharp values", "certified", "divergence.sharp-for-full", _made(_halves, sharp)),
    ("G-4", "certified", "divergence.sharp-doubled",
     _made(lambda xy, xx, yy: 2 * xy - xx - yy, sharp)),
    ("square root", "certified", "divergence.square-root", _made(
        lambda *terms: max(_halves(*terms), 0.0) ** 0.5)),
    ("the other cost", "certified", "divergence.cost-is-euclidean", _on(
        lambda x, a, y, b, eps, cost: (x, a, y, b, eps, "euclidean"))),
    ("blur for eps", "certified", "divergence.eps-squared", _on(
        lambda x, a, y, b, eps, cost: (x, a, y, b, eps**2, cost))),
    ("weights ignored", "split", "divergence.weights-ignored", _on(
        lambda x, a, y, b, eps, cost: (x, even(a), y, even(b), eps, cost))),
    ("eps too much in the cross term", "certified", "",
     lambda *clouds: _halves(*_terms(value, *clouds)) + clouds[4]),
):
    bug(f"divergence: {_name}", f"divergence.{_check}", _diagnosis, _divergence, CLOUDS)

bug("divergence: moved to the positive quadrant first", "divergence.translation", "",
    _on(lambda x, a, y, b, eps, cost: (np.clip(x, 0, None), a, np.clip(y, 0, None), b, eps, cost)),
    ("gaussian",))


def _of_three(xy: Any, xx: Any, yy: Any) -> float:
    """S from the values of three problems, given by their arguments."""
    return _halves(*(value(point_cost(u, v, cost).dense(), p, q, eps)
                     for u, p, v, q, eps, cost in (xy, xx, yy)))


SELF_WEIGHTS = (
    (True, "the self terms have the weights of the other side", "self-weights-exchanged"),
    (False, "the self terms have uniform weights", "self-weights-uniform"))
WEIGHTED = ("gaussian", "euclidean", "zero-weights", "float32")
"""Cases of weights that are not uniform, two of them with n = m."""

for _other, _name, _mistake in SELF_WEIGHTS:
    _cases = WEIGHTED[2:] if _other else WEIGHTED
    bug(f"divergence: {_name}", "divergence.certified", f"divergence.{_mistake}",
        _self_weights(_of_three, _other), _cases)
    bug(f"mmd: {_name}", "mmd.value", f"mmd.{_mistake}", _self_weights(
        lambda xy, xx, yy: sum(
            factor * (p @ point_cost(u, v, cost).dense() @ q)
            for factor, (u, p, v, q, cost) in zip((2, -1, -1), (xy, xx, yy), strict=True)),
        _other), _cases)


# ------------------------------------------------------------------ its gradient
def _slopes(x: Array, a: Array, y: Array, b: Array, eps: float, cost: str) -> tuple[Array, Array]:
    """(G, H): G is the gradient in x of F_xy, H that of F_xx in one of its two arguments (its
    slots), since x stands in both. The right gradient of S is G - H."""
    xy, xx = point_cost(x, y, cost), point_cost(x, x, cost)
    return (points_gradient(plan(xy.dense(), a, b, eps), xy),
            points_gradient(plan(xx.dense(), a, a, eps), xx))


for _name, _check, _diagnosis, _gradient in (
    ("one self slot", "self", "divergence_gradient.one-self-slot", lambda G, H: G - H / 2),
    ("self term detached", "self", "divergence_gradient.self-term-missing", lambda G, H: G),
    ("half of the self term forgotten", "self", "divergence_gradient.half-missing",
     lambda G, H: G - 2 * H),
    ("twice", "value", "divergence_gradient.doubled", lambda G, H: 2 * (G - H)),
    ("descent", "value", "divergence_gradient.negated", lambda G, H: H - G),
    ("mean over the batch", "value", "divergence_gradient.divided-by-n",
     lambda G, H: (G - H) / len(G)),
):
    bug(f"divergence_gradient: {_name}", f"divergence_gradient.{_check}", _diagnosis,
        lambda *clouds, form=_gradient: form(*_slopes(*clouds)), CLOUDS)


def _difference(*clouds: Any) -> Array:
    """The right gradient of S in x."""
    cross, own = _slopes(*clouds)
    return cross - own


for _other, _name, _mistake in SELF_WEIGHTS:
    bug(f"divergence_gradient: {_name}", "divergence_gradient.value",
        f"divergence_gradient.{_mistake}", _self_weights(
            lambda xy, xx, _: _slopes(*xy)[0] - _slopes(*xx)[1], _other), WEIGHTED[:3])


def _nan_at_zero(x: Array, a: Array, y: Array, b: Array, eps: float, cost: str) -> Array:
    """(x - y) / |x - y| with 0 / 0 on the diagonal of the self term."""
    if cost != "euclidean":
        return _difference(x, a, y, b, eps, cost)
    r = x[:, None] - x
    unit = r / np.sqrt((r**2).sum(-1))[..., None]
    own = (plan(point_cost(x, x, cost).dense(), a, a, eps)[..., None] * unit).sum(1)
    return _slopes(x, a, y, b, eps, cost)[0] - own


bug("divergence_gradient: NaN at r = 0", "divergence_gradient.value",
    "norm-at-zero", _nan_at_zero, ("gaussian", "euclidean"))
bug("divergence_gradient: per unit of mass", "divergence_gradient.value",
    "divergence_gradient.per-unit-of-mass",
    lambda x, a, *rest: _difference(x, a, *rest) / a[:, None], CLOUDS)


# ------------------------------------------------------------------ MMD
def _means(x: Array, a: Array, y: Array, b: Array, cost: str) -> tuple[float, float, float]:
    xy, xx, yy = (p @ point_cost(u, v, cost).dense() @ q
                  for u, p, v, q in ((x, a, y, b), (x, a, x, a), (y, b, y, b)))
    return xy, xx, yy


def _not_doubled(*clouds: Any) -> float:
    """a'C_xy b - a'C_xx a - b'C_yy b."""
    xy, xx, yy = _means(*clouds)
    return xy - xx - yy


def _unbiased(x: Array, a: Array, y: Array, b: Array, cost: str) -> float:
    """The U-statistic; the V-statistic where a side has a single point."""
    if min(len(a), len(b)) == 1:
        return refot.mmd_squared(x, a, y, b, cost)
    return refot.mmd_squared_unbiased(x, a, y, b, cost)


for _name, _check, _diagnosis, _mmd in (
    ("U-statistic", "value", "mmd.u-statistic", _unbiased),
    ("square root", "value", "mmd.square-root",
     lambda *clouds: max(refot.mmd_squared(*clouds), 0.0) ** 0.5),
    ("half", "value", "mmd.halved", lambda *clouds: refot.mmd_squared(*clouds) / 2),
    ("cross term not doubled", "self", "mmd.cross-term-not-doubled",
     _not_doubled),
    ("weights ignored", "split", "mmd.weights-ignored",
     lambda x, a, y, b, cost: refot.mmd_squared(x, even(a), y, even(b), cost)),
):
    bug(f"mmd: {_name}", f"mmd.{_check}", _diagnosis, _mmd, CLOUDS)
