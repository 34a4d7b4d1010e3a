"""The plan of a mini-batch from a dual network: B-24/25/29, and B-27/28/30 with C = c(x', x'').

Weights are uniform, 1/n and 1/m, as mini-batches have; one pass over the exponentials. With
unequal weights, checks, and backends: `transforms.c_eps_transform`, `plans.semi_dual_plan`.
"""

from __future__ import annotations

import math
from typing import NamedTuple

from refot.arrays import Array, namespace


class BatchPlan(NamedTuple):
    """value: the semi-dual B-24, cost units; D1 (n,): the transform B-25; P (n, m): the plan."""

    value: Array
    D1: Array
    P: Array

    @property
    def gradient(self) -> Array:
        """The gradient of the value in D2, (m,): 1/m - the column sums of P."""
        return 1 / self.P.shape[1] - self.P.sum(axis=0)


def batch_plan(D2: Array, C: Array, eps: float) -> BatchPlan:
    """D1_i = -eps log mean_j exp((D2_j - C_ij) / eps), P_ij = exp((D1_i + D2_j - C_ij) / eps) / nm.

    D2 (m,), C (n, m), eps in cost units. Rows of P are exact for any D2; columns at the optimum.
    """
    xp = namespace(C)
    n, m = C.shape
    exponent = (D2 - C) / eps
    shift = exponent.max(axis=1)
    P = xp.exp(exponent - shift[:, None])
    mass = P.sum(axis=1)
    D1 = -eps * (shift + xp.log(mass) - math.log(m))
    P /= n * mass[:, None]
    return BatchPlan(D1.mean() + D2.mean(), D1, P)


def printed_batch_plan(D2: Array, C: Array, lamQ: Array, eps: float) -> BatchPlan:
    """B-24, 25 and 29 as they are printed: lam Q is in the plan and not in the transform.

    Erratum E3: then neither marginal of P holds. `batch_plan` of C - lam Q is the correct form.
    """
    printed = batch_plan(D2, C, eps)
    return printed._replace(P=printed.P * namespace(C).exp(lamQ / eps))
