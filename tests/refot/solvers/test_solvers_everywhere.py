"""The default method arrives on grids, smooth histograms and uneven weights of every kind; and
`converged` means every atom, however light.

`pytest --slow -s` draws 500 problems of either kind for each backend, and prints the counts.
"""

from __future__ import annotations

import math
import warnings

import numpy as np
import pytest
from solver_problems import dirichlet, gaussians, image, lognormal, smooth, uneven

import refot
from refot import ConvergenceWarning
from refot.problem import problem
from refot.solvers import METHODS
from refot.solvers.accuracy import accuracy, rounding_floor
from refot.verification.certificates.certify import certify

UNIT = 2.0**-53
ATOM = math.sqrt(1e-9)
"""What the default tol allows of |f - g^(c,eps)| / eps."""


def exponent_rounding(case, found):
    """What the rounding of an exponent (f + g - C) / eps may add to a distance of transforms."""
    C, _, _, eps = case
    size = abs(C.dense()).max() + abs(found.f).max() + abs(found.g).max()
    return 8 * UNIT * float(size / eps + 1500)  # log of a weight: 710 at most


def apart(case, found):
    """max |f - g^(c,eps)| / eps and |g - f^(c,eps)| / eps over all atoms, evaluated on NumPy."""
    C, a, b, eps = case
    f = refot.c_eps_transform(found.g, C, b, eps, backend="numpy")
    g = refot.c_eps_transform(found.f, C.T, a, eps, backend="numpy")
    return max(abs(found.f - f).max(), abs(found.g - g).max()) / eps


def ends_well(case, backend):
    """Whether the default converges, at the transforms on every atom, or, which it must say, stands
    at the stated floor, 16 u max|C| / eps."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        found = refot.solve(*case, backend=backend)
    C, _, _, eps = case
    if not found.converged:
        floor = 16 * UNIT * abs(C.dense()).max() / eps
        return "floor" if found.stopped_by == "rounding" and found.marginal_error <= floor else (
            f"{found.stopped_by}, {found.marginal_error:.1e}, {found.atom_error:.1e}")
    off = apart(case, found)
    return "converged" if off <= ATOM + exponent_rounding(case, found) else f"off by {off:.1e} eps"


def count(draw, seeds, backend):
    """How often each end was met; fails where one is neither of the two."""
    ends = {seed: ends_well(draw(seed), backend) for seed in seeds}
    assert {s: end for s, end in ends.items() if end not in ("converged", "floor")} == {}
    return f"{sum(end == 'converged' for end in ends.values())} of {len(ends)} converged"


@pytest.mark.parametrize("draw", [smooth, uneven])
def test_the_default_arrives_wherever_it_is_sent(backend, draw):
    """The seeds on which it stood still most often among the first 100, and others."""
    count(draw, (0, 28, 41, 42, 43, 45, 46, 69, 70, 71, 74, 81, 83, 97), backend)


@pytest.mark.slow
@pytest.mark.parametrize("draw", [smooth, uneven])
def test_the_default_arrives_on_five_hundred_problems(backend, draw):
    counted = count(draw, range(500), backend)
    print(f"\n{draw.__name__}, {backend}: {counted}; the rest at the floor")


def test_two_uniform_grids_on_a_line(backend):
    """20 and 21 points, eps = 3e-4 max C: the value is the certified one."""
    x, y = np.arange(20.0)[:, None], np.arange(21.0)[:, None]
    a, b = np.full(20, 1 / 20), np.full(21, 1 / 21)
    C = refot.point_cost(x, y)
    found = refot.solve(C, a, b, 0.1, backend=backend)
    assert found.converged
    judge = certify(C, a, b, 0.1, found.g).value
    value = refot.entropic_value(C, a, b, 0.1, backend=backend)
    assert 0.75 < judge.lower <= judge.upper < 0.76
    assert judge.lower - 1e-12 <= value <= judge.upper + 1e-12


@pytest.mark.parametrize(("case", "most"), [
    (dirichlet(0, 1e-3), 150),
    (dirichlet(1, 3e-4), 200),
    (lognormal(0, 700, 1e-3), 150),
    (lognormal(1, 600, 3e-4), 200),
    (image(28, 0.002, 1e-8), 100),
    (image(30, 0.002, 1e-12), 150),
    (gaussians(1e-3), 60),
    (gaussians(1e-5), 300),
    pytest.param(gaussians(1e-6), 450, marks=pytest.mark.slow),
], ids=["dirichlet", "dirichlet-small-eps", "lognormal", "lognormal-small-eps", "image",
        "image-dark", "gaussians", "gaussians-small-eps",
        "gaussians-tiny-eps"])
def test_uneven_weights_take_few_iterations(case, most):
    """About twice what they take: before, hundreds to thousands, and some never arrived."""
    found = refot.solve(*case, backend="numba", max_iter=most)
    assert found.converged
    assert apart(case, found) <= ATOM + exponent_rounding(case, found)


# ------------------------------------------------------------------ light atoms
def with_a_light_atom(weight):
    """20 x 18 points in space, of which the fourth on the right has this weight."""
    rng = np.random.default_rng(9)
    x, y = rng.normal(size=(20, 3)), rng.normal(size=(18, 3)) + 0.4
    b = rng.random(18)
    b[3] = weight
    return refot.point_cost(x, y), np.full(20, 1 / 20), b / b.sum(), 0.05


def extended_potentials(case):
    """(f, g) by 20,000 sweeps in extended precision: the reference for a light atom."""
    C, a, b, eps = case
    C, a, b = (np.asarray(x, np.longdouble) for x in (C.dense(), a, b))
    with np.errstate(divide="ignore"):
        log_a, log_b = np.log(a), np.log(b)
    g = np.zeros_like(b)
    for _ in range(20_000):
        f = -eps * _log_sum(log_b + (g - C) / eps)
        g_next = -eps * _log_sum(log_a + (f - C.T) / eps)
        done = abs(g_next - g).max() < 1e-17
        g = g_next
        if done:
            break
    return f, g


def _log_sum(A):
    most = A.max(axis=1)
    return most + np.log(np.exp(A - most[:, None]).sum(axis=1))


@pytest.mark.parametrize("weight", [1e-6, 1e-10, 1e-15, 1e-40, 1e-300, 0.0])
def test_the_potential_of_a_light_atom_is_right_with_every_method(backend, weight):
    case = with_a_light_atom(weight)
    _, _, b, eps = case
    _, g = extended_potentials(case)
    right = float(g[3] - b @ g)
    for method in sorted(METHODS):
        found = refot.solve(*case, method=method, backend=backend)
        assert found.converged, method
        assert found.atom_error <= ATOM
        assert apart(case, found) <= ATOM + exponent_rounding(case, found), method
        # g_3 is the transform of f to ATOM eps, and f to the error of the heavy atoms, whose
        # rates here are below .9: at most ten times what a transform shows
        assert abs(found.g[3] - b @ found.g - right) <= 11 * ATOM * eps, method
        if weight > 1e-290:
            column = refot.plan(found.f, found.g, *case, backend=backend)[:, 3].sum() / b[3]
            assert column == pytest.approx(1, rel=1.1 * ATOM)


def with_an_island(light):
    """Three points, and far away two more on either side, light, between which mass must cross a
    gap of 20 eps: nothing of it is in the marginal error."""
    C = np.full((5, 5), 9.0)
    C[:3, :3] = np.random.default_rng(0).random((3, 3))
    C[3:, 3:] = [[0, 1], [1, 0]]
    a, b = np.r_[0.2, 0.3, 0.5, light, 2 * light], np.r_[0.4, 0.4, 0.2, 1.6 * light, 1.4 * light]
    return refot.DenseCost(C), a / a.sum(), b / b.sum(), 0.05


@pytest.mark.parametrize("light", [1e-9, 1e-12, 1e-18, 1e-26, 1e-40])
def test_light_atoms_that_hang_on_light_atoms_are_solved_too(backend, light):
    case = with_an_island(light)
    found = refot.solve(*case, backend=backend)
    assert found.converged
    assert apart(case, found) <= ATOM + exponent_rounding(case, found)


def test_what_light_atoms_lack_is_told():
    """The mass is there, and a light atom is not: no convergence, and the warning says why."""
    case = with_an_island(1e-30)
    with pytest.warns(ConvergenceWarning, match=r"but a potential is .* eps from the transform"):
        found = refot.solve(*case, method="newton-cg")
    assert (found.converged, found.stopped_by) == (False, "stall")
    assert found.marginal_error <= found.tolerance
    assert found.atom_error > ATOM
    assert found.atom_error == pytest.approx(apart(case, found), rel=1e-6)


# ------------------------------------------------------------------ the floor, and the start
@pytest.mark.parametrize("method", ["auto", "newton-cg", "overrelaxed", "sinkhorn", "stabilised"])
def test_float32_ends_at_its_floor(backend, method):
    """In place of 10,000 iterations that gain nothing: and it is said."""
    rng = np.random.default_rng(0)
    x, y = (rng.normal(size=(n, 2)).astype(np.float32) for n in (8, 10))
    a, b = np.full(8, 1 / 8, np.float32), np.full(10, 1 / 10, np.float32)
    C = refot.point_cost(x, y)
    eps = float(0.1 * C.dense().max())
    with pytest.warns(ConvergenceWarning, match="stopped by rounding"):
        found = refot.solve(C, a, b, eps, method=method, tol=1e-9, backend=backend)
    assert found.iterations < 400
    assert found.marginal_error <= rounding_floor(problem(C, a, b, eps, "numpy"), found.f, found.g)


@pytest.mark.parametrize("method", sorted(METHODS))
@pytest.mark.parametrize("constant", [1e3, 1e6, 1e9, -1e12])
def test_a_start_is_taken_up_to_a_constant(method, constant):
    case = with_a_light_atom(1e-3)
    first = refot.solve(*case)
    for start in ({"g": first.g + constant}, {"f": first.f + constant}):
        found = refot.solve(*case, method=method, **start)
        assert found.converged
        assert abs(found.g).max() < 100


def test_plain_sweeps_take_a_start_up_to_a_constant():
    case = with_a_light_atom(1e-3)
    g = refot.solve(*case).g
    found = refot.sinkhorn_log(*case, g=g + 1e9)
    assert found.converged
    assert abs(found.g).max() < 100


def test_accuracy_is_that_of_the_worst_atom():
    """A potential moved by 3 eps at an atom of weight 1e-12: seen in one number, not the other."""
    case = with_a_light_atom(1e-12)
    p, found = problem(*case), refot.solve(*case, tol=1e-12)
    g = found.g.copy()
    g[3] += 3 * p.eps
    moved = accuracy(p, found.f, g)
    assert moved.marginal_error < 1e-9
    assert moved.atom_error == pytest.approx(3, abs=1e-5)
    g[3] = np.nan
    assert math.isnan(accuracy(p, found.f, g).atom_error)
    assert not accuracy(p, found.f, g).within(1.0)
