"""Many problems, checked together: their numbers one after the other in flat arrays.

To check a single problem takes tens of microseconds, as long as it takes to solve a small one. So
all of them are checked in one pass. Only where something is wrong is the check of a single problem
called, which raises the error; it names the problem: `a[3]`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np

from refot.arrays import (
    SUM_ROUNDINGS,
    Array,
    CostLike,
    InputError,
    ShapeError,
    TypeInputError,
    Weights,
    as_floating,
    as_positive,
    as_weights,
    largest,
    namespace,
    weight_tolerance,
)
from refot.backend_contract import Backend, BackendLike, backend_for
from refot.costs.forbidden import on_host, with_partners
from refot.costs.operands import (
    Cost,
    DenseCost,
    PointCost,
    as_cost,
    as_eps,
    size_bound,
    sized_matrix,
)
from refot.problem import Problem

ROWS, COLUMNS, COST_AT, ROW_AT, COLUMN_AT = range(5)
"""The columns of `Batch.sizes`."""


@dataclass(frozen=True)
class Batch:
    """Problems (C, a, b, eps), on a backend.

    `costs`, `a` and `b` are flat: those of all B problems one after the other. `sizes` (B, 5) holds
    for each problem n, m, and where it begins in `costs`, in `a` and in `b`. If all problems share
    one cost, `costs` holds it once, and each begins at 0. `operands` are the costs as `PointCost`s
    and `DenseCost`s; None where they were given as arrays.
    """

    costs: Array
    a: Array
    b: Array
    eps: Array
    sizes: Array
    backend: Backend
    operands: tuple[Cost, ...] | None

    def __len__(self) -> int:
        return len(self.sizes)

    @property
    def shared(self) -> bool:
        """Whether all problems have one cost."""
        return len(self) > 1 and self.sizes[1, COST_AT] == 0

    @property
    def shape(self) -> tuple[int, int] | None:
        """(n, m) where all problems have this shape, else None."""
        n, m = (int(size) for size in self.sizes[0, :2])
        return (n, m) if bool((self.sizes[:, :2] == (n, m)).all()) else None

    def rows(self, flat: Array, k: int) -> Array:
        """The part of problem k, (n,), in a flat array with the layout of `a`."""
        start = self.sizes[k, ROW_AT]
        return flat[start:start + self.sizes[k, ROWS]]

    def columns(self, flat: Array, k: int) -> Array:
        """The part of problem k, (m,), in a flat array with the layout of `b`."""
        start = self.sizes[k, COLUMN_AT]
        return flat[start:start + self.sizes[k, COLUMNS]]

    def cost(self, k: int) -> Cost:
        """The cost of problem k."""
        if self.operands is not None:
            return self.operands[0 if self.shared else k]
        n, m, start = (int(size) for size in self.sizes[k, :3])
        return DenseCost(self.costs[start:start + n * m].reshape(n, m))

    def problem(self, k: int) -> Problem:
        """Problem k."""
        return Problem(self.cost(k), self.rows(self.a, k), self.columns(self.b, k),
                       float(self.eps[k]), self.backend)


def batch(
    C: CostLike | Sequence[CostLike], a: Weights, b: Weights, eps: Any,
    backend: BackendLike = None, normalise: bool = False,
) -> Batch:
    """The arguments of `solve_batch`, checked. Raises InputError."""
    costs, shapes, operands, shared, size = _costs(C)
    number = _number(None if shared else len(shapes), a=a, b=b, eps=eps)
    sizes = _sizes(np.array(shapes * (number if shared else 1), np.int64), shared)
    on = backend_for(int((sizes[:, ROWS] * sizes[:, COLUMNS]).sum()), backend)
    rows, columns = (_weights(values, sizes[:, side], name, costs.dtype, normalise)
                     for values, side, name in ((a, ROWS, "a"), (b, COLUMNS, "b")))
    found = Batch(costs, rows, columns, np.zeros(number), sizes, on, operands)
    if not size < np.inf:
        size = max(float(costs.max()), -float(costs.min()))
    found = replace(found, eps=_eps(eps, found, size))
    if size == np.inf:
        found = _with_partners(found)
    return replace(found, costs=on.asarray(found.costs), a=on.asarray(found.a),
                   b=on.asarray(found.b), operands=None if found.operands is None else
                   tuple(cost.with_arrays(on.asarray) for cost in found.operands))


def batch_of(problems: Sequence[Problem]) -> Batch:
    """The batch of problems that are checked already, of one dtype and on one backend."""
    first = problems[0]
    xp = namespace(first.a)
    return Batch(_flat([p.C.dense() for p in problems]), xp.concatenate([p.a for p in problems]),
                 xp.concatenate([p.b for p in problems]), np.array([p.eps for p in problems]),
                 _sizes(np.array([p.C.shape for p in problems], np.int64), False), first.backend,
                 tuple(p.C for p in problems))


def potentials(given: Any, problems: Batch, side: int, name: str) -> Array:
    """Potentials of all problems, checked: flat, on the backend. `side` is ROWS for f, COLUMNS for
    g; `name` is for errors."""
    _number(len(problems), **{name: given})
    parts, dtype = _parts(given, len(problems), name), problems.costs.dtype
    flat = np.concatenate(parts).astype(dtype, copy=False)
    bound = largest(dtype) * min(float(problems.eps.min()), 1.0)
    if not _fit(parts, problems.sizes[:, side]) or not bool((abs(flat) <= bound).all()):
        check = Problem.row_potential if side == ROWS else Problem.column_potential
        flat = np.concatenate([on_host(check(problems.problem(k), part, f"{name}[{k}]"))
                               for k, part in enumerate(parts)])
    return problems.backend.asarray(flat)


# ------------------------------------------------------------------ the costs
class Costs(NamedTuple):
    """The costs of a batch."""

    flat: Array
    """All entries, problem after problem."""

    shapes: list[tuple[int, int]]
    operands: tuple[Cost, ...] | None
    """The costs as `PointCost`s and `DenseCost`s, where they were not given as arrays."""

    shared: bool
    """Whether all problems have this one cost."""

    size: float
    """An upper bound of |C| (`size_bound`), from the pass that checked the costs."""


def _costs(C: Any) -> Costs:
    """The costs, checked. Raises InputError."""
    if isinstance(C, PointCost | DenseCost):
        cost = as_cost(C)
        flat = cost.dense().reshape(-1)
        return Costs(flat, [cost.shape], (cost,), True, size_bound(flat))
    if isinstance(C, list | tuple) and any(hasattr(one, "shape") for one in C):
        return _costs_of_a_list(C)
    if isinstance(C, list | tuple) and C and isinstance(C[0], tuple):
        raise TypeInputError("C", "a list of tuples",
                             "an array; or a list of matrices, or of costs between points: "
                             "[refot.point_cost(x, y) for x, y in clouds]")
    stack, size = sized_matrix(C, ndim=(2, 3))
    number = 1 if stack.ndim == 2 else len(stack)
    return Costs(stack.reshape(-1), [stack.shape[-2:]] * number, None, stack.ndim == 2, size)


def _costs_of_a_list(C: Sequence[Any]) -> Costs:
    """The same for a list of matrices, `PointCost`s and `DenseCost`s. To save time, matrices of one
    dtype are checked together."""
    if all(type(one) is np.ndarray and one.ndim == 2 and one.dtype == C[0].dtype for one in C):
        with suppress(InputError):  # the checks one by one, below, name the matrix
            flat, size = sized_matrix(np.concatenate(C, axis=None), ndim=1)
            return Costs(flat, [one.shape for one in C], None, False, size)
    operands = tuple(_named(f"C[{k}]", as_cost, one) for k, one in enumerate(C))
    flat = _flat([one.dense() for one in operands])
    return Costs(flat, [one.shape for one in operands], operands, False, size_bound(flat))


def _flat(matrices: Sequence[Array]) -> Array:
    return namespace(matrices[0]).concatenate([matrix.reshape(-1) for matrix in matrices])


def _sizes(shapes: Array, shared: bool) -> Array:
    """`Batch.sizes` from the shapes (B, 2)."""
    lengths = np.stack([shapes[:, 0] * shapes[:, 1], shapes[:, 0], shapes[:, 1]], axis=1)
    starts = np.cumsum(lengths, axis=0) - lengths
    if shared:
        starts[:, 0] = 0
    return np.concatenate([shapes, starts], axis=1)


def _with_partners(problems: Batch) -> Batch:
    """The problems with the costs that `with_partners` returns for them. An atom all of whose pairs
    are forbidden is allowed if it has no mass; if it has some, InputError is raised."""
    ready = [_named(f"C[{k}]", with_partners, p.C, p.a, p.b)
             for k, p in ((k, problems.problem(k)) for k in range(len(problems)))]
    return replace(problems, costs=_flat([cost.dense() for cost in ready]), operands=None,
                   sizes=_sizes(problems.sizes[:, :2], False))


# ------------------------------------------------------------------ the rest
def _number(known: int | None, **others: Any) -> int:
    """The number of problems: `known`, and the lengths of the arguments `others` that have an entry
    for each problem. All must agree; 1 where there is none of these."""
    for name, values in others.items():
        found = _count(values, 1 if name == "eps" else 2)
        if found == 0:
            raise ShapeError(name, "for no problem", "at least one")
        if None not in (found, known) and found != known:
            raise ShapeError(name, f"for {found} problems", f"for {known}, as the others")
        known = known if found is None else found
    return 1 if known is None else known


def _count(values: Any, axes: int) -> int | None:
    """len(values) if `values` have an entry for each problem, which shows by their number of axes,
    `axes`; None if they have fewer, so that all problems share them."""
    if isinstance(values, list | tuple):
        each = axes == 1 or any(np.ndim(one) > 0 for one in values)
        return len(values) if each else None
    shape = getattr(values, "shape", ())
    return int(shape[0]) if isinstance(shape, tuple) and len(shape) == axes else None


def _parts(values: Any, number: int, name: str) -> list[Array]:
    """The vector of each problem."""
    if isinstance(values, list | tuple) and _count(values, 2) is not None:
        return [on_host(as_floating(one, f"{name}[{k}]", 1)) for k, one in enumerate(values)]
    vectors = on_host(as_floating(values, name, (1, 2)))
    return [vectors] * number if vectors.ndim == 1 else list(vectors)


def _fit(parts: list[Array], sizes: Array) -> bool:
    lengths: list[int] = sizes.tolist()
    return [len(part) for part in parts] == lengths


def _weights(values: Any, sizes: Array, name: str, dtype: Any, normalise: bool) -> Array:
    """The weights of all problems, flat, on the host, as `as_weights` returns them for each.
    `sizes` (B,) are their lengths."""
    if values is None:
        return np.repeat(1 / sizes, sizes).astype(dtype, copy=False)
    parts = _parts(values, len(sizes), name)
    flat = np.concatenate(parts)
    if _fit(parts, sizes) and bool((flat >= 0).all()):  # a NaN fails this too
        with np.errstate(over="ignore"):
            totals = np.add.reduceat(flat, np.cumsum(sizes) - sizes, dtype=np.float64)
        within = ((totals > 0) & (totals < np.inf) if normalise else
                  abs(totals - 1) <= weight_tolerance(flat.dtype))
        if bool(within.all()):
            rounded = abs(totals - 1) <= SUM_ROUNDINGS * float(np.finfo(dtype).epsneg)
            if not bool(rounded.all()):
                flat = flat / np.repeat(np.where(rounded, 1, totals), sizes)
            return flat.astype(dtype, copy=False)
    each = _count(values, 2) is not None
    return np.concatenate([as_weights(part, int(size), f"{name}[{k}]" if each else name, dtype,
                                      normalise)
                           for k, (part, size) in enumerate(zip(parts, sizes, strict=True))])


def _eps(eps: Any, problems: Batch, size: float) -> Array:
    """eps of each problem, (B,), checked. `size` is an upper bound of all |C|, sharp or not."""
    if _count(eps, 1) is None:
        each = np.full(len(problems), as_positive(eps, "eps"))
    else:
        each = on_host(as_floating(eps, "eps", 1)).astype(np.float64)
    costs, limits = problems.costs, np.finfo(problems.costs.dtype)
    least = max(float(limits.tiny), 8 * size / float(limits.max))
    if not bool(((each >= least) & (each <= largest(costs.dtype))).all()):
        for k, one in enumerate(each.tolist()):
            as_eps(one, problems.cost(k), "eps" if _count(eps, 1) is None else f"eps[{k}]")
    return each


def _named(name: str, check: Callable[..., Any], *arguments: Any) -> Any:
    """check(*arguments); an InputError of it is raised again with `name` as the argument's name."""
    try:
        return check(*arguments)
    except InputError as error:
        raise type(error)(name, error.found, error.allowed) from None
