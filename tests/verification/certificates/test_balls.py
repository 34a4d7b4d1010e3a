"""Balls contain what they should, by flint at high precision, and are not loose; intervals too."""

from __future__ import annotations

import math
from collections.abc import Callable
from fractions import Fraction
from functools import reduce
from typing import Any

import numpy as np
import pytest
from flint import arb, ctx
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

from refot.verification.certificates import balls
from refot.verification.certificates.balls import FUNCTION_ERROR, TINY, UNIT, Ball, ball
from refot.verification.certificates.intervals import Interval

BITS = 2600
"""Enough for the exact sum of any two floats."""

numbers = st.floats(allow_nan=False, allow_infinity=False, width=64)
moderate = st.floats(-800, 800) | st.floats(-1e-3, 1e-3) | st.floats(-2, 2)
shares = st.just(0.0) | st.sampled_from([1e-16, 1e-9, 0.1, 0.9, 1.5])
"""A radius as a share of the midpoint."""

radii = st.just(0.0) | st.floats(0, 1e-12) | st.floats(0, 3)
places = st.sampled_from([-1.0, -0.375, 0.0, 0.875, 1.0])
"""Where in a ball its member lies: mid + place * rad, exactly."""


def one(mid: float, rad: float) -> Ball:
    return Ball(np.array([mid]), np.array([rad]))


def member(x: Ball, place: float, at: int = 0) -> arb:
    """An exact member of x."""
    return arb(float(x.mid[at])) + arb(place) * arb(float(x.rad[at]))


def assert_contains(found: Ball, true: arb, at: int = 0) -> None:
    """|true - mid| <= rad, certainly; a ball of infinite radius contains everything."""
    mid, rad = float(found.mid.reshape(-1)[at]), float(found.rad.reshape(-1)[at])
    assert math.isfinite(mid)
    assert rad >= 0
    assert rad == math.inf or abs(true - arb(mid)) <= arb(rad), (mid, rad, true)
    assert arb(float(found.lower.reshape(-1)[at])) <= true
    assert true <= arb(float(found.upper.reshape(-1)[at]))


@pytest.fixture(autouse=True)
def _precision() -> Any:
    with ctx.workprec(BITS):
        yield


BINARY: dict[str, Callable[[Any, Any], Any]] = {
    "+": lambda x, y: x + y,
    "-": lambda x, y: x - y,
    "*": lambda x, y: x * y,
    "/": lambda x, y: x / y,
}


@pytest.mark.parametrize("name", BINARY)
@example(x=5e-324, rx=0.0, s=-1.0, y=2.2250738585e-313, ry=1e-9, t=-1.0)  # the radius underflows
@given(x=numbers, rx=shares, s=places, y=numbers, ry=shares, t=places)
@settings(max_examples=150, deadline=None)
def test_arithmetic_contains(
    name: str, x: float, rx: float, s: float, y: float, ry: float, t: float
) -> None:
    assume(max(abs(x), abs(y)) < 1e308)
    X, Y, operation = one(x, rx * abs(x)), one(y, ry * abs(y)), BINARY[name]
    true_y = member(Y, t)
    assume(name != "/" or not true_y.is_zero())
    assert_contains(operation(X, Y), operation(member(X, s), true_y))


UNARY: dict[str, tuple[Callable[[Ball], Ball], Callable[[arb], arb]]] = {
    "exp": (balls.exp, arb.exp),
    "expm1": (balls.expm1, arb.expm1),
    "log": (balls.log, arb.log),
    "log1p": (balls.log1p, arb.log1p),
    "abs": (abs, abs),
    "neg": (lambda x: -x, lambda x: -x),
}


@pytest.mark.parametrize("name", UNARY)
@given(x=moderate, rx=radii, s=places)
@settings(max_examples=120, deadline=None)
def test_functions_contain(name: str, x: float, rx: float, s: float) -> None:
    in_balls, exact = UNARY[name]
    X = one(x, rx)
    true = member(X, s)
    least = {"log": arb(0), "log1p": arb(-1)}.get(name)
    if least is not None:
        assume(true > least)
    if "exp" in name:
        assume(true < 10_000)
    assert_contains(in_balls(X), exact(true))


@example(entries=[(6.530219459687222e17, 0.0, 2.225073858507203e-309, 0.0)], s=-1.0, t=-1.0)
@given(
    entries=st.lists(st.tuples(numbers, radii, numbers, radii), min_size=1, max_size=9),
    s=places, t=places,
)
@settings(max_examples=100, deadline=None)
def test_reductions_contain(entries: list[tuple[float, ...]], s: float, t: float) -> None:
    """Sum, scalar product, extremes: every member moved the same way, the worst case for a sum."""
    x, rx, y, ry = (np.array(column) for column in zip(*entries, strict=True))
    X, Y = Ball(x, rx), Ball(y, ry)
    xs = [member(X, s, k) for k in range(len(x))]
    ys = [member(Y, t, k) for k in range(len(x))]
    assert_contains(X.sum(), sum(xs, arb(0)))
    with ctx.workprec(2 * BITS):  # products of such numbers, summed exactly
        assert_contains(X @ Y, sum((p * q for p, q in zip(xs, ys, strict=True)), arb(0)))
    assert_contains(X.max(axis=0), reduce(arb.max, xs))
    assert_contains(X.min(axis=0), reduce(arb.min, xs))
    for k, (p, q) in enumerate(zip(xs, ys, strict=True)):
        assert_contains(balls.maximum(X, Y), p.max(q), k)
        assert_contains(balls.minimum(X, Y), p.min(q), k)


def test_long_sums_contain_their_exact_value() -> None:
    """10^5 terms that cancel, and a matrix product, against exact rational arithmetic."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=100_000) * 10.0 ** rng.integers(-8, 8, size=100_000)
    assert_contains(ball(x).sum(), arb(math.fsum(x)) + arb(0, 1e-300 + UNIT * abs(math.fsum(x))))
    A, v = rng.normal(size=(7, 1000)), rng.normal(size=1000)
    product = ball(A) @ v
    columns = v[:7] @ ball(A)
    assert columns.shape == (1000,)
    for i in range(7):
        assert_contains(product, sum((arb(p) * arb(q) for p, q in zip(A[i], v, strict=True)),
                                     arb(0)), i)
        assert_contains(columns, sum((arb(p) * arb(q) for p, q in zip(A[:, i], v[:7], strict=True)),
                                     arb(0)), i)


def test_radii_are_not_loose() -> None:
    """From exact numbers an operation costs one rounding, a function 4 ulp, and hardly more."""
    x, y = np.array([0.1, -3.7, 1e8, 1e-8]), np.array([3.3, 1.1, -1e-8, 7.0])
    X, Y, positive = ball(x), ball(y), ball(abs(x))
    for found in (X + Y, X - Y, X * Y, X / Y):
        assert (found.rad <= 1.01 * UNIT * abs(found.mid) + 2 * TINY).all()
    for found in (balls.log(positive), balls.log1p(positive), balls.expm1(ball(y))):
        assert (found.rad <= 1.01 * FUNCTION_ERROR * abs(found.mid) + 2 * TINY).all()
    assert ((X + Ball(y, np.full(4, 1e-3))).rad <= 1.0001e-3).all()
    assert (balls.exp(Ball(y, np.full(4, 1e-9))).rad <= 1.0001e-9 * np.exp(y) + 1e-15).all()
    assert ball(np.ones(10_000)).sum().rad < 1.01 * 10_000 * UNIT * 10_000
    assert (ball(np.ones(10_000)) @ np.ones(10_000)).rad < 210 * UNIT * 10_000


def test_what_is_not_known_is_said_and_not_raised() -> None:
    """Overflow, division by a ball around 0, log of one: all reals, without a warning."""
    huge, around_zero = one(1e308, 0.0), one(0.5, 1.0)
    unknown = (huge * huge, huge + huge, 1.0 / around_zero, balls.log(around_zero),
               balls.log1p(one(-1.0, 0.5)), balls.exp(one(800.0, 0.0)), one(0.0, math.inf) * 2.0)
    for found in unknown:
        assert found.rad[0] == math.inf
        assert (found.lower[0], found.upper[0]) == (-math.inf, math.inf)
    assert balls.exp(one(-1e12, 1e3)).upper[0] < 1e-300


def test_numpys_functions_are_within_four_ulp() -> None:
    """The assumption on which FUNCTION_ERROR rests, over the whole range, also at its edges."""
    rng = np.random.default_rng(1)
    n = 2000
    wide = 10.0 ** rng.uniform(-307, 308, n)
    near_one = 1 + rng.uniform(-1, 1, n) * 10.0 ** rng.uniform(-16, -1, n)
    small = rng.choice([-1.0, 1.0], n) * 10.0 ** rng.uniform(-300, 0, n)
    arguments = {
        "exp": np.concatenate([rng.uniform(-708, 709, n), rng.uniform(-1, 1, n), small]),
        "expm1": np.concatenate([rng.uniform(-50, 709, n), rng.uniform(-1, 1, n), small]),
        "log": np.concatenate([wide, near_one, rng.uniform(0, 3, n)]),
        "log1p": np.concatenate([wide, 0.99 * small, rng.uniform(-0.999, 3, n)]),
    }
    for name, x in arguments.items():
        found = getattr(np, name)(x)
        exact = UNARY[name][1]
        worst = max(
            float(abs(arb(float(v)) - exact(arb(float(t)))) / math.ulp(float(v)))
            for t, v in zip(x, found, strict=True)
        )
        assert worst < 4, (name, worst)


# ------------------------------------------------------------------ intervals
@given(numbers, numbers, numbers, numbers, places, places, st.floats(-1e6, 1e6))
@settings(max_examples=100, deadline=None)
def test_intervals_contain(
    p: float, q: float, r: float, s: float, i: float, j: float, factor: float
) -> None:
    assume(max(map(abs, (p, q, r, s))) < 1e300)
    X, Y = Interval(min(p, q), max(p, q)), Interval(min(r, s), max(r, s))

    def inside(interval: Interval, place: float) -> Fraction:
        weight = (1 + Fraction(place)) / 2
        return Fraction(interval.lower) * (1 - weight) + Fraction(interval.upper) * weight

    x, y = inside(X, i), inside(Y, j)
    scaled = Fraction(factor) * x
    for found, true in ((X + Y, x + y), (X - Y, x - y), (factor * X, scaled), (-X, -x)):
        assert found.lower <= true <= found.upper
    assert X.contains(X.midpoint)
    assert Fraction(X.width) >= Fraction(X.upper) - Fraction(X.lower)


def test_intervals_say_how_far() -> None:
    X = Interval(1.0, 2.0)
    assert (X.distance(1.5), X.distance(0.25), X.distance(4.0)) == (0.0, 0.75, 2.0)
    assert math.isnan(X.distance(math.nan))
    assert X.contains(2.0)
    assert not X.contains(math.nextafter(2.0, 3.0))
    assert X.intersection(Interval(1.5, 9.0)) == Interval(1.5, 2.0)
    assert Interval(-4.0, -4.0).relative_width == 0.0
    assert 0.5 <= X.relative_width < 0.5 + 1e-15
    for lower, upper in ((1.0, 0.0), (math.nan, 1.0)):
        with pytest.raises(ValueError, match="empty interval"):
            Interval(lower, upper)
    with pytest.raises(ValueError, match="empty interval"):
        X.intersection(Interval(3.0, 4.0))
