"""Enclosures of unbalanced problems: closed forms, theorems, each proof, hard problems."""

from __future__ import annotations

import itertools
import math
import pickle
from typing import Any

import numpy as np
import pytest
from enclosure_cases import BITS, assert_equal
from flint import arb, ctx

from refot.arrays import InputError, UnknownNameError
from refot.verification.enclosures.enclose import enclose_value
from refot.verification.enclosures.precision import EnclosureError, leaves
from refot.verification.enclosures.problem import vector
from refot.verification.enclosures.unbalanced.enclose import (
    UnbalancedEnclosure,
    enclose_unbalanced,
    enclose_unbalanced_points,
    enclose_unbalanced_value,
)
from refot.verification.enclosures.unbalanced.newton import annealed, dual, half_step
from refot.verification.enclosures.unbalanced.penalties import KL, TV, Exact
from refot.verification.enclosures.unbalanced.problem import UnbalancedProblem
from refot.verification.enclosures.unbalanced.proofs import plan, potential, primal, value

INF = math.inf

SIDES = [("kl", 0.5), ("kl", (0.25, 4.0)), ("kl", (INF, 0.5)), ("kl", (0.5, INF)), ("tv", 0.25),
         ("tv", (0.125, 0.5)), ("tv", (INF, 0.25)), ("tv", (0.25, INF))]
"""Penalties of both kinds, with one side exact and with none."""


@pytest.fixture(autouse=True)
def _precision() -> Any:
    with ctx.workprec(BITS):
        yield


def problem(n: int = 4, m: int = 5, seed: int = 0) -> tuple[Any, Any, Any, float]:
    """Masses of two totals."""
    rng = np.random.default_rng(seed)
    return rng.uniform(size=(n, m)), rng.uniform(size=n), 2 * rng.uniform(size=m), 0.125


def in_balls(C: Any, a: Any, b: Any, eps: float, rho: Any, penalty: str) -> UnbalancedProblem:
    sides = [Exact() if r == INF else {"kl": KL, "tv": TV}[penalty](arb(r))
             for r in (rho if isinstance(rho, tuple) else (rho, rho))]
    return UnbalancedProblem([vector(row) for row in C], vector(a), vector(b), arb(eps), *sides)


def one_atom(p: arb, c: float, a: float, b: float, eps: float, sides: Any) -> arb:
    """U-1 of a single entry p."""
    of_plan = c * p + eps * (p * (p / (arb(a) * b)).log() - p + arb(a) * b)
    return of_plan + sides[0].paid(p, arb(a)) + sides[1].paid(p, arb(b))


# ------------------------------------------------------------------ closed forms
@pytest.mark.parametrize("rho", [(0.5, 0.5), (0.25, 3.0), (1e-4, 1e5)])
def test_one_atom_under_kl(rho: tuple[float, float]) -> None:
    """log p = (eps log ab + rho_1 log a + rho_2 log b - c) / (eps + rho_1 + rho_2)."""
    c, a, b, eps = 0.75, 0.375, 2.5, 0.125
    found = enclose_unbalanced([[c]], [a], [b], eps, rho)
    strength = arb(eps) + rho[0] + rho[1]
    p = (((arb(a) * b).log() * eps + arb(a).log() * rho[0] + arb(b).log() * rho[1] - c)
         / strength).exp()
    assert_equal(found.mass, p)
    assert_equal(found.value, one_atom(p, c, a, b, eps, [KL(arb(r)) for r in rho]))
    assert_equal(found.transport_cost, c * p)


@pytest.mark.parametrize("rho", [0.0625, 0.5, 8.0])
@pytest.mark.parametrize(("a", "b"), [(0.375, 2.5), (2.5, 0.375), (1.0, 1.0)])
def test_one_atom_under_tv(rho: float, a: float, b: float) -> None:
    """The least of the entries where a side is matched, and of those where no side is."""
    c, eps, sides = 0.75, 0.125, [TV(arb(rho))] * 2
    free = [arb(a) * b * ((s * rho - c) / arb(eps)).exp() for s in (-2, 0, 2)]
    found = enclose_unbalanced([[c]], [a], [b], eps, rho, "tv")
    best = min([arb(a), arb(b), *free], key=lambda p: one_atom(p, c, a, b, eps, sides).mid())
    assert_equal(found.value, one_atom(best, c, a, b, eps, sides))
    assert found.mass.overlaps(best)


@pytest.mark.parametrize(("penalty", "rho"), SIDES)
def test_a_constant_cost_sees_masses_only(penalty: str, rho: Any) -> None:
    """The problem of the two totals, spread in proportion to a(x)b."""
    a, b = np.array([0.25, 1.0, 0.5]), np.array([1.5, 0.125])
    found = enclose_unbalanced(np.full((3, 2), 0.25), a, b, 0.5, rho, penalty)
    totals = enclose_unbalanced([[0.25]], [a.sum()], [b.sum()], 0.5, rho, penalty)
    assert_equal(found.value, totals.value)
    share = arb(a[1]) * b[0] / (arb(a.sum()) * b.sum())
    assert_equal(found.plan[1][0], share * totals.mass, 29)


def test_an_exact_side_of_one_atom() -> None:
    """Rows exact and one atom in all: p = a, and the columns pay."""
    found = enclose_unbalanced([[2.0]], [0.375], [1.5], 0.125, (INF, 0.5))
    assert_equal(found.mass, 0.375)
    assert_equal(found.value, one_atom(arb(0.375), 2.0, 0.375, 1.5, 0.125,
                                       [Exact(), KL(arb(0.5))]))


# ------------------------------------------------------------------ theorems
@pytest.mark.parametrize("rho", [0.5, (0.25, 4.0), (INF, 0.5), (0.5, INF)])
def test_marginals_and_value_of_an_optimum_under_kl(rho: Any) -> None:
    """U-4: P1 = a exp(-f / rho_1), and U by the masses alone where no side is exact."""
    C, a, b, eps = problem()
    found = enclose_unbalanced(C, a, b, eps, rho, digits=40)
    pair = rho if isinstance(rho, tuple) else (rho, rho)
    for marginal, w, h, r in ((found.rows, a, found.potentials[0], pair[0]),
                              (found.columns, b, found.potentials[1], pair[1])):
        for p, wi, hi in zip(marginal, w, h, strict=True):
            assert_equal(p, arb(wi) * (-hi / r).exp() if r < INF else arb(wi), 39)
    if INF not in pair:
        m_a, m_b = (sum(vector(w), arb(0)) for w in (a, b))
        by_masses = (pair[0] * m_a + pair[1] * m_b + eps * m_a * m_b
                     - (arb(pair[0]) + pair[1] + eps) * found.mass)
        assert_equal(found.value, by_masses, 38)


@pytest.mark.parametrize(("penalty", "rho"), SIDES)
def test_the_value_is_the_cost_of_its_plan(penalty: str, rho: Any) -> None:
    """U-1, term by term, at the enclosed plan."""
    C, a, b, eps = problem()
    p = in_balls(C, a, b, eps, rho, penalty)
    found = enclose_unbalanced(C, a, b, eps, rho, penalty, digits=40)
    kl = sum((x * (x / (ai * bj)).log() - x + ai * bj
              for ai, row in zip(p.a, found.plan, strict=True)
              for bj, x in zip(p.b, row, strict=True)), arb(0))
    paid = sum(map(p.rows.paid, found.rows, p.a), arb(0)) + sum(
        map(p.columns.paid, found.columns, p.b), arb(0))
    assert_equal(found.value, found.transport_cost + eps * kl + paid, 38)
    assert_equal(found.mass, sum(leaves(found.plan), arb(0)), 38)


@pytest.mark.parametrize("rho", [0.25, (0.125, 0.5)])
def test_mass_is_left_behind_on_both_sides_under_tv(rho: Any) -> None:
    """Some rows and some columns keep less than their weight."""
    C, a, b, _ = problem(5, 6, seed=3)
    found = enclose_unbalanced(4 * C, a, b, 1 / 64, rho, "tv")
    for marginal, weights in ((found.rows, a), (found.columns, b)):
        assert any(p < 0.9 * w for p, w in zip(marginal, weights, strict=True))


@pytest.mark.parametrize(("penalty", "rho"), SIDES)
def test_symmetries(penalty: str, rho: Any) -> None:
    """Transposition, all costs times 4, another order, an atom split into halves, one without mass.
    """
    C, a, b, eps = problem()
    back = rho[::-1] if isinstance(rho, tuple) else rho
    U = enclose_unbalanced_value(C, a, b, eps, rho, penalty)
    turned = enclose_unbalanced(C.T, b, a, eps, back, penalty)
    assert_equal(turned.value, U, 29)
    assert_equal(turned.plan[3][1], enclose_unbalanced(C, a, b, eps, rho, penalty).plan[1][3], 29)
    times_4 = tuple(4 * r for r in rho) if isinstance(rho, tuple) else 4 * rho
    assert_equal(enclose_unbalanced_value(4 * C, a, b, 4 * eps, times_4, penalty), 4 * U, 29)
    order = [3, 0, 4, 1, 2]
    assert_equal(enclose_unbalanced_value(C[:, order], a, b[order], eps, rho, penalty), U, 29)
    halves = np.concatenate([a[:1] / 2, a[:1] / 2, a[1:], [0.0]])
    split = np.concatenate([C[[0, 0, 1, 2, 3]], np.ones((1, 5))])
    assert_equal(enclose_unbalanced_value(split, halves, b, eps, rho, penalty), U, 29)


def test_points_without_mass_have_the_prox_of_the_softmin() -> None:
    C, a, b, eps = problem()
    a[2], b[0] = 0, 0
    found = enclose_unbalanced(C, a, b, eps, 0.5)
    f, g = found.potentials
    assert all(x == 0 for x in found.plan[2])
    assert all(row[0] == 0 for row in found.plan)
    softmin = -eps * sum((arb(b[j]) * ((g[j] - C[2, j]) / eps).exp() for j in range(1, 5)),
                         arb(0)).log()
    assert_equal(f[2], softmin * 0.5 / (0.5 + eps), 29)


def test_huge_rho_and_equal_masses_give_the_balanced_value() -> None:
    """F - U = O(1 / rho) under KL (U-9), and 0 under TV, where rho is above all potentials."""
    C = problem()[0]
    a, b, eps = np.array([1, 5, 6, 4]) / 16, np.array([3, 1, 2, 2, 8]) / 16, 0.125
    F = enclose_value(C, a, b, eps)
    assert_equal(enclose_unbalanced_value(C, a, b, eps, 1e3, "tv"), F, 29)
    assert_equal(enclose_unbalanced_value(C, a, b, eps, (INF, 1e3), "tv"), F, 29)
    off = [F - enclose_unbalanced_value(C, a, b, eps, rho) for rho in (1e3, 2e3, 1e5)]
    assert abs(off[0] / off[1] - 2) < 1e-2
    assert abs(off[0] / off[2] - 100) < 1


# ------------------------------------------------------------------ each proof by itself
@pytest.mark.parametrize(("penalty", "rho"), [s for s in SIDES if s[1] != (0.5, INF)
                                              and s[1] != (0.25, INF)])
@pytest.mark.parametrize("size", [1e-9, 1e-2, 1.0])
def test_any_potentials_prove_what_is_true(penalty: str, rho: Any, size: float) -> None:
    """U, the plan and the optimal g are in the balls of potentials that are far from optimal, and
    the balls shrink with the distance."""
    C, a, b, eps = problem()
    p = in_balls(C, a, b, eps, rho, penalty)
    best = half_step(p, annealed(p))
    rng = np.random.default_rng(1)
    g = [x + size * float(t) for x, t in zip(best.g, rng.normal(size=5), strict=True)]
    limit = p.columns.limit
    h = half_step(p, g if limit is None else [x.min(limit).max(-limit) for x in g])
    true = enclose_unbalanced(C, a, b, eps, rho, penalty, digits=60)
    assert dual(p, h) <= true.value <= primal(p, h)
    assert value(p, h).contains(true.value)
    for ball, x in zip(leaves(plan(p, h)), leaves(true.plan), strict=True):
        assert ball.contains(x)
    if size < 1e-6:
        assert value(p, h).rad() < (1e-7 if penalty == "tv" else 1e-13)
        assert max(x.rad() for x in leaves(plan(p, h))) < 1e-3
    if penalty == "kl":
        for ball, x in zip(potential(p, h), true.potentials[1], strict=True):
            assert ball.contains(x)
            assert ball.rad() < 1e3 * size


def test_under_tv_a_potential_below_minus_rho_proves_nothing() -> None:
    """The dual is -infinity there, and above rho it does not grow."""
    C, a, b, eps = problem()
    p = in_balls(C, a, b, eps, 0.25, "tv")
    assert not dual(p, half_step(p, vector([-1.0, 0, 0, 0, 0]))).is_finite()
    true = enclose_unbalanced_value(C, a, b, eps, 0.25, "tv")
    h = half_step(p, vector([9.0] * 5))
    assert dual(p, h) <= true <= primal(p, h)


def test_a_gap_bounds_the_plan_as_the_bregman_divergence_says() -> None:
    """x - 1 - log x <= t implies |x - 1| <= t + sqrt(t^2 + 2t), the inequality of `plan`."""
    for x in (1e-9, 0.1, 0.9, 1 - 1e-6, 1 + 1e-6, 1.5, 40.0):
        t = arb(x) - 1 - arb(x).log()
        assert abs(arb(x) - 1) <= t + (t**2 + 2 * t).sqrt()


# ------------------------------------------------------------------ hard problems, digits
HARD = [(n, m, masses, share, rho)
        for n, m, masses in ((5, 3, (1e-6, 1e6)), (6, 7, (1.0, 1.0)))
        for share in (1e-3, 10.0) for rho in (1e-4, 1e6)]


@pytest.mark.parametrize(("n", "m", "masses", "share", "rho"), HARD)
@pytest.mark.parametrize("penalty", ["kl", "tv"])
def test_hard_problems_have_their_digits(
    n: int, m: int, masses: tuple[float, float], share: float, rho: float, penalty: str
) -> None:
    """eps as a share of max C, rho in units of eps; masses apart by 1e12."""
    rng = np.random.default_rng(n)
    C = rng.uniform(size=(n, m))
    a, b = (mass * rng.dirichlet(np.ones(k)) for mass, k in zip(masses, (n, m), strict=True))
    found = enclose_unbalanced(C, a, b, share, rho * share, penalty)
    unit, largest = arb(10) ** -30, max(x.mid() for x in leaves(found.plan))
    assert found.value.rad() <= unit * found.value
    assert found.mass.rad() <= unit * found.mass
    assert all(x.rad() <= unit * (x if penalty == "kl" else largest) for x in leaves(found.plan))
    if penalty == "kl":
        potentials = leaves(found.potentials)
        largest = max(abs(x.mid()) for x in potentials)
        assert all(x.rad() <= unit * largest for x in potentials)


@pytest.mark.parametrize(("penalty", "rho"), SIDES)
def test_more_digits_lie_within_fewer(penalty: str, rho: Any) -> None:
    C, a, b, eps = problem()
    few, many = (enclose_unbalanced(C, a, b, eps, rho, penalty, digits) for digits in (5, 60))
    assert many.value.rad() <= arb(10) ** -60 * many.value
    assert few.value.contains(many.value)
    for x, y in zip(leaves(few.plan), leaves(many.plan), strict=True):
        assert x.contains(y)


@pytest.mark.slow
@pytest.mark.parametrize("penalty", ["kl", "tv"])
def test_sixty_four_points_a_side(penalty: str) -> None:
    C, a, b, _ = problem(64, 64)
    for share, rho in itertools.product((0.1, 1e-3), (1.0, 1e3)):
        found = enclose_unbalanced(C, a, b, share, rho * share, penalty)
        assert found.value.rad() <= arb(10) ** -30 * found.value


@pytest.mark.parametrize(("penalty", "rho"), SIDES)
def test_the_plain_iteration_comes_to_the_same(penalty: str, rho: Any) -> None:
    """U-3 in float64, written out: f = prox(softmin(g)), then g."""
    C, a, b, eps = problem()
    pair = rho if isinstance(rho, tuple) else (rho, rho)

    def prox(s: Any, r: float) -> Any:
        if r == INF:
            return s
        return r / (r + eps) * s if penalty == "kl" else np.clip(s, -r, r)

    g = np.zeros(5)
    for _ in range(4000):
        f = prox(-eps * np.log(np.exp((g - C) / eps) @ b), pair[0])
        g = prox(-eps * np.log(a @ np.exp((f[:, None] - C) / eps)), pair[1])
    P = a[:, None] * b * np.exp((f[:, None] + g - C) / eps)
    found = enclose_unbalanced(C, a, b, eps, rho, penalty)
    assert abs(P - np.array([[float(x) for x in row] for row in found.plan])).max() < 1e-10


def test_points_have_their_exact_cost() -> None:
    rng = np.random.default_rng(2)
    x, y = (np.round(8 * rng.normal(size=(k, 2))) / 8 for k in (3, 4))
    a, b = np.ones(3), np.ones(4)
    points: UnbalancedEnclosure = enclose_unbalanced_points(x, a, y, b, 0.5, 1.0)
    C = ((x[:, None] - y) ** 2).sum(axis=2)
    assert_equal(points.value, enclose_unbalanced_value(C, a, b, 0.5, 1.0))


@pytest.mark.parametrize("penalty", ["kl", "tv"])
def test_an_enclosure_survives_a_pickle(penalty: str) -> None:
    """Midpoints exactly, radii to 2^-28 of themselves; None stays None."""
    C, a, b, eps = problem()
    found = enclose_unbalanced(C, a, b, eps, 0.5, penalty)
    again = pickle.loads(pickle.dumps(found))
    assert (again.f is None) == (penalty == "tv")
    for x, y in zip(leaves([found.value, *found.plan]), leaves([again.value, *again.plan]),
                    strict=True):
        assert x.mid() == y.mid()
        assert y.contains(x)


# ------------------------------------------------------------------ refusals
@pytest.mark.parametrize(("changed", "error", "message"), [
    ({"rho": 0.0}, InputError, "^rho: 0"),
    ({"rho": -1.0}, InputError, "^rho: -1"),
    ({"rho": math.nan}, InputError, "^rho: nan"),
    ({"rho": (1.0, 0.0)}, InputError, "^rho: 0"),
    ({"rho": (1.0, 1.0, 1.0)}, InputError, "^rho: 3 numbers"),
    ({"rho": INF}, InputError, "^b: a total of 2.0"),
    ({"rho": INF, "b": [1.5]}, InputError, "^rho: inf on both sides"),
    ({"penalty": "l2"}, UnknownNameError, "^penalty: 'l2'"),
    ({"a": [0.0, 0.0]}, InputError, "^a: a total of 0"),
    ({"b": [-1.0]}, InputError, "^b: "),
    ({"C": [[INF], [0.0]]}, InputError, "^C: inf"),
    ({"digits": 4000}, EnclosureError, "^digits: too many"),
    ({"C": np.zeros((300, 1)), "a": np.ones(300)}, EnclosureError, "^C: shape"),
])
def test_what_cannot_be_enclosed_is_refused(
    changed: dict[str, Any], error: type[Exception], message: str
) -> None:
    given = {"C": [[1.0], [0.5]], "a": [1.0, 0.5], "b": [2.0], "eps": 0.5, "rho": 1.0}
    with pytest.raises(error, match=message):
        enclose_unbalanced(**(given | changed))


def test_total_variation_has_no_potentials() -> None:
    with pytest.raises(EnclosureError, match="more than one pair"):
        _ = enclose_unbalanced([[1.0]], [1.0], [1.0], 0.5, 1.0, "tv").potentials
