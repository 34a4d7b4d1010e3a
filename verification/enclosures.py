"""Enclosures: the true values of a small problem to 30 digits and more, as flint balls.

    enclose         F (B-10), s = <C,P> (G), KL, potentials (B-13), plan (B-15), of a cost matrix
    enclose_points  the same for points: the exact ground cost of the exact points
    enclose_values  F and s alone: much fewer bits where the potentials are ill conditioned
    enclose_divergence  S of B-9

Every float64 input is taken as the dyadic rational that it is; weights are divided by their exact
sum. Potentials come from Newton's method in multiple precision, unproven (`enclosure_newton`); what
is returned is then proven in balls, by the formulas of docs/certificates.md. No float64 operation
is part of a proof. The working precision doubles until the digits asked for are there.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from decimal import Decimal
from operator import sub
from typing import Any, TypeVar

from flint import arb, ctx, fmpq

from refot.arrays import as_count, as_positive, as_weights, lookup
from refot.costs import Cost, DenseCost, as_cost, point_cost

from .enclosure_newton import ArbProblem, Matrix, Vector, annealed, half_step, transform
from .enclosure_proofs import bracket, transport_cost, value
from .intervals import Interval

LARGEST_SIZE = 256
"""n and m at most: beyond it Newton's method in multiple precision takes minutes."""

MOST_BITS = 4_096
"""Working precision at most: the potentials of a problem may need max C / (eps log 2) bits."""

GUARD_BITS = 64
"""Bits beyond the digits asked for, with which the first attempt is made."""

Found = TypeVar("Found")


class EnclosureError(ValueError):
    """The digits asked for cannot be certified; the message says how far it came."""


@dataclass(frozen=True)
class Enclosure:
    """Balls that contain the true quantities of a problem, in cost units (kl in nats).

    value: F. transport_cost: s = <C,P>. kl: KL(P | a(x)b) = (F - s) / eps, to the accuracy of that
    difference. f (n,), g (m,): the potentials with g_m = 0 (the last one); where a weight is 0, the
    transform of the other side. plan (n, m).
    """

    value: arb
    transport_cost: arb
    kl: arb
    f: tuple[arb, ...]
    g: tuple[arb, ...]
    plan: tuple[tuple[arb, ...], ...]


def enclose(C: Any, a: Any, b: Any, eps: Any, digits: int = 30) -> Enclosure:
    """Everything about the problem of the matrix C (n, m), to `digits` digits.

    C an array, or an operand; a (n,), b (m,), eps > 0 in cost units. Relative accuracy: of each
    entry of the plan, of f and g by their largest entry, and of a value, except that nothing below
    10^-digits of the costs counts. Raises InputError, and EnclosureError where it cannot.
    """
    p = _exact_problem(C, a, b, eps)
    digits = as_count(digits, "digits")
    return _with_enough_bits(p, digits, lambda: _enclosed(p, digits))


def enclose_points(
    x: Any, a: Any, y: Any, b: Any, eps: Any, cost: str = "sqeuclidean", digits: int = 30
) -> Enclosure:
    """As `enclose`, for points x (n, d), y (m, d) and a name of GROUND_COSTS."""
    return enclose(point_cost(x, y, cost), a, b, eps, digits)


def enclose_values(C: Any, a: Any, b: Any, eps: Any, digits: int = 30) -> tuple[arb, arb]:
    """(F, s) alone, arguments as for `enclose`: they do not need well-conditioned potentials.

    s by strong convexity, which costs twice the bits that F needs, however small eps is.
    """
    p = _exact_problem(C, a, b, eps)
    digits = as_count(digits, "digits")
    return _with_enough_bits(p, 2 * digits, lambda: _enclosed_values(p, digits))


def enclose_divergence(
    x: Any, a: Any, y: Any, b: Any, eps: Any, cost: str = "sqeuclidean", digits: int = 30
) -> arb:
    """S = F_xy - F_xx/2 - F_yy/2 (B-9), to 10^-digits of itself or 10^(-2 digits) of the values F.

    x (n, d), a (n,), y (m, d), b (m,). Raises InputError, and EnclosureError where it cannot.
    """
    digits = as_count(digits, "digits")

    def value(x: Any, a: Any, y: Any, b: Any) -> arb:
        p = _exact_problem(point_cost(x, y, cost), a, b, eps)
        return _with_enough_bits(p, 2 * digits, lambda: _enclosed_value(p, 2 * digits))

    f_xy, f_xx, f_yy = value(x, a, y, b), value(x, a, x, a), value(y, b, y, b)
    with ctx.workprec(_bits(2 * digits)):
        return f_xy - (f_xx + f_yy) / 2


# ------------------------------------------------------------------ for readers of the balls
def interval(x: arb) -> Interval:
    """The ball as an interval of float64, rounded outward."""
    with ctx.workprec(53):
        lower, upper = x.lower(), x.upper()
    low, high = float(lower), float(upper)
    return Interval(
        low if arb(low) <= lower else math.nextafter(low, -math.inf),
        high if arb(high) >= upper else math.nextafter(high, math.inf),
    )


def decimals(x: arb, digits: int = 30) -> tuple[str, str]:
    """(mid, rad) as exact decimals: the true number is within rad of mid."""
    mid, rad, exponent = (int(part) for part in x.mid_rad_10exp(digits))
    return _decimal(mid, exponent), _decimal(rad, exponent)


def _decimal(mantissa: int, exponent: int) -> str:
    digits = Decimal(mantissa).as_tuple()
    return str(Decimal((digits.sign, digits.digits, exponent)))


# ------------------------------------------------------------------ the problem, exactly
@dataclass(frozen=True)
class _ExactProblem:
    """Cost operand, rational weights that sum to 1, dyadic eps; where the mass is.

    scale: the largest cost in magnitude, about; eps where all costs are 0.
    """

    C: Cost
    a: list[fmpq]
    b: list[fmpq]
    eps: arb
    scale: arb

    @property
    def rows(self) -> list[int]:
        return [i for i, ai in enumerate(self.a) if ai > 0]

    @property
    def columns(self) -> list[int]:
        return [j for j, bj in enumerate(self.b) if bj > 0]


def _exact_problem(C: Any, a: Any, b: Any, eps: Any) -> _ExactProblem:
    C, eps = as_cost(C), as_positive(eps, "eps")
    if max(C.shape) > LARGEST_SIZE:
        raise EnclosureError(f"C: shape {C.shape}; enclosures go up to {LARGEST_SIZE} a side")
    a, b = as_weights(a, C.shape[0], "a"), as_weights(b, C.shape[1], "b")
    largest = max(abs(c).mid() for row in _cost_matrix(C) for c in row)
    scale = largest if largest > 0 else arb(eps)
    return _ExactProblem(C, _normalised(a), _normalised(b), arb(eps), scale)


def _normalised(weights: Any) -> list[fmpq]:
    exact = [fmpq(*float(w).as_integer_ratio()) for w in weights]
    total = sum(exact, fmpq(0))
    return [w / total for w in exact]


def _cost_matrix(C: Cost) -> Matrix:
    """C (n, m) in balls, at the working precision: as given, or the exact cost of the points."""
    if isinstance(C, DenseCost):
        return [[arb(float(c)) for c in row] for row in C.matrix]
    ground = lookup(_GROUND_COSTS, C.ground.name, "cost")
    x, y = ([[arb(float(c)) for c in point] for point in points] for points in (C.x, C.y))
    return [[arb(C.scale) * ground(map(sub, u, v)) for v in y] for u in x]


_GROUND_COSTS: dict[str, Callable[[Iterable[arb]], arb]] = {
    "sqeuclidean": lambda difference: sum((t * t for t in difference), arb(0)),
    "euclidean": lambda difference: sum((t * t for t in difference), arb(0)).sqrt(),
    "l1": lambda difference: sum((abs(t) for t in difference), arb(0)),
}
"""c of x - y, as in `refot.costs`, in balls."""


def _on_support(p: _ExactProblem, C: Matrix) -> ArbProblem:
    """The problem of the points that carry mass."""
    return ArbProblem(
        [[C[i][j] for j in p.columns] for i in p.rows],
        [arb(p.a[i]) for i in p.rows],
        [arb(p.b[j]) for j in p.columns],
        p.eps,
    )


# ------------------------------------------------------------------ precision
def _with_enough_bits(p: _ExactProblem, digits: int, attempt: Callable[[], Found | None]) -> Found:
    """The first result of `attempt`, which gets twice the working precision each time."""
    bits = _bits(digits) + math.ceil(abs(float((p.scale / p.eps).log())) / math.log(2))
    while bits <= MOST_BITS:
        with ctx.workprec(bits):
            found = attempt()
        if found is not None:
            return found
        bits *= 2
    raise EnclosureError(
        f"not certified with {MOST_BITS} bits: at eps = {p.eps.str(5, radius=False)} and costs up "
        f"to {p.scale.str(5, radius=False)} the plan couples its parts too weakly; allowed: larger "
        f"eps, fewer digits, or F and s alone (enclose_values)"
    )


def _bits(digits: int) -> int:
    return math.ceil(digits * math.log2(10)) + GUARD_BITS


def _sharp(x: arb, digits: int, size: arb) -> bool:
    """Whether the radius of x is at most 10^-digits |size|."""
    return bool(x.rad() <= arb(10) ** -digits * abs(size))


# ------------------------------------------------------------------ one attempt
def _enclosed_value(p: _ExactProblem, digits: int) -> arb | None:
    """F, if the working precision gives its digits."""
    core = _on_support(p, _cost_matrix(p.C))
    F = value(core, half_step(core, annealed(core)))
    return F if _values_sharp(p, digits, F) else None


def _enclosed_values(p: _ExactProblem, digits: int) -> tuple[arb, arb] | None:
    """F and s, if the working precision gives their digits."""
    core = _on_support(p, _cost_matrix(p.C))
    h = half_step(core, annealed(core))
    F, s = value(core, h), transport_cost(core, h)
    return (F, s) if _values_sharp(p, digits, F, s) else None


def _enclosed(p: _ExactProblem, digits: int) -> Enclosure | None:
    """Everything, if the working precision gives its digits."""
    C = _cost_matrix(p.C)
    core = _on_support(p, C)
    h = half_step(core, annealed(core))
    g_core = bracket(core, h)
    if g_core is None:
        return None
    f, g = _everywhere(p, C, core, g_core)
    P = _plan(p, C, f, g)
    F = value(core, h)
    s = sum((c * x for pair in zip(C, P, strict=True) for c, x in zip(*pair, strict=True)), arb(0))
    largest = max(abs(t.mid()) for t in f + g).max(_least_size(p, digits))
    if (
        _values_sharp(p, digits, F, s)
        and all(_sharp(t, digits, largest) for t in f + g)
        and all(_sharp(x, digits, x.mid()) for row in P for x in row)
    ):
        return Enclosure(F, s, (F - s) / p.eps, tuple(f), tuple(g), tuple(map(tuple, P)))
    return None


def _plan(p: _ExactProblem, C: Matrix, f: Vector, g: Vector) -> Matrix:
    """P_ij = a_i b_j exp((f_i + g_j - C_ij) / eps), 0 where a weight is 0. B-15."""
    return [
        [ai * bj * ((fi + gj - c) / p.eps).exp() for bj, gj, c in zip(p.b, g, row, strict=True)]
        for ai, fi, row in zip(p.a, f, C, strict=True)
    ]


def _values_sharp(p: _ExactProblem, digits: int, *values: arb) -> bool:
    return all(_sharp(x, digits, abs(x.mid()).max(_least_size(p, digits))) for x in values)


def _least_size(p: _ExactProblem, digits: int) -> arb:
    """10^-digits of the costs: what is smaller than that may as well be 0."""
    return arb(10) ** -digits * p.scale


def _everywhere(
    p: _ExactProblem, C: Matrix, core: ArbProblem, g_core: Vector
) -> tuple[Vector, Vector]:
    """f (n,) and g (m,) with g_m = 0; where there is no mass, the transform of the other one."""
    f = transform([[row[j] for j in p.columns] for row in C], g_core, core.b, p.eps)
    f_core = [f[i] for i in p.rows]
    known = dict(zip(p.columns, g_core, strict=True))
    g = [
        known[j] if j in known
        else transform([[C[i][j] for i in p.rows]], f_core, core.a, p.eps)[0]
        for j in range(len(p.b))
    ]
    return [fi + g[-1] for fi in f], [gj - g[-1] for gj in g[:-1]] + [arb(0)]
