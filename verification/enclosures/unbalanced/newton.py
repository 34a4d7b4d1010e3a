"""Potentials of an unbalanced problem in multiple precision: Newton's method on the semi-dual.

Nothing here is proven: the proofs of `proofs.py` hold for any potentials. f is eliminated,
f = prox(softmin(g)) (U-3), which leaves a concave function of g, the dual. Each step is halved
until the dual does not fall. The best shift (U-5) sets the total mass first, which Newton steps
find slowly where rho is far above eps.

The prox, gain, due, slope, limit and stiffness of a side are defined in `penalties.py`. Under TV
the dual has kinks: it is linear in a potential up to the limit rho. U-2, U-3 and U-5 are equations
of docs/equations.md."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from operator import itemgetter

from flint import arb, arb_mat, ctx

from refot.verification.enclosures.newton import Matrix, Vector, kernel, transform
from refot.verification.enclosures.problem import dot

from .penalties import Penalty
from .problem import UnbalancedProblem

SCHEDULE_FACTOR = 4
"""eps falls by this factor from one stage to the next."""

STAGE_STEPS = 100
"""Newton steps in one stage at most."""

HALVINGS = 40
"""How often a step is halved at most; if the dual falls even then, the stage ends."""


@dataclass(frozen=True)
class HalfStep:
    """s = g^(c,eps), f = prox(s), the plan P of (f, g), its row sums r and column sums q."""

    g: Vector
    s: Vector
    f: Vector
    P: Matrix
    r: Vector
    q: Vector


def half_step(p: UnbalancedProblem, g: Vector) -> HalfStep:
    """The f that maximises the dual at this g, and the plan of both."""
    K = kernel(p.C, g, p.b, p.eps)
    s = [-p.eps * sum(row, arb(0)).log() for row in K]
    f = [p.rows.prox(si, p.eps) for si in s]
    P = [[ai * (fi / p.eps).exp() * k for k in row] for ai, fi, row in zip(p.a, f, K, strict=True)]
    return HalfStep(g, s, f, P, [sum(row, arb(0)) for row in P],
                    [sum(column, arb(0)) for column in zip(*P, strict=True)])


def dual(p: UnbalancedProblem, h: HalfStep) -> arb:
    """sum a gain(f) + sum b gain(g) + eps (m_a m_b - m(P)) <= U, with the masses (total sums) m_a,
    m_b and m(P) of a, b and P. U-2."""
    m_a, m_b, mass = (sum(x, arb(0)) for x in (p.a, p.b, h.r))
    return (dot(p.a, map(p.rows.gain, h.f)) + dot(p.b, map(p.columns.gain, h.g))
            + p.eps * (m_a * m_b - mass))


def best_columns(p: UnbalancedProblem, f: Vector) -> Vector:
    """The g that maximises the dual at this f: the prox of the softmin of f, for each column.
    U-3."""
    turned = [list(column) for column in zip(*p.C, strict=True)]
    return [p.columns.prox(s, p.eps) for s in transform(turned, f, p.a, p.eps)]


# ------------------------------------------------------------------ the best shift
def shifted(p: UnbalancedProblem, h: HalfStep) -> Vector:
    """g - t for the t at which the dual of (f + t, g - t) is largest."""
    at_kink = p.rows.limit is not None or p.columns.limit is not None
    t = _best_kink(p, h) if at_kink else _best_shift(p, h)
    return [_within(p.columns, gj - t).mid() for gj in h.g]


def _best_shift(p: UnbalancedProblem, h: HalfStep) -> arb:
    """log(<a, exp(-f/rho_1)> / <b, exp(-g/rho_2)>) / (1/rho_1 + 1/rho_2). U-5."""
    due_f, due_g = dot(p.a, map(p.rows.due, h.f)), dot(p.b, map(p.columns.due, h.g))
    softness = sum((1 / side.stiffness for side in (p.rows, p.columns)
                    if side.stiffness is not None), arb(0))
    return (due_f / due_g).log() / softness


def _best_kink(p: UnbalancedProblem, h: HalfStep) -> arb:
    """The best shift t where a side has a limit (TV): there the dual is piecewise linear in t. Its
    slope is the mass of the rows below their limit minus that of the columns below theirs, and
    falls wherever an atom passes its limit. The dual is largest where the slope changes sign, or at
    the end of the range of t in which all potentials stay above -limit."""
    kinks = [((side.limit - x).mid() * sign, w)
             for side, xs, weights, sign in ((p.rows, h.f, p.a, 1), (p.columns, h.g, p.b, -1))
             if side.limit is not None for x, w in zip(xs, weights, strict=True)]
    slope, t = sum(p.a, arb(0)), arb(0)
    for t, w in sorted(kinks, key=itemgetter(0)):  # noqa: B007
        slope -= w
        if slope.mid() <= 0:
            break
    for most in _largest_decrease(p.columns, h.g):
        t = most if slope.mid() > 0 else t.min(most)
    for least in _largest_decrease(p.rows, h.f):
        t = t.max(-least)
    return t.mid()


def _largest_decrease(side: Penalty, f: Vector) -> Vector:
    """The largest number that may be subtracted from all potentials of a side, in a list; an empty
    list where the side has no limit."""
    return [] if side.limit is None else [min((side.limit + x).mid() for x in f)]


def _within(side: Penalty, x: arb) -> arb:
    """The number nearest to x that is allowed as a potential of this side."""
    return x if side.limit is None else x.min(side.limit).max(-side.limit)


# ------------------------------------------------------------------ Newton
def hessian(p: UnbalancedProblem, h: HalfStep) -> arb_mat:
    """A = diag(q - eps b gain''(g)) - P' diag(slope / r) P, (m, m): -eps times the Hessian of the
    dual in g, with f eliminated. r and q are the row and column sums of P.

    The diagonal is summed from positive parts, so that the weak exchange of mass between two parts
    of the plan keeps its relative accuracy. `coupled` is minus the sum of the other entries of a
    row. `loose` is 1 - slope: the part of a change of the softmin s that f does not follow.
    """
    m = len(p.b)
    slopes = [p.rows.slope(si, p.eps) for si in h.s]
    scaled = [[x * t / ri for x in row] for row, t, ri in zip(h.P, slopes, h.r, strict=True)]
    A = (-(arb_mat(h.P).mid().transpose() * arb_mat(scaled).mid()).mid()).tolist()
    loose = [1 - t for t in slopes]
    columns = list(zip(*h.P, strict=True))
    for j in range(m):
        coupled = -sum((A[j][k] for k in range(m) if k != j), arb(0))
        A[j][j] = coupled + dot(loose, columns[j]) + p.eps * p.b[j] * p.columns.curvature(h.g[j])
    return arb_mat(A).mid()


def newton_step(p: UnbalancedProblem, h: HalfStep, surplus: Vector) -> Vector | None:
    """A^-1 surplus, in units of eps, among the potentials that are free to move; None where A is
    singular. A potential is not free if it stands at its limit and the step would push it beyond.

    Under TV a whole interval of potentials may be optimal, and A singular there. So a multiple of
    the column sums, which vanishes with the surplus, is added to its diagonal.
    """
    A = hessian(p, h).tolist()
    free = [j for j in range(len(h.g)) if not _stops_at_limit(p.columns, h.g[j], surplus[j])]
    if p.columns.limit is not None:
        share = (_size(surplus[j] for j in free) / _size(h.q)).min(arb(1))
        for j in free:
            A[j][j] += share * h.q[j]
    while True:
        step = _solved_among(A, surplus, free)
        stopped = [] if step is None else [
            j for j in free if _stops_at_limit(p.columns, h.g[j], step[j]) and step[j] != 0]
        if not stopped:
            return step
        free = [j for j in free if j not in stopped]


def _solved_among(A: list[list[arb]], right: Vector, free: list[int]) -> Vector | None:
    """The x that is 0 outside the indices `free` and has A x = right there; None where A is
    singular."""
    x = [arb(0)] * len(right)
    if not free:
        return x
    inner = arb_mat([[A[j][k].mid() for k in free] for j in free])
    try:
        found = inner.solve(arb_mat([[right[j].mid()] for j in free]), algorithm="approx")
    except ZeroDivisionError:
        return None
    for j, t in zip(free, found.entries(), strict=True):
        x[j] = t.mid()
    return x if all(t.is_finite() for t in x) else None


def _stops_at_limit(side: Penalty, g: arb, up: arb) -> bool:
    """Whether a potential g stands at its limit and a change of the sign of `up` leads beyond it.
    """
    return side.limit is not None and bool(
        (g >= side.limit and up >= 0) or (g <= -side.limit and up <= 0))


def _size(x: Iterable[arb]) -> arb:
    return sum((abs(t.mid()) for t in x), arb(0))


def newton(p: UnbalancedProblem, g: Vector, step_target: float) -> Vector:
    """Newton steps until one is shorter than `step_target` (in units of eps), or the error of the
    columns is down to rounding at the working precision, or the dual grows no more.

    Near the optimum the number of right digits doubles with each step. A step that is short, but
    more than half of the step before, therefore comes from rounding, and ends the stage.
    """
    rounding, short = arb(2) ** (16 - ctx.prec), arb(2) ** (-ctx.prec // 2)
    h, before = half_step(p, g), arb("inf")
    for _ in range(STAGE_STEPS):
        if p.columns.limit is not None:
            h = half_step(p, shifted(p, h))
        due = [bj * p.columns.due(gj) for bj, gj in zip(p.b, h.g, strict=True)]
        surplus = [bj - qj for bj, qj in zip(due, h.q, strict=True)]
        open_ = [x for x, gj in zip(surplus, h.g, strict=True)
                 if not _stops_at_limit(p.columns, gj, x)]
        step = newton_step(p, h, surplus)
        if step is None or _size(open_) < rounding * _size(due + h.q):
            break
        moved = _after_line_search(p, h, step)
        if moved is None:
            break
        length = max(abs(new - old).mid() for new, old in zip(moved.g, h.g, strict=True)) / p.eps
        h = moved
        if length < step_target or (length < short and 2 * length > before):
            break
        before = length
    return h.g


def _after_line_search(p: UnbalancedProblem, h: HalfStep, step: Vector) -> HalfStep | None:
    """The half step after the longest of step, step / 2, step / 4, ... that does not lower the
    dual; None if all HALVINGS do."""
    before = dual(p, h)
    for k in range(HALVINGS):
        g = [_within(p.columns, gj + p.eps * x / 2**k).mid()
             for gj, x in zip(h.g, step, strict=True)]
        after = half_step(p, g)
        if not dual(p, after) < before:
            return after
    return None


def annealed(p: UnbalancedProblem) -> Vector:
    """A potential g (m,) at eps, reached by a schedule of falling eps. Each problem of the schedule
    is solved roughly, and starts at the potential of the one before."""
    entries = [c.mid() for row in p.C for c in row]
    stage, g = (max(entries) - min(entries)).mid(), [arb(0)] * len(p.b)
    while stage > p.eps:
        at = replace(p, eps=stage)
        g = newton(at, _start_of_stage(at, g), 0.1)
        stage = (stage / SCHEDULE_FACTOR).mid()
    return newton(p, _start_of_stage(p, g), 0.0)


def _start_of_stage(p: UnbalancedProblem, g: Vector) -> Vector:
    """g after one iteration (U-3) and then the best shift, as the start of a stage."""
    swept = [x.mid() for x in best_columns(p, half_step(p, g).f)]
    return shifted(p, half_step(p, swept))
