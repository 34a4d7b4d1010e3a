"""Known mistakes of the informative regularisation: Q objective, information, informative plan.

Q (n, m) is a table of rewards for the pairs, and lam its strength. The informative plan is the
optimal plan of the cost C - lam Q. The Q objective (B-31) is the sum over all pairs of
a_i b_j exp(Q_ij) - Q_ij P_ij. The information is the mutual information of a plan,
its KL to the product of its marginals.

B = Bréchet et al. 2019.
"""

from __future__ import annotations

import math

import numpy as np

from refot.arrays import Array
from refot.objectives import entropy, kl
from refot.verification.truth.right import (
    independent,
    plan_of_cost,
    right_mutual_information,
    right_q_objective,
)
from refot.verification.truth.solution import solution

from .mistake import Table
from .transport import even, square


def _integral(Q: Array, a: Array, b: Array) -> float:
    """sum_ij a_i b_j exp(Q_ij)."""
    return float(a @ np.exp(Q) @ b)


Q_OBJECTIVE: Table = {
    "one-too-much": ("1 too much", lambda *given: right_q_objective(*given) + 1),
    "one-missing": ("1 is missing", lambda *given: right_q_objective(*given) - 1),
    "bound-for-objective": ("the bound sum Q P + 1 - sum a b exp Q of B-20, not B-31",
        lambda *given: 1 - right_q_objective(*given)),
    "negated": ("minus the objective", lambda *given: -right_q_objective(*given)),
    "q-negated": ("the sign of Q", lambda Q, P, a, b: right_q_objective(-Q, P, a, b)),
    "integral-missing": ("the term sum a b exp Q is missing",
        lambda Q, P, a, b: -float((Q * P).sum())),
    "linear-term-missing": ("the term -sum Q P is missing", lambda Q, P, a, b: _integral(Q, a, b)),
    "exp-q-not-weighted": ("exp Q is not weighted by a_i b_j",
        lambda Q, P, a, b: float(np.exp(Q).sum() - (Q * P).sum())),
    "exp-q-averaged": ("exp Q is averaged, not weighted by a_i b_j",
        lambda Q, P, a, b: float(np.exp(Q).mean() - (Q * P).sum())),
    "exp-q-weighted-by-plan": ("exp Q is weighted by P",
        lambda Q, P, a, b: float((P * (np.exp(Q) - Q)).sum())),
    "log-of-integral": ("log of the integral: the Donsker-Varadhan form",
        lambda Q, P, a, b: math.log(_integral(Q, a, b)) - float((Q * P).sum())),
}


def _bits(nats: float) -> float:
    return nats / math.log(2)


MUTUAL_INFORMATION: Table = {
    "in-bits": ("in bits, not nats", lambda P: _bits(right_mutual_information(P))),
    "entropy": ("the entropy of the plan", entropy),
    "entropy-negated": ("minus the entropy of the plan", lambda P: -entropy(P)),
    "kl-against-uniform": ("KL against the uniform coupling, not the product of the marginals",
        lambda P: kl(P, np.full_like(P, P.sum() / P.size))),
    "kl-reversed": ("KL the other way round: of the product to the plan",
        lambda P: kl(independent(P), P) if (P > 0).all() else None),
    "doubled": ("twice the information", lambda P: 2 * right_mutual_information(P)),
    "halved": ("half of the information", lambda P: right_mutual_information(P) / 2),
    "negated": ("minus the information", lambda P: -right_mutual_information(P)),
    "mean-for-sum": ("a mean over the n m entries, not a sum",
        lambda P: right_mutual_information(P) / P.size),
    "normalised-by-entropy": ("normalised by the entropy of a marginal",
        lambda P: right_mutual_information(P) / entropy(P.sum(axis=1))),
}


def _q_outside(C: Array, Q: Array, lam: float, a: Array, b: Array, eps: float) -> Array:
    """B-24 and B-29 as printed: the optimal plan of the cost C, times exp(lam Q / eps)."""
    return solution(C, a, b, eps).plan * np.exp(lam * Q / eps)


INFORMATIVE_PLAN: Table = {
    "q-outside": ("lam Q stands outside the transform: the marginals are not a and b",
        _q_outside),
    "q-outside-normalised": (
        "lam Q stands outside the transform, and the plan is divided by its mass",
        lambda *given: _q_outside(*given) / _q_outside(*given).sum()),
    "lam-negated": ("the sign of lam: the cost C + lam Q",
        lambda C, Q, lam, a, b, eps: plan_of_cost(C + lam * Q, a, b, eps)),
    "q-ignored": ("Q is ignored", lambda C, Q, lam, a, b, eps: plan_of_cost(C, a, b, eps)),
    "lam-ignored": ("lam is ignored: the cost C - Q",
        lambda C, Q, lam, a, b, eps: plan_of_cost(C - Q, a, b, eps)),
    "q-divided-by-eps": ("lam Q is divided by eps twice",
        lambda C, Q, lam, a, b, eps: plan_of_cost(C - lam * Q / eps, a, b, eps)),
    "eps-for-lam": ("eps Q in place of lam Q",
        lambda C, Q, lam, a, b, eps: plan_of_cost(C - eps * Q, a, b, eps)),
    "exp-q": ("exp Q in place of Q",
        lambda C, Q, lam, a, b, eps: plan_of_cost(C - lam * np.exp(Q), a, b, eps)),
    "q-transposed": ("Q is transposed",
        lambda C, Q, lam, a, b, eps: plan_of_cost(C - lam * Q.T, a, b, eps) if square(C) else None),
    "cost-transposed": ("the cost is transposed",
        lambda C, Q, lam, a, b, eps: plan_of_cost(C.T - lam * Q, a, b, eps) if square(C) else None),
    "weights-ignored": ("the weights a and b are ignored (uniform ones used)",
        lambda C, Q, lam, a, b, eps: plan_of_cost(C - lam * Q, even(a), even(b), eps)),
}


MISTAKES: dict[str, Table] = {
    "q_objective": Q_OBJECTIVE, "mutual_information": MUTUAL_INFORMATION,
    "informative_plan": INFORMATIVE_PLAN,
}
"""The mistakes of each capability."""
