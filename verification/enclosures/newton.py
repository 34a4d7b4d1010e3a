"""Potentials in multiple precision: Newton's method on the semi-dual along an eps schedule.

Nothing here is proven, and nothing needs to be: the proofs of `proofs.py` hold for any potential.
Everything runs at the working precision that flint is set to, on the midpoints of balls.
B = Bréchet et al. 2019.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from flint import arb, arb_mat, ctx

Vector = list[arb]
"""Balls, one for each point of a side."""

Matrix = list[list[arb]]
"""Balls for all pairs of points, row by row."""

SCHEDULE_FACTOR = 4
"""eps falls by this factor from one stage to the next."""

STAGE_STEPS = 60
"""Newton steps in one stage (at one eps) at most. If the potentials are not good enough then, the
proof fails, and the next attempt has twice as many bits."""


@dataclass(frozen=True)
class ArbProblem:
    """C (n, m), weights a (n,), b (m,) > 0 that sum to 1, and eps, as balls."""

    C: Matrix
    a: Vector
    b: Vector
    eps: arb


@dataclass(frozen=True)
class ArbHalfStep:
    """A potential g, its transform f = g^(c,eps) (`transform`), the plan P of (f, g), whose rows
    sum to a, and the column sums q of P, which are b for the optimal g."""

    g: Vector
    f: Vector
    P: Matrix
    q: Vector


def transform(C: Matrix, g: Vector, b: Vector, eps: arb) -> Vector:
    """-eps log sum_j b_j exp((g_j - C_ij) / eps), (n,). B-25."""
    return [-eps * sum(row, arb(0)).log() for row in kernel(C, g, b, eps)]


def half_step(p: ArbProblem, g: Vector) -> ArbHalfStep:
    """The transform of g, and the plan that it gives."""
    K = kernel(p.C, g, p.b, p.eps)
    r = [sum(row, arb(0)) for row in K]
    P = [[k * scale for k in row] for row, scale in zip(K, _ratios(p.a, r), strict=True)]
    q = [sum(column, arb(0)) for column in zip(*P, strict=True)]
    return ArbHalfStep(g, [-p.eps * ri.log() for ri in r], P, q)


def kernel(C: Matrix, g: Vector, b: Vector, eps: arb) -> Matrix:
    """b_j exp((g_j - C_ij) / eps), (n, m). No maximum is subtracted, since flint's balls neither
    overflow nor underflow."""
    G = [gj / eps + bj.log() for gj, bj in zip(g, b, strict=True)]
    rate = 1 / eps
    return [[(Gj - rate * c).exp() for Gj, c in zip(G, row, strict=True)] for row in C]


def _ratios(x: Vector, y: Vector) -> Vector:
    return [xi / yi for xi, yi in zip(x, y, strict=True)]


# ------------------------------------------------------------------ Newton
def laplacian(p: ArbProblem, h: ArbHalfStep) -> arb_mat:
    """A = diag(q) - P' diag(1/a) P, (m, m): the Hessian of -eps * semi-dual, on midpoints.

    A is a graph Laplacian: each row sums to 0. So its diagonal is summed from the other entries of
    the row, and the weak exchange of mass between two parts of the plan keeps its relative
    accuracy.
    """
    m = len(p.b)
    P = arb_mat(h.P).mid()
    scaled = arb_mat([[x / ai for x in row] for row, ai in zip(h.P, p.a, strict=True)]).mid()
    A = (-(P.transpose() * scaled).mid()).tolist()
    for j in range(m):
        A[j][j] = -sum((A[j][k] for k in range(m) if k != j), arb(0))
    return arb_mat(A).mid()


def grounded_solve(A: arb_mat, right: Vector) -> Vector | None:
    """Approximately the x with A x = right and x_m = 0; None where A is singular at this precision.
    """
    inner = arb_mat([row[:-1] for row in A.tolist()[:-1]])
    if not right[:-1]:
        return [arb(0)]
    try:
        found = inner.solve(arb_mat([[x.mid()] for x in right[:-1]]), algorithm="approx").entries()
    except ZeroDivisionError:
        return None
    return [x.mid() for x in found] + [arb(0)] if all(x.is_finite() for x in found) else None


def newton(p: ArbProblem, g: Vector, step_target: float) -> Vector:
    """Damped Newton steps until one is shorter than `step_target` (in units of eps), or the column
    error |b - q|_1 is down to rounding at the working precision, or the Hessian is singular at this
    precision, or STAGE_STEPS of them were made.

    A step whose largest entry is d > 1/2, in units of eps, is multiplied by log(1 + d) / d. With
    this factor a step does not overshoot if the third derivative along it is at most d times the
    second. For -semi-dual / eps, a sum of log-sum-exps, this holds up to a factor of 2.
    """
    rounding = arb(2) ** (16 - ctx.prec)
    for _ in range(STAGE_STEPS):
        h = half_step(p, g)
        surplus = [bj - qj for bj, qj in zip(p.b, h.q, strict=True)]
        step = grounded_solve(laplacian(p, h), surplus)
        if step is None or sum(abs(x.mid()) for x in surplus) < rounding:
            break
        d = max(abs(x) for x in step)
        damping = (1 + d).log() / d if d > 0.5 else arb(1)
        g = [(gj + damping * p.eps * x).mid() for gj, x in zip(g, step, strict=True)]
        if d < step_target:
            break
    return g


def annealed(p: ArbProblem) -> Vector:
    """A potential g (m,) at eps, reached by a schedule of falling eps. Each problem of the schedule
    is solved roughly, and starts at the potential of the one before."""
    entries = [c.mid() for row in p.C for c in row]
    stage, g = (max(entries) - min(entries)).mid(), [arb(0)] * len(p.b)
    while stage > p.eps:
        g = newton(replace(p, eps=stage), g, 0.1)
        stage = (stage / SCHEDULE_FACTOR).mid()
    return newton(p, g, 0.0)
