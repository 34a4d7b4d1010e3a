"""Sinkhorn's iteration with Nesterov's extrapolation, one sweep an iteration.

A sweep takes g to S(g) = (g^(c,eps))^(c,eps), its transform (B-25) and the transform of that. Plain
iterations begin each sweep where the one before ended. Here it begins beyond that point, in the
direction of the last change:

    g_(k+1) = S_k + (k - 1) / (k + 2) (S_k - S_(k-1)),    S_k = S(g_k)

That is Nesterov's method for the semi-dual, with a sweep as its step in g. xu2026accelerating
(docs/references.bib) proves for a method of this kind, under a condition, that the dual error falls
as 1 / k^2 and not as 1 / k. The factor grows towards 1, and near the optimum such an extrapolation
swings around it; so the count k begins again at 0 where the dual falls (odonoghue2015adaptive).
B = Bréchet et al. 2019.
"""

from __future__ import annotations

import math

import numpy as np

from refot.arrays import Array, namespace
from refot.problem import Problem
from refot.solvers.schedule import Iterates, scheduled
from refot.solvers.sinkhorn import on_support


def accelerated_iterates(p: Problem, g: Array) -> Iterates:
    """(f, g, marginal error) of each iteration. f is the transform of g, so that the row sums are
    exact and the error is that of the column sums."""
    f, before, dual, k = None, g, -math.inf, 0
    while True:
        f = p.transform(g, f)
        swept = p.T.transform(f, g)
        g = on_support(p.T, g, swept)
        with np.errstate(over="ignore"):
            columns = p.b * namespace(g).exp((g - swept) / p.eps)
        yield f, g, float(abs(columns - p.b).sum())
        dual, last = p.semi_dual(f, swept), dual
        k = k + 1 if dual >= last else 0
        g = swept + max(k - 1, 0) / (k + 2) * (swept - before)
        before = swept


accelerated = scheduled(accelerated_iterates)
"""The extrapolation under an eps schedule."""
