"""The fast backend on the processor: the fused operations as compiled, threaded, streaming kernels.

Memory O(n + m): a cost between points is never formed; a matrix is read where it is, row-major or
transposed (any other layout is copied first). Results have the dtype of the cost; potentials, V and
eps are cast to it. A kernel is compiled when it is first used with a ground cost and a dtype (some
seconds), and kept on disk for later processes: beside this file or, where that cannot be written,
in the user's cache folder (Numba's rule; NUMBA_CACHE_DIR moves it). NUMBA_NUM_THREADS sets the
number of threads, all processors unless given.
"""

from __future__ import annotations

import math
from types import ModuleType
from typing import Any

import numpy as np

from refot.arrays import Array, ShapeError, TypeInputError
from refot.backend_contract import BackendUnavailableError
from refot.costs import Cost, DenseCost, PointCost

try:
    from . import numba_columns as columns
    from . import numba_kernels as kernels
    from .numba_costs import ROWS, by_tiles, operand
    from .numba_threads import Launcher, block_size
except ImportError as error:
    raise BackendUnavailableError(f"numba: {error}; pip install numba") from error

_run = Launcher()


class NumbaBackend:
    """NumPy arrays, compiled kernels on all processors."""

    name = "numba"

    @property
    def xp(self) -> ModuleType:
        return np

    def asarray(self, values: Any) -> Array:
        return np.asarray(values)

    def to_numpy(self, array: Array) -> Array:
        return np.asarray(array)

    def synchronize(self) -> None:
        """A kernel has finished when it returns."""

    def softmin(self, C: Cost, h: Array, eps: float) -> Array:
        """-eps log sum_j exp((h_j - C_ij) / eps), (n,), each row shifted by its largest exponent so
        far. A row sum leaves out at most u / 2 of itself; inf where every h_j is -inf."""
        (n, m), dtype = C.shape, C.dtype
        h, k = _vector(h, m, "h", dtype), _per_eps(eps, dtype)
        out = np.empty(n, dtype)
        if np.isnan(h).any():  # every sum has that term
            out.fill(np.nan)
        elif (M := _transposed(C)) is not None:
            _run(_operations(C), columns.softmin_columns, M, h, float(eps), k, _width(n), out)
        else:
            cut = dtype.type(math.log2(np.finfo(dtype).eps / (4 * m)))  # m terms of 2^cut: u / 2
            _run(_operations(C), kernels.softmin, operand(C), _by_tiles(h), m, float(eps), k, cut,
                 _height(n), out)
        return out

    def plan_apply(self, C: Cost, F: Array, G: Array, eps: float, V: Array) -> Array:
        """P @ V with P_ij = exp((F_i + G_j - C_ij) / eps), (n, k) for V (m, k)."""
        (n, m), dtype = C.shape, C.dtype
        F, G = _vector(F, n, "F", dtype), _vector(G, m, "G", dtype)
        V = np.array(V, dtype, order="C")
        if V.ndim != 2 or len(V) != m:
            raise ShapeError("V", f"shape {V.shape}", f"({m}, k), to fit C")
        out, k = np.zeros((n, V.shape[1])), _per_eps(eps, dtype)
        if (M := _transposed(C)) is not None:
            _run(_operations(C, V.shape[1]), columns.plan_apply_columns, M, F, G, k, V, _width(n),
                 out)
        else:
            _run(_operations(C, V.shape[1]), kernels.plan_apply, operand(C), F, _by_tiles(G), m, k,
                 by_tiles(V, dtype), _height(n), out)
        return _rounded(out, dtype)

    def plan_cost(self, C: Cost, F: Array, G: Array, eps: float) -> float:
        """<P, C>."""
        if _transposed(C) is not None:  # <P, C> = <P', C'>, and C' is row-major
            return self.plan_cost(C.T, G, F, eps)
        (n, m), dtype = C.shape, C.dtype
        F, G = _vector(F, n, "F", dtype), _vector(G, m, "G", dtype)
        size = _height(n)
        parts = np.empty(-(-n // size))
        _run(_operations(C), kernels.plan_cost, operand(C), F, _by_tiles(G), m,
             _per_eps(eps, dtype), size, parts)
        return float(parts.sum())

    def plan_cost_gradient(self, C: PointCost, F: Array, G: Array, eps: float) -> Array:
        """sum_j P_ij d1 c(x_i, y_j), (n, d)."""
        if not isinstance(C, PointCost):
            raise TypeInputError("C", type(C).__name__, "a PointCost: no gradient without points")
        (n, m), dtype = C.shape, C.dtype
        F, G = _vector(F, n, "F", dtype), _vector(G, m, "G", dtype)
        out = np.zeros(C.x.shape)
        _run(_operations(C, C.x.shape[1]), kernels.plan_cost_gradient, operand(C), F, _by_tiles(G),
             m, _per_eps(eps, dtype), _height(n), out)
        return _rounded(C.scale * out, dtype)


def _vector(values: Array, size: int, name: str, dtype: Any) -> Array:
    """A potential in the dtype of the cost, as a copy: writable and in one piece, as kernels are
    compiled for."""
    vector = np.array(values, dtype)
    if vector.shape != (size,):
        raise ShapeError(name, f"shape {vector.shape}", f"({size},), to fit C")
    return vector


def _by_tiles(vector: Array) -> Array:
    """(m,) as (tiles, TILE)."""
    return by_tiles(vector[:, None], vector.dtype)[:, 0]


def _per_eps(eps: float, dtype: Any) -> Any:
    """k = log2(e) / eps in the dtype of the cost, kept positive and finite."""
    limits = np.finfo(dtype)
    return np.clip(math.log2(math.e) / eps, limits.tiny, limits.max).astype(dtype)


def _rounded(out: Array, dtype: Any) -> Array:
    """Sums in float64 to the dtype of the cost; inf, as in the plan itself, where they overflow."""
    with np.errstate(over="ignore"):
        return out.astype(dtype, copy=False)


def _transposed(C: Cost) -> Array | None:
    """M row-major where C = M', or None: such a view is read as it lies."""
    if isinstance(C, DenseCost) and not C.matrix.flags.c_contiguous:
        return C.matrix.T if C.matrix.T.flags.c_contiguous else None
    return None


def _operations(C: Cost, columns_of_result: int = 0) -> int:
    """Vector operations on numbers, roughly: 20 for an exponential, 2 for each coordinate."""
    d = C.x.shape[1] if isinstance(C, PointCost) else 0
    return C.shape[0] * C.shape[1] * (20 + 2 * d + columns_of_result)


def _height(n: int) -> int:
    return block_size(n, ROWS, kernels.BLOCK)


def _width(n: int) -> int:
    return block_size(n, 64, columns.WIDTH)
