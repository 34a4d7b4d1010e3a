"""Certificates: from any potential g, intervals that contain the true values of the problem.

    F = min <C,P> + eps KL(P | a(x)b)    (KL-inclusive, B-10)
    s = <C,P>  at its minimiser          (sharp, G)

Lower end of F: the semi-dual (B-24 corrected) of g. Upper end: the primal value of the plan of g
rounded to the exact marginals (Altschuler, Weed, Rigollet 2017). For s: strong convexity around
that plan, and an order argument that brackets the optimal potentials (`_bracket`).
docs/certificates.md proves each formula. All of it is computed in balls (`balls.py`), so that the
rounding of float64 is inside the interval; only n, m, and how near g is, decide how wide it is.

The problem that is certified: C exactly as given, or the exact ground cost of the exact points;
weights exactly a / sum(a), b / sum(b). Points without mass are left out: they do not change F or s.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import reduce
from typing import Any

import numpy as np
from scipy.linalg import LinAlgError, cho_factor, cho_solve

from refot.arrays import as_positive, as_vector, as_weights
from refot.costs import Cost, DenseCost, PointCost, as_cost, point_cost, row_blocks

from .balls import (
    TINY,
    UNIT,
    Ball,
    Floats,
    ball,
    concatenate,
    enclosure,
    exp,
    gamma,
    log,
    maximum,
    minimum,
)
from .intervals import Interval

BALLS_AT_ONCE = 64
"""A block is BLOCK_ELEMENTS / 64 entries: the dozen arrays of its balls stay in the cache."""

BRACKET_LIMIT = 4_096
"""`_bracket` factors an (m, m) matrix; with more columns s rests on strong convexity alone."""


@dataclass(frozen=True)
class Certificate:
    """What is proven of a problem (C, a, b, eps), all in cost units but the marginal error.

    value: contains F. transport_cost: contains s = <C,P>. marginal_error: the L1 error of the plan
    of (g^(c,eps), g) for the g that was given is at most this (its rows are exact).
    potential_error: some optimal g* has |g*_j - g_j - t| <= this wherever b_j > 0, for one shift t
    (inf where that was not proven).
    """

    value: Interval
    transport_cost: Interval
    marginal_error: float
    potential_error: float


def certify_value(C: Any, a: Any, b: Any, eps: Any, g: Any) -> Interval:
    """An interval that contains F, in cost units, whatever g is; narrow if g is nearly optimal.

    C (n, m) or an operand (points are streamed by blocks); a (n,), b (m,); g (m,). Where only f is
    known, give (C.T, b, a, eps, f). Raises InputError.
    """
    p, g = _problem(C, a, b, eps, g)
    return _value(p, _half_step(p, g))


def certify_transport_cost(C: Any, a: Any, b: Any, eps: Any, g: Any) -> Interval:
    """An interval that contains s = <C, P_eps>, in cost units; arguments as for `certify_value`."""
    return certify(C, a, b, eps, g).transport_cost


def certify(C: Any, a: Any, b: Any, eps: Any, g: Any) -> Certificate:
    """Everything that can be proven from g; arguments as for `certify_value`. Raises InputError."""
    p, g = _problem(C, a, b, eps, g)
    step = _half_step(p, g)
    value = _value(p, step)
    hard = float((p.a @ step.hard + p.b @ step.g).lower)  # <= W0 <= s <= F
    s = _strongly_convex(p, step).intersection(Interval(hard, value.upper))
    error = float((p.b * abs(step.c - 1.0)).sum().upper)
    bracket = _bracket(p, step)
    if bracket is None:
        return Certificate(value, s, error, math.inf)
    upper, width = bracket
    value = value.intersection(_value(p, upper))
    s = s.intersection(_bracketed(p, upper, width))
    distance = float(np.max(abs(ball(upper.g) - step.g).upper + width))
    return Certificate(value, s, error, distance)


def certify_divergence(
    x: Any, a: Any, y: Any, b: Any, eps: Any, cost: str, potentials: tuple[Any, Any, Any]
) -> Interval:
    """An interval that contains S = F_xy - F_xx/2 - F_yy/2 (B-9), in cost units.

    x (n, d), a (n,), y (m, d), b (m,); `cost` a name of GROUND_COSTS; `potentials` = (g_xy (m,),
    g_xx (n,), g_yy (m,)), of any quality. Raises InputError.
    """
    g_xy, g_xx, g_yy = potentials
    f_xy = certify_value(point_cost(x, y, cost), a, b, eps, g_xy)
    f_xx = certify_value(point_cost(x, x, cost), a, a, eps, g_xx)
    f_yy = certify_value(point_cost(y, y, cost), b, b, eps, g_yy)
    return f_xy - 0.5 * f_xx - 0.5 * f_yy


# ------------------------------------------------------------------ the problem, exactly
@dataclass(frozen=True)
class _Problem:
    """Cost operand on the support, weights that sum to 1 as balls, and an exact eps."""

    C: Cost
    a: Ball
    b: Ball
    eps: float

    def cost(self, rows: slice) -> Ball:
        """C[rows, :]: exact for a matrix, with the rounding of c(x, y) for points.

        At most d + 3 roundings for each cost of the table; underflow of a square can move a root by
        2^-511. gamma(d + 4) refers them to the computed cost.
        """
        C = np.asarray(self.C.rows(rows))
        if isinstance(self.C, DenseCost):
            return ball(C)
        d, scale = self.C.x.shape[1], self.C.scale
        return enclosure(C, gamma(d + 4) * C + d * scale * math.sqrt(TINY))


def _problem(C: Any, a: Any, b: Any, eps: Any, g: Any) -> tuple[_Problem, Floats]:
    """The checked problem on the support of its weights, in float64, and g there, centred."""
    C, eps = as_cost(C), as_positive(eps, "eps")
    a, b = as_weights(a, C.shape[0], "a"), as_weights(b, C.shape[1], "b")
    g = as_vector(g, C.shape[1], "g")
    rows, columns = a > 0, b > 0
    C = _on_support(C.with_arrays(lambda array: array.astype(np.float64)), rows, columns)
    p = _Problem(C, _normalised(a[rows]), _normalised(b[columns]), eps)
    g = g[columns].astype(np.float64)
    return p, g - p.b.mid @ g  # any g will do: this one keeps f and g, and so rounding, small


def _on_support(C: Cost, rows: Any, columns: Any) -> Cost:
    if isinstance(C, PointCost):
        return replace(C, x=C.x[rows], y=C.y[columns])
    return DenseCost(C.matrix[np.ix_(rows, columns)])


def _normalised(weights: Any) -> Ball:
    """weights / (their exact sum): math.fsum rounds once."""
    exact = weights.astype(np.float64)
    total = np.asarray(math.fsum(exact))
    return ball(exact) / enclosure(total, UNIT * total)


# ------------------------------------------------------------------ one pass over the rows
@dataclass(frozen=True)
class _HalfStep:
    """What one pass over the rows proves at g, with f = g^(c,eps) exactly, D_ij = C_ij - f_i - g_j,
    P_ij = a_i b_j exp(-D_ij / eps): its rows sum to a. Vectors over j; f and hard are over i."""

    g: Floats
    f: Ball
    hard: Ball  # min_j C_ij - g_j, the hard transform B-7
    c: Ball  # sum_i P_ij / b_j, which is 1 for the optimal g
    cost: Ball  # sum_i P_ij D_ij / b_j
    cost_abs: Ball  # sum_i P_ij |D_ij| / b_j
    D_max: Ball  # over i
    D_min: Ball
    C_max: Ball
    C_min: Ball

    def joined(self, below: _HalfStep) -> _HalfStep:
        """The pass over these rows and the rows below them."""
        return _HalfStep(
            self.g,
            concatenate(self.f, below.f),
            concatenate(self.hard, below.hard),
            self.c + below.c,
            self.cost + below.cost,
            self.cost_abs + below.cost_abs,
            maximum(self.D_max, below.D_max),
            minimum(self.D_min, below.D_min),
            maximum(self.C_max, below.C_max),
            minimum(self.C_min, below.C_min),
        )


def _half_step(p: _Problem, g: Floats) -> _HalfStep:
    """The pass; in memory at once: one block of rows."""
    blocks = row_blocks(p.C, depth=BALLS_AT_ONCE)
    return reduce(_HalfStep.joined, (_half_step_rows(p, g, rows) for rows in blocks))


def _half_step_rows(p: _Problem, g: Floats, rows: slice) -> _HalfStep:
    C = p.cost(rows)
    f = _transform(p, C.mid, g)  # any number would do: this one makes r nearly 1
    z = ((g - C) + f[:, None]) / p.eps
    E = exp(z)
    r = E @ p.b
    log_r = log(r)
    D = (log_r[:, None] - z) * p.eps
    ED, weight = E * D, p.a[rows] / r
    return _HalfStep(
        g,
        f - log_r * p.eps,
        f - z.max(axis=1) * p.eps,
        weight @ E,
        weight @ ED,
        weight @ abs(ED),
        D.max(axis=0),
        D.min(axis=0),
        C.max(axis=0),
        C.min(axis=0),
    )


@np.errstate(over="ignore", invalid="ignore")  # eps far below the costs: the ball says "unknown"
def _transform(p: _Problem, C: Floats, g: Floats) -> Floats:
    """g^(c,eps) of a block of rows, in plain float64."""
    t = (g - C) / p.eps
    shift = t.max(axis=1)
    return -p.eps * (shift + np.log(np.exp(t - shift[:, None]) @ p.b.mid))


# ------------------------------------------------------------------ F
def _semi_dual(p: _Problem, h: _HalfStep) -> Ball:
    """a.f + b.g <= F."""
    return p.a @ h.f + p.b @ h.g


def _missing(p: _Problem, h: _HalfStep) -> Ball:
    """h_j = b_j max(1 - c_j, 0): what the scaled columns lack; the rounded plan returns it."""
    return p.b * maximum(1.0 - h.c, 0.0)


def _gap(p: _Problem, h: _HalfStep) -> Ball:
    """W >= J(rounded plan) - (a.f + b.g) >= 0, of first order in the column error."""
    spread = h.D_max + p.eps * (1.0 - log(p.b) - log(p.a).min(axis=0))
    return _missing(p, h) @ spread - p.eps * (p.b @ log(maximum(h.c, 1.0)))


def _value(p: _Problem, h: _HalfStep) -> Interval:
    """[semi-dual, semi-dual + W], inside [min C, max C], where F is for every g."""
    L = _semi_dual(p, h)
    lower, upper = float(L.lower), float((L + _gap(p, h)).upper)
    bounds = Interval(float(h.C_min.lower.min()), float(h.C_max.upper.max()))
    return Interval(lower, upper).intersection(bounds)


# ------------------------------------------------------------------ s
def _strongly_convex(p: _Problem, h: _HalfStep) -> Interval:
    """<C,P'> -+ osc/2 sqrt(2 W / eps) for the rounded plan P' (Pinsker): wide, true for every g."""
    missing = _missing(p, h)
    kept = (p.b * h.cost) @ (1.0 / maximum(h.c, 1.0))
    centre = _semi_dual(p, h) + kept
    lowest = centre + missing.sum() * h.D_min.min(axis=0)
    highest = centre + missing @ h.D_max
    gap = max(float(_gap(p, h).upper), 0.0)
    osc = min(float((x_max.max(axis=0) - x_min.min(axis=0)).upper)
              for x_max, x_min in ((h.C_max, h.C_min), (h.D_max, h.D_min)))
    moved = ball(osc / 2) * math.sqrt(2 * gap / p.eps) * (1 + 4 * UNIT)
    return Interval(float((lowest - moved).lower), float((highest + moved).upper))


def _bracket(p: _Problem, h: _HalfStep) -> tuple[_HalfStep, Floats] | None:
    """(half step at g+, g+ - g- rounded up) with g- <= g* <= g+, g*_m = g_m; None if not proven.

    The column sums c_j increase in g_j and decrease in every other g_k. Hence, with g_m fixed,
    c_j(g+) >= 1 for all j < m implies g+ >= g*, and c_j(g-) <= 1 implies g- <= g*. Candidates:
    Newton's step, plus and minus what it would take to outweigh the rounding of c.
    """
    if len(h.g) > BRACKET_LIMIT:
        return None
    surplus, doubt = p.b.mid * (1 - h.c.mid), p.b.mid * h.c.rad
    try:
        factor = cho_factor(_laplacian(p, h.g)[:-1, :-1])
        newton = p.eps * cho_solve(factor, surplus[:-1])
        second_order = abs(surplus) * min(1.0, float(abs(newton).max(initial=0)) / p.eps)
        margin = p.eps * cho_solve(factor, (4 * doubt + 2 * second_order)[:-1])
    except (LinAlgError, ValueError):  # not positive definite in float64, or not finite
        return None
    centre = h.g + np.append(newton, 0)
    above, below = centre + np.append(margin, 0), centre - np.append(margin, 0)
    upper, lower = _half_step(p, above), _half_step(p, below)
    if (upper.c.lower[:-1] >= 1).all() and (lower.c.upper[:-1] <= 1).all():
        return upper, (ball(above) - below).upper
    return None


def _laplacian(p: _Problem, g: Floats) -> Floats:
    """A = diag(q) - sum_i a_i chi_i chi_i', the Hessian of -eps * semi-dual, (m, m), plain float64.

    A graph Laplacian: the diagonal is the sum of the other entries of its row, uncancelled.
    """
    W = np.zeros((len(g), len(g)))
    for rows in row_blocks(p.C):
        C = np.asarray(p.C.rows(rows))
        chi = p.b.mid * np.exp((_transform(p, C, g)[:, None] + g - C) / p.eps)
        W += chi.T @ (p.a.mid[rows, None] * chi)
    np.fill_diagonal(W, 0)
    return np.diag(W.sum(axis=1)) - W


def _bracketed(p: _Problem, h: _HalfStep, width: Floats) -> Interval:
    """s at g+ and how far P* can be from there: e^-w <= P*_ij / P_ij <= e^w, w = max width / eps.

    <C, P*> = a.f + b.g + <D, P*>, since P* has the exact marginals.
    """
    w = (ball(float(width.max())) / p.eps).upper
    moved = (exp(ball(w)) - 1.0) * (p.b @ h.cost_abs)
    s = _semi_dual(p, h) + p.b @ h.cost
    return Interval(float((s - moved).lower), float((s + moved).upper))
