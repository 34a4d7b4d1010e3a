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
        assert kept(C) is C
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
    assert isinstance(kept(points(20, 64)), DenseCost)
    assert isinstance(kept(points(20, 3)), PointCost)


@pytest.mark.parametrize("offset", [0.0, 1e4])
def test_a_formed_cost_has_the_digits_of_the_differences(offset):
    """By a matrix product, and by differences where that would lose more than 4 bits: d = 40 terms,
    16 u each. Duplicate points cost exactly 0."""
    C = points(30, 40, offset=offset)
    C.y[:3] = C.x[:3]
    np.testing.assert_allclose(formed(C).matrix, C.dense(), rtol=16 * 42 * 2.0**-53)
    assert (formed(C).matrix.diagonal()[:3] == 0).all()
    scaled = C.scaled(0.25)
    np.testing.assert_allclose(formed(scaled).matrix, scaled.dense(), rtol=16 * 42 * 2.0**-53)


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
