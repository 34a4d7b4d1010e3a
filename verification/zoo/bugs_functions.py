"""Bugs of functions that need no solver: softmin, dual, semi-dual, scaling loss, information.

Papers: B = Bréchet et al. 2019, G = Genevay, Peyré, Cuturi 2018, H = Houdard et al. 2023.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy.special import logsumexp, rel_entr

import refot
from refot.arrays import Array
from refot.printed import supergradient_printed
from refot.unrolled import scaling_loss_gradient

from .bug import USUAL, bug
from .bugs_transport import even, plan, sharp

WIDE = (*USUAL, "offset")
"""The usual cases, and one whose costs lie far from 0, on which exponents overflow or underflow."""


# ------------------------------------------------------------------ softmin
for _name, _check, _diagnosis, _softmin in (
    ("hard min", "value", "softmin.hard-min", lambda C, h, eps: (C - h).min(axis=1)),
    ("log-mean-exp", "value", "softmin.log-mean-exp",
     lambda C, h, eps: -eps * (logsumexp((h - C) / eps, axis=1) - np.log(len(h)))),
    ("no shift", "shift", "log-sum-exp-not-shifted",
     lambda C, h, eps: -eps * np.log(np.exp((h - C) / eps).sum(axis=1))),
    ("wrong axis where square", "value", "softmin.wrong-axis",
     lambda C, h, eps: -eps * logsumexp(
         (h - (C.T if C.shape[0] == C.shape[1] else C)) / eps, axis=1)),
    ("eps missing in front", "value", "softmin.eps-missing-in-front",
     lambda C, h, eps: -logsumexp((h - C) / eps, axis=1)),
    ("softmax", "value", "softmin.negated",
     lambda C, h, eps: eps * logsumexp((h - C) / eps, axis=1)),
    ("h not divided by eps", "value", "softmin.h-not-divided-by-eps",
     lambda C, h, eps: -eps * logsumexp(h - C / eps, axis=1)),
    ("clipped exponents", "shift", "softmin.exponents-clipped",
     lambda C, h, eps: -eps * np.log(np.exp(np.clip((h - C) / eps, -50, 50)).sum(axis=1))),
):
    bug(f"softmin: {_name}", f"softmin.{_check}", _diagnosis, _softmin, WIDE)


# ------------------------------------------------------------------ dual, semi-dual
def _density(f: Array, g: Array, C: Array, eps: float) -> Array:
    """exp((f_i + g_j - C_ij) / eps), (n, m): the plan of f and g divided by a_i b_j."""
    return np.exp((f[:, None] + g - C) / eps)


for _name, _check, _diagnosis, _dual in (
    ("B-13 as printed", "optimum", "dual.eps-missing",
     lambda f, g, C, a, b, eps: a @ f + b @ g - eps * (a @ _density(f, g, C, eps) @ b)),
    ("exponential term not weighted", "optimum", "dual.exponential-not-weighted",
     lambda f, g, C, a, b, eps: a @ f + b @ g + eps - eps * _density(f, g, C, eps).sum()),
    ("exponential term averaged", "optimum", "dual.exponential-averaged",
     lambda f, g, C, a, b, eps: a @ f + b @ g + eps - eps * _density(f, g, C, eps).mean()),
    ("no exponential term", "value", "dual.exponential-missing",
     lambda f, g, C, a, b, eps: a @ f + b @ g),
    ("no eps before the exponential", "optimum", "dual.exponential-without-eps",
     lambda f, g, C, a, b, eps: a @ f + b @ g + eps - a @ _density(f, g, C, eps) @ b),
    ("loss of a descent", "optimum", "dual.negated",
     lambda f, g, C, a, b, eps: -(a @ f + b @ g + eps - eps * (a @ _density(f, g, C, eps) @ b))),
):
    bug(f"dual: {_name}", f"dual.{_check}", _diagnosis, _dual)


def _transform(g: Array, C: Array, b: Array, eps: float) -> Array:
    """The transform of g, a potential of the rows: -eps log sum_j b_j exp((g_j - C_ij) / eps),
    (n,)."""
    return -eps * logsumexp((g - C) / eps, axis=1, b=b)


for _name, _diagnosis, _semi in (
    ("B-24 as printed", "semidual.eps-too-much",
     lambda g, C, a, b, eps: a @ _transform(g, C, b, eps) + b @ g + eps),
    ("no log b", "semidual.log-b-missing",
     lambda g, C, a, b, eps: a @ _transform(g, C, 1 + 0 * b, eps) + b @ g),
    ("log mean exp", "semidual.log-b-uniform",
     lambda g, C, a, b, eps: a @ _transform(g, C, even(b), eps) + b @ g),
    ("mean over x", "semidual.weights-a-ignored",
     lambda g, C, a, b, eps: _transform(g, C, b, eps).mean() + b @ g),
    ("mean of g", "semidual.g-not-weighted",
     lambda g, C, a, b, eps: a @ _transform(g, C, b, eps) + g.mean()),
    ("hard min", "semidual.hard-min",
     lambda g, C, a, b, eps: a @ (C - g).min(axis=1) + b @ g),
    ("no b.g", "semidual.b-g-missing", lambda g, C, a, b, eps: a @ _transform(g, C, b, eps)),
):
    bug(f"semidual: {_name}", "semidual.value", _diagnosis, _semi)


def _chi(g: Array, C: Array, b: Array, eps: float) -> Array:
    """chi (n, m): row i is the law of y_j given x_i, proportional to b_j exp((g_j - C_ij) / eps).
    The right gradient of the semi-dual in g is b - a @ chi."""
    chi = b * np.exp((g - C + _transform(g, C, b, eps)[:, None]) / eps)
    return chi / chi.sum(axis=1)[:, None]


for _name, _check, _diagnosis, _gradient in (
    ("descent", "value", "semidual_gradient.negated",
     lambda g, C, a, b, eps: a @ _chi(g, C, b, eps) - b),
    ("H-27 as printed", "sum", "semidual_gradient.b-negated",
     supergradient_printed),
    ("mean over x", "value", "semidual_gradient.weights-a-ignored",
     lambda g, C, a, b, eps: b - _chi(g, C, b, eps).mean(axis=0)),
    ("sum over x", "sum", "semidual_gradient.sum-over-x",
     lambda g, C, a, b, eps: b - _chi(g, C, b, eps).sum(axis=0)),
    ("no log b", "value", "semidual_gradient.log-b-missing",
     lambda g, C, a, b, eps: b - a @ _chi(g, C, 1 + 0 * b, eps)),
    ("hard cells", "value", "semidual_gradient.hard-min",
     lambda g, C, a, b, eps: b - np.bincount((C - g).argmin(axis=1), a, len(b))),
    ("1/B twice", "value", "semidual_gradient.divided-by-n",
     lambda g, C, a, b, eps: (b - a @ _chi(g, C, b, eps)) / len(a)),
    ("1/m for b", "value", "semidual_gradient.uniform-for-b",
     lambda g, C, a, b, eps: even(b) - a @ _chi(g, C, b, eps)),
):
    bug(f"semidual_gradient: {_name}", f"semidual_gradient.{_check}", _diagnosis, _gradient,
        tuple(name for name in USUAL if name != "one-by-one"))


# ------------------------------------------------------------------ scaling loss
def _unrolled(start: Any, steps: Any = lambda L: L) -> Any:
    """The loss <C,P> of G-8 after L steps, but started from v = start(b), where v = b is right, and
    stopped after steps(L) steps."""

    def loss(C: Array, a: Array, b: Array, eps: float, L: int) -> float:
        K, v = np.exp(-C / eps), start(b)
        for _ in range(steps(L)):
            u = a / (K @ v)
            v = b / (K.T @ u)
        return float(u @ (K * C) @ v)

    return loss


def _plan_after(C: Array, a: Array, b: Array, eps: float, L: int) -> Array:
    """The right plan after L steps of Sinkhorn's algorithm."""
    u, v = refot.sinkhorn_scaling(C, a, b, eps, L)
    return u[:, None] * np.exp(-C / eps) * v


for _name, _diagnosis, _loss in (
    ("L + 1 steps", "scaling_loss.one-step-more", _unrolled(lambda b: b, lambda L: L + 1)),
    ("L - 1 steps", "scaling_loss.one-step-fewer", _unrolled(lambda b: b, lambda L: max(L - 1, 1))),
    ("from v = 1", "scaling_loss.started-at-one", _unrolled(np.ones_like)),
    ("v before u", "scaling_loss.columns-first",
     lambda C, a, b, eps, L: _unrolled(lambda b: b)(C.T, b, a, eps, L)),
    ("converged", "scaling_loss.converged", lambda C, a, b, eps, L: sharp(C, a, b, eps)),
    ("KL included", "scaling_loss.full-for-sharp",
     lambda C, a, b, eps, L: (lambda P: (P * C).sum() + eps * rel_entr(P, np.outer(a, b)).sum())(
         _plan_after(C, a, b, eps, L))),
):
    bug(f"scaling_loss: {_name}", "scaling_loss.steps-2", _diagnosis, _loss)

for _name, _diagnosis, _adjoint in (
    ("envelope", "scaling_loss_gradient.envelope", _plan_after),
    ("u and v detached", "scaling_loss_gradient.scalings-detached",
     lambda C, *rest: (1 - C / rest[2]) * _plan_after(C, *rest)),
    ("L + 1 steps", "scaling_loss_gradient.one-step-more",
     lambda C, a, b, eps, L: scaling_loss_gradient(C, a, b, eps, L + 1)),
    ("descent", "scaling_loss_gradient.negated", lambda *given: -scaling_loss_gradient(*given)),
):
    bug(f"scaling_loss_gradient: {_name}", "scaling_loss_gradient.value", _diagnosis, _adjoint)


# ------------------------------------------------------------------ information
for _name, _diagnosis, _objective in (
    ("+ 1", "q_objective.one-too-much", lambda Q, P, a, b: a @ np.exp(Q) @ b - (Q * P).sum() + 1),
    ("B-20 for B-31", "q_objective.bound-for-objective",
     lambda Q, P, a, b: (Q * P).sum() + 1 - a @ np.exp(Q) @ b),
    ("no integral", "q_objective.integral-missing", lambda Q, P, a, b: -(Q * P).sum()),
    ("exp Q not weighted", "q_objective.exp-q-not-weighted",
     lambda Q, P, a, b: np.exp(Q).sum() - (Q * P).sum()),
    ("exp Q weighted by P", "q_objective.exp-q-weighted-by-plan",
     lambda Q, P, a, b: (P * np.exp(Q)).sum() - (Q * P).sum()),
    ("logarithm of the integral", "q_objective.log-of-integral",
     lambda Q, P, a, b: np.log(a @ np.exp(Q) @ b) - (Q * P).sum()),
):
    bug(f"q_objective: {_name}", "q_objective.value", _diagnosis, _objective)

for _name, _check, _diagnosis, _informed in (
    ("Q outside the transform", "marginals", "informative_plan.q-outside",
     lambda C, Q, lam, a, b, eps: plan(C, a, b, eps) * np.exp(lam * Q / eps)),
    ("wrong sign of lam", "direction", "informative_plan.lam-negated",
     lambda C, Q, lam, a, b, eps: plan(C + lam * Q, a, b, eps)),
    ("Q ignored", "entries", "informative_plan.q-ignored",
     lambda C, Q, lam, a, b, eps: plan(C, a, b, eps)),
    ("lam divided by eps", "entries", "informative_plan.q-divided-by-eps",
     lambda C, Q, lam, a, b, eps: plan(C - lam * Q / eps, a, b, eps)),
    ("Q transposed where square", "entries", "informative_plan.q-transposed",
     lambda C, Q, lam, a, b, eps: plan(C - lam * (Q.T if len(a) == len(b) else Q), a, b, eps)),
):
    bug(f"informative_plan: {_name}", f"informative_plan.{_check}", _diagnosis, _informed)

for _name, _diagnosis, _information in (
    ("in bits", "mutual_information.in-bits", lambda P: refot.mutual_information(P) / np.log(2)),
    ("entropy of the plan", "mutual_information.entropy", refot.entropy),
    ("against uniform", "mutual_information.kl-against-uniform",
     lambda P: rel_entr(P, np.full_like(P, 1 / P.size)).sum()),
    ("mean for sum", "mutual_information.mean-for-sum",
     lambda P: rel_entr(P, np.outer(P.sum(1), P.sum(0))).mean()),
):
    bug(f"mutual_information: {_name}", "mutual_information.plan", _diagnosis, _information)
