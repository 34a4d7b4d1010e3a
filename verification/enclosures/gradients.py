"""Enclosures of the informative plan and of gradients of optimal values, to 30 digits and more.

    informative plan B-29 . gradients of S (B-9) in x and in a . gradient of F (B-10) in a

B = Bréchet et al. 2019. By the envelope theorem each gradient is a sum over an enclosed plan or
potential, so that only the ground costs are differentiated by hand. Digits are relative to the
largest entry of a gradient.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

from flint import arb

from refot.arrays import CostLike, InputError, Points, Weights, as_matrix, as_number, lookup

from .enclose import Enclosure, enclose, enclose_points
from .newton import Matrix, Vector
from .precision import certified
from .problem import columns_of, dot, matrix, rational


def enclose_informative_plan(
    C: CostLike, Q: Any, lam: Any, a: Weights, b: Weights, eps: Any, digits: int = 30
) -> Enclosure:
    """The enclosure of the problem with the cost C - lam Q, for a fixed Q (n, m). B-29, B-21.

    Raises InputError where an entry of C - lam Q is no float64: the enclosure would be that of the
    rounded cost, and so of another problem.
    """
    C = as_matrix(C, "C")
    Q, lam = as_matrix(Q, "Q", C.shape), as_number(lam, "lam")
    perturbed = C - lam * Q
    for c, q, found in zip(C.ravel(), Q.ravel(), perturbed.ravel(), strict=True):
        if rational(c) - rational(lam) * rational(q) != rational(found):
            raise InputError("C - lam Q", f"{c!r} - {lam!r} * {q!r} is rounded",
                             "entries of few enough bits that the difference is exact")
    return enclose(perturbed, a, b, eps, digits)


def enclose_divergence_gradient(
    x: Points, a: Weights, y: Points, b: Weights, eps: Any, cost: str = "sqeuclidean",
    digits: int = 30,
) -> Matrix:
    """sum_j P_ij d1 c(x_i, y_j) - sum_k Pxx_ik d1 c(x_i, x_k), (n, d): dS / dx of B-9. d1 c is the
    derivative of c(x, y) in x.

    Where the cost has a kink (at x_i = y_j, except for "sqeuclidean"), its subgradient 0 is taken.
    """
    P = enclose_points(x, a, y, b, eps, cost, 2 * digits).plan
    Pxx = enclose_points(x, a, x, a, eps, cost, 2 * digits).plan

    def attempt() -> Matrix:
        X, Y = matrix(x), matrix(y)
        return [[s - t for s, t in zip(cross, own, strict=True)] for cross, own in zip(
            slopes(P, X, Y, cost), slopes(Pxx, X, X, cost), strict=True)]

    return certified(attempt, digits)


def slopes(P: Sequence[Sequence[arb]], X: Matrix, Y: Matrix, cost: str) -> Matrix:
    """sum_j P_ij d1 c(x_i, y_j), (n, d), d1 c the gradient of c in its first point."""
    d1c = lookup(GROUND_GRADIENTS, cost, "cost")

    def pull(row: Iterable[arb], u: Vector) -> Vector:
        each = [d1c([s - t for s, t in zip(u, v, strict=True)]) for v in Y]
        return [dot(row, column) for column in columns_of(each)]

    return [pull(P_i, u) for P_i, u in zip(P, X, strict=True)]


def _unit(difference: Vector) -> Vector:
    """(x - y) / |x - y|, and 0 where x = y exactly."""
    square = sum((t * t for t in difference), arb(0))
    return [t / square.sqrt() if square > 0 else arb(0) for t in difference]


GROUND_GRADIENTS: dict[str, Callable[[Vector], Vector]] = {
    "sqeuclidean": lambda difference: [2 * t for t in difference],
    "euclidean": _unit,
    "l1": lambda difference: [t.sgn() for t in difference],
}
"""d1 c(x, y) as a function of x - y, which is a ball around the exact difference."""


def enclose_weight_gradient(
    C: CostLike, a: Weights, b: Weights, eps: Any, digits: int = 30
) -> Vector:
    """f - mean f, (n,): the gradient of F (B-10) in a, along changes that keep the sum of a."""
    f = enclose(C, a, b, eps, 2 * digits).f
    return certified(lambda: _centred(f), digits)


def enclose_divergence_weight_gradient(
    x: Points, a: Weights, y: Points, b: Weights, eps: Any, cost: str = "sqeuclidean",
    digits: int = 30,
) -> Vector:
    """f_xy - f_xx minus its mean, (n,): the gradient of S (B-9) in a, along changes that keep the
    sum of a. It has two terms, because a is an argument of both F_xy and F_xx."""
    f_xy = enclose_points(x, a, y, b, eps, cost, 2 * digits).f
    f_xx = enclose_points(x, a, x, a, eps, cost, 2 * digits).f
    return certified(
        lambda: _centred([s - t for s, t in zip(f_xy, f_xx, strict=True)]), digits)


def _centred(f: Sequence[arb]) -> Vector:
    mean = sum(f, arb(0)) / len(f)
    return [fi - mean for fi in f]
