"""Sums over the plan lie within their stated error of the exact ones, whatever the potentials."""

from __future__ import annotations

from typing import Any

import numpy as np
from certificate_attack import attack, exact_costs
from flint import arb, ctx

from refot.problem import log_weights, problem
from refot.solvers.plan_sums import Floats, cost_range, in_float64, plan_sums


def exact_sums(C: Any, F: Floats, G: Floats, V: Floats, eps: float) -> list[list[arb]]:
    """sum_j exp((F_i + G_j - C_ij) / eps) V_jk in balls of 300 bits, with V_j0 = 1 put before."""
    with ctx.workprec(300):
        columns = [[arb(1), *(arb(float(t)) for t in row)] for row in V]
        entries = [[_exact(f, g, c, eps) for g, c in zip(G, row, strict=True)]
                   for f, row in zip(F, exact_costs(C), strict=True)]
        return [[sum((x * v[k] for x, v in zip(row, columns, strict=True)), arb(0))
                 for k in range(1 + V.shape[1])] for row in entries]


def _exact(f: float, g: float, c: arb, eps: float) -> arb:
    """exp((f + g - c) / eps), 0 where a potential is -inf."""
    if not np.isfinite([f, g]).all():
        return arb(0)
    return ((arb(float(f)) + arb(float(g)) - c) / arb(eps)).exp()


def test_sums_are_within_their_error_and_the_error_is_small():
    """Potentials of a solve, and the same moved by up to 3 eps."""
    shares = []
    for seed in range(2_000, 2_060):
        case, rng = attack(seed), np.random.default_rng(seed)
        p = in_float64(problem(case.C, case.a, case.b, case.eps, case.backend))
        g = case.g.astype(np.float64)
        G = g + p.eps * log_weights(p.b)
        f = p.backend.softmin(p.C, G, p.eps).astype(np.float64)
        F = f + p.eps * (log_weights(p.a) - rng.uniform(0, 3, size=len(f)))
        V = rng.random((len(G), 2))
        sums, error = plan_sums(p, max(map(abs, cost_range(p.C))), F, G, V)
        exact = exact_sums(case.C, F, G, V, p.eps)
        for i, row in enumerate(exact):
            for k, x in enumerate(row):
                assert abs(arb(float(sums[i, k])) - x) <= arb(float(error[i])) or error[i] == np.inf
        shares.append(float(np.median(error / np.maximum(sums[:, 0], 2.0**-1000))))
    assert np.median(shares) < 1e-12
