"""Certificates: from any potential g, intervals that contain the true values of the problem.

    F = min <C,P> + eps KL(P | a(x)b)    (KL-inclusive, B-10)
    s = <C,P>  at its minimiser          (the sharp value, which G uses)

B = Bréchet et al. 2019, G = Genevay, Peyré, Cuturi 2018.

F lies between a dual and a primal value. The lower end is the semi-dual of g (B-24, corrected). The
upper end is the objective of a plan with the exact marginals: the plan of g, rounded as Altschuler,
Weed and Rigollet (2017) do, or changed otherwise. For s there are two proofs, and the intersection
of their intervals is returned. The first one, from the strong convexity of J around that plan,
succeeds for every g. The second one, from a bracket of the optimal potentials (`_bracket`),
succeeds where g is nearly optimal. docs/certificates.md proves each formula.

Letters: J(P) = <C,P> + eps KL(P | a(x)b) is the objective; f = g^(c,eps); P is the plan of (f, g),
P* the optimal plan, P' a plan with the exact marginals made from P. D_ij = C_ij - f_i - g_j.
c_j = sum_i P_ij / b_j, 1 at the optimum, and `excess` is c - 1. osc X = max X - min X.

Everything is computed in balls (`balls.py`), which contain the rounding of float64. How wide an
interval is depends on n, m and the distance of g from the optimum.

The problem that is certified has the cost C exactly as given, or the exact ground cost of the exact
points, and weights exactly a / sum(a), b / sum(b). Points without mass are left out: they do not
change F or s.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from refot.arrays import CostLike, Points, Potential, Weights
from refot.costs.forbidden import forbids
from refot.costs.operands import DenseCost, point_cost, row_blocks
from refot.solvers.gap import HUGE_COST
from refot.spanning_tree import TreeChange, tree_change

from .balls import TINY, UNIT, Ball, Floats, ball, exp, expm1, log, log1p, maximum
from .half_step import ExactProblem, HalfStep, exact_problem, half_step, plan_below, transform_rows
from .intervals import Interval

BRACKET_LIMIT = 4_096
"""Columns up to which `_bracket` is tried: it factors an (m, m) matrix. Beyond, the interval of s
rests on strong convexity alone."""


@dataclass(frozen=True)
class Certificate:
    """What is proven of a problem (C, a, b, eps); in cost units, except the marginal error.

    value: contains F. transport_cost: contains s = <C,P>.
    marginal_error: an upper bound of the L1 error of the column sums of the plan that g gives with
    its transform f = g^(c,eps); its row sums are exact.
    potential_error: some optimal g* has |g*_j - g_j - t| <= this wherever b_j > 0, for one shift t;
    infinite where the bracket was not proven.
    """

    value: Interval
    transport_cost: Interval
    marginal_error: float
    potential_error: float


def certify_value(C: CostLike, a: Weights, b: Weights, eps: Any, g: Potential) -> Interval:
    """An interval that contains F, in cost units, for every g; narrow if g is nearly optimal.

    C (n, m), an array, a `DenseCost` or a `PointCost` (of which one block of rows is formed at a
    time); a (n,), b (m,); g (m,). Where only f is known, give (C.T, b, a, eps, f). Raises
    InputError.
    """
    p, g = exact_problem(C, a, b, eps, g)
    return _value(p, half_step(p, g))


def certify_transport_cost(C: CostLike, a: Weights, b: Weights, eps: Any, g: Potential) -> Interval:
    """An interval that contains s = <C, P_eps>, in cost units; arguments as for `certify_value`."""
    return certify(C, a, b, eps, g).transport_cost


def certify(C: CostLike, a: Weights, b: Weights, eps: Any, g: Potential) -> Certificate:
    """Everything that can be proven from g; arguments as for `certify_value`. Raises InputError."""
    p, g = exact_problem(C, a, b, eps, g)
    step = half_step(p, g)
    value = _value(p, step)
    # First proof of s: strong convexity; besides, s lies between the unregularised cost W0 and F.
    # a.hard + b.g is a dual value without regularisation: hard <= W0 <= s <= F.
    hard = float((p.a @ step.hard + p.b @ step.g).lower)
    least = max(hard, float(step.C_min.lower.min()))
    s = _strongly_convex(p, step).intersection(Interval(least, value.upper))
    error = float((p.b @ abs(step.excess)).upper)
    # Second proof, where it succeeds: the optimal potential lies in a narrow bracket.
    bracket = _bracket(p, step)
    if bracket is None:
        return Certificate(value, s, error, math.inf)
    upper, width = bracket
    value = value.intersection(_value(p, upper))
    s = s.intersection(_bracketed(p, upper, width))
    # `exact_problem` shifted the given g, and rounded it by at most this much.
    centring = UNIT * abs(step.g).max()
    distance = (abs(ball(upper.g) - step.g) + width + centring).upper
    return Certificate(value, s, error, float(distance.max()))


def certify_divergence(
    x: Points, a: Weights, y: Points, b: Weights, eps: Any, cost: str,
    potentials: tuple[Potential, Potential, Potential],
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


# ------------------------------------------------------------------ F
def _semi_dual(p: ExactProblem, h: HalfStep) -> Ball:
    """a.f + b.g, a dual value: at most F."""
    return p.a @ h.f + p.b @ h.g


def _value(p: ExactProblem, h: HalfStep) -> Interval:
    """[semi-dual, semi-dual + gap], cut to [min C, max C], which contains F too."""
    L = _semi_dual(p, h)
    least, largest = float(h.C_min.lower.min()), float(h.C_max.upper.max())
    if forbids(p.C):
        return Interval(max(float(L.lower), least), float((L + _gap_of_tree(p, _tree(p, h))).upper))
    gap = min(_gap_of_rounding(p, h), _gap_of_shift(p, h))
    if isinstance(p.C, DenseCost) and largest > HUGE_COST * (abs(float(L.lower)) + p.eps):
        # Plans avoid pairs with so large a cost, but each of the two changes above puts a mass of
        # the size of a rounding on them, which costs much. A change on a tree puts none there.
        gap = min(gap, _gap_of_tree(p, _tree(p, h)))
    return Interval(float(L.lower), float((L + gap).upper)).intersection(Interval(least, largest))


def _missing(p: ExactProblem, h: HalfStep) -> Ball:
    """b_j max(1 - c_j, 0), (m,): the mass that column j of the plan of g lacks, and that the
    rounded plan adds to it."""
    return p.b * maximum(-h.excess, 0.0)


def _gap_of_rounding(p: ExactProblem, h: HalfStep) -> float:
    """An upper bound of J(P') - (a.f + b.g) for the rounded plan P'. To make it, the columns that
    are too heavy are divided by c_j. Then the missing mass is added as a product: at each
    pair, what its row lacks times what its column lacks, over the sum of all that is missing.

    It holds for every g, and is of first order in the column error.
    """
    spread = h.D_max + p.eps * (1.0 - log(p.b) - log(p.a).min(axis=0))
    W = _missing(p, h) @ spread - p.eps * (p.b @ log1p(maximum(h.excess, 0.0)))
    return max(float(W.upper), 0.0)


def _gap_of_shift(p: ExactProblem, h: HalfStep) -> float:
    """An upper bound of J(P') - (a.f + b.g) for the shifted plan P' = P + a (b - P'1)'.

    It is eps chi^2(P' | P): of second order in the column error, but times exp(max D / eps).
    Infinite where some P'_ij may be negative, for then P' is no plan.
    """
    largest = exp(h.D_max / p.eps)  # max_i a_i b_j / P_ij
    if not ((h.excess * largest).upper <= 1).all():
        return math.inf
    return float((p.eps * (p.b @ (h.excess * h.excess * largest))).upper)


def _tree(p: ExactProblem, h: HalfStep) -> TreeChange:
    """A change T of the plan of g, on a tree of its largest entries, after which the column sums
    are exact; the row sums are exact before and after. Unlike rounding it adds no mass to pairs
    that carry none."""
    P = plan_below(p, h)
    return tree_change(P, np.zeros(len(P)), (p.b * abs(h.excess)).upper)


def _gap_of_tree(p: ExactProblem, change: TreeChange) -> float:
    """An upper bound of J(P') - (a.f + b.g) = eps KL(P' | P) for P' = P + T, T as in `_tree`. It is
    of use where pairs are forbidden, or so expensive that plans avoid them."""
    return float((ball(p.eps) * change.chi_squared).upper)


# ------------------------------------------------------------------ s
def _strongly_convex(p: ExactProblem, h: HalfStep) -> Interval:
    """s from strong convexity: <C,P'> -+ osc/2 sqrt(2 gap / eps) for the rounded plan P' (Pinsker).
    True for every g, and wider than the interval from the bracket."""
    if forbids(p.C):
        return _strongly_convex_on_tree(p, h)
    missing = _missing(p, h)
    kept = (p.b * h.cost) @ (1.0 / (maximum(h.excess, 0.0) + 1.0))
    centre = _semi_dual(p, h) + kept
    lowest = centre + missing.sum() * h.D_min.min(axis=0)
    highest = centre + missing @ h.D_max
    moved = _pinsker(p, h, _gap_of_rounding(p, h))
    return Interval(float((lowest - moved).lower), float((highest + moved).upper))


def _strongly_convex_on_tree(p: ExactProblem, h: HalfStep) -> Interval:
    """The same where pairs are forbidden, around P' = P + T:
    <C, P'> = a.f + b.g + <D, P> + <D, T>."""
    change = _tree(p, h)
    D = max(float(abs(h.D_max).upper.max()), float(abs(h.D_min).upper.max()))
    centre = _semi_dual(p, h) + p.b @ h.cost
    moved = ball(D) * change.moved + _pinsker(p, h, _gap_of_tree(p, change))
    return Interval(float((centre - moved).lower), float((centre + moved).upper))


def _pinsker(p: ExactProblem, h: HalfStep, gap: float) -> Ball:
    """An upper bound of |<C, P' - P*>| for a plan P' with exact marginals, on allowed pairs, with
    J(P') - F <= gap."""
    osc = min(float((x_max.max(axis=0) - x_min.min(axis=0)).upper)
              for x_max, x_min in ((h.C_max, h.C_min), (h.D_max, h.D_min)))
    return ball(osc / 2) * math.sqrt(2 * gap / p.eps + TINY) * (1 + 4 * UNIT)


@np.errstate(over="ignore", invalid="ignore")  # a candidate that is not finite fails the comparison
def _bracket(p: ExactProblem, h: HalfStep) -> tuple[HalfStep, Floats] | None:
    """Two potentials with g- <= g* <= g+ for the optimal g* with g*_m = g_m.

    Returns the half step at g+, and g+ - g- rounded up; None if nothing is proven.

    Why it works: the column sum c_j increases in g_j and decreases in every other g_k. So, with g_m
    fixed, c_j(g+) >= 1 for all j < m implies g+ >= g*, and c_j(g-) <= 1 implies g- <= g*.
    Candidates for g+ and g- are Newton's step d plus and minus a margin, which must outweigh the
    rounding of c and the curvature sum_k -A_jk (d_j - d_k)^2 = 2 d_j (A d)_j - (A d^2)_j. The
    candidates are guesses in plain float64; the comparison of their column sums is the proof.
    """
    from scipy.linalg import LinAlgError, cho_factor, cho_solve

    if len(h.g) > BRACKET_LIMIT:
        return None
    A = _laplacian(p, h.g)
    surplus, doubt = -p.b.mid * h.excess.mid, p.b.mid * h.excess.rad
    if not (np.isfinite(A).all() and np.isfinite(doubt).all()):
        return None
    try:
        factor = cho_factor(A[:-1, :-1])
    except LinAlgError:  # A is singular in float64: parts of the plan exchange hardly any mass
        return None
    d = np.append(cho_solve(factor, surplus[:-1]), 0)
    curvature = abs(2 * d * (A @ d) - A @ (d * d))
    margin = np.append(cho_solve(factor, (4 * doubt + curvature)[:-1], check_finite=False), 0)
    above, below = h.g + p.eps * (d + margin), h.g + p.eps * (d - margin)
    upper, lower = half_step(p, above), half_step(p, below)
    if (upper.excess.lower[:-1] >= 0).all() and (lower.excess.upper[:-1] <= 0).all():
        return upper, (ball(above) - below).upper
    return None


def _laplacian(p: ExactProblem, g: Floats) -> Floats:
    """A = diag(q) - sum_i a_i chi_i chi_i', the Hessian of -eps * semi-dual, (m, m), plain float64.

    chi_ij = P_ij / a_i, and q = P'1. A graph Laplacian: its rows sum to 0, so that the diagonal is
    summed from the other entries of the row. The difference above would lose digits to
    cancellation.
    """
    W = np.zeros((len(g), len(g)))
    for rows in row_blocks(p.C):
        C = np.asarray(p.C.rows(rows))
        chi = p.b.mid * np.exp((transform_rows(p, C, g)[:, None] + g - C) / p.eps)
        W += chi.T @ (p.a.mid[rows, None] * chi)
    np.fill_diagonal(W, 0)
    return np.diag(W.sum(axis=1)) - W


def _bracketed(p: ExactProblem, h: HalfStep, width: Floats) -> Interval:
    """An interval that contains s, from the bracket: a.f + b.g + <D, P> for the plan P of g+, plus
    and minus the most by which <D, P> may change if the optimal plan P* takes the place of P.

    For <C, P*> = a.f + b.g + <D, P*>, because P* has the exact marginals; and with
    w = max width / eps each P*_ij / P_ij lies between e^-w and e^w.
    """
    w = (ball(float(width.max())) / p.eps).upper
    moved = expm1(ball(w)) * (p.b @ h.cost_abs)
    s = _semi_dual(p, h) + p.b @ h.cost
    return Interval(float((s - moved).lower), float((s + moved).upper))
