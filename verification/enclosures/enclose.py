"""Enclosures: the true values of a small problem to 30 digits and more, as balls of python-flint
(`arb`, a midpoint and a radius).

    enclose         F (B-10), s = <C,P> (as in G), KL, potentials (B-13), plan (B-15)
    enclose_points  the same for points: the exact ground cost of the exact points
    enclose_value   F alone: fastest, and possible at any eps
    enclose_values  F and s alone: much fewer bits where the potentials are ill conditioned
    enclose_divergence  S of B-9

B = Bréchet et al. 2019, G = Genevay, Peyré, Cuturi 2018.

Every float64 input stands for exactly the number that it is; weights are divided by their exact
sum. Newton's method in multiple precision finds potentials (`newton.py`), which need not be right.
What is returned is then proven from them in balls, by the formulas of docs/certificates.md
(`proofs.py`). No float64 operation is part of a proof. The working precision is doubled until the
requested digits are proven."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from flint import arb, ctx

from refot.arrays import CostLike, Points, Weights, as_count
from refot.costs.operands import point_cost
from refot.verification.certificates.intervals import Interval

from .newton import ArbProblem, Matrix, Vector, annealed, half_step, transform
from .pickled import reduced
from .precision import EnclosureError, Found, bits_for, first_found, is_sharp
from .problem import ArbInputs, cost_matrix, exact_inputs, on_support
from .proofs import bracket, transport_cost, value

__all__ = [
    "Enclosure", "EnclosureError", "decimals", "enclose", "enclose_divergence", "enclose_points",
    "enclose_value", "enclose_values", "interval",
]


@dataclass(frozen=True)
class Enclosure:
    """Balls that contain the true quantities of a problem, in cost units (kl in nats).

    value: F. transport_cost: s = <C,P>. kl: KL(P | a(x)b) = (F - s) / eps, only as accurate as the
    difference F - s. f (n,), g (m,): the potentials, shifted such that the last entry g_m is 0;
    where a weight is 0, the entry is the transform of the other potential. plan (n, m).
    """

    value: arb
    transport_cost: arb
    kl: arb
    f: tuple[arb, ...]
    g: tuple[arb, ...]
    plan: tuple[tuple[arb, ...], ...]

    def __reduce__(self) -> Any:
        return reduced(self)


def enclose(C: CostLike, a: Weights, b: Weights, eps: Any, digits: int = 30) -> Enclosure:
    """Everything about the problem of the matrix C (n, m), to `digits` digits.

    C is an array, a `PointCost` or a `DenseCost`; a (n,), b (m,), eps > 0 in cost units. The radius
    of F, of s and of an entry of the plan is at most 10^-digits of that number; the radius of an
    entry of f or g is at most 10^-digits of the largest of these entries. If F, s or this largest
    entry is itself smaller than 10^-digits of the largest cost, its radius is at most 10^-digits of
    that number.
    Raises InputError, and EnclosureError where the digits cannot be proven.
    """
    p = exact_inputs(C, a, b, eps)
    digits = as_count(digits, "digits")
    return _with_enough_bits(p, digits, lambda: _enclosed(p, digits))


def enclose_points(
    x: Points, a: Weights, y: Points, b: Weights, eps: Any, cost: str = "sqeuclidean",
    digits: int = 30,
) -> Enclosure:
    """As `enclose`, for points x (n, d), y (m, d) and a name of GROUND_COSTS."""
    return enclose(point_cost(x, y, cost), a, b, eps, digits)


def enclose_value(C: CostLike, a: Weights, b: Weights, eps: Any, digits: int = 30) -> arb:
    """F alone, arguments as for `enclose`. It is faster, because proving F needs neither s nor
    potentials that are right to these digits."""
    p, digits = exact_inputs(C, a, b, eps), as_count(digits, "digits")
    return _with_enough_bits(p, digits, lambda: _enclosed_value(p, digits))


def enclose_values(
    C: CostLike, a: Weights, b: Weights, eps: Any, digits: int = 30
) -> tuple[arb, arb]:
    """(F, s) alone, arguments as for `enclose`: possible where the potentials are ill conditioned.

    The radius of s comes from strong convexity, and is in proportion to the square root of that of
    F. So s takes twice the bits that F needs, at every eps.
    """
    p = exact_inputs(C, a, b, eps)
    digits = as_count(digits, "digits")
    return _with_enough_bits(p, 2 * digits, lambda: _enclosed_values(p, digits))


def enclose_divergence(
    x: Points, a: Weights, y: Points, b: Weights, eps: Any, cost: str = "sqeuclidean",
    digits: int = 30,
) -> arb:
    """S = F_xy - F_xx/2 - F_yy/2 (B-9), from three values F that have 2 `digits` digits each.

    So S has `digits` digits, unless it is smaller than about 10^-digits of the values F. x (n, d),
    a (n,), y (m, d), b (m,). Raises InputError, and EnclosureError where the digits
    cannot be proven."""
    digits = as_count(digits, "digits")

    def value(x: Points, a: Weights, y: Points, b: Weights) -> arb:
        return enclose_value(point_cost(x, y, cost), a, b, eps, 2 * digits)

    f_xy, f_xx, f_yy = value(x, a, y, b), value(x, a, x, a), value(y, b, y, b)
    with ctx.workprec(bits_for(2 * digits)):
        return f_xy - (f_xx + f_yy) / 2


# ------------------------------------------------------------------ balls as other numbers
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


# ------------------------------------------------------------------ precision
def _with_enough_bits(p: ArbInputs, digits: int, attempt: Callable[[], Found | None]) -> Found:
    """The first result of `attempt` that is not None, with twice the working precision at each try.
    An exponent (f_i + g_j - C_ij) / eps is about as large as p.scale / eps, and its exponential
    loses as many digits as that number has. So the first try has these in addition."""
    bits = bits_for(digits) + math.ceil(abs(float((p.scale / p.eps).log())) / math.log(2))
    return first_found(bits, attempt, (
        f"at eps = {p.eps.str(5, radius=False)} and costs up to {p.scale.str(5, radius=False)} the "
        "plan couples its parts too weakly; allowed: larger eps, fewer digits, or F and s alone "
        "(enclose_values)"))


# ------------------------------------------------------------------ one attempt
def _enclosed_value(p: ArbInputs, digits: int) -> arb | None:
    """F, or None if the working precision does not prove its digits."""
    core = on_support(p, cost_matrix(p.C))
    F = value(core, half_step(core, annealed(core)))
    return F if _values_sharp(p, digits, F) else None


def _enclosed_values(p: ArbInputs, digits: int) -> tuple[arb, arb] | None:
    """F and s, or None if the working precision does not prove their digits."""
    core = on_support(p, cost_matrix(p.C))
    h = half_step(core, annealed(core))
    F, s = value(core, h), transport_cost(core, h)
    return (F, s) if _values_sharp(p, digits, F, s) else None


def _enclosed(p: ArbInputs, digits: int) -> Enclosure | None:
    """Everything, or None if the working precision does not prove its digits."""
    C = cost_matrix(p.C)
    core = on_support(p, C)
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
        and all(is_sharp(t, digits, largest) for t in f + g)
        and all(is_sharp(x, digits, x.mid()) for row in P for x in row)
    ):
        return Enclosure(F, s, (F - s) / p.eps, tuple(f), tuple(g), tuple(map(tuple, P)))
    return None


def _plan(p: ArbInputs, C: Matrix, f: Vector, g: Vector) -> Matrix:
    """P_ij = a_i b_j exp((f_i + g_j - C_ij) / eps), 0 where a weight is 0. B-15."""
    return [
        [ai * bj * ((fi + gj - c) / p.eps).exp() for bj, gj, c in zip(p.b, g, row, strict=True)]
        for ai, fi, row in zip(p.a, f, C, strict=True)
    ]


def _values_sharp(p: ArbInputs, digits: int, *values: arb) -> bool:
    return all(is_sharp(x, digits, abs(x.mid()).max(_least_size(p, digits))) for x in values)


def _least_size(p: ArbInputs, digits: int) -> arb:
    """10^-digits of the largest cost: the least size that errors of values are compared with."""
    return arb(10) ** -digits * p.scale


def _everywhere(
    p: ArbInputs, C: Matrix, core: ArbProblem, g_core: Vector
) -> tuple[Vector, Vector]:
    """f (n,) and g (m,) with g_m = 0; at a point without mass, the transform of the other
    potential."""
    f = transform([[row[j] for j in p.columns] for row in C], g_core, core.b, p.eps)
    f_core = [f[i] for i in p.rows]
    known = dict(zip(p.columns, g_core, strict=True))
    g = [
        known[j] if j in known
        else transform([[C[i][j] for i in p.rows]], f_core, core.a, p.eps)[0]
        for j in range(len(p.b))
    ]
    return [fi + g[-1] for fi in f], [gj - g[-1] for gj in g[:-1]] + [arb(0)]
