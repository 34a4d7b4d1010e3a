"""Every backend that is present computes what the NumPy backend does, on generated problems.

The reference is the NumPy backend on the same inputs one precision up (float32 in float64, float64
in the longest float of the machine), so what is measured is the other backend's own rounding.

Tolerances, with u the unit roundoff of the cost's dtype. A cost is a scaled sum over d coordinates:
an error of (d + 3) u |C|, |C| the sum of its terms' absolute values (of -x.y more than its own).
F + G - C adds 2 u of its operands, 1 / eps another u of the exponent. So
- softmin: (d + 6) u (max|h| + max |C|) for the exponents, and for the sum of m exponentials, each
  right to 1.3 ulp, and its logarithm: 32 u (1 + log m) eps;
- an entry of the plan: relative error exp(e) - 1, e = (d + 6) u (max|F| + max|G| + max|C|) / eps
  + 32 u, the 32 for the exponential and the sum over j. Sums are compared with e times the sum of
  their terms' absolute values, and what underflows is allowed for.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from refot.backend_contract import DirectionSolver, backend_status, get_backend
from refot.backends.numpy.backend import NumpyBackend
from refot.costs.ground import GROUND_COSTS, POINT_COSTS
from refot.costs.operands import Cost, DenseCost, PointCost, point_cost
from refot.solvers.newton_cg import conjugate_gradients
from refot.sorted_cost import sorted_cost

REFERENCE = NumpyBackend()
OTHERS = [s.name for s in backend_status() if s.available and s.name != "numpy"]
WIDER = {np.float32: np.float64, np.float64: np.longdouble}

every_backend = pytest.mark.parametrize("name", OTHERS)
both_precisions = pytest.mark.parametrize("dtype", [np.float64, np.float32])


@dataclass(frozen=True)
class Problem:
    """A cost, potentials with -inf where a weight is 0, an eps, and V; all of one dtype."""

    C: Cost
    F: Any
    G: Any
    eps: float
    V: Any

    @property
    def dtype(self) -> Any:
        return self.G.dtype.type

    def converted(self, convert: Callable[[Any], Any]) -> Problem:
        return Problem(self.C.with_arrays(convert), convert(self.F), convert(self.G), self.eps,
                       convert(self.V))

    @property
    def reference(self) -> Problem:
        return self.converted(lambda array: np.asarray(array, WIDER[self.dtype]))

    @property
    def exponent_error(self) -> float:
        """(d + 6) u times the largest operands, in cost units."""
        d = self.C.x.shape[1] if isinstance(self.C, PointCost) else 0
        size = absolute_cost(self.C).max() + sum(finite_max(h) for h in (self.F, self.G))
        return (d + 6) * unit(self.dtype) * float(size)

    @property
    def entry_error(self) -> float:
        """The relative error allowed for an entry of the plan and for a sum of entries."""
        return float(np.expm1(self.exponent_error / self.eps + 32 * unit(self.dtype)))

    def underflow(self, largest_factor: Any) -> float:
        """What entries that underflow may add up to, each times at most `largest_factor`."""
        m = self.C.shape[1]
        return 2 * m * float(np.finfo(self.dtype).tiny) * float(largest_factor)


def absolute_cost(C: Cost) -> Any:
    """The sum of the absolute values of the terms of each cost, (n, m)."""
    if isinstance(C, PointCost) and C.ground.name == "dot":
        C = C.with_arrays(abs)
    return abs(C.dense())


def unit(dtype: Any) -> float:
    return float(np.finfo(dtype).eps) / 2


def finite_max(h: Any) -> float:
    """max|h| over the points that carry mass; 0 where none does."""
    return float(abs(h[np.isfinite(h)]).max(initial=0))


@st.composite
def problems(draw: st.DrawFn, dtype: Any, dense: bool | None = None) -> Problem:
    """Sizes around those of a tile and of a block, all costs, duplicates, offsets, zero weights.

    F = softmin of G, so that the entries of the plan are at most 1: rows of a conditional law.
    """
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    n, m = draw(st.sampled_from([1, 2, 5, 8, 33, 70])), draw(st.sampled_from([1, 3, 64, 700, 1025]))
    d = draw(st.sampled_from([1, 2, 3, 5, 17, 64])) if n <= 8 else draw(st.sampled_from([1, 2, 3]))
    x, y = rng.normal(size=(n, d)), rng.normal(size=(m, d))
    if draw(st.booleans()):  # points that coincide, within y and between x and y
        y[rng.random(m) < 0.5] = y[0]
        x[rng.random(n) < 0.5] = y[0]
    offset = draw(st.sampled_from([0.0, 1e4]))
    name, scale = draw(st.sampled_from(sorted(POINT_COSTS))), draw(st.sampled_from([1.0, 0.37]))
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
    return Problem(C, F, G, eps, V)


def computed(name: str, problem: Problem) -> tuple[Any, Problem]:
    """The backend of that name, and the problem with its arrays moved to it."""
    backend = get_backend(name)
    return backend, problem.converted(backend.asarray)


def assert_within(got: Any, want: Any, bound: Any) -> None:
    """|got - want| <= bound, entry by entry; equal where want is infinite."""
    got, want = np.asarray(got, np.longdouble), np.asarray(want, np.longdouble)
    assert got.shape == want.shape
    finite = np.isfinite(want)
    np.testing.assert_array_equal(got[~finite], want[~finite])
    excess = abs(got - want)[finite] - np.broadcast_to(bound, want.shape)[finite]
    assert excess.max(initial=-np.inf) <= 0


@every_backend
@both_precisions
@given(data=st.data())
def test_softmin(name: str, dtype: Any, data: st.DataObject) -> None:
    problem = data.draw(problems(dtype))
    backend, p = computed(name, problem)
    guess = data.draw(st.sampled_from([None, 0.0, 7.0, -7.0, np.nan]))
    shift = None if guess is None else backend.asarray(problem.F + dtype(guess * problem.eps))
    got = backend.to_numpy(backend.softmin(p.C, p.G, p.eps, shift))
    r = problem.reference
    want = REFERENCE.softmin(r.C, r.G, r.eps)
    rounding = 32 * unit(dtype) * (1 + np.log(problem.C.shape[1])) * problem.eps
    assert got.dtype == dtype
    assert_within(got, want, problem.exponent_error + rounding)


@every_backend
@both_precisions
@given(data=st.data())
def test_plan_apply(name: str, dtype: Any, data: st.DataObject) -> None:
    problem = data.draw(problems(dtype))
    backend, p = computed(name, problem)
    got = backend.to_numpy(backend.plan_apply(p.C, p.F, p.G, p.eps, p.V))
    r = problem.reference
    want = REFERENCE.plan_apply(r.C, r.F, r.G, r.eps, r.V)
    absolute = REFERENCE.plan_apply(r.C, r.F, r.G, r.eps, abs(r.V))
    assert got.dtype == dtype
    assert_within(got, want, problem.entry_error * absolute + problem.underflow(abs(r.V).max()))
    assert (got[np.isneginf(problem.F)] == 0).all()  # a point without mass sends none


@every_backend
@both_precisions
@given(data=st.data())
def test_marginals(name: str, dtype: Any, data: st.DataObject) -> None:
    problem = data.draw(problems(dtype))
    backend, p = computed(name, problem)
    r = problem.reference
    (n, m), wanted = problem.C.shape, REFERENCE.marginals(r.C, r.F, r.G, r.eps)
    found = map(backend.to_numpy, backend.marginals(p.C, p.F, p.G, p.eps))
    for got, want, terms in zip(found, wanted, (m, n), strict=True):
        rounding = problem.entry_error + terms * unit(dtype)  # blocks of columns one by one
        assert got.dtype == dtype
        assert_within(got, want, rounding * want + max(n, m) * problem.underflow(1))


@every_backend
@both_precisions
@given(data=st.data())
def test_plan_cost(name: str, dtype: Any, data: st.DataObject) -> None:
    problem = data.draw(problems(dtype))
    backend, p = computed(name, problem)
    got = backend.plan_cost(p.C, p.F, p.G, p.eps)
    r = problem.reference
    want = float(REFERENCE.plan_cost(r.C, r.F, r.G, r.eps))
    sizes = absolute_cost(r.C)
    absolute = float((np.exp((r.F[:, None] + r.G - r.C.dense()) / r.eps) * sizes).sum())
    assert isinstance(got, float)
    largest = problem.C.shape[0] * sizes.max()
    assert_within(got, want, problem.entry_error * absolute + problem.underflow(largest))


@every_backend
@both_precisions
@given(data=st.data())
def test_plan_cost_gradient(name: str, dtype: Any, data: st.DataObject) -> None:
    problem = data.draw(problems(dtype, dense=False))
    backend, p = computed(name, problem)
    got = backend.to_numpy(backend.plan_cost_gradient(p.C, p.F, p.G, p.eps))
    r = problem.reference
    want = REFERENCE.plan_cost_gradient(r.C, r.F, r.G, r.eps)
    slopes = abs(r.C.gradient_rows(slice(None)))
    P = np.exp((r.F[:, None] + r.G - r.C.dense()) / r.eps)
    assert got.dtype == dtype
    bound = problem.entry_error * np.einsum("ij,ijd->id", P, slopes)
    assert_within(got, want, bound + problem.underflow(slopes.max()))


@every_backend
@both_precisions
@given(data=st.data())
def test_plan_entries(name: str, dtype: Any, data: st.DataObject) -> None:
    """The entries above `least` and no others, but for those within rounding of it."""
    problem, least = data.draw(problems(dtype)), data.draw(st.sampled_from([1e-12, 1e-5, 0.3]))
    backend, p = computed(name, problem)
    n, m = problem.C.shape
    found = backend.plan_entries(p.C, p.F, p.G, p.eps, least, n * m)
    assert found is not None
    values, columns, starts = (backend.to_numpy(array) for array in found)
    assert values.dtype == dtype
    rows = np.repeat(np.arange(n), np.diff(starts))
    assert len(set(zip(rows, columns, strict=True))) == values.size == starts[-1]
    got = np.zeros((n, m), dtype)
    got[rows, columns] = values
    r = problem.reference
    P = np.exp((r.F[:, None] + r.G - r.C.dense()) / r.eps)
    kept, error = got > 0, problem.entry_error
    assert_within(got[kept], P[kept], error * P[kept])
    assert (kept | (least * (1 + error) >= P)).all()
    assert (~kept | (P * (1 + error) >= least)).all()
    if starts[-1] > 0:
        assert backend.plan_entries(p.C, p.F, p.G, p.eps, least, int(starts[-1]) - 1) is None


@every_backend
@both_precisions
@given(data=st.data())
def test_gibbs(name: str, dtype: Any, data: st.DataObject) -> None:
    """Each entry is right as one of a plan is; in float32, rounded to it; none below `least`, which
    may come as exp(log least): |log least| u of it."""
    problem, least = data.draw(problems(dtype)), data.draw(st.sampled_from([2e-38, 1e-5]))
    kept = data.draw(st.sampled_from([dtype, np.float32]))
    backend, p = computed(name, problem)
    K = backend.asarray(np.full(problem.C.shape, np.nan, kept))
    backend.gibbs(p.C, p.F, p.G, p.eps, least, K)
    r = problem.reference
    P = np.exp((r.F[:, None] + r.G - r.C.dense()) / r.eps)
    raised = (abs(np.log(least)) + 2) * unit(dtype)
    error = problem.entry_error + 2 * unit(kept) + np.where(least >= P, raised, 0)
    assert_within(backend.to_numpy(K), np.maximum(P, least), error * np.maximum(P, least))


@every_backend
@both_precisions
@given(data=st.data())
def test_sweep(name: str, dtype: Any, data: st.DataObject) -> None:
    """(K v, K'u), u = s / (K v)^w, of any size: m sums of n positive terms; a power of r errs by
    w times what r does. K in float32 is taken as it is."""
    rng = np.random.default_rng(data.draw(st.integers(0, 2**32 - 1)))
    n, m = data.draw(st.integers(1, 40)), data.draw(st.integers(1, 40))
    kept = data.draw(st.sampled_from([dtype, np.float32]))
    w = data.draw(st.sampled_from([1.0, 1.7, -1.0]))
    K = np.exp(rng.uniform(-20, 3, (n, m))).astype(kept)
    v, s = (np.exp(rng.uniform(-3, 3, size)).astype(dtype) for size in (m, n))
    v[rng.random(m) < 0.2], s[rng.random(n) < 0.2] = 0, 0
    v[rng.integers(m)] = 1
    backend = get_backend(name)
    got = backend.sweep(*map(backend.asarray, (K, v, s)), w)
    wider = WIDER[dtype]
    rows = K.astype(wider) @ v.astype(wider)
    columns = (s / rows**w) @ K.astype(wider)
    rounding = unit(dtype if backend.xp is np else kept) * (n + 2 * m + 8)
    for found, want in zip(got, (rows, columns), strict=True):
        assert_within(backend.to_numpy(found), want, rounding * want)


@every_backend
@both_precisions
@given(data=st.data())
def test_sparse_sweep(name: str, dtype: Any, data: st.DataObject) -> None:
    """The same as with the matrix, of a K with an entry at least in each row."""
    rng = np.random.default_rng(data.draw(st.integers(0, 2**32 - 1)))
    n, m = data.draw(st.integers(1, 40)), data.draw(st.integers(1, 40))
    w = data.draw(st.sampled_from([1.0, 1.7, -1.0, 0.0]))
    K = np.exp(rng.uniform(-20, 3, (n, m))) * (rng.random((n, m)) < 0.3)
    K[np.arange(n), rng.integers(m, size=n)] = 1
    K = K.astype(dtype)
    v, s = (np.exp(rng.uniform(-3, 3, size)).astype(dtype) for size in (m, n))
    rows, columns = K.nonzero()
    starts = np.searchsorted(rows, np.arange(n + 1))
    backend = get_backend(name)
    entries = tuple(map(backend.asarray, (K[rows, columns], columns.astype(np.int32), starts)))
    got = backend.sweep(entries, backend.asarray(v), backend.asarray(s), w)
    wider = WIDER[dtype]
    r = K.astype(wider) @ v.astype(wider)
    want = r, (s.astype(wider) * r**-w) @ K.astype(wider)
    for found, right in zip(got, want, strict=True):
        assert_within(backend.to_numpy(found), right, unit(dtype) * (n + 2 * m + 8) * right)


@pytest.mark.parametrize("name", [name for name in OTHERS
                                  if isinstance(get_backend(name), DirectionSolver)])
@given(seed=st.integers(0, 2**32 - 1), accuracy=st.sampled_from([0.1, 1e-6]))
def test_laplacian_solve(name: str, seed: int, accuracy: float) -> None:
    """Step for step the readable conjugate gradients, on a plan with a few entries a row."""
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
    """C.T is a view: softmin and plan_apply down the columns agree with a matrix of its own."""
    problem = data.draw(problems(dtype))
    backend, p = computed(name, problem)
    matrix = backend.asarray(np.ascontiguousarray(problem.C.T.dense()))
    massless = np.isneginf(problem.F).all()  # then there is nothing to sum over
    h = backend.asarray(np.zeros_like(problem.F) if massless else problem.F)
    view = backend.to_numpy(backend.softmin(p.C.T, h, p.eps))
    own = backend.to_numpy(backend.softmin(DenseCost(matrix), h, p.eps))
    rounding = 32 * unit(dtype) * (1 + np.log(problem.C.shape[0])) * problem.eps
    assert_within(view, own, 2 * (problem.exponent_error + rounding))
    ones = backend.asarray(np.ones((problem.C.shape[0], 1), dtype))
    columns = backend.to_numpy(backend.plan_apply(p.C.T, p.G, p.F, p.eps, ones))
    columns_own = backend.to_numpy(backend.plan_apply(DenseCost(matrix), p.G, p.F, p.eps, ones))
    assert_within(columns, columns_own,
                  2 * problem.entry_error * columns_own + problem.underflow(problem.C.shape[0]))
