"""Parity of a backend's operations with the NumPy backend's, on fixed cases.

The reference is the NumPy backend on the same inputs in a wider float: float64 for float32, the
machine's long double for float64. With u half the spacing of floats at 1, what is allowed is
- softmin: (d + 6) u (max|h| + max|C|) for the exponents (the cost is a sum over d coordinates), and
  32 u (1 + log m) eps for the sum of exponentials and its logarithm;
- plan_apply, marginals, plan_cost, plan_cost_gradient, gibbs: a relative error of every term of
  (d + 6) u (max|F| + max|G| + max|C|) / eps + 32 u, and what underflows;
- sweep, with a given K: n + 2 m + 8 roundings of positive sums.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from refot.arrays import Array
from refot.backend_contract import Backend
from refot.backends.numpy.backend import NumpyBackend
from refot.costs.ground import POINT_COSTS
from refot.costs.operands import Cost, DenseCost, PointCost, point_cost

WIDER = {np.float32: np.float64, np.float64: np.longdouble}
REFERENCE = NumpyBackend()


@dataclass(frozen=True)
class ParityCase:
    """A cost, potentials (-inf where a weight is 0), eps and V, all of one dtype."""

    name: str
    C: Cost
    F: Array
    G: Array
    eps: float
    V: Array

    def on(self, convert: Any) -> ParityCase:
        """The case with its arrays converted."""
        return ParityCase(self.name, self.C.with_arrays(convert), convert(self.F), convert(self.G),
                          self.eps, convert(self.V))

    @property
    def d(self) -> int:
        """Coordinates; 0 for a matrix."""
        return self.C.x.shape[1] if isinstance(self.C, PointCost) else 0


@dataclass(frozen=True)
class ParityResult:
    """The largest error of one operation on one case: as it is, relative to the largest entry of
    the result in units of u, and as a share of what is allowed."""

    operation: str
    case: str
    dtype: str
    error: float
    relative_in_u: float
    share: float

    @property
    def passed(self) -> bool:
        """Whether the error is within what is allowed; NaN is not."""
        return self.share <= 1


def parity(backend: Backend) -> Iterator[ParityResult]:
    """Every operation of `backend` on every case, in float32 and float64."""
    for dtype in (np.float32, np.float64):
        for case in cases(dtype):
            yield from compared(backend, case)


def cases(dtype: Any) -> Iterator[ParityCase]:
    """All costs of points, matrices, d = 1 to 784, n and m from 1 to 3,000, offsets, tiny eps."""
    for cost in sorted(POINT_COSTS):
        for n, m, d in ((1, 700, 3), (333, 1, 1), (700, 1030, 2), (64, 3000, 5), (130, 257, 64)):
            for offset, eps in ((0.0, 0.05), (1e4, 0.05), (0.0, 1e-5)):
                yield _case(f"{cost} n={n} m={m} d={d} x+{offset:g}", n, m, d, cost, offset, eps,
                            dtype)
    yield _case("sqeuclidean n=40 m=60 d=784 x+0", 40, 60, 784, "sqeuclidean", 0.0, 0.05, dtype)
    points = _case("", 333, 450, 3, "l1", 0.0, 0.05, dtype)
    for name, M in (("matrix", points.C.dense() + dtype(1e4)),
                    ("matrix, transposed", np.asfortranarray(points.C.dense())),
                    ("matrix, every other column", np.repeat(points.C.dense(), 2, axis=1)[:, ::2])):
        yield ParityCase(f"{name} n=333 m=450", DenseCost(M), points.F, points.G, points.eps,
                         points.V)


def _case(name: str, n: int, m: int, d: int, cost: str, offset: float, eps: float,
          dtype: Any) -> ParityCase:
    rng = np.random.default_rng(n + m + d)
    x, y = rng.normal(size=(n, d)), rng.normal(size=(m, d))
    y[: m // 4] = x[0]  # points that coincide
    C = point_cost((x + offset).astype(dtype), (y + offset).astype(dtype), cost)
    spread = float(abs(C.dense()).max())
    G = (0.1 * spread * rng.normal(size=m)).astype(dtype)
    G[rng.random(m) < (0.2 if m > 1 else 0)] = -np.inf
    F = REFERENCE.softmin(C, G, eps * spread)  # so that no entry of the plan exceeds 1
    return ParityCase(f"{name} eps={eps:g} max C", C, F, G, eps * spread,
                      rng.normal(size=(m, 6)).astype(dtype))


def compared(backend: Backend, case: ParityCase) -> Iterator[ParityResult]:
    """The errors of the operations on one case."""
    dtype = case.G.dtype.type
    u, (_, m) = float(np.finfo(dtype).eps) / 2, case.C.shape
    p, r = case.on(backend.asarray), case.on(lambda array: np.asarray(array, WIDER[dtype]))
    C, sizes = r.C.dense(), _sizes(r.C)
    size = float(sizes.max()) + _largest(r.G)

    def result(operation: str, got: Any, want: Any, allowed: Any) -> ParityResult:
        errors = abs(np.asarray(got, WIDER[dtype]) - want)
        error, largest = float(errors.max()), float(abs(want).max()) or 1.0
        return ParityResult(operation, case.name, dtype.__name__, error, error / largest / u,
                            float((errors / allowed).max()))

    yield result("softmin", backend.to_numpy(backend.softmin(p.C, p.G, p.eps)),
                 REFERENCE.softmin(r.C, r.G, r.eps),
                 u * ((case.d + 6) * size + 32 * (1 + np.log(m)) * r.eps))
    P = np.exp((r.F[:, None] + r.G - C) / r.eps)
    term = np.expm1(u * ((case.d + 6) * (size + _largest(r.F)) / r.eps + 32))
    least = 2 * m * float(np.finfo(dtype).tiny)  # what may underflow
    yield result("plan_apply", backend.to_numpy(backend.plan_apply(p.C, p.F, p.G, p.eps, p.V)),
                 P @ r.V, term * (P @ abs(r.V)) + least)
    for side, got in enumerate(backend.marginals(p.C, p.F, p.G, p.eps)):
        sums = P.sum(axis=1 - side)
        yield result(f"marginals, {('rows', 'columns')[side]}", backend.to_numpy(got), sums,
                     (term + sum(P.shape) * u) * sums + sum(P.shape) * least)
    yield result("plan_cost", backend.plan_cost(p.C, p.F, p.G, p.eps), (P * C).sum(),
                 term * (P * sizes).sum() + least * size * len(C))
    if isinstance(p.C, PointCost) and isinstance(r.C, PointCost):
        slopes = r.C.gradient_rows(slice(None))
        got = backend.to_numpy(backend.plan_cost_gradient(p.C, p.F, p.G, p.eps))
        yield result("plan_cost_gradient", got, np.einsum("ij,ijd->id", P, slopes),
                     term * np.einsum("ij,ijd->id", P, abs(slopes)) + least * (1 + size))
    yield from _kernel_results(backend, p, P, term, result)


def _kernel_results(backend: Backend, p: ParityCase, P: Array, term: float, result: Any
                    ) -> Iterator[ParityResult]:
    """An absorbed kernel, and a sweep with it."""
    dtype = p.C.dtype.type
    lowest, u, (n, m) = 2e-38, float(np.finfo(dtype).eps) / 2, P.shape
    K = backend.xp.empty((n, m), dtype)
    backend.gibbs(p.C, p.F, p.G, p.eps, lowest, K)
    want = np.maximum(P, lowest)
    yield result("gibbs", backend.to_numpy(K), want, (term + 2 * u) * want)
    K = np.maximum(P, 1e-6).astype(dtype)
    v, s = np.linspace(0.5, 2, m).astype(dtype), np.linspace(0.5, 2, n).astype(dtype)
    rows = K.astype(P.dtype) @ v
    wanted = rows, (s / rows) @ K.astype(P.dtype)
    found = backend.sweep(backend.asarray(K), backend.asarray(v), backend.asarray(s), 1.0)
    for name, got, want in zip(("K v", "K'u"), found, wanted, strict=True):
        yield result(f"sweep, {name}", backend.to_numpy(got), want, (n + 2 * m + 8) * u * want)


def _sizes(C: Cost) -> Array:
    """The sum of the absolute values of the terms of each cost, (n, m)."""
    return C.sized_rows(slice(None))[1] if isinstance(C, PointCost) else abs(C.dense())


def _largest(potential: Array) -> float:
    return float(abs(potential[np.isfinite(potential)]).max())
