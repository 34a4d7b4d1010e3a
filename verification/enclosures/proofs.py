"""What can be proven from a potential g, in flint balls: F, s, and a bracket of the optimal
potential.

The formulas are those of `certificates/certify.py`, written a second time and independently, for a
plan that fits in memory; so each file is tested against the other. They are true for every g and at
every working precision; the nearer g is to the optimum, the smaller are the balls.
docs/certificates.md proves each.

J is the objective that F minimises; osc C = max C - min C. q are the column sums of the plan of g.
The *rounded plan* P' is made from that plan: columns with q_j > b_j are scaled down, and the
missing mass is added, so that both marginals are exact. The *gap* is J(P') minus the semi-dual of
g."""

from __future__ import annotations

from collections.abc import Iterable
from functools import reduce

from flint import arb, arb_mat

from .newton import ArbHalfStep, ArbProblem, Vector, grounded_solve, half_step, laplacian


def value(p: ArbProblem, h: ArbHalfStep) -> arb:
    """A ball around F: from the semi-dual a.f + b.g up to J of the rounded plan, cut to [min C, max
    C], which contains F too."""
    L = _semi_dual(p, h)
    return L.union(L + _gap(p, h)).intersection(_costs(p))


def transport_cost(p: ArbProblem, h: ArbHalfStep) -> arb:
    """A ball around s: <C,P'> -+ osc(C)/2 sqrt(2 gap / eps) for the rounded plan P'. J is strongly
    convex, so that a small gap means that P' is near the optimal plan."""
    kept = sum(
        (_dot(C_j, P_j) / cj.max(arb(1)) for C_j, P_j, cj in zip(
            zip(*p.C, strict=True), zip(*h.P, strict=True), _columns(p, h), strict=True)),
        arb(0),
    )
    missing = _missing(p, h)
    highest = [_largest(column) for column in zip(*p.C, strict=True)]
    least, most = -_largest(-c for row in p.C for c in row), _largest(highest)
    returned = (least * sum(missing, arb(0))).union(_dot(missing, highest))
    moved = (most - least) / 2 * (2 * _gap(p, h).upper().max(arb(0)) / p.eps).sqrt()
    return (kept + returned + moved * arb(0, 1)).intersection(_costs(p))


def bracket(p: ArbProblem, h: ArbHalfStep) -> Vector | None:
    """Balls around the optimal g* with g*_m = g_m; None where this precision proves none.

    With g_m fixed, q_j(above) >= b_j for all j < m implies above >= g*, and q_j(below) <= b_j
    implies below <= g*: a column sum increases in its own g_j and decreases in every other.
    The candidates `above` and `below` are Newton's step d plus and minus a margin. The margin must
    outweigh the radius of q, and the curvature that the step ignores,
    sum_k -A_jk (d_j - d_k)^2 = 2 d_j (A d)_j - (A d^2)_j with the Hessian A of `laplacian`.
    """
    A = laplacian(p, h)
    surplus = [bj - qj for bj, qj in zip(p.b, h.q, strict=True)]
    newton = grounded_solve(A, surplus)
    if newton is None:
        return None
    curvature = [
        abs(2 * d * linear - square)
        for d, linear, square in zip(
            newton, _product(A, newton), _product(A, [d * d for d in newton]), strict=True
        )
    ]
    doubt = [4 * x.rad() + c for x, c in zip(surplus, curvature, strict=True)]
    margin = grounded_solve(A, doubt)
    if margin is None:
        return None
    centre = [gj + p.eps * d for gj, d in zip(h.g, newton, strict=True)]
    above = [(c + p.eps * w).mid() for c, w in zip(centre, margin, strict=True)]
    below = [(c - p.eps * w).mid() for c, w in zip(centre, margin, strict=True)]
    enough, at_most = half_step(p, above).q[:-1], half_step(p, below).q[:-1]
    if all(q >= b for q, b in zip(enough, p.b, strict=False)) and all(
        q <= b for q, b in zip(at_most, p.b, strict=False)
    ):
        return [u.union(v) for u, v in zip(below, above, strict=True)]
    return None


def _semi_dual(p: ArbProblem, h: ArbHalfStep) -> arb:
    return _dot(p.a, h.f) + _dot(p.b, h.g)


def _costs(p: ArbProblem) -> arb:
    """The ball from min C to max C."""
    return reduce(arb.union, (c for row in p.C for c in row))


def _columns(p: ArbProblem, h: ArbHalfStep) -> Vector:
    """c_j = q_j / b_j, which is 1 for the optimal g."""
    return [qj / bj for qj, bj in zip(h.q, p.b, strict=True)]


def _missing(p: ArbProblem, h: ArbHalfStep) -> Vector:
    """max(b_j - q_j, 0), (m,): the mass that column j lacks, and that the rounded plan adds."""
    return [(bj - qj).max(arb(0)) for bj, qj in zip(p.b, h.q, strict=True)]


def _gap(p: ArbProblem, h: ArbHalfStep) -> arb:
    """An upper bound of the gap J(P') - (a.f + b.g), of first order in the column error b - q."""
    least_a = -_largest(-ai for ai in p.a)
    spread = [
        _largest(c - fi for c, fi in zip(column, h.f, strict=True)) - gj
        + p.eps * (1 - bj.log() - least_a.log())
        for column, gj, bj in zip(zip(*p.C, strict=True), h.g, p.b, strict=True)
    ]
    excess = [cj.max(arb(1)).log() for cj in _columns(p, h)]
    return _dot(_missing(p, h), spread) - p.eps * _dot(p.b, excess)


def _product(A: arb_mat, x: Vector) -> Vector:
    return list((A * arb_mat([[t.mid()] for t in x])).mid().entries())


def _dot(x: Iterable[arb], y: Iterable[arb]) -> arb:
    return sum((s * t for s, t in zip(x, y, strict=True)), arb(0))


def _largest(x: Iterable[arb]) -> arb:
    return reduce(arb.max, x)
