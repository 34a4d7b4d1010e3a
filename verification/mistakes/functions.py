"""Known mistakes of functions that need no solver: softmin, dual, semi-dual, scaling loss.

- softmin of scores h (m,): -eps log sum_j exp((h_j - C_ij) / eps), (n,).
- The dual (B-13) is a function of both potentials, the semi-dual (B-24) of g alone.
- chi (n, m) is the law of y_j given x_i that belongs to g: its row i is proportional to
  b_j exp((g_j - C_ij) / eps) and has the sum 1. The gradient of the semi-dual in g is b - a @ chi.
- The scaling loss (G-8) is <C,P> of the plan after L steps of Sinkhorn's algorithm.

Papers: B = Bréchet et al. 2019, G = Genevay, Peyré, Cuturi 2018, H = Houdard et al. 2023.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from refot.arrays import Array
from refot.objectives import kl
from refot.printed import dual_printed, semi_dual_printed, supergradient_printed
from refot.solvers.scaling import scaling_loss
from refot.transforms import softmin
from refot.unrolled import scaling_loss_gradient
from refot.verification.truth.right import (
    right_dual,
    right_semidual,
    right_semidual_gradient,
    right_softmin,
)
from refot.verification.truth.solution import solution

from .mistake import Table
from .transport import even, square


def _exponents(C: Array, h: Array, eps: float) -> Array:
    return (h - C) / eps


SOFTMIN: Table = {
    "hard-min": ("the hard min over j, not the softmin", lambda C, h, eps: (C - h).min(axis=1)),
    "log-mean-exp": ("log-mean-exp for log-sum-exp: eps log m too much",
        lambda C, h, eps: right_softmin(C, h, eps) + eps * math.log(len(h))),
    "negated": ("the sign: + eps log sum exp", lambda C, h, eps: -right_softmin(C, h, eps)),
    "eps-missing-in-front": ("the factor eps in front is missing",
        lambda C, h, eps: right_softmin(C, h, eps) / eps),
    "h-not-divided-by-eps": ("h is not divided by eps",
        lambda C, h, eps: right_softmin(C, eps * h, eps)),
    "h-ignored": ("h is ignored", lambda C, h, eps: right_softmin(C, 0 * h, eps)),
    "h-subtracted": ("h is subtracted", lambda C, h, eps: right_softmin(C, -h, eps)),
    "wrong-axis": ("the wrong axis: the sum runs over i",
        lambda C, h, eps: right_softmin(C.T, h, eps) if square(C) else None),
    "uniform-weights": ("the weights are uniform whatever h: a mean of exp(-C / eps)",
        lambda C, h, eps: right_softmin(C, 0 * h, eps) + eps * math.log(len(h))),
    "eps-halved": ("eps is halved", lambda C, h, eps: right_softmin(C, h, eps / 2)),
    "eps-doubled": ("eps is doubled", lambda C, h, eps: right_softmin(C, h, 2 * eps)),
    "eps-divided-twice": ("eps is divided twice",
        lambda C, h, eps: right_softmin(C, h, eps**2) / eps),
    "exponents-clipped": ("exponents are clipped (at +-50)",
        lambda C, h, eps: -eps * np.log(np.exp(np.clip(_exponents(C, h, eps), -50, 50)).sum(1))),
}


def _density(f: Array, g: Array, C: Array, eps: float) -> Array:
    return np.exp((f[:, None] + g - C) / eps)


def _linear(f: Array, g: Array, a: Array, b: Array) -> float:
    return float(a @ f + b @ g)


DUAL: Table = {
    "eps-missing": ("eps is missing: + eps of the dual B-13",
        lambda *given: dual_printed(*given, backend="numpy")),
    "eps-twice": ("eps too much: + eps twice", lambda *given: right_dual(*given) + given[-1]),
    "exponential-missing": ("the exponential term is missing: a.f + b.g",
        lambda f, g, C, a, b, eps: _linear(f, g, a, b)),
    "exponential-missing-plus-eps": ("the exponential term is missing: a.f + b.g + eps",
        lambda f, g, C, a, b, eps: _linear(f, g, a, b) + eps),
    "exponential-without-eps": ("the factor eps of the exponential term is missing",
        lambda f, g, C, a, b, eps:
            _linear(f, g, a, b) + eps - float(a @ _density(f, g, C, eps) @ b)),
    "exponential-added": ("the exponential term is added",
        lambda f, g, C, a, b, eps:
            2 * _linear(f, g, a, b) + 2 * eps - right_dual(f, g, C, a, b, eps)),
    "exponential-not-weighted": ("the exponential term is not weighted by a_i b_j",
        lambda f, g, C, a, b, eps:
            _linear(f, g, a, b) + eps - eps * float(_density(f, g, C, eps).sum())),
    "exponential-averaged": ("the exponential term is a mean, not weighted by a_i b_j",
        lambda f, g, C, a, b, eps:
            _linear(f, g, a, b) + eps - eps * float(_density(f, g, C, eps).mean())),
    "negated": ("minus the dual (the loss of a descent)", lambda *given: -right_dual(*given)),
    "weights-ignored": ("the weights a and b are ignored (uniform ones used)",
        lambda f, g, C, a, b, eps: right_dual(f, g, C, even(a), even(b), eps)),
    "cost-transposed": ("the cost is transposed",
        lambda f, g, C, a, b, eps: right_dual(f, g, C.T, a, b, eps) if square(C) else None),
    "exchanged": ("f and g are exchanged",
        lambda f, g, C, a, b, eps: right_dual(g, f, C, a, b, eps) if square(C) else None),
}


def _log_m(b: Array) -> float:
    return math.log(len(b))


SEMIDUAL: Table = {
    "eps-too-much": ("eps too much: the printed + eps of the semi-dual B-24",
        lambda *given: semi_dual_printed(*given, backend="numpy")),
    "eps-missing": ("eps is missing", lambda *given: right_semidual(*given) - given[-1]),
    "log-b-missing": ("no log b in the softmin: log sum_j",
        lambda g, C, a, b, eps: float(a @ softmin(C, g, eps, backend="numpy") + b @ g)),
    "log-b-uniform": ("log b is taken as uniform in the softmin",
        lambda g, C, a, b, eps:
            float(a @ softmin(C, g, eps, backend="numpy") + b @ g) + eps * _log_m(b)),
    "hard-min": ("the hard min, not the softmin",
        lambda g, C, a, b, eps: float(a @ (C - g).min(axis=1) + b @ g)),
    "weights-a-ignored": ("the weights a are ignored (a mean over x)",
        lambda g, C, a, b, eps: right_semidual(g, C, even(a), b, eps)),
    "g-not-weighted": ("the mean of g is not weighted by b",
        lambda g, C, a, b, eps: right_semidual(g, C, a, b, eps) - float(b @ g) + float(g.mean())),
    "b-g-missing": ("the term b.g is missing",
        lambda g, C, a, b, eps: right_semidual(g, C, a, b, eps) - float(b @ g)),
    "b-g-subtracted": ("the term b.g is subtracted",
        lambda g, C, a, b, eps: right_semidual(g, C, a, b, eps) - 2 * float(b @ g)),
    "negated": ("minus the semi-dual (the loss of a descent)",
        lambda *given: -right_semidual(*given)),
    "cost-transposed": ("the cost is transposed",
        lambda g, C, a, b, eps: right_semidual(g, C.T, a, b, eps) if square(C) else None),
    "optimal-value": ("the optimal value, whatever g",
        lambda g, C, a, b, eps: solution(C, a, b, eps).F),
}


def _chi(g: Array, C: Array, weights: Array, eps: float) -> Array:
    """chi (n, m), with `weights` in place of b. Exponents are shifted by the largest of their row,
    so that none overflows; the division by the sum of the row makes up for the shift."""
    exponents = (g - C) / eps
    shares = weights * np.exp(exponents - exponents.max(axis=1)[:, None])
    return shares / shares.sum(axis=1)[:, None]


def _hard_cells(g: Array, C: Array, a: Array) -> Array:
    """The mass (m,) that arrives at each y_j if each x_i sends all its mass a_i to the y_j with the
    least C_ij - g_j. It stands for a @ chi: the softmax in chi has become a maximum."""
    return np.bincount((C - g).argmin(axis=1), weights=a, minlength=len(g))


SEMIDUAL_GRADIENT: Table = {
    "negated": ("the sign: a @ chi - b, the descent direction",
        lambda *given: -right_semidual_gradient(*given)),
    "b-negated": ("-a @ chi - b: the sign of b, as printed in H-27",
        lambda *given: supergradient_printed(*given, backend="numpy")),
    "b-missing": ("b is missing: -a @ chi",
        lambda g, C, a, b, eps: right_semidual_gradient(g, C, a, b, eps) - b),
    "weights-a-ignored": ("the weights a are ignored: a mean of chi over x",
        lambda g, C, a, b, eps: right_semidual_gradient(g, C, even(a), b, eps)),
    "sum-over-x": ("a sum of chi over x, without a_i",
        lambda g, C, a, b, eps: b - _chi(g, C, b, eps).sum(axis=0)),
    "log-b-missing": ("no log b in chi",
        lambda g, C, a, b, eps: b - a @ _chi(g, C, np.ones_like(b), eps)),
    "hard-min": ("the hard min: cells of nearest points, not the softmax",
        lambda g, C, a, b, eps: b - _hard_cells(g, C, a)),
    "uniform-for-b": ("1/m stands for b",
        lambda g, C, a, b, eps: right_semidual_gradient(g, C, a, b, eps) - b + even(b)),
    "multiplied-by-n": ("multiplied by n: a sum over the batch, not a mean",
        lambda g, C, a, b, eps: len(a) * right_semidual_gradient(g, C, a, b, eps)),
    "divided-by-n": ("divided by n: the mean over the batch is taken twice",
        lambda g, C, a, b, eps: right_semidual_gradient(g, C, a, b, eps) / len(a)),
    "divided-by-eps": ("divided by eps",
        lambda g, C, a, b, eps: right_semidual_gradient(g, C, a, b, eps) / eps),
    "eps-halved": ("eps is halved",
        lambda g, C, a, b, eps: right_semidual_gradient(g, C, a, b, eps / 2)),
    "eps-doubled": ("eps is doubled",
        lambda g, C, a, b, eps: right_semidual_gradient(g, C, a, b, 2 * eps)),
    "cost-transposed": ("the cost is transposed",
        lambda g, C, a, b, eps: right_semidual_gradient(g, C.T, a, b, eps) if square(C) else None),
}


# ------------------------------------------------------------------ scaling loss, G-8
def _scalings(
    C: Array, a: Array, b: Array, eps: float, L: int, v: Array
) -> tuple[Array, Array, Array]:
    """(u, K, v): the scalings u (n,), v (m,) after L steps of G-7, of which the first starts from
    the given v, and the kernel K = exp(-C / eps). Their plan is u_i K_ij v_j."""
    K = np.exp(-C / eps)
    for _ in range(L):
        u = a / (K @ v)
        v = b / (K.T @ u)
    return u, K, v


def _loss_from(start: Callable[[Array], Array]) -> Callable[..., float]:
    def loss(C: Array, a: Array, b: Array, eps: float, L: int) -> float:
        u, K, v = _scalings(C, a, b, eps, L, start(b))
        return float(u @ (K * C) @ v)

    return loss


def _columns_first(C: Array, a: Array, b: Array, eps: float, L: int) -> float:
    """The loss if v is updated before u. It is the right loss of the problem in which rows and
    columns are exchanged."""
    return scaling_loss(C.T, b, a, eps, L)


def _steps(change: int, function: Callable[..., Any]) -> Callable[..., Any]:
    def alternative(C: Array, a: Array, b: Array, eps: float, L: int) -> Any:
        return function(C, a, b, eps, L + change) if L + change > 0 else None

    return alternative


def _regularised(C: Array, a: Array, b: Array, eps: float, L: int) -> float:
    """<C,P> + eps KL(P | a(x)b) of the plan after L steps."""
    u, K, v = _scalings(C, a, b, eps, L, b)
    P = u[:, None] * K * v
    return float((P * C).sum()) + eps * kl(P, np.outer(a, b))


SCALING_LOSS: Table = {
    "one-step-more": ("one step more than L", _steps(1, scaling_loss)),
    "one-step-fewer": ("one step fewer than L", _steps(-1, scaling_loss)),
    "started-at-one": ("the first step is from v = 1, not from v = b", _loss_from(np.ones_like)),
    "started-at-uniform": ("the first step is from v = 1/m, not from v = b", _loss_from(even)),
    "columns-first": ("v is updated before u: rows are exact in place of columns", _columns_first),
    "converged": ("converged, not after L steps", lambda C, a, b, eps, L: solution(C, a, b, eps).s),
    "full-for-sharp": ("the KL-inclusive value after L steps, not the sharp one", _regularised),
    "full-converged": ("the KL-inclusive value, converged",
        lambda C, a, b, eps, L: solution(C, a, b, eps).F),
    "doubled": ("twice the loss", lambda *given: 2 * scaling_loss(*given)),
    "halved": ("half of the loss", lambda *given: scaling_loss(*given) / 2),
    "weights-ignored": ("the weights a and b are ignored (uniform ones used)",
        lambda C, a, b, eps, L: scaling_loss(C, even(a), even(b), eps, L)),
    "eps-halved": ("eps is halved", lambda C, a, b, eps, L: scaling_loss(C, a, b, eps / 2, L)),
    "cost-transposed": ("the cost is transposed",
        lambda C, a, b, eps, L:
            scaling_loss(np.ascontiguousarray(C.T), a, b, eps, L) if square(C) else None),
}


def _plan_after(C: Array, a: Array, b: Array, eps: float, L: int) -> Array:
    """The plan P after L steps. It is also the gradient of sum_ij P_ij C_ij in C if all of P is
    taken for a constant."""
    u, K, v = _scalings(C, a, b, eps, L, b)
    return u[:, None] * K * v


def _kernel_only(C: Array, a: Array, b: Array, eps: float, L: int) -> Array:
    """The gradient of sum_ij u_i K_ij C_ij v_j in C if u and v are taken for constants (detached)
    while K = exp(-C / eps) is differentiated: P_ij - P_ij C_ij / eps."""
    P = _plan_after(C, a, b, eps, L)
    return P - P * C / eps


SCALING_LOSS_GRADIENT: Table = {
    "envelope": (
        "the envelope gradient P, of F and not of <C,P>; or the whole plan is detached",
        _plan_after),
    "scalings-detached": ("u and v are detached: P - P C / eps", _kernel_only),
    "one-step-more": ("one step more than L", _steps(1, scaling_loss_gradient)),
    "one-step-fewer": ("one step fewer than L", _steps(-1, scaling_loss_gradient)),
    "negated": ("minus the gradient", lambda *given: -scaling_loss_gradient(*given)),
    "doubled": ("twice the gradient", lambda *given: 2 * scaling_loss_gradient(*given)),
    "halved": ("half of the gradient", lambda *given: scaling_loss_gradient(*given) / 2),
    "cost-transposed": ("the cost is transposed",
        lambda C, a, b, eps, L: scaling_loss_gradient(np.ascontiguousarray(C.T), a, b, eps, L)
        if square(C) else None),
    "converged-envelope": ("the gradient of the converged plan, by the envelope",
        lambda C, a, b, eps, L: solution(C, a, b, eps).plan),
}


MISTAKES: dict[str, Table] = {
    "softmin": SOFTMIN, "dual": DUAL, "semidual": SEMIDUAL, "semidual_gradient": SEMIDUAL_GRADIENT,
    "scaling_loss": SCALING_LOSS, "scaling_loss_gradient": SCALING_LOSS_GRADIENT,
}
"""The mistakes of each capability."""
