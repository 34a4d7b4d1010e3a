"""The plan of a mini-batch, from the values D2 of a dual network at its data.

B (Bréchet et al. 2019) prints these formulas twice: as B-24, B-25 and B-29 between samples and
data, and as B-27, B-28 and B-30 between samples and samples. The points of a mini-batch have equal
weights, so that one pass over the exponentials gives the value, the transform and the plan.
`transforms.c_eps_transform` and `plans.semi_dual_plan` compute the same for any weights, check
their arguments, and run on every backend.
"""

from __future__ import annotations

import math
from typing import NamedTuple

from refot.arrays import Array, namespace


class BatchPlan(NamedTuple):
    """The value of the semi-dual B-24, in cost units; the transform D1 (n,), B-25; the plan P
    (n, m)."""

    value: Array
    D1: Array
    P: Array

    @property
    def gradient(self) -> Array:
        """The gradient of the value in D2, (m,): 1/m minus the column sums of P."""
        return 1 / self.P.shape[1] - self.P.sum(axis=0)


def batch_plan(D2: Array, C: Array, eps: float) -> BatchPlan:
    """D1_i = -eps log mean_j exp((D2_j - C_ij) / eps), P_ij = exp((D1_i + D2_j - C_ij) / eps) / nm.

    D2 (m,) and C (n, m), eps in cost units. The rows of P sum to 1/n for any D2; its columns sum to
    1/m if D2 is optimal. The largest exponent of each row is taken out of the sum, so that nothing
    overflows.
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
    """B-24, B-25 and B-29 as they are printed, with lam Q in the plan but not in the transform.

    Then neither the rows nor the columns of P have the right sums (erratum E3). The correct form is
    `batch_plan(D2, C - lamQ, eps)`. D2 (m,), C and lamQ (n, m).
    """
    printed = batch_plan(D2, C, eps)
    return printed._replace(P=printed.P * namespace(C).exp(lamQ / eps))
