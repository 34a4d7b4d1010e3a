"""One pass over the rows of a plan, in balls: everything that `certify` needs from a potential g.

The pass computes the transform f = g^(c,eps) (B-25, B = Bréchet et al. 2019) as a ball that
contains the exact one. With the exact f, the rows of P_ij = a_i b_j exp((f_i + g_j - C_ij) / eps)
sum to a, and nothing overflows: b_j exp((f_i + g_j - C_ij) / eps) <= 1. A sum that is nearly 1 is
kept as sum - 1, computed by expm1, because at large eps only that difference depends on g."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import reduce
from typing import Any

import numpy as np

from refot.arrays import CostLike, Potential, Weights, as_positive, as_vector, as_weights
from refot.costs.forbidden import finite_part, with_partners
from refot.costs.operands import Cost, DenseCost, as_cost, row_blocks

from .balls import (
    TINY,
    UNIT,
    Ball,
    Floats,
    ball,
    concatenate,
    enclosure,
    exp,
    expm1,
    gamma,
    log1p,
    maximum,
    minimum,
)

BALLS_AT_ONCE = 64
"""A block of rows has this many times fewer entries than a block of plain costs (BLOCK_ELEMENTS of
`refot.costs.operands`), so that the dozen arrays of its balls stay in the processor's cache."""

LOST = -750.0
"""An exponent z so low that |z| exp(z) is 0 in float64."""


# ------------------------------------------------------------------ the problem, exactly
@dataclass(frozen=True)
class ExactProblem:
    """The cost on the points that carry mass, weights that sum to 1 as balls, and an exact eps."""

    C: Cost
    a: Ball
    b: Ball
    eps: float

    def cost(self, rows: slice) -> Ball:
        """C[rows, :], exact for a matrix. For points, a ball that contains the exact cost c(x, y).

        The ground cost says how many roundings its computation may be off by, and relative to which
        sizes: for -<x, y> the sum of the |x_k y_k|, for all others the cost itself. One rounding
        more is allowed, because the sizes are computed, too. The last term of the radius is for
        underflow, since a square that underflows can move a square root by sqrt(TINY) = 2^-511.
        """
        if isinstance(self.C, DenseCost):
            return ball(np.asarray(self.C.rows(rows)))
        d, scale = self.C.x.shape[1], self.C.scale
        C, sizes = self.C.sized_rows(rows)
        return enclosure(C, gamma(self.C.ground.roundings(d) + 1) * sizes
                         + d * scale * math.sqrt(TINY))


@np.errstate(over="ignore")  # a g of 1e308 gives the ball of all reals: nothing is proven
def exact_problem(
    C: CostLike, a: Weights, b: Weights, eps: Any, g: Potential
) -> tuple[ExactProblem, Floats]:
    """The checked problem at the points that carry mass, in float64, and g there, shifted such that
    sum b g is about 0."""
    C, eps = as_cost(C), as_positive(eps, "eps")
    a, b = as_weights(a, C.shape[0], "a"), as_weights(b, C.shape[1], "b")
    g = as_vector(g, C.shape[1], "g")
    rows, columns = a > 0, b > 0
    C = with_partners(C, a, b).among(rows, columns).with_arrays(
        lambda array: array.astype(np.float64))
    p = ExactProblem(C, _normalised(a[rows]), _normalised(b[columns]), eps)
    g = g[columns].astype(np.float64)
    # Shifting g is allowed, as a certificate may start from any g. It makes f and g, and so their
    # rounding, small.
    return p, g - p.b.mid @ g


def _normalised(weights: Any) -> Ball:
    """The weights over their exact sum, as balls; math.fsum is the float nearest to that sum."""
    exact = weights.astype(np.float64)
    total = np.asarray(math.fsum(exact))
    return ball(exact) / enclosure(total, UNIT * total)


# ------------------------------------------------------------------ one pass over the rows
@dataclass(frozen=True)
class HalfStep:
    """What one pass over the rows computes from g, in balls.

    f = g^(c,eps) exactly, D_ij = C_ij - f_i - g_j, and P_ij = a_i b_j exp(-D_ij / eps), whose rows
    sum to a. f and hard are vectors over i, all others over j. Extremes and sums of D are over the
    allowed pairs."""

    g: Floats
    f: Ball
    hard: Ball  # min_j C_ij - g_j, the hard transform B-7
    excess: Ball  # sum_i P_ij / b_j - 1, which is 0 for the optimal g
    cost: Ball  # sum_i P_ij D_ij / b_j
    cost_abs: Ball  # sum_i P_ij |D_ij| / b_j
    D_max: Ball  # max_i D_ij; the next three likewise
    D_min: Ball
    C_max: Ball
    C_min: Ball

    def joined(self, below: HalfStep) -> HalfStep:
        """The pass over these rows and the rows below them."""
        return HalfStep(
            self.g,
            concatenate(self.f, below.f),
            concatenate(self.hard, below.hard),
            self.excess + below.excess,
            self.cost + below.cost,
            self.cost_abs + below.cost_abs,
            maximum(self.D_max, below.D_max),
            minimum(self.D_min, below.D_min),
            maximum(self.C_max, below.C_max),
            minimum(self.C_min, below.C_min),
        )


def half_step(p: ExactProblem, g: Floats) -> HalfStep:
    """The pass over all rows, of which one block is in memory at a time."""
    blocks = row_blocks(p.C, depth=BALLS_AT_ONCE)
    return reduce(HalfStep.joined, (_rows_step(p, g, rows) for rows in blocks))


def _rows_step(p: ExactProblem, g: Floats, rows: slice) -> HalfStep:
    C = p.cost(rows)
    allowed = C.mid < np.inf
    # `f` is a guess in float64. The exact transform is f - eps log r, r the row sums it leads to.
    f = transform_rows(p, C.mid, g)
    C = Ball(finite_part(C.mid), C.rad)
    z = ((g - C) + f[:, None]) / p.eps
    E1 = among(allowed, expm1(z), -1.0)
    # r1 are the row sums minus 1.
    r1 = E1 @ p.b
    log_r = log1p(r1)
    D = (log_r[:, None] - z) * p.eps
    ED, weight = without_lost(z, (E1 + 1.0) * D, p.eps), p.a[rows] / (r1 + 1.0)
    return HalfStep(
        g,
        f - log_r * p.eps,
        f - among(allowed, z, -np.inf).max(axis=1) * p.eps,
        weight @ E1 - weight @ r1,
        weight @ ED,
        weight @ abs(ED),
        among(allowed, D, -np.inf).max(axis=0),
        among(allowed, D, np.inf).min(axis=0),
        among(allowed, C, -np.inf).max(axis=0),
        among(allowed, C, np.inf).min(axis=0),
    )


def among(allowed: Any, X: Ball, otherwise: float) -> Ball:
    """X on the allowed pairs, and the number `otherwise` on forbidden ones."""
    if allowed.all():
        return X
    return Ball(np.where(allowed, X.mid, otherwise), np.where(allowed, X.rad, 0))


def without_lost(z: Ball, ED: Ball, eps: float) -> Ball:
    """`ED`, which is exp(z) D, but where exp(z) underflows a ball around 0 of radius TINY times the
    larger of eps and 1. That ball contains exp(z) D, because |D| is about eps |z|, and
    |z| exp(-|z|) is below TINY for z < LOST. The radius of the computed product would contain the
    rounding of D, which is huge where the cost is so large that plans avoid the pair."""
    lost = z.upper < LOST
    return Ball(np.where(lost, 0, ED.mid), np.where(lost, TINY * max(eps, 1.0), ED.rad))


def plan_below(p: ExactProblem, h: HalfStep) -> Floats:
    """A lower bound of each entry of the plan, (n, m)."""
    def of(rows: slice) -> Floats:
        C = p.cost(rows)
        exponents = ((h.g - Ball(finite_part(C.mid), C.rad)) + h.f[rows][:, None]) / p.eps
        P = p.a[rows][:, None] * (p.b * exp(exponents))
        return np.where(C.mid < np.inf, np.maximum(P.lower, 0), 0)

    return np.concatenate([of(rows) for rows in row_blocks(p.C, depth=BALLS_AT_ONCE)])


@np.errstate(over="ignore", invalid="ignore")  # eps far below the costs: the ball is infinite then
def transform_rows(p: ExactProblem, C: Floats, g: Floats) -> Floats:
    """g^(c,eps) (B-25) for a block of rows C, in plain float64: one number for each row."""
    t = (g - C) / p.eps
    shift = t.max(axis=1)
    f: Floats = -p.eps * (shift + np.log(np.exp(t - shift[:, None]) @ p.b.mid))
    return f
