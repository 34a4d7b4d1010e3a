"""Every available backend computes what the NumPy backend does, on generated problems.

`refot.verification.parity` does the comparisons, and defines their tolerances.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from point_costs.tables import ON_BACKENDS

from refot.backend_contract import DirectionSolver, backend_status, get_backend
from refot.backends.numba.groups.ordered import sorted_cost
from refot.costs.ground import GROUND_COSTS
from refot.costs.operands import Cost, DenseCost, point_cost
from refot.solvers.newton_cg import conjugate_gradients
from refot.verification.parity import ParityProblem, Result, comparison
from refot.verification.parity.problems import REFERENCE

OTHERS = [s.name for s in backend_status() if s.available and s.name != "numpy"]

every_backend = pytest.mark.parametrize("name", OTHERS)
both_precisions = pytest.mark.parametrize("dtype", [np.float64, np.float32])


@st.composite
def problems(draw: st.DrawFn, dtype: Any, dense: bool | None = None) -> ParityProblem:
    """Sizes around those of a tile and of a block, all costs, duplicates, offsets, zero weights.

    F is the softmin of G, so that each row of the plan sums to 1.
    """
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    n, m = draw(st.sampled_from([1, 2, 5, 8, 33, 70])), draw(st.sampled_from([1, 3, 64, 700, 1025]))
    d = draw(st.sampled_from([1, 2, 3, 5, 17, 64])) if n <= 8 else draw(st.sampled_from([1, 2, 3]))
    x, y = rng.normal(size=(n, d)), rng.normal(size=(m, d))
    if draw(st.booleans()):  # points that coincide, within y and between x and y
        y[rng.random(m) < 0.5] = y[0]
        x[rng.random(n) < 0.5] = y[0]
    offset = draw(st.sampled_from([0.0, 1e4]))
    name, scale = draw(st.sampled_from(ON_BACKENDS)), draw(st.sampled_from([1.0, 0.37]))
    C: Cost = point_cost((x + offset).astype(dtype), (y + offset).astype(dtype), name, scale)
    if name in GROUND_COSTS and draw(st.booleans()):  # ordinary, but for a backend with groups
        C = sorted_cost(C)
    if draw(st.booleans()) if dense is None else dense:
        matrix = C.dense() + dtype(draw(st.sampled_from([0.0, 1e4])))
        C = DenseCost(np.asfortranarray(matrix) if draw(st.booleans()) else matrix)
    spread = float(abs(C.dense()).max()) or 1.0
    eps = spread * draw(st.sampled_from([1e-3, 1e-2, 0.3, 5.0, 1e6]))
    G = (rng.normal(size=m) * spread * draw(st.sampled_from([0.0, 0.1, 1.0]))).astype(dtype)
    F = REFERENCE.softmin(C, G, eps).astype(dtype)
    if draw(st.booleans()):
        massless = rng.random(m) < 0.3
        massless[rng.integers(m)] = False
        G[massless], F[rng.random(n) < 0.3] = -np.inf, -np.inf
    V = rng.normal(size=(m, draw(st.sampled_from([1, 2, 7])))).astype(dtype)
    return ParityProblem("generated", C, F, G, eps, V)


def assert_passed(results: Iterable[Result]) -> None:
    """None of the comparisons failed."""
    assert not [result for result in results if not result.passed]


@every_backend
@both_precisions
@given(data=st.data())
def test_softmin(name: str, dtype: Any, data: st.DataObject) -> None:
    """With any guess of the result, or none."""
    problem = data.draw(problems(dtype))
    guess = data.draw(st.sampled_from([None, 0.0, 7.0, -7.0, np.nan]))
    shift = None if guess is None else problem.F + dtype(guess * problem.eps)
    assert_passed(comparison.softmin(get_backend(name), problem, shift))


@every_backend
@both_precisions
@given(data=st.data())
def test_plan_apply(name: str, dtype: Any, data: st.DataObject) -> None:
    problem = data.draw(problems(dtype))
    backend = get_backend(name)
    assert_passed(comparison.plan_apply(backend, problem))
    p = problem.converted(backend.asarray)
    got = backend.to_numpy(backend.plan_apply(p.C, p.F, p.G, p.eps, p.V))
    assert (got[np.isneginf(problem.F)] == 0).all()  # a point without mass sends none


@every_backend
@both_precisions
@given(data=st.data())
def test_marginals(name: str, dtype: Any, data: st.DataObject) -> None:
    assert_passed(comparison.marginals(get_backend(name), data.draw(problems(dtype))))


@every_backend
@both_precisions
@given(data=st.data())
def test_plan_cost(name: str, dtype: Any, data: st.DataObject) -> None:
    assert_passed(comparison.plan_cost(get_backend(name), data.draw(problems(dtype))))


@every_backend
@both_precisions
@given(data=st.data())
def test_plan_cost_gradient(name: str, dtype: Any, data: st.DataObject) -> None:
    problem = data.draw(problems(dtype, dense=False))
    assert_passed(comparison.plan_cost_gradient(get_backend(name), problem))


@every_backend
@both_precisions
@given(data=st.data())
def test_plan_entries(name: str, dtype: Any, data: st.DataObject) -> None:
    problem, least = data.draw(problems(dtype)), data.draw(st.sampled_from([1e-12, 1e-5, 0.3]))
    assert_passed(comparison.plan_entries(get_backend(name), problem, least))


@every_backend
@both_precisions
@given(data=st.data())
def test_gibbs(name: str, dtype: Any, data: st.DataObject) -> None:
    problem, least = data.draw(problems(dtype)), data.draw(st.sampled_from([2e-38, 1e-5]))
    kept = data.draw(st.sampled_from([dtype, np.float32]))
    assert_passed(comparison.gibbs(get_backend(name), problem, least, kept))


@every_backend
@both_precisions
@given(data=st.data())
def test_sweep(name: str, dtype: Any, data: st.DataObject) -> None:
    """Sums of very different sizes, and weights that are 0. K may be in float32."""
    rng = np.random.default_rng(data.draw(st.integers(0, 2**32 - 1)))
    n, m = data.draw(st.integers(1, 40)), data.draw(st.integers(1, 40))
    kept = data.draw(st.sampled_from([dtype, np.float32]))
    w = data.draw(st.sampled_from([1.0, 1.7, -1.0]))
    K = np.exp(rng.uniform(-20, 3, (n, m))).astype(kept)
    v, s = (np.exp(rng.uniform(-3, 3, size)).astype(dtype) for size in (m, n))
    v[rng.random(m) < 0.2], s[rng.random(n) < 0.2] = 0, 0
    v[rng.integers(m)] = 1
    assert_passed(comparison.swept(get_backend(name), "generated", K, v, s, w))


@every_backend
@both_precisions
@given(data=st.data())
def test_sparse_sweep(name: str, dtype: Any, data: st.DataObject) -> None:
    """A sparse K gives the same as its matrix; each of its rows has at least one entry."""
    rng = np.random.default_rng(data.draw(st.integers(0, 2**32 - 1)))
    n, m = data.draw(st.integers(1, 40)), data.draw(st.integers(1, 40))
    w = data.draw(st.sampled_from([1.0, 1.7, -1.0, 0.0]))
    K = np.exp(rng.uniform(-20, 3, (n, m))) * (rng.random((n, m)) < 0.3)
    K[np.arange(n), rng.integers(m, size=n)] = 1
    v, s = (np.exp(rng.uniform(-3, 3, size)).astype(dtype) for size in (m, n))
    assert_passed(comparison.swept(get_backend(name), "generated", K.astype(dtype), v, s, w,
                                   sparse=True))


@pytest.mark.parametrize("name", [name for name in OTHERS
                                  if isinstance(get_backend(name), DirectionSolver)])
@given(seed=st.integers(0, 2**32 - 1), accuracy=st.sampled_from([0.1, 1e-6]))
def test_laplacian_solve(name: str, seed: int, accuracy: float) -> None:
    """The result of as many steps of the readable conjugate gradients, on a sparse plan."""
    rng = np.random.default_rng(seed)
    n, m = rng.integers(2, 30, size=2)
    P = rng.random((n, m)) * (rng.random((n, m)) < 0.3)
    P[np.arange(n), rng.integers(m, size=n)] = 1
    rows, columns = P.nonzero()
    entries = P[rows, columns], columns.astype(np.int32), np.searchsorted(rows, np.arange(n + 1))
    weights, diagonal = 1 / P.sum(axis=1), 1.01 * P.sum(axis=0) + 1e-3
    y = rng.normal(size=m)
    found = get_backend(name).laplacian_solve(entries, weights, diagonal, y, accuracy, 50)
    want = conjugate_gradients(lambda v: diagonal * v - P.T @ (weights * (P @ v)), y, diagonal,
                               accuracy, 50)
    residual = y - (diagonal * found - P.T @ (weights * (P @ found)))
    assert residual @ (residual / diagonal) <= (2 * accuracy)**2 * (y @ (y / diagonal))
    np.testing.assert_allclose(found, want, rtol=0, atol=1e-6 * abs(want).max())


@every_backend
@both_precisions
@given(data=st.data())
def test_transposed_operand(name: str, dtype: Any, data: st.DataObject) -> None:
    """C.T is a view: softmin and plan_apply go down the columns."""
    assert_passed(comparison.transposed(get_backend(name), data.draw(problems(dtype))))
