"""Calls that compile the kernels ahead of time: `refot warm` runs them.

Numba compiles a kernel for the types of its arguments. So each operation is called with one small
problem for each combination of these types, which depend on the kind of cost, its dtype and the
dimension. Kernels are kept on disk, as after any first use.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from refot.backend_contract import Backend, DirectionSolver
from refot.costs.ground import DOT, SQEUCLIDEAN, PairCost
from refot.costs.operands import Cost, DenseCost, PointCost

from .costs import DIRECT, POINTS
from .groups.ordered import sorted_cost
from .products import PRODUCT_DIMENSION

SIZE = 256
"""Points on each side: enough to form groups of them."""

EPS = 0.1


def steps(on: Any, everything: bool) -> list[tuple[str, Callable[[], None]]]:
    """(what is compiled, the call that does so), for cost matrices and squared distances in
    float64 and float32; with `everything`, for every cost that has compiled code."""
    grounds: list[PairCost] = list(POINTS) if everything else [SQEUCLIDEAN]
    found: list[tuple[str, Callable[[], None]]] = []
    for dtype in (np.float64, np.float32):
        for name, C in _operands(grounds, dtype):
            found += [(f"{operation.__name__[1:]}, {name}, {np.dtype(dtype)}", _bound(
                operation, on, C)) for operation in OPERATIONS if _applies(operation, C)]
        found += [(f"{operation.__name__[1:]}, {np.dtype(dtype)}", _bound(
            operation, on, DenseCost(_points(2, dtype) @ _points(2, dtype).T)))
            for operation in OF_MATRICES]
    return found


def _bound(operation: Callable[[Any, Any], None], on: Any, C: Cost) -> Callable[[], None]:
    return lambda: operation(on, C)


def _points(d: int, dtype: Any) -> Any:
    return np.random.default_rng(d).random((SIZE, d)).astype(dtype)


def _operands(grounds: list[PairCost], dtype: Any) -> Iterator[tuple[str, Cost]]:
    """(in words, a cost) for every kind of cost that kernels are compiled for: a matrix, row-major
    and transposed; points, by dimension; sorted points."""
    x = _points(2, dtype)
    yield "a matrix", DenseCost(np.ascontiguousarray(x @ x.T))
    yield "a transposed matrix", DenseCost(np.ascontiguousarray(x @ x.T).T)
    for ground in grounds:
        for d in (*DIRECT, max(DIRECT) + 1, PRODUCT_DIMENSION):
            C = PointCost(_points(d, dtype), _points(d, dtype), ground)
            yield f"{ground.name} in {d} dimensions", C
            if d in DIRECT and ground != DOT:
                yield f"{ground.name} in {d} dimensions, by groups", sorted_cost(C)


# ------------------------------------------------------------------ the operations
def _softmin(on: Backend, C: Cost) -> None:
    on.softmin(C, np.zeros(SIZE, C.dtype), EPS)


def _plan_apply(on: Backend, C: Cost) -> None:
    on.plan_apply(C, *_potentials(C), EPS, np.ones((SIZE, 1), C.dtype))


def _marginals(on: Backend, C: Cost) -> None:
    on.marginals(C, *_potentials(C), EPS)


def _plan_cost(on: Backend, C: Cost) -> None:
    on.plan_cost(C, *_potentials(C), EPS)


def _plan_cost_gradient(on: Backend, C: Any) -> None:
    on.plan_cost_gradient(C, *_potentials(C), EPS)


def _plan_entries(on: Backend, C: Cost) -> None:
    on.plan_entries(C, *_potentials(C), EPS, 1e-9, SIZE**2)


def _gibbs(on: Backend, C: Cost) -> None:
    for dtype in {np.dtype(C.dtype), np.dtype(np.float32)}:
        on.gibbs(C, *_potentials(C), EPS, 1e-30, np.empty(C.shape, dtype))


OPERATIONS = (_softmin, _plan_apply, _marginals, _plan_cost, _plan_cost_gradient, _plan_entries,
              _gibbs)
"""The operations that take a cost."""


def _applies(operation: Callable[[Any, Any], None], C: Cost) -> bool:
    """Whether this operation compiles a kernel of its own for the cost C. Only points have
    gradients; sorted points have kernels of their own only where the operation forms groups."""
    if operation is _plan_cost_gradient:
        return type(C) is PointCost
    return type(C) in (DenseCost, PointCost) or operation in (_softmin, _plan_apply, _plan_entries)


def _sweep(on: Backend, C: DenseCost) -> None:
    on.sweep(np.ascontiguousarray(C.matrix), np.ones(SIZE), np.ones(SIZE), 1.0)


def _sparse_sweep(on: Backend, C: DenseCost) -> None:
    P = on.plan_entries(C, *_potentials(C), EPS, 1e-9, SIZE**2)
    assert P is not None
    on.sweep(P, np.ones(SIZE), np.ones(SIZE), 1.0)
    if isinstance(on, DirectionSolver):
        on.laplacian_solve(P, np.ones(SIZE), np.full(SIZE, 2.0), np.ones(SIZE), 0.5, 1)


def _solve_batch(on: Any, C: DenseCost) -> None:
    sizes = np.array([[4, 4, 0, 0, 0]])
    quarter, costs = np.full(4, 0.25), np.ascontiguousarray(C.matrix[:4, :4]).ravel()
    on.solve_batch(costs, sizes, quarter, quarter, np.array([EPS]), np.zeros(4), 1e-3, 1e-1, 2)


OF_MATRICES = (_sweep, _sparse_sweep, _solve_batch)
"""The operations that take a kernel or a plan in memory, or many small problems."""


def _potentials(C: Cost) -> tuple[Any, Any]:
    """F and G with which the entries of the plan neither overflow nor vanish."""
    return np.zeros(SIZE, C.dtype), np.full(SIZE, -1.0, C.dtype)
