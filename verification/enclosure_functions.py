"""Enclosures of functions of given arguments, and of gradients, to 30 digits and more.

    softmin B-25 . dual B-13 . semi-dual B-24 and its gradient H-27 . MMD^2 G-2 . Q objective B-31
    mutual information B-18 . scaling iterates G-7, loss G-8 and its gradient in C
    informative plan B-29 . gradient of S (B-9) in x . gradient of F (B-10) in a

Inputs are the dyadic rationals that the floats are, weights divided by their exact sum. Nothing is
differentiated by hand but a ground cost: the gradient of G-8 is a power series in each C_ij, and
the others are envelopes of enclosed plans and potentials. Digits: of the largest entry.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, TypeVar

import numpy as np
from flint import arb, arb_series, ctx, fmpq

from refot.arrays import InputError, as_count, as_matrix, as_number, as_plan, as_vector, lookup
from refot.costs import point_cost

from .enclosure_newton import Matrix, Vector, transform
from .enclosures import (
    MOST_BITS,
    Enclosure,
    EnclosureError,
    _bits,
    _cost_matrix,
    _exact_problem,
    _sharp,
    enclose,
    enclose_points,
)

Answer = TypeVar("Answer", arb, Vector, Matrix)


# ------------------------------------------------------------------ digits
def certified(attempt: Callable[[], Answer], digits: int) -> Answer:
    """`attempt()` with twice the working precision each time, until its digits are there.

    An answer below 10^-digits may as well be 0. Raises EnclosureError beyond MOST_BITS.
    """
    digits = as_count(digits, "digits")
    bits = _bits(2 * digits)
    while bits <= MOST_BITS:
        with ctx.workprec(bits):
            found = attempt()
            entries = leaves(found)
            largest = max(abs(x.mid()) for x in entries).max(arb(10) ** -digits)
            if all(_sharp(x, digits, largest) for x in entries):
                return found
        bits *= 2
    raise EnclosureError(f"not certified to {digits} digits with {MOST_BITS} bits")


def leaves(balls: Any) -> Vector:
    """All balls of a ball, a vector or a matrix."""
    return [balls] if isinstance(balls, arb) else [x for part in balls for x in leaves(part)]


def _vector(values: Any) -> Vector:
    return [arb(float(x)) for x in values]


def _matrix(values: Any) -> Matrix:
    return [_vector(row) for row in values]


def _dot(x: Iterable[Any], y: Iterable[Any]) -> Any:
    return sum((s * t for s, t in zip(x, y, strict=True)), arb(0))


def _columns(A: Iterable[Iterable[Any]]) -> list[tuple[Any, ...]]:
    return list(zip(*A, strict=True))


# ------------------------------------------------------------------ softmin, dual, semi-dual
def enclose_softmin(C: Any, h: Any, eps: Any, digits: int = 30) -> Vector:
    """-eps log sum_j exp((h_j - C_ij) / eps), (n,), for h (m,). B-25, H-8."""
    C = as_matrix(C, "C")
    h = as_vector(h, C.shape[1], "h")

    def attempt() -> Vector:
        return transform(_matrix(C), _vector(h), [arb(1)] * len(h), arb(float(eps)))

    return certified(attempt, digits)


def enclose_dual(
    f: Any, g: Any, C: Any, a: Any, b: Any, eps: Any, digits: int = 30
) -> arb:
    """a.f + b.g + eps - eps sum_ij a_i b_j exp((f_i + g_j - C_ij) / eps). B-13 with +eps (E1)."""
    p = _exact_problem(C, a, b, eps)

    def attempt() -> arb:
        F, G = _vector(f), _vector(g)
        mass = sum((ai * bj * ((fi + gj - c) / p.eps).exp()
                    for ai, fi, row in zip(p.a, F, _cost_matrix(p.C), strict=True)
                    for bj, gj, c in zip(p.b, G, row, strict=True)), arb(0))
        return _dot(p.a, F) + _dot(p.b, G) + p.eps - p.eps * mass

    return certified(attempt, digits)


def enclose_semidual(g: Any, C: Any, a: Any, b: Any, eps: Any, digits: int = 30) -> arb:
    """a.g^(c,eps) + b.g, the sums over j being those of positive b_j. B-24/27 (E2), H-23."""
    p = _exact_problem(C, a, b, eps)

    def attempt() -> arb:
        G = _vector(g)
        on_support = [[row[j] for j in p.columns] for row in _cost_matrix(p.C)]
        f = transform(on_support, [G[j] for j in p.columns], [arb(p.b[j]) for j in p.columns],
                      p.eps)
        return _dot(p.a, f) + _dot(p.b, G)

    return certified(attempt, digits)


def enclose_semidual_gradient(
    g: Any, C: Any, a: Any, b: Any, eps: Any, digits: int = 30
) -> Vector:
    """b - a @ chi, (m,), chi_ij = b_j exp((g_j - C_ij) / eps) over its row sum. H-27 (H1)."""
    p = _exact_problem(C, a, b, eps)

    def attempt() -> Vector:
        density = [[bj * ((gj - c) / p.eps).exp() for bj, gj, c in zip(p.b, _vector(g), row,
                                                                     strict=True)]
                   for row in _cost_matrix(p.C)]
        chi = [[d / sum(row, arb(0)) for d in row] for row in density]
        return [bj - _dot(p.a, column) for bj, column in zip(p.b, _columns(chi), strict=True)]

    return certified(attempt, digits)


# ------------------------------------------------------------------ MMD and information
def enclose_mmd(
    x: Any, a: Any, y: Any, b: Any, cost: str = "sqeuclidean", digits: int = 30
) -> arb:
    """2 a'C_xy b - a'C_xx a - b'C_yy b: MMD^2 with kernel -c, a V-statistic. G-2."""
    terms = [(_exact_problem(point_cost(u, v, cost), p, q, 1.0), sign)
             for u, p, v, q, sign in ((x, a, y, b, 2), (x, a, x, a, -1), (y, b, y, b, -1))]

    def attempt() -> arb:
        return sum((sign * _dot(t.a, [_dot(t.b, row) for row in _cost_matrix(t.C)])
                    for t, sign in terms), arb(0))

    return certified(attempt, digits)


def enclose_q_objective(Q: Any, P: Any, a: Any, b: Any, digits: int = 30) -> arb:
    """sum(-Q P + a b exp Q), Q and P (n1, m). B-31."""
    P = as_plan(P, "P")
    p = _exact_problem(as_matrix(Q, "Q", P.shape), a, b, 1.0)

    def attempt() -> arb:
        return sum((ai * bj * q.exp() - q * x
                    for ai, Q_i, P_i in zip(p.a, _cost_matrix(p.C), _matrix(P), strict=True)
                    for bj, q, x in zip(p.b, Q_i, P_i, strict=True)), arb(0))

    return certified(attempt, digits)


def enclose_mutual_information(P: Any, digits: int = 30) -> arb:
    """sum P log(P / (P1 (x) P'1)), 0 log 0 = 0: in nats, of P as it is, of any mass. B-18."""
    P = as_plan(P, "P")

    def attempt() -> arb:
        joint = _matrix(P)
        rows = [sum(row, arb(0)) for row in joint]
        columns = [sum(column, arb(0)) for column in _columns(joint)]
        return sum((x * (x / (r * q)).log() for r, row in zip(rows, joint, strict=True)
                    for q, x in zip(columns, row, strict=True) if x > 0), arb(0))

    return certified(attempt, digits)


# ------------------------------------------------------------------ scaling form, G-7 and G-8
def _scaling(C: Any, a: Any, b: Any, eps: arb, L: int) -> tuple[Any, list[tuple[Any, Any]]]:
    """K and (u_l, v_l), l = 1..L: u = a / (K v), v = b / (K'u) from v = b, in any ring with exp."""
    K = [[(-c / eps).exp() for c in row] for row in C]
    v, steps = b, []
    for _ in range(L):
        u = [ai / _dot(row, v) for ai, row in zip(a, K, strict=True)]
        v = [bj / _dot(column, u) for bj, column in zip(b, _columns(K), strict=True)]
        steps.append((u, v))
    return K, steps


def _loss(C: Any, a: Any, b: Any, eps: arb, L: int) -> Any:
    """sum_ij u_i K_ij C_ij v_j after L steps."""
    K, steps = _scaling(C, a, b, eps, L)
    u, v = steps[-1]
    return _dot(u, [_dot([k * c for k, c in zip(K_i, C_i, strict=True)], v)
                    for K_i, C_i in zip(K, C, strict=True)])


def enclose_scaling(
    C: Any, a: Any, b: Any, eps: Any, L: int, digits: int = 30
) -> tuple[Matrix, Matrix]:
    """The golden steps u (L, n) and v (L, m) of G-7 from v = b."""
    p, n = _exact_problem(C, a, b, eps), len(np.atleast_1d(a))
    L = as_count(L, "L")

    def attempt() -> Matrix:
        _, steps = _scaling(_cost_matrix(p.C), _arbs(p.a), _arbs(p.b), p.eps, L)
        return [u + v for u, v in steps]

    both = certified(attempt, digits)
    return [row[:n] for row in both], [row[n:] for row in both]


def enclose_scaling_loss(C: Any, a: Any, b: Any, eps: Any, L: int, digits: int = 30) -> arb:
    """sum_ij u_i K_ij C_ij v_j after L steps from v = b. G-8, Algorithm 2 of G."""
    p, L = _exact_problem(C, a, b, eps), as_count(L, "L")
    return certified(
        lambda: _loss(_cost_matrix(p.C), _arbs(p.a), _arbs(p.b), p.eps, L), digits)


def enclose_scaling_loss_gradient(
    C: Any, a: Any, b: Any, eps: Any, L: int, digits: int = 30
) -> Matrix:
    """Its gradient in C, (n, m): for each (i, j) the loss of C + t e_ij as a series up to t."""
    p, L = _exact_problem(C, a, b, eps), as_count(L, "L")
    n, m = p.C.shape

    def slope(i: int, j: int) -> arb:
        moved = _cost_matrix(p.C)
        moved[i][j] = arb_series([moved[i][j], arb(1)], prec=2)
        return _loss(moved, _arbs(p.a), _arbs(p.b), p.eps, L)[1]

    return certified(lambda: [[slope(i, j) for j in range(m)] for i in range(n)], digits)


def _arbs(weights: list[fmpq]) -> Vector:
    return [arb(w) for w in weights]


# ------------------------------------------------------------------ plans and gradients
def enclose_informative_plan(
    C: Any, Q: Any, lam: Any, a: Any, b: Any, eps: Any, digits: int = 30
) -> Enclosure:
    """Everything about the cost C - lam Q, which must be floats exactly. B-29, B-21 at fixed Q.

    Raises InputError where C - lam Q is rounded: its enclosure would be that of another problem.
    """
    C = as_matrix(C, "C")
    Q, lam = as_matrix(Q, "Q", C.shape), as_number(lam, "lam")
    perturbed = C - lam * Q
    for c, q, found in zip(C.ravel(), Q.ravel(), perturbed.ravel(), strict=True):
        if _rational(c) - _rational(lam) * _rational(q) != _rational(found):
            raise InputError("C - lam Q", f"{c!r} - {lam!r} * {q!r} is rounded",
                             "entries of few enough bits that the difference is exact")
    return enclose(perturbed, a, b, eps, digits)


def _rational(x: Any) -> fmpq:
    return fmpq(*float(x).as_integer_ratio())


def enclose_divergence_gradient(
    x: Any, a: Any, y: Any, b: Any, eps: Any, cost: str = "sqeuclidean", digits: int = 30
) -> Matrix:
    """sum_j P_ij d1 c(x_i, y_j) - sum_k Pxx_ik d1 c(x_i, x_k), (n, d): dS / dx of B-9.

    Where a cost has a kink (x_i = y_j, not for "sqeuclidean"), its subgradient 0.
    """
    P = enclose_points(x, a, y, b, eps, cost, 2 * digits).plan
    Pxx = enclose_points(x, a, x, a, eps, cost, 2 * digits).plan
    d1c = lookup(_GROUND_GRADIENTS, cost, "cost")

    def pull(row: Iterable[arb], u: Vector, points: Matrix) -> Vector:
        slopes = [d1c([s - t for s, t in zip(u, v, strict=True)]) for v in points]
        return [_dot(row, column) for column in _columns(slopes)]

    def attempt() -> Matrix:
        X, Y = _matrix(x), _matrix(y)
        return [[s - t for s, t in zip(pull(P_i, u, Y), pull(Pxx_i, u, X), strict=True)]
                for P_i, Pxx_i, u in zip(P, Pxx, X, strict=True)]

    return certified(attempt, digits)


def _unit(difference: Vector) -> Vector:
    """(x - y) / |x - y|, and 0 where x = y exactly."""
    square = sum((t * t for t in difference), arb(0))
    return [t / square.sqrt() if square > 0 else arb(0) for t in difference]


_GROUND_GRADIENTS: dict[str, Callable[[Vector], Vector]] = {
    "sqeuclidean": lambda difference: [2 * t for t in difference],
    "euclidean": _unit,
    "l1": lambda difference: [t.sgn() for t in difference],
}
"""d1 c as a function of x - y; the difference of two floats is exact at every precision used."""


def enclose_weight_gradient(C: Any, a: Any, b: Any, eps: Any, digits: int = 30) -> Vector:
    """f - mean f, (n,): the gradient of F in a among weights of one sum. B-10, envelope."""
    f = enclose(C, a, b, eps, 2 * digits).f

    def attempt() -> Vector:
        mean = sum(f, arb(0)) / len(f)
        return [fi - mean for fi in f]

    return certified(attempt, digits)
