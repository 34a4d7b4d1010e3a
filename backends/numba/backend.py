"""The fast backend on the processor: the operations as compiled kernels on all its threads.

`refot.backend_contract.Backend` describes the operations and their letters; P is the plan. A kernel
is a compiled function here, except for the kernel K of `gibbs` and `sweep`, which is a matrix.

Memory is O(n + m): the matrix of a cost between points is never formed, and a cost that is a matrix
is read in place, row-major or transposed (any other layout is copied first). Results have the dtype
of the cost; potentials, V and eps are cast to it.

Each operation chooses its method by the cost. A transposed matrix is read down its columns
(`columns`). Points in many dimensions, and costs without compiled code, become blocks of a matrix
(`products`). Points that have been sorted (a `SortedCost`) are treated by groups of neighbours
(`groups`). Everything else is computed row by row (`plan`, `softmin`).

A kernel is compiled when it is first used with a ground cost and a dtype (some seconds), and kept
on disk for later processes: beside this file or, where that cannot be written, in the user's cache
folder (Numba's rule; NUMBA_CACHE_DIR moves it). NUMBA_NUM_THREADS sets the number of threads;
without it all processors are used.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from refot.arrays import Array, ShapeError, TypeInputError
from refot.backend_contract import BackendUnavailableError, Entries, FreeSweep, SweptBatch
from refot.backends.numpy.backend import NumpyArrays
from refot.backends.numpy.blocks import blocks, entries_by_blocks, plan_cost_gradient_by_blocks
from refot.costs.formed import DEAR_DIMENSION, FormedCost, formed, forming_error
from refot.costs.operands import Cost, DenseCost, PointCost

try:
    from . import columns, laplacian, sweeps, unbalanced, warm
    from . import plan as kernels
    from .batches import solve as batches
    from .costs import by_tiles, operand, row_by_tiles
    from .entries import entries
    from .flows import NetworkSimplex
    from .forming import form
    from .groups.choose import grouping
    from .groups.ordered import IN_GROUPS, SortedCost, in_order, left_out_share, series_pay
    from .launch import Launcher, one_thread
    from .products import by_blocks, cost_blocks, is_uncompiled
    from .rows import operations, plan_apply_in_order, softmin_by_rows
except ImportError as error:
    raise BackendUnavailableError(f"numba: {error}; pip install numba") from error

_run = Launcher()

COPIED_ELEMENTS = 1 << 22
"""Entries of a column-major matrix that `gibbs` copies to row-major at a time."""

ONE_THREAD = 1 << 18
"""For a sparse plan with at most this number of entries one thread is as fast as two. All steps of
conjugate gradients are then taken in one compiled call."""


class NumbaBackend(NumpyArrays):
    """NumPy arrays, compiled kernels on all processors."""

    name = "numba"
    one_thread = staticmethod(one_thread)

    def prepared(self, C: Cost, a: Array, b: Array) -> Cost:
        """C with its points sorted, so that neighbours form groups, where that saves time; else C.
        """
        return C if is_uncompiled(C) else in_order(C, a, b)

    def formed(self, C: PointCost) -> DenseCost:
        """C as a matrix (n, m)."""
        (n, m), d = C.shape, C.x.shape[1]
        if is_uncompiled(C) or d < DEAR_DIMENSION:
            return formed(C)
        out = np.empty((n, m), C.dtype)
        _run(n, operations(C), form, operand(C), m, out)
        return FormedCost(out, forming_error(C))

    def left_out(self, C: Cost) -> float:
        """The relative error that summing by groups may cause; 0 for points that are not sorted."""
        return IN_GROUPS * left_out_share(C.dtype) if isinstance(C, SortedCost) else 0.0

    def prefers_softmin(self, C: Cost, a: Array, b: Array, eps: float) -> bool:
        """Whether two softmins, by series between groups of points, take less time than one `sweep`
        with a matrix K in memory."""
        return series_pay(C, a, b, eps)

    def softmin(self, C: Cost, h: Array, eps: float, shift: Array | None = None) -> Array:
        """-eps log sum_j exp((h_j - C_ij) / eps), (n,); inf where every h_j is -inf. `shift` (n,),
        a guess of the result, saves the search for the number by which the exponents of each row
        are shifted."""
        (n, m), dtype = C.shape, C.dtype
        h, out = _vector(h, m, "h", dtype, copied=False), np.empty(n, dtype)
        guess = None if shift is None else _vector(shift, n, "shift", dtype)
        if not h.max() > -np.inf:
            out.fill(-h.max())  # NaN if h has a NaN, which is in every sum; inf if all h are -inf
        elif (M := _transposed(C)) is not None:
            _run(n, operations(C), columns.softmin_columns, M, h.copy(), float(eps),
                 _per_eps(eps, dtype), out, unit=64, most=columns.WIDTH)
        elif by_blocks(C):
            for rows, block in cost_blocks(C, _run):
                out[rows] = self.softmin(block, h, eps, None if guess is None else guess[rows])
        else:
            softmin_by_rows(C, h, eps, guess, _run, out)
        return out

    def plan_apply(self, C: Cost, F: Array, G: Array, eps: float, V: Array) -> Array:
        """P @ V with P_ij = exp((F_i + G_j - C_ij) / eps), (n, k) for V (m, k)."""
        (n, m), dtype, V = C.shape, C.dtype, np.asarray(V, C.dtype)
        if V.ndim != 2 or len(V) != m:
            raise ShapeError("V", f"shape {V.shape}", f"({m}, k), to fit C")
        if isinstance(C, SortedCost) and (groups := grouping(C, eps)):
            F = _vector(F, n, "F", dtype, copied=False)
            G = _vector(G, m, "G", dtype, copied=False)
            out = np.zeros((n, V.shape[1]))
            plan_apply_in_order(C, groups, F, G, _per_eps(eps, dtype), V, _run, out)
            return _rounded(out, dtype)
        F, G = _vector(F, n, "F", dtype), _vector(G, m, "G", dtype)
        V = np.array(V, dtype, order="C")
        if by_blocks(C):
            return np.concatenate([self.plan_apply(block, F[rows], G, eps, V)
                                   for rows, block in cost_blocks(C, _run)])
        out, k, work = np.zeros((n, V.shape[1])), _per_eps(eps, dtype), operations(C) + V.shape[1]
        if (M := _transposed(C)) is not None:
            _run(n, work, columns.plan_apply_columns, M, F, G, k, V, out, unit=64,
                 most=columns.WIDTH)
        else:
            _run(n, work, kernels.plan_apply, operand(C), F, row_by_tiles(G), m, k,
                 by_tiles(V, dtype), out)
        return _rounded(out, dtype)

    def marginals(self, C: Cost, F: Array, G: Array, eps: float) -> tuple[Array, Array]:
        """(P 1 (n,), P'1 (m,)), from one pass over the pairs. For sorted points two passes by
        groups, one for each marginal, together take less time than that."""
        (n, m), dtype = C.shape, C.dtype
        if isinstance(C, SortedCost) and grouping(C, eps):
            ones = np.ones((m, 1), dtype), np.ones((n, 1), dtype)
            return (self.plan_apply(C, F, G, eps, ones[0])[:, 0],
                    self.plan_apply(C.T, G, F, eps, ones[1])[:, 0])
        if _transposed(C) is not None:
            return self.marginals(C.T, G, F, eps)[::-1]
        F, G = _vector(F, n, "F", dtype), _vector(G, m, "G", dtype)
        row_sums, column_sums = np.zeros(n), np.zeros(m)
        if by_blocks(C):
            for rows, block in cost_blocks(C, _run):
                row_sums[rows], part = self.marginals(block, F[rows], G, eps)
                column_sums += part
        else:
            column_sums = _run.added(n, operations(C), kernels.marginals, operand(C), F,
                                     row_by_tiles(G), m, _per_eps(eps, dtype), row_sums)
        return _rounded(row_sums, dtype), _rounded(column_sums, dtype)

    def plan_cost(self, C: Cost, F: Array, G: Array, eps: float) -> float:
        """<P, C>."""
        if _transposed(C) is not None:  # C' is row-major, and <P, C> = <P', C'>
            return self.plan_cost(C.T, G, F, eps)
        (n, m), dtype = C.shape, C.dtype
        F, G = _vector(F, n, "F", dtype), _vector(G, m, "G", dtype)
        if by_blocks(C):
            return math.fsum(self.plan_cost(block, F[rows], G, eps)
                             for rows, block in cost_blocks(C, _run))
        return float(sum(_run(n, operations(C), kernels.plan_cost, operand(C), F, row_by_tiles(G),
                              m, _per_eps(eps, dtype))))

    def plan_cost_gradient(self, C: PointCost, F: Array, G: Array, eps: float) -> Array:
        """sum_j P_ij d1 c(x_i, y_j), (n, d); d1 c is the derivative of c(x, y) in x."""
        if not isinstance(C, PointCost):
            raise TypeInputError("C", type(C).__name__, "a PointCost: no gradient without points")
        (n, m), dtype = C.shape, C.dtype
        F, G = _vector(F, n, "F", dtype), _vector(G, m, "G", dtype)
        if is_uncompiled(C):
            return plan_cost_gradient_by_blocks(C, F, G, eps)
        out = np.zeros(C.x.shape)
        _run(n, 2 * operations(C), kernels.plan_cost_gradient, operand(C), F, row_by_tiles(G), m,
             _per_eps(eps, dtype), out)
        return _rounded(C.scale * out, dtype)

    def plan_entries(self, C: Cost, F: Array, G: Array, eps: float, least: float,
                     most: int) -> Entries | None:
        """The entries P_ij > least as (values, columns, row starts); None if more than `most`."""
        F, G = _vector(F, C.shape[0], "F", C.dtype), _vector(G, C.shape[1], "G", C.dtype)
        if is_uncompiled(C):
            return entries_by_blocks(C, F, G, eps, least, most)
        return entries(C, F, G, eps, _per_eps(eps, C.dtype), least, most, _run)

    def gibbs(self, C: Cost, f: Array, g: Array, eps: float, least: float, K: Array) -> None:
        """K_ij = max(exp((f_i + g_j - C_ij) / eps), least), into K (n, m)."""
        (n, m), dtype = C.shape, C.dtype
        f, g = _vector(f, n, "f", dtype), _vector(g, m, "g", dtype)
        if by_blocks(C):
            for rows, block in cost_blocks(C, _run):
                self.gibbs(block, f[rows], g, eps, least, K[rows])
        elif (M := _transposed(C)) is not None:
            for rows in blocks(C.shape, COPIED_ELEMENTS):
                part = DenseCost(np.ascontiguousarray(M[:, rows].T))
                self.gibbs(part, f[rows], g, eps, least, K[rows])
        else:
            _run(n, operations(C), sweeps.gibbs, operand(C), f, row_by_tiles(g), m,
                 _per_eps(eps, dtype), dtype.type(least), K)

    def sweep(self, K: Array | Entries, v: Array, s: Array, w: float) -> tuple[Array, Array]:
        """(K v, K'u) with u = s / (K v)^w; K is read once, and sums are in float64."""
        v, s, n = np.array(v, np.float64), np.array(s, np.float64), len(s)
        r = np.empty(n)
        if isinstance(K, tuple):
            work = 8 * len(K[0]) // n + 1
            return r, _run.added(n, work, sweeps.sparse_sweep, *K, v, s, float(w), r)
        return r, _run.added(n, 4 * len(v), sweeps.sweep, K, v, s, float(w), r)

    def laplacian_solve(self, P: Entries, s: Array, diagonal: Array, y: Array, accuracy: float,
                        most: int) -> Array | None:
        """x with (diag d - P' diag(s) P) x = y, where d is `diagonal`, on one thread; None where P
        is so large that several threads are faster."""
        if len(P[0]) > ONE_THREAD:
            return None
        s, diagonal, y = (np.array(vector, np.float64) for vector in (s, diagonal, y))
        x = np.zeros_like(y)
        _run(1, 1, laplacian.conjugate_gradients, *P, s, diagonal, y, accuracy, most, x, unit=1)
        return x

    def free_sweep(self, K: Array, noise: float, absorbed: tuple[Array, Array],
                   weights: tuple[Array, Array], eps: float, softness: tuple[float, float],
                   f: Array, g: Array, w: float) -> FreeSweep | None:
        """An iteration of unbalanced transport with K in float64, on one thread; None where a sum
        of it is not reliable (`refot.backend_contract.FreeSweeper`)."""
        reliable, *swept = _run(1, 1, unbalanced.free_sweep, K, noise, *absorbed, *weights, eps,
                                softness, f, g, float(w), unit=1)[0]
        return FreeSweep(*swept) if reliable else None

    def flow_problem(self, supply: Array, demand: Array, penalty: float) -> NetworkSimplex:
        """Exact transport over a list of pairs, by the network simplex method, on one thread."""
        return NetworkSimplex(supply, demand, penalty)

    def solve_batch(self, C: Array, sizes: Array, a: Array, b: Array, eps: Array, g: Array,
                    tol: float, atoms: float, most: int) -> SweptBatch:
        """Each problem is solved by one thread, from its start to its end, in float64."""
        given, single = C.dtype, C.dtype != np.float64
        C, a, b = (np.ascontiguousarray(numbers, np.float64) for numbers in (C, a, b))
        f, g, number = np.empty(len(a)), np.array(g, np.float64), len(sizes)
        iterations, arrived = np.zeros(number, np.int64), np.zeros(number, np.bool_)
        found, limits = np.empty((number, 3)), np.finfo(np.float64)
        per_eps = np.clip(math.log2(math.e) / eps, limits.tiny, limits.max)
        entries = int((sizes[:, 0] * sizes[:, 1]).mean())
        _run(number, 256 * entries, batches.solve, C, sizes, a, b, per_eps, tol, atoms, most,
             batches.shared_kernel(C, sizes, eps), single, f, g, iterations, arrived, found, unit=1)
        return f.astype(given), g.astype(given), iterations, arrived, found

    def warm_up(self, everything: bool) -> list[tuple[str, Callable[[], None]]]:
        """(what is compiled, the call that does so) for the common kernels, or for all of them."""
        return warm.steps(self, everything)


def _vector(values: Array, size: int, name: str, dtype: Any, copied: bool = True) -> Array:
    """A potential (size,) in the dtype of the cost. One that goes into a kernel is `copied`:
    kernels are compiled for writable, contiguous arrays alone."""
    vector = np.array(values, dtype) if copied else np.asarray(values, dtype)
    if vector.shape != (size,):
        raise ShapeError(name, f"shape {vector.shape}", f"({size},), to fit C")
    return vector


def _per_eps(eps: float, dtype: Any) -> Any:
    """k = log2(e) / eps in the dtype of the cost, kept positive and finite: the kernels compute
    exp(t / eps) as 2^(k t)."""
    limits = np.finfo(dtype)
    return np.clip(math.log2(math.e) / eps, limits.tiny, limits.max).astype(dtype)


def _rounded(out: Array, dtype: Any) -> Array:
    """Sums in float64, rounded to the dtype of the cost; inf where a sum is too large for it."""
    with np.errstate(over="ignore"):
        return out.astype(dtype, copy=False)


def _transposed(C: Cost) -> Array | None:
    """The row-major M if C is a matrix that is the transposed view of it; else None."""
    if isinstance(C, DenseCost) and not C.matrix.flags.c_contiguous:
        return C.matrix.T if C.matrix.T.flags.c_contiguous else None
    return None
