"""Bugs of functions of given arguments: softmin, dual, semi-dual, scaling loss, information."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy.special import logsumexp, rel_entr

import refot
from refot.arrays import Array
from refot.unrolled import scaling_loss_gradient

from .animals import USUAL, bug
from .bugs_transport import even, plan, sharp

WIDE = (*USUAL, "offset")


# ------------------------------------------------------------------ softmin
for _name, _check, _said, _softmin in (
    ("hard min", "value", "the hard min", lambda C, h, eps: (C - h).min(axis=1)),  # 18
    ("log-mean-exp", "value", "log-mean-exp",
     lambda C, h, eps: -eps * (logsumexp((h - C) / eps, axis=1) - np.log(len(h)))),
    ("no shift", "shift", "not finite",  # 20
     lambda C, h, eps: -eps * np.log(np.exp((h - C) / eps).sum(axis=1))),
    ("wrong axis where square", "value", "the wrong axis",  # 38
     lambda C, h, eps: -eps * logsumexp(
         (h - (C.T if C.shape[0] == C.shape[1] else C)) / eps, axis=1)),
    ("eps missing in front", "value", "the factor eps in front",
     lambda C, h, eps: -logsumexp((h - C) / eps, axis=1)),
    ("softmax", "value", "the sign", lambda C, h, eps: eps * logsumexp((h - C) / eps, axis=1)),
    ("h not divided by eps", "value", "h is not divided by eps",
     lambda C, h, eps: -eps * logsumexp(h - C / eps, axis=1)),
    ("clipped exponents", "shift", "clipped",
     lambda C, h, eps: -eps * np.log(np.exp(np.clip((h - C) / eps, -50, 50)).sum(axis=1))),
):
    bug(f"softmin: {_name}", f"softmin.{_check}", _said, _softmin, WIDE)


# ------------------------------------------------------------------ dual, semi-dual
def _mass(f: Array, g: Array, C: Array, eps: float) -> Array:
    return np.exp((f[:, None] + g - C) / eps)


for _name, _check, _said, _dual in (
    ("B-13 as printed", "optimum", "eps is missing",  # 1
     lambda f, g, C, a, b, eps: a @ f + b @ g - eps * (a @ _mass(f, g, C, eps) @ b)),
    ("exponential term not weighted", "optimum", "not weighted by a_i b_j",
     lambda f, g, C, a, b, eps: a @ f + b @ g + eps - eps * _mass(f, g, C, eps).sum()),
    ("exponential term averaged", "optimum", "is a mean",
     lambda f, g, C, a, b, eps: a @ f + b @ g + eps - eps * _mass(f, g, C, eps).mean()),
    ("no exponential term", "value", "the exponential term is missing",
     lambda f, g, C, a, b, eps: a @ f + b @ g),
    ("no eps before the exponential", "optimum", "the factor eps of the exponential",
     lambda f, g, C, a, b, eps: a @ f + b @ g + eps - a @ _mass(f, g, C, eps) @ b),
    ("loss of a descent", "optimum", "minus the dual",  # 36
     lambda f, g, C, a, b, eps: -(a @ f + b @ g + eps - eps * (a @ _mass(f, g, C, eps) @ b))),
):
    bug(f"dual: {_name}", f"dual.{_check}", _said, _dual)


def _lse(g: Array, C: Array, b: Array, eps: float) -> Array:
    return -eps * logsumexp((g - C) / eps, axis=1, b=b)


for _name, _said, _semi in (
    ("B-24 as printed", "eps too much",  # 2
     lambda g, C, a, b, eps: a @ _lse(g, C, b, eps) + b @ g + eps),
    ("no log b", "no log b", lambda g, C, a, b, eps: a @ _lse(g, C, 1 + 0 * b, eps) + b @ g),  # 10
    ("log mean exp", "log b is taken as uniform",
     lambda g, C, a, b, eps: a @ _lse(g, C, even(b), eps) + b @ g),
    ("mean over x", "the weights a are ignored",  # 11
     lambda g, C, a, b, eps: _lse(g, C, b, eps).mean() + b @ g),
    ("mean of g", "the mean of g is not weighted",
     lambda g, C, a, b, eps: a @ _lse(g, C, b, eps) + g.mean()),
    ("hard min", "the hard min",  # 18
     lambda g, C, a, b, eps: a @ (C - g).min(axis=1) + b @ g),
    ("no b.g", "the term b.g is missing", lambda g, C, a, b, eps: a @ _lse(g, C, b, eps)),
):
    bug(f"semidual: {_name}", "semidual.value", _said, _semi)


def _chi(g: Array, C: Array, b: Array, eps: float) -> Array:
    chi = b * np.exp((g - C + _lse(g, C, b, eps)[:, None]) / eps)
    return chi / chi.sum(axis=1)[:, None]


for _name, _check, _said, _gradient in (
    ("descent", "value", "the descent direction",  # 36
     lambda g, C, a, b, eps: a @ _chi(g, C, b, eps) - b),
    ("H-27 as printed", "sum", "the sign of b",  # 25
     lambda g, C, a, b, eps: -a @ _chi(g, C, b, eps) - b),
    ("mean over x", "value", "a mean of chi over x",
     lambda g, C, a, b, eps: b - _chi(g, C, b, eps).mean(axis=0)),
    ("sum over x", "sum", "a sum of chi over x",
     lambda g, C, a, b, eps: b - _chi(g, C, b, eps).sum(axis=0)),
    ("no log b", "value", "no log b in chi",  # 10
     lambda g, C, a, b, eps: b - a @ _chi(g, C, 1 + 0 * b, eps)),
    ("hard cells", "value", "the hard min",  # 18
     lambda g, C, a, b, eps: b - np.bincount((C - g).argmin(axis=1), a, len(b))),
    ("1/B twice", "value", "1/B twice",  # 31
     lambda g, C, a, b, eps: (b - a @ _chi(g, C, b, eps)) / len(a)),
    ("1/m for b", "value", "1/m stands for b",
     lambda g, C, a, b, eps: even(b) - a @ _chi(g, C, b, eps)),
):
    bug(f"semidual_gradient: {_name}", f"semidual_gradient.{_check}", _said, _gradient,
        tuple(name for name in USUAL if name != "one-by-one"))


# ------------------------------------------------------------------ scaling loss
def _unrolled(start: Any, steps: Any = lambda L: L) -> Any:
    """G-8 from v = start(b) after steps(L) steps."""

    def loss(C: Array, a: Array, b: Array, eps: float, L: int) -> float:
        K, v = np.exp(-C / eps), start(b)
        for _ in range(steps(L)):
            u = a / (K @ v)
            v = b / (K.T @ u)
        return float(u @ (K * C) @ v)

    return loss


def _plan_after(C: Array, a: Array, b: Array, eps: float, L: int) -> Array:
    u, v = refot.sinkhorn_scaling(C, a, b, eps, L)
    return u[:, None] * np.exp(-C / eps) * v


for _name, _said, _loss in (
    ("L + 1 steps", "one step more", _unrolled(lambda b: b, lambda L: L + 1)),
    ("L - 1 steps", "one step fewer", _unrolled(lambda b: b, lambda L: max(L - 1, 1))),
    ("from v = 1", "from v = 1, not", _unrolled(np.ones_like)),
    ("v before u", "v is updated before u",
     lambda C, a, b, eps, L: _unrolled(lambda b: b)(C.T, b, a, eps, L)),
    ("converged", "converged, not after L", lambda C, a, b, eps, L: sharp(C, a, b, eps)),
    ("KL included", "the KL-inclusive value after L",  # 8
     lambda C, a, b, eps, L: (lambda P: (P * C).sum() + eps * rel_entr(P, np.outer(a, b)).sum())(
         _plan_after(C, a, b, eps, L))),
):
    bug(f"scaling_loss: {_name}", "scaling_loss.steps-2", _said, _loss)

for _name, _said, _adjoint in (
    ("envelope", "the envelope gradient P", _plan_after),  # 22
    ("u and v detached", "u and v are detached",  # 21
     lambda C, *rest: (1 - C / rest[2]) * _plan_after(C, *rest)),
    ("L + 1 steps", "one step more",
     lambda C, a, b, eps, L: scaling_loss_gradient(C, a, b, eps, L + 1)),
    ("descent", "minus the gradient", lambda *given: -scaling_loss_gradient(*given)),  # 36
):
    bug(f"scaling_loss_gradient: {_name}", "scaling_loss_gradient.value", _said, _adjoint)


# ------------------------------------------------------------------ information
for _name, _said, _objective in (
    ("+ 1", "1 too much", lambda Q, P, a, b: a @ np.exp(Q) @ b - (Q * P).sum() + 1),
    ("B-20 for B-31", "the bound", lambda Q, P, a, b: (Q * P).sum() + 1 - a @ np.exp(Q) @ b),
    ("no integral", "the term sum a b exp Q is missing", lambda Q, P, a, b: -(Q * P).sum()),  # 5
    ("exp Q not weighted", "exp Q is not weighted",
     lambda Q, P, a, b: np.exp(Q).sum() - (Q * P).sum()),
    ("exp Q weighted by P", "exp Q is weighted by P",
     lambda Q, P, a, b: (P * np.exp(Q)).sum() - (Q * P).sum()),
    ("logarithm of the integral", "the Donsker-Varadhan form",
     lambda Q, P, a, b: np.log(a @ np.exp(Q) @ b) - (Q * P).sum()),
):
    bug(f"q_objective: {_name}", "q_objective.value", _said, _objective)

for _name, _check, _said, _informed in (
    ("Q outside the transform", "marginals", "lam Q stands outside",  # 3
     lambda C, Q, lam, a, b, eps: plan(C, a, b, eps) * np.exp(lam * Q / eps)),
    ("wrong sign of lam", "direction", "the sign of lam",  # 4
     lambda C, Q, lam, a, b, eps: plan(C + lam * Q, a, b, eps)),
    ("Q ignored", "entries", "Q is ignored",
     lambda C, Q, lam, a, b, eps: plan(C, a, b, eps)),
    ("lam divided by eps", "entries", "lam Q is divided by eps twice",
     lambda C, Q, lam, a, b, eps: plan(C - lam * Q / eps, a, b, eps)),
    ("Q transposed where square", "entries", "Q is transposed",  # 38
     lambda C, Q, lam, a, b, eps: plan(C - lam * (Q.T if len(a) == len(b) else Q), a, b, eps)),
):
    bug(f"informative_plan: {_name}", f"informative_plan.{_check}", _said, _informed)

for _name, _said, _information in (
    ("in bits", "in bits", lambda P: refot.mutual_information(P) / np.log(2)),
    ("entropy of the plan", "the entropy of the plan", refot.entropy),
    ("against uniform", "against the uniform coupling",
     lambda P: rel_entr(P, np.full_like(P, 1 / P.size)).sum()),
    ("mean for sum", "a mean over the n m entries",
     lambda P: rel_entr(P, np.outer(P.sum(1), P.sum(0))).mean()),
):
    bug(f"mutual_information: {_name}", "mutual_information.plan", _said, _information)
