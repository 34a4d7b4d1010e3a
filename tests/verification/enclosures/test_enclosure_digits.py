"""Enclosures of hard problems: the digits, each proof by itself, what readers get, refusals."""

from __future__ import annotations

import itertools
import math
import time
from decimal import Decimal, localcontext
from typing import Any

import numpy as np
import pytest
from enclosure_cases import BITS, assert_equal, exactly, random_problem
from flint import arb, ctx

from refot.arrays import InputError, UnknownNameError
from refot.costs.ground import GroundCost, sqeuclidean
from refot.costs.operands import point_cost
from refot.divergences import entropic_value
from refot.objectives import kantorovich
from refot.verification.enclosures import precision, proofs
from refot.verification.enclosures.enclose import (
    EnclosureError,
    decimals,
    enclose,
    enclose_value,
    enclose_values,
    interval,
)
from refot.verification.enclosures.newton import ArbProblem, half_step


@pytest.fixture(autouse=True)
def _precision() -> Any:
    """The closed forms are computed at 300 bits: more than any enclosure below claims."""
    with ctx.workprec(BITS):
        yield


# ------------------------------------------------------------------ hard problems, digits
def test_digits_are_there() -> None:
    C, a, b, eps = random_problem(4, 4)
    for digits in (5, 30, 200):
        found = enclose(C, a, b, eps, digits)
        unit = arb(10) ** -digits
        claimed = [found.value, found.transport_cost, *itertools.chain(*found.plan)]
        assert all(x.rad() <= unit * abs(x.mid()) for x in claimed)
    assert enclose(C, a, b, eps, 5).value.contains(found.value)


def test_a_value_of_128_points_takes_less_than_five_seconds() -> None:
    """Of processor time; F alone, which needs no more bits than its digits."""
    C, a, b, eps = random_problem(128, 128)
    start = time.process_time()
    F = enclose_value(C, a, b, eps)
    assert time.process_time() - start < 5
    assert F.rad() < arb(10) ** -30 * F
    assert abs(float(F) - entropic_value(C, a, b, eps)) < 1e-14


def test_too_many_digits_are_refused_for_what_they_are() -> None:
    C, a, b, eps = random_problem(3, 3)
    for function in (enclose, enclose_value, enclose_values):
        with pytest.raises(EnclosureError, match=r"^digits: too many: .* 1213 digits at the very"):
            function(C, a, b, eps, digits=5_000)


def test_values_without_potentials() -> None:
    """eps = 1e-6 max C: too weakly coupled for potentials at 4096 bits; F and s have 30 digits."""
    C, a, b, _ = random_problem(4, 4)
    a = b = np.full(4, 0.25)
    F, s = enclose_values(C, a, b, 1e-6)
    W0 = min(sum(arb(float(C[i, j])) for i, j in enumerate(order)) / 4
             for order in itertools.permutations(range(4)))
    assert_equal(s, W0, 29)  # one assignment is optimal, by far
    assert_equal(F, W0 + arb(1e-6) * arb(4).log(), 29)
    with pytest.raises(EnclosureError, match="enclose_values"):
        enclose(C, a, b, 1e-6)


def test_costs_beyond_float64() -> None:
    """Points whose squared distances overflow float64 are refused, before any work; those whose
    distances just do not are enclosed like any others."""
    x, third = np.array([[0.0], [1e152], [1.5e152]]), np.full(3, 1 / 3)
    with pytest.raises(InputError, match=r"^x: costs up to inf"):
        point_cost(1e5 * x, 1e5 * x)
    F, s = enclose_values(point_cost(x, x), third, third, 1e303)
    same, _ = enclose_values(point_cost(2.0**-500 * x, 2.0**-500 * x), third, third,
                             2.0**-1000 * 1e303)
    assert_equal(F, arb(2) ** 1000 * same, 29)
    assert s < F


def test_fifty_gaussian_points_at_tiny_eps() -> None:
    """The case on which POT 0.9.7 returns .377 and 1.5e-7 for s >= W0 = .51 (other points here)."""
    rng = np.random.default_rng(0)
    C = sqeuclidean(rng.normal(size=(50, 2)), rng.normal(size=(50, 2)))
    uniform = np.full(50, 0.02)
    F, s = enclose_values(C, uniform, uniform, 1e-3)
    W0 = kantorovich(C, uniform, uniform)[0]
    assert W0 - 1e-12 < float(s.mid()) < float(F.mid()) < W0 + 1e-3 * math.log(50)
    assert F.rad() < 1e-30
    assert s.rad() < 1e-30


# ------------------------------------------------------------------ each proof by itself
@pytest.mark.parametrize("n", [1, 5])
@pytest.mark.parametrize("noise", [0.0, 1e-9, 1e-3, 0.1, 1.0, 30.0])
def test_the_proofs_hold_for_every_potential(noise: float, n: int) -> None:
    """Balls around F, s and g* from potentials that are off by `noise`: wide, never wrong."""
    C, a, b, eps = random_problem(n, 4)
    C = C + 100  # so that mass that is lost shows
    true = enclose(C, a, b, eps, digits=100)
    p = ArbProblem([[arb(float(c)) for c in row] for row in C], exactly(a), exactly(b), arb(eps))
    for seed in range(10):
        errors = noise * np.random.default_rng(seed).normal(size=3)
        g = [x.mid() + float(t) for x, t in zip(true.g[:3], errors, strict=True)] + [arb(0)]
        h = half_step(p, g)
        F, s = proofs.value(p, h), proofs.transport_cost(p, h)
        assert F.contains(true.value)
        assert s.contains(true.transport_cost)
        assert noise > 0 or F.rad() < 1e-30
        assert noise > 0.01 or s.rad() < 0.5
        bracket = proofs.bracket(p, h)
        if bracket is not None:
            assert all(ball.contains(x) for ball, x in zip(bracket, true.g, strict=True))
        assert (bracket is not None) or noise > 1e-3


def test_a_bracket_that_newton_misses_is_not_believed() -> None:
    """One row, two columns: g* = C[0] + a shift; far from it the bracket must fail, not lie."""
    b = exactly([0.999, 0.001])
    for weights in (b, b[::-1]):
        p = ArbProblem([[arb(0.25), arb(1)]], [arb(1)], weights, arb(0.125))
        found = []
        for t in np.linspace(-1.5, 1.5, 49):
            bracket = proofs.bracket(p, half_step(p, [arb(0.25) + float(t), arb(1)]))
            found.append(bracket is not None)
            assert bracket is None or bracket[0].contains(arb(0.25))
        assert 3 < sum(found) < 46


# ------------------------------------------------------------------ for readers
def test_interval_rounds_outward() -> None:
    third = arb(1) / 3
    found = interval(third)
    assert (found.lower, found.upper) == (1 / 3, math.nextafter(1 / 3, 1))
    assert interval(arb(0.5)).width == 0
    for x in (arb(2).sqrt() * arb(10) ** -330, arb(10) ** 400, -arb.pi(), arb(1, 1e-40)):
        found = interval(x)
        assert arb(found.lower) <= x.lower()
        assert x.upper() <= arb(found.upper)


def test_decimals_contain_the_ball() -> None:
    with localcontext(prec=200):
        for x in (arb.pi(), -arb(10) ** -50 / 7, arb(0), arb(3, 1e-3), arb(1e-5)):
            mid, rad = (Decimal(part) for part in decimals(x, 30))
            for end in (x.lower(), x.upper()):
                exact = Decimal(int(end.man_exp()[0])) * Decimal(2) ** int(end.man_exp()[1])
                assert abs(exact - mid) <= rad
        assert decimals(arb.pi(), 30)[0].startswith("3.14159265358979323846264338327")
        assert Decimal(decimals(arb.pi(), 30)[1]) < Decimal("1e-29")


# ------------------------------------------------------------------ refusals
def test_refusals_name_what_is_wrong() -> None:
    C, a, b, eps = random_problem(3, 3)
    for arguments, named in (((C * math.nan, a, b, eps), "C"), ((C, -a, b, eps), "a"),
                             ((C, a, b[:2], eps), "b"), ((C, a, b, -1.0), "eps"),
                             ((C, a, b, eps, 0), "digits")):
        for function in (enclose, enclose_values):
            with pytest.raises(InputError, match=rf"^{named}: "):
                function(*arguments)
    large = np.zeros((300, 1))
    with pytest.raises(EnclosureError, match="256"):
        enclose(large, np.full(300, 1 / 300), [1.0], eps)
    x = np.zeros((2, 1))
    unknown = point_cost(x, x)
    cosine = GroundCost("cosine", sqeuclidean, sqeuclidean, unknown.ground.roundings)
    unknown = type(unknown)(x, x, cosine)
    with pytest.raises(UnknownNameError, match="cosine"):
        enclose(unknown, [0.5, 0.5], [0.5, 0.5], eps)


def test_precision_is_left_as_it_was(monkeypatch: pytest.MonkeyPatch) -> None:
    C, a, b, eps = random_problem(3, 3)
    enclose(C, a, b, eps)
    assert ctx.prec == BITS
    monkeypatch.setattr(precision, "MOST_BITS", 100)
    with pytest.raises(EnclosureError):
        enclose(C, a, b, eps)
    assert ctx.prec == BITS
