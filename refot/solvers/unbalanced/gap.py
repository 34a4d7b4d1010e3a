"""How far potentials are from optimal, proved in floats: [lower, upper] around the unbalanced value
U (U-1 of docs/equations.md), for any f and g.

Where both marginals may be missed, every plan is feasible. So with r = P1, c = P'1, m the mass of
P, and m_a, m_b those of a and b

    lower = D1(f) + D2(g) - eps m + eps m_a m_b                           the dual U-2 of (f, g)
    upper = lower + slack1(s r) + slack2(s c) + eps m (s log s - s + 1)   the primal U-1 of s P

with P the plan of (f, g) and s any number > 0. D1(f) = -D*(-f) is the term of f in the dual, with
D(r | a) the penalty of the rows and D* its convex conjugate in r. slack1(r) = D(r | a) + D*(-f) +
r.f, which is rho KL(r | a exp(-f / rho)) for KL: a sum of terms >= 0, in which nothing cancels. D2
and slack2 are the same for the columns. Where the rows are exact, f is set to the transform of g,
and what is proved holds for f - eps log(r / a), whose rows are exact; so slack1 = 0 and s = 1.
docs/certificates.md, "The gap of an unbalanced problem", has the proof.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from refot.arrays import Array
from refot.costs.formed import FormedCost
from refot.penalties import KL, TV, Exact, Penalty
from refot.problem import Problem, log_weights
from refot.solvers.gap import MARGIN, CertifiedGap, gap_of, rounded_up, total
from refot.solvers.plan_sums import UNIT, Floats, cost_range, in_float64, plan_sums, softmin
from refot.unbalanced_problem import UnbalancedProblem, normalised

TINY = 2.0**-900
"""Under KL a potential f asks for the row sums q = a exp(-f / rho) (U-4). Where q is above TINY,
the slack is bounded by a function of the quotient of the plan's sum and q; for a smaller
q that quotient may overflow, and a cruder bound without it is taken."""

Interval = tuple[Floats, Floats]
"""(lower bounds, upper bounds), (n,) each."""


@gap_of.register
def gap_of_best(p: UnbalancedProblem, g: Array) -> CertifiedGap:
    """The gap of g and the best f for it; where both marginals are exact, that of the balanced
    problem."""
    return gap_of_exact(p, g) if p.is_exact else unbalanced_gap(p, p.best(g), g)


def gap_of_exact(p: UnbalancedProblem, g: Array) -> CertifiedGap:
    """The gap for exact marginals of mass m: U = m F + eps m (m - 1 - log m), with F the balanced
    value (B-10) for the masses a / m and b / m."""
    F, m = gap_of(normalised(p), g), total(p.backend.to_numpy(p.a).astype(np.float64))
    terms = np.array([p.eps * m * m, -p.eps * m, -p.eps * m * math.log(m)])
    lower = -rounded_up([np.array([-m * F.lower]), -terms], p.eps)
    return CertifiedGap(lower, rounded_up([np.array([m * F.upper]), terms], p.eps))


@np.errstate(all="ignore")  # a bound that is not finite becomes infinite: it proves nothing
def unbalanced_gap(given: UnbalancedProblem, f: Array, g: Array) -> CertifiedGap:
    """An interval that contains U, from any f (n,) and g (m,). They are first shifted to
    (f + t, g - t) with the t for which the dual is largest."""
    p, on = in_float64(given), given.backend
    a, b = (on.to_numpy(masses) for masses in (p.a, p.b))
    f, g = (on.to_numpy(h).astype(np.float64) for h in (f, g))
    host = replace(p, a=a, b=b)
    shares = Problem(p.C, on.asarray(a / total(a)), on.asarray(b / total(b)), p.eps, on)
    f, g = host.shifted(_allowed(p.rows, f), _allowed(p.columns, g))
    f, g = _allowed(p.rows, f), _allowed(p.columns, g)
    if isinstance(p.rows, Exact):
        f = softmin(shares, g + p.eps * log_weights(b))
    if isinstance(p.columns, Exact):
        g = softmin(shares.T, f + p.eps * log_weights(a))
    f, g = np.where(a > 0, f, 0), np.where(b > 0, g, 0)
    off = given.C.error if isinstance(given.C, FormedCost) else 0.0
    rows, columns = _sides(p, shares, (a, f), (b, g), off)
    return _interval(p.eps, rows, columns, nonnegative=cost_range(p.C)[0] >= 0)


def _allowed(penalty: Penalty, f: Floats) -> Floats:
    """f itself; for total variation f clipped to [-rho, rho], outside of which D*(-f) is infinite
    or the slack has another form."""
    return np.clip(f, -penalty.rho, penalty.rho) if isinstance(penalty, TV) else f


@dataclass(frozen=True)
class Side:
    """The rows of a plan, or its columns, of positive mass: their potential f, masses a, and an
    interval that contains each sum, (n,) each."""

    penalty: Penalty
    f: Floats
    a: Floats
    sums: Interval
    """The sums of the plan, before any multiple s of it."""

    @cached_property
    def mass(self) -> tuple[float, float]:
        """(a lower bound, an upper bound) of the mass of the plan."""
        n = len(self.a) * UNIT
        return (1 - n) * total(self.sums[0]), (1 + n) * total(self.sums[1])

    @property
    def reward(self) -> tuple[Floats, Floats]:
        """(the terms of -D*(-f), each right to the relative error MARGIN; a bound of a further
        error of each, because exp turns an absolute error of f / rho into a relative one)."""
        if isinstance(self.penalty, KL):
            x = -self.f / self.penalty.rho
            terms = -self.penalty.rho * self.a * np.expm1(x)
            return terms, MARGIN * abs(x) * abs(terms)
        return self.a * self.f, np.zeros_like(self.f)

    def slack(self, s: float) -> Floats:
        """Terms that are at least the slack of s times the sums, up to a relative error MARGIN. The
        slack is convex in a sum, and so largest at an end of its interval."""
        low, high = s * self.sums[0] * (1 - MARGIN), s * self.sums[1] * (1 + MARGIN)
        if isinstance(self.penalty, TV):
            ends = [self.penalty.slack(end, self.f, self.a) for end in (low, high)]
            convex: Floats = np.maximum(*ends) + MARGIN * self.penalty.rho * (self.a + high)
            return convex
        rho, x = self.penalty.rho, -self.f / self.penalty.rho
        q, room = self.a * np.exp(x), MARGIN * (1 + abs(x))
        ends = [_psi(end / q) + 8 * UNIT * abs(end / q - 1)
                for end in (low * (1 - room), high * (1 + room))]
        near = rho * q * (1 + room) * np.maximum(*ends)
        far = rho * (high * (abs(np.log(high / self.a)) + abs(x) + MARGIN) + q)
        at_most: Floats = np.where(q > TINY, near, far)
        return at_most


def _psi(y: Floats) -> Floats:
    """y log y - y + 1 >= 0."""
    z = y - 1
    return np.where(y > 0, (1 + z) * np.log1p(z) - z, 1)


def _sides(p: UnbalancedProblem, shares: Problem, rows: tuple[Floats, Floats],
           columns: tuple[Floats, Floats], off: float) -> tuple[Side, Side]:
    """The rows and the columns of the plan of (f, g), from one pass over the pairs for each. `off`
    is how far the entries of C may be from those that were given."""
    (a, f), (b, g) = rows, columns
    F, G = f + p.eps * log_weights(a), g + p.eps * log_weights(b)
    largest = max(map(abs, cost_range(p.C)))
    # F, G and C may all be off, so that each exponent is off by at most `share`, and each sum over
    # the plan by a factor of at most exp(share).
    share = (_rounding(f, a, p.eps) + _rounding(g, b, p.eps) + off) / p.eps
    sides = []
    for q, penalty, h, masses, H, K in ((shares, p.rows, f, a, F, G),
                                        (shares.T, p.columns, g, b, G, F)):
        i = np.flatnonzero(masses)
        sums, error = plan_sums(q, largest, H, K)
        low = np.maximum(sums[i, 0] - error[i], 0) * np.exp(-share) * (1 - MARGIN)
        high = (sums[i, 0] + error[i]) * np.exp(share) * (1 + MARGIN)
        sides.append(Side(penalty, h[i], masses[i], (low, high)))
    return sides[0], sides[1]


def _rounding(f: Floats, a: Floats, eps: float) -> float:
    """A bound of the rounding of f + eps log a, where a > 0."""
    return 4 * UNIT * float((abs(f) + eps * abs(np.where(a > 0, log_weights(a), 0))).max())


def _interval(eps: float, rows: Side, columns: Side, nonnegative: bool) -> CertifiedGap:
    """[lower, upper]. `lower` is the dual value of (f, g), or 0 where that is larger and all costs
    are >= 0. `upper` is the primal value of the best multiple of the plan, or that of the plan 0,
    which moves nothing, where it is smaller."""
    if isinstance(columns.penalty, Exact):
        return _interval(eps, columns, rows, nonnegative)
    product = eps * total(rows.a) * total(columns.a)
    exact = isinstance(rows.penalty, Exact)
    dual, off = map(list, zip(rows.reward, columns.reward, strict=True))
    if exact:
        columns = _with_exact_rows(rows, columns)
        logs = [rows.a * np.log(end / rows.a) for end in rows.sums]
        # A logarithm near 0 has an absolute error, which no share of the term itself bounds.
        off.append(np.array([MARGIN * eps * total(rows.a)]))
        mass = (total(rows.a),) * 2
    else:
        logs, mass = [np.zeros(1), np.zeros(1)], rows.mass
    lower = -rounded_up([*(-term for term in dual), *off, eps * logs[1],
                         np.array([eps * mass[1], -product])], eps)
    s = 1.0 if exact else best_multiple(eps, rows, columns)
    upper = rounded_up([*dual, *off, -eps * logs[0], np.array([-eps * mass[0], product]),
                        columns.slack(s), *([] if exact else [rows.slack(s)]),
                        np.array([eps * mass[1] * float(_psi(np.array(s)))])], eps)
    if not exact:  # the plan that moves nothing
        upper = min(upper, rounded_up([_left_behind(rows), _left_behind(columns),
                                       np.array([product])], eps))
    if nonnegative:
        lower = max(lower, 0.0)
    return CertifiedGap(*(end if math.isfinite(end) else default
                          for end, default in ((lower, -math.inf), (upper, math.inf))))


def _with_exact_rows(rows: Side, columns: Side) -> Side:
    """The columns of the plan whose rows are scaled to sum to a exactly."""
    least = float((rows.a / rows.sums[1]).min()) * (1 - MARGIN)
    most = float((rows.a / rows.sums[0]).max()) * (1 + MARGIN)
    return replace(columns, sums=(columns.sums[0] * least, columns.sums[1] * most))


def _left_behind(side: Side) -> Floats:
    """D(0 | a), the price of moving nothing, atom by atom, (n,)."""
    return side.penalty.rho * side.a


def best_multiple(eps: float, rows: Side, columns: Side) -> float:
    """The s for which the primal value of s P is smallest, where both penalties are KL; else 1. An
    s that is not exactly the best does no harm: the upper bound holds for any s > 0.

    By U-6, s = exp(-E / ((rho1 + rho2 + eps) m)) with m the mass of P. Here E is computed as
    rho1 sum r log(r / r*) + rho2 sum c log(c / c*), in which no digits cancel: r and c are the row
    and column sums of P, r* = a exp(-f / rho1) and c* those that the potentials ask for.
    """
    if not (isinstance(rows.penalty, KL) and isinstance(columns.penalty, KL)):
        return 1.0
    E, rhos = 0.0, eps
    for side in (rows, columns):
        r = (side.sums[0] + side.sums[1]) / 2
        positive = r > 0
        log_ratio = np.log(np.where(positive, r, 1) / side.a) + side.f / side.penalty.rho
        E += side.penalty.rho * float(r @ np.where(positive, log_ratio, 0))
        rhos += side.penalty.rho
    mass = sum(rows.mass) / 2
    s = math.exp(min(max(-E / (rhos * mass), -700), 700)) if mass > 0 else 1.0
    return s if 0 < s < math.inf else 1.0
