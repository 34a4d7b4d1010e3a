"""The memory budget: who sets it, what it refuses, what it keeps, and that costs stay the same."""

from __future__ import annotations

import itertools
import resource
import tracemalloc

import numpy as np
import pytest
from hypothesis import given
from strategies import clouds

import refot
from refot.backend_contract import formed_by, get_backend
from refot.costs.formed import formed
from refot.costs.operands import DenseCost, PointCost
from refot.problem import problem
from refot.solvers import METHODS
from refot.solvers.memory import (
    SHARE,
    MemoryBudgetError,
    budget,
    fits_matrix,
    free_memory,
    kept,
    within,
)

ON = get_backend("numpy")


def points(n, d, dtype=np.float64, offset=0.0):
    rng = np.random.default_rng(0)
    x, y = (rng.normal(size=(n, d)) + offset for _ in range(2))
    return refot.point_cost(x.astype(dtype), y.astype(dtype))


# ------------------------------------------------------------------ the budget
def test_without_a_word_it_is_a_share_of_what_is_free(monkeypatch):
    monkeypatch.delenv("REFOT_MEMORY", raising=False)
    assert budget() == pytest.approx(SHARE * free_memory(), rel=0.5)  # others run beside
    physical = 1024 * resource.getpagesize() * 2**20
    assert 2**20 < free_memory() < physical


@pytest.mark.parametrize(
    ("text", "size"), [("1000", 1000), ("2G", 2 * 10**9), ("1.5 MB", 1_500_000), ("7kb", 7000)])
def test_the_environment_sets_it(monkeypatch, text, size):
    monkeypatch.setenv("REFOT_MEMORY", text)
    assert budget() == size
    with within(123):  # the argument is stronger
        assert budget() == 123
    assert budget() == size


def test_the_argument_takes_the_same_sizes():
    with within("1.5 MB"):
        assert budget() == 1_500_000
    with pytest.raises(refot.InputError, match=r"memory: 'much'; allowed: bytes"):
        refot.solve([[1.0]], [1.0], [1.0], 1.0, memory="much")


@pytest.mark.parametrize("text", ["much", "-5", "0", "3X", "G"])
def test_a_size_that_is_none_is_refused(monkeypatch, text):
    monkeypatch.setenv("REFOT_MEMORY", text)
    with pytest.raises(refot.InputError, match="REFOT_MEMORY"):
        budget()


# ------------------------------------------------------------------ refused, kept, streamed
def test_a_budget_below_the_working_set_is_refused_before_any_work(backend):
    C, a = points(50, 2), np.full(50, 1 / 50)
    with pytest.raises(MemoryBudgetError, match=r"memory: a budget of 1,000 bytes; allowed: at le"):
        refot.solve(C, a, a, 0.1, memory=1000, backend=backend)


def test_without_room_for_a_matrix_a_solve_streams_to_the_same_answer(backend):
    """n = 600: a matrix takes 2.9 MB. `stabilised` needs two and says so; auto does without."""
    C, a = points(600, 20), np.full(600, 1 / 600)
    small = 32 * 8 * 1200 + 4 * 8 * 600**2 + 1
    with within(small // 8):
        assert not fits_matrix(C)
        assert kept(ON, C) is C
    wide = refot.solve(C, a, a, 5.0, tol=1e-8, backend=backend)
    tight = refot.solve(C, a, a, 5.0, tol=1e-8, memory=small, backend=backend)
    assert abs(tight.f - tight.f.mean() - wide.f + wide.f.mean()).max() < 1e-6


def test_the_stabilised_method_says_where_its_matrices_do_not_fit():
    C, a = points(3000, 2), np.full(3000, 1 / 3000)
    with pytest.raises(refot.InputError, match="stabilised"):
        refot.solve(C, a, a, 1.0, method="stabilised", memory=140_000_000)
    with pytest.raises(refot.InputError, match=r"'newton', which forms 4 matrices.*'newton-cg'"):
        refot.solve(C, a, a, 1.0, method="newton", memory="280M")


def test_many_dimensions_are_formed_and_few_are_not():
    assert isinstance(kept(ON, points(20, 64)), DenseCost)
    assert isinstance(kept(ON, points(20, 3)), PointCost)


@pytest.mark.parametrize("offset", [0.0, 1e4])
def test_a_formed_cost_has_the_digits_of_the_differences(backend, offset):
    """By a matrix product, and by differences where that would lose more than 4 bits: d = 40 terms,
    16 u each; or by differences alone. Duplicate points cost exactly 0."""
    C = points(30, 40, offset=offset)
    C.y[:3] = C.x[:3]
    got = formed_by(get_backend(backend), C).matrix
    np.testing.assert_allclose(got, C.dense(), rtol=16 * 42 * 2.0**-53)
    assert (got.diagonal()[:3] == 0).all()
    scaled = C.scaled(0.25)
    got = formed_by(get_backend(backend), scaled).matrix
    np.testing.assert_allclose(got, scaled.dense(), rtol=16 * 42 * 2.0**-53)


def test_a_backend_forms_more_points_than_it_takes_at_a_time():
    """1,030 columns: numba takes 1,024 of them at a time, and 8 rows."""
    x, y = points(11, 20).x, points(1030, 20).x
    C = refot.point_cost(x, y)
    found = formed_by(get_backend("numba"), C).matrix
    np.testing.assert_allclose(found, C.dense(), rtol=23 * 2.0**-53)


@given(clouds())
def test_other_costs_are_formed_as_they_stand(pair):
    C = refot.point_cost(pair.x, pair.y, pair.cost)
    assert (formed(C).matrix == C.dense()).all()


@pytest.mark.parametrize("method", ["sinkhorn", "overrelaxed", "newton-cg"])
def test_streaming_never_holds_a_matrix(monkeypatch, method):
    """n = m = 1,200: a matrix takes 11.5 MB; blocks of 2^14 entries and all else take 3 in all."""
    monkeypatch.setattr("refot.costs.operands.BLOCK_ELEMENTS", 1 << 14)
    C, a = points(1200, 2), np.full(1200, 1 / 1200)
    p = problem(C, a, a, 1.0, "numpy")
    tracemalloc.start()
    with within(100_000):
        for _ in itertools.islice(METHODS[method](p, np.zeros(1200)), 2):
            pass
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 3_000_000


# ------------------------------------------------------------------ a matrix that was asked for
FORMED = {
    "plan": lambda C, a, v: refot.plan(v, v, C, a, a, 1.0),
    "semi_dual_plan": lambda C, a, v: refot.semi_dual_plan(v, C, a, a, 1.0),
    "conditional": lambda C, a, v: refot.conditional(v, C, a, 1.0),
}


@pytest.mark.parametrize("name", FORMED)
def test_a_plan_takes_its_own_memory_and_two_blocks(monkeypatch, name):
    """n = m = 1,200: 11.5 MB, and blocks of 0.13 MB; four matrices were 46 MB."""
    monkeypatch.setattr("refot.costs.operands.BLOCK_ELEMENTS", 1 << 14)
    C, a, v = points(1200, 2), np.full(1200, 1 / 1200), np.zeros(1200)
    FORMED[name](C, a, v)  # loads a compiled kernel, which takes memory of its own
    tracemalloc.start()
    P = FORMED[name](C, a, v)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert P.nbytes == 8 * 1200**2
    assert peak < P.nbytes + 1_500_000  # the blocks, and what their formation takes


@pytest.mark.parametrize("name", FORMED)
def test_a_plan_beyond_the_budget_is_refused_before_any_work(monkeypatch, name):
    C, a, v = points(1200, 2), np.full(1200, 1 / 1200), np.zeros(1200)
    monkeypatch.setattr("refot.solvers.memory.BLOCK_ELEMENTS", 1 << 14)
    monkeypatch.setenv("REFOT_MEMORY", "11M")
    with pytest.raises(MemoryBudgetError, match="matrix of 1,200 x 1,200"):
        FORMED[name](C, a, v)
    monkeypatch.setenv("REFOT_MEMORY", "12M")
    assert FORMED[name](C, a, v).shape == (1200, 1200)


def test_without_a_budget_a_plan_may_take_what_is_free(monkeypatch):
    """A share is for solves; a matrix was asked for by name."""
    monkeypatch.delenv("REFOT_MEMORY", raising=False)
    C, a, v = points(100, 2), np.full(100, 0.01), np.zeros(100)
    monkeypatch.setattr("refot.solvers.memory.free_memory", lambda: 3 * 80_000)
    assert refot.plan(v, v, C, a, a, 1.0).shape == (100, 100)
    monkeypatch.setattr("refot.solvers.memory.free_memory", lambda: 3 * 80_000 - 1)
    with pytest.raises(MemoryBudgetError, match="what is free"):
        refot.plan(v, v, C, a, a, 1.0)


@pytest.mark.parametrize("cost", ["sqeuclidean", "dot"])
def test_points_whose_cost_overflows_are_refused_where_they_come_in(cost):
    """1e160 apart: |x - y|^2 is infinite, and a softmax of it NaN."""
    x = np.array([[0.0], [1e160]])
    with pytest.raises(refot.InputError, match=r"^x: costs up to inf between x and y; allowed: "):
        refot.conditional(np.zeros(2), refot.point_cost(x, x, cost), [0.5, 0.5], 1.0)
    near = refot.conditional(np.zeros(2), refot.point_cost(x, x, "l1"), [0.5, 0.5], 1.0)
    np.testing.assert_array_equal(near, np.eye(2))
