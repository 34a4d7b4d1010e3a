"""The plan between two mini-batches for the systems of L (Liu et al.): min <P, M> - lam H(P).

M is the cost matrix, and H(P) = -sum P_ij log P_ij the entropy of the plan. Sinkhorn's algorithm
ends when the L1 marginal error is <= `tol`, or after `max_steps`. It runs in the scaling form (G-7)
if its numbers stay within the range of float64, else in the log domain. The error is part of the
result, because the gradient by the envelope theorem is wrong by a multiple of it. G = Genevay,
Peyré, Cuturi 2018.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from refot.arrays import Array, namespace
from refot.backend_contract import BackendLike
from refot.objectives import entropic_primal
from refot.plans import plan
from refot.problem import problem
from refot.solvers.scaling import scaling_iterates
from refot.solvers.sinkhorn import log_iterates
from refot.systems.batch.losses import fits_scaling, uniform


class EntropicPlan(NamedTuple):
    """P (n, m); its value <P, M> - lam H(P), in cost units; its L1 marginal error."""

    P: Array
    value: float
    marginal_error: float


def entropic_plan(
    M: Array, lam: float, tol: float, max_steps: int, backend: BackendLike = None
) -> EntropicPlan:
    """The optimal plan for the cost M (n, m), float64, with uniform weights and lam in cost units.
    It is also optimal for <P, M> + eps KL(P | a b') at eps = lam, which has another value (erratum
    L1)."""
    a, b = uniform(M)
    if fits_scaling(M, lam):
        iterates = scaling_potentials(M, a, b, lam)
    else:
        p = problem(M, a, b, lam, backend)
        iterates = log_iterates(p, namespace(p.b).zeros_like(p.b))
    f, g, error = next(iterate for step, iterate in enumerate(iterates, start=1)
                       if iterate[2] <= tol or step == max_steps)
    P = plan(f, g, M, a, b, lam, backend=backend)
    return EntropicPlan(P, entropic_primal(P, M, lam), error)


def scaling_potentials(
    M: Array, a: Array, b: Array, lam: float
) -> Iterator[tuple[Array, Array, float]]:
    """(f (n,), g (m,), L1 marginal error) after each step of G-7, where u = a exp(f / lam).

    The error is that of the rows: a step ends by updating v, which makes the columns exact.
    """
    xp = namespace(M)
    K = xp.exp(-M / lam)
    for u, v in scaling_iterates(M, a, b, lam):
        error = float(abs(u * (K @ v) - a).sum())
        yield lam * xp.log(u / a), lam * xp.log(v / b), error
