"""The network simplex method finds what a linear programme finds, and goes on from there."""

from __future__ import annotations

import numpy as np
import pytest

from refot.backend_contract import FlowSolver, get_backend
from refot.backends.numba.flows import NetworkSimplex
from refot.limits.programme import LinearProgramme


def masses(rng, n, total):
    """n whole numbers > 0 of that sum, many of them equal: then many arcs empty together."""
    parts = rng.integers(1, 4, n)
    parts[0] += total - parts.sum()
    return parts


def solved(kind, supply, demand, penalty, *lists):
    """(cost, flow, f, g) after all lists of pairs, solved after each."""
    problem, costs = kind(supply, demand, penalty), np.empty(0)
    for rows, columns, new in lists:
        problem.add(rows, columns, new)
        for _ in problem.steps():
            pass
        costs = np.append(costs, new)
    return float(problem.flow @ costs), problem.flow, *problem.potentials


@pytest.mark.parametrize("seed", range(20))
def test_the_cheapest_flow_over_a_list_of_pairs(seed):
    """Costs are whole numbers, so that ties are frequent, and both answers exact."""
    rng = np.random.default_rng(seed)
    n, m = rng.integers(1, 14, 2)
    supply, demand = masses(rng, n, 64), masses(rng, m, 64)
    pairs = rng.permutation(n * m)
    rows, columns, costs = pairs // m, pairs % m, rng.integers(-5, 6, n * m).astype(float)
    half = n * m // 2
    lists = [(part_r, part_c, part) for part_r, part_c, part in zip(
        *(np.split(values, [half]) for values in (rows, columns, costs)), strict=True)]
    cost, flow, f, g = solved(NetworkSimplex, supply, demand, 50.0, *lists)
    assert cost == pytest.approx(solved(LinearProgramme, supply, demand, 50.0, *lists)[0], abs=1e-6)
    assert (np.bincount(rows, flow, n) == supply).all()
    assert (np.bincount(columns, flow, m) == demand).all()
    reduced = costs - f[rows] - g[columns]
    assert reduced.min() >= -1e-11
    assert abs(reduced[flow > 0]).max() <= 1e-11


def test_mass_without_a_way_is_left_behind_until_there_is_one():
    problem = NetworkSimplex(np.array([3, 1]), np.array([2, 2]), 10.0)
    problem.add(np.array([0]), np.array([0]), np.array([1.0]))
    assert list(problem.steps()) == []
    assert problem.flow.tolist() == [2]
    problem.add(np.array([0, 1]), np.array([1, 1]), np.array([1.0, 2.0]))
    assert list(problem.steps()) == []
    assert problem.flow.tolist() == [2, 1, 1]


def test_only_numba_has_a_solver_of_its_own():
    assert isinstance(get_backend("numba"), FlowSolver)
    assert not isinstance(get_backend("numpy"), FlowSolver)
