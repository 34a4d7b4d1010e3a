"""The operations of the backend on top of the CUDA kernels, which a subclass compiles and launches.

`refot.backend_contract.Backend` describes the operations and their letters; P is the plan. A fused
operation computes costs, their exponentials and the sums of these in one kernel. There are two
subclasses: the backend `cupy`, and one in the tests that compiles the same kernels for the
processor.

Memory is O(n + m): the matrix of a cost between points is never formed, and a cost that is a matrix
is read in place, row-major or transposed (any other layout is copied first). Results have the dtype
of the cost; potentials, V and eps are cast to it.

A block of threads computes the sums of some rows. Where there are too few rows to keep the device
busy, the columns are split over several blocks. The sums of these blocks are added up in a second
step, always in the same order, so that a result never varies on one device.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass
from functools import cached_property
from types import ModuleType
from typing import Any, Protocol

import numpy as np

from refot.arrays import Array, ShapeError, TypeInputError
from refot.backend_contract import Entries
from refot.backends.numpy.blocks import entries_by_blocks, gibbs_by_blocks
from refot.costs.operands import Cost, DenseCost, PointCost

from .sources import Build, build

BLOCKS_EACH = 16
"""The columns are split until there are this many blocks of threads for each multiprocessor of the
device. A multiprocessor works on two blocks at a time."""


class Kernel(Protocol):
    """A compiled kernel, launched as CuPy's are."""

    def __call__(
        self, grid: tuple[int, int, int], block: tuple[int, int, int], args: tuple[Any, ...]
    ) -> None:
        """Start it: `args` are arrays of the device and NumPy scalars."""


class FusedOperations(ABC):
    """The operations of a backend. `softmin` and all products with the plan are fused kernels;
    `plan_entries`, `gibbs` and `sweep` are made of array operations of `xp`."""

    threads: tuple[int, int] = (16, 16)
    """Threads of a block, along the columns and along the rows."""

    @property
    @abstractmethod
    def xp(self) -> ModuleType:
        """The array namespace: cupy."""

    @property
    @abstractmethod
    def multiprocessors(self) -> int:
        """The number of multiprocessors of the device: see BLOCKS_EACH."""

    @abstractmethod
    def kernel(self, operation: str, name: str, made: Build) -> Kernel:
        """The kernel `name` of the source of `operation`, compiled once."""

    def softmin(self, C: Cost, h: Array, eps: float, shift: Array | None = None) -> Array:
        """-eps log sum_j exp((h_j - C_ij) / eps), (n,); inf where every h_j is -inf. `shift` is not
        used: while it sums, the kernel finds the largest exponent of each row, by one comparison
        for each pair.
        """
        at = _Launch(self, C, eps)
        h = self._vector(h, at.m, "h", C.dtype)
        # For each split of the columns: the largest exponent of each row, and the sum in its units.
        shifts = self.xp.empty((at.splits, at.n), C.dtype)
        totals = self.xp.empty((at.splits, at.n), np.float64)
        at.run("softmin", "softmin_parts", h, shifts, totals)
        out = self.xp.empty(at.n, C.dtype)
        merge = self.kernel("softmin", "softmin_merge", at.made)
        threads = math.prod(self.threads)
        merge((-(-at.n // threads), 1, 1), (*self.threads, 1),
              (shifts, totals, np.int64(at.n), np.int64(at.splits), at.k, out))
        return out

    def plan_apply(self, C: Cost, F: Array, G: Array, eps: float, V: Array) -> Array:
        """P @ V with P_ij = exp((F_i + G_j - C_ij) / eps), (n, k) for V (m, k)."""
        V = self.xp.ascontiguousarray(self.xp.asarray(V, C.dtype))
        if V.ndim != 2 or len(V) != C.shape[1]:
            raise ShapeError("V", f"shape {V.shape}", f"({C.shape[1]}, k), to fit C")
        at = _Launch(self, C, eps, V.shape[1])
        F, G = self._potentials(C, F, G)
        parts = self.xp.empty((at.splits, at.n, V.shape[1]), np.float64)
        at.run("plan_apply", "plan_apply", F, G, V, np.int64(V.shape[1]), parts)
        return parts.sum(axis=0).astype(C.dtype, copy=False)

    def marginals(self, C: Cost, F: Array, G: Array, eps: float) -> tuple[Array, Array]:
        """(P 1 (n,), P'1 (m,)), by two products with the plan."""
        n, m = C.shape
        ones = self.xp.ones((max(n, m), 1), C.dtype)
        return (self.plan_apply(C, F, G, eps, ones[:m])[:, 0],
                self.plan_apply(C.T, G, F, eps, ones[:n])[:, 0])

    def plan_cost(self, C: Cost, F: Array, G: Array, eps: float) -> float:
        """<P, C>."""
        at = _Launch(self, C, eps)
        F, G = self._potentials(C, F, G)
        parts = self.xp.empty((at.splits, at.n), np.float64)
        at.run("plan_cost", "plan_cost", F, G, parts)
        return float(parts.sum())

    def plan_cost_gradient(self, C: PointCost, F: Array, G: Array, eps: float) -> Array:
        """sum_j P_ij d1 c(x_i, y_j), (n, d); d1 c is the derivative of c(x, y) in x."""
        if not isinstance(C, PointCost):
            raise TypeInputError("C", type(C).__name__, "a PointCost: no gradient without points")
        at = _Launch(self, C, eps, C.x.shape[1])
        F, G = self._potentials(C, F, G)
        parts = self.xp.empty((at.splits, *C.x.shape), np.float64)
        at.run("plan_cost_gradient", "plan_cost_gradient", F, G, parts)
        return (C.scale * parts.sum(axis=0)).astype(C.dtype, copy=False)

    def plan_entries(self, C: Cost, F: Array, G: Array, eps: float, least: float,
                     most: int) -> Entries | None:
        """The entries P_ij > least as (values, columns, row starts); None if more than `most`."""
        return entries_by_blocks(C, *self._potentials(C, F, G), eps, least, most)

    def gibbs(self, C: Cost, f: Array, g: Array, eps: float, least: float, K: Array) -> None:
        """K_ij = max(exp((f_i + g_j - C_ij) / eps), least), into K (n, m)."""
        gibbs_by_blocks(C, *self._potentials(C, f, g), eps, least, K)

    def sweep(self, K: Array | Entries, v: Array, s: Array, w: float) -> tuple[Array, Array]:
        """(K v, K'u) with u = s / (K v)^w, by two matrix products in the dtype of K; for a sparse K
        by sums over its rows and over its columns."""
        if isinstance(K, tuple):
            values, columns, starts = K
            places = self.xp.arange(len(values))
            rows = self.xp.searchsorted(starts, places, side="right") - 1
            r = self.xp.bincount(rows, values * v[columns], len(s))
            return r, self.xp.bincount(columns, values * (s * r**-w)[rows], len(v))
        v, s = v.astype(K.dtype, copy=False), s.astype(K.dtype, copy=False)
        r = K @ v
        return r, (s * r**-w) @ K

    def _potentials(self, C: Cost, F: Array, G: Array) -> tuple[Array, Array]:
        """F (n,) and G (m,) in the dtype and layout that the kernels need."""
        n, m = C.shape
        return self._vector(F, n, "F", C.dtype), self._vector(G, m, "G", C.dtype)

    def _vector(self, values: Array, size: int, name: str, dtype: Any) -> Array:
        """A potential (size,) in the dtype of the cost, contiguous in memory."""
        vector = self.xp.ascontiguousarray(self.xp.asarray(values, dtype))
        if vector.shape != (size,):
            raise ShapeError(name, f"shape {vector.shape}", f"({size},), to fit C")
        return vector


@dataclass(frozen=True)
class _Launch:
    """One pass of a kernel over all pairs: how many blocks there are, and what each does."""

    on: FusedOperations
    C: Cost
    eps: float

    width: int = 1
    """Columns of the result."""

    @property
    def n(self) -> int:
        return self.C.shape[0]

    @property
    def m(self) -> int:
        return self.C.shape[1]

    @cached_property
    def made(self) -> Build:
        """Which compilation of the kernel is launched: the one that computes a single column of the
        result at a time or, for a wider result, the one that computes four."""
        return build(self.C, 1 if self.width == 1 else 4, self.on.threads)

    @property
    def k(self) -> Any:
        """k = log2(e) / eps in the dtype of the cost, kept positive and finite: the kernels compute
        exp(t / eps) as 2^(k t)."""
        limits = np.finfo(self.C.dtype)
        return np.clip(math.log2(math.e) / self.eps, limits.tiny, limits.max).astype(self.C.dtype)

    @property
    def rows_of_blocks(self) -> tuple[int, int]:
        """Blocks along the rows of C, and along the columns of the result."""
        return -(-self.n // self.made.tile[0]), -(-self.width // self.made.values)

    @cached_property
    def tiles_per_split(self) -> int:
        """Tiles of columns that one block goes through: all of them, unless the device would then
        have too few blocks to be busy."""
        tiles = -(-self.m // self.made.tile[1])
        wanted = -(-BLOCKS_EACH * self.on.multiprocessors // math.prod(self.rows_of_blocks))
        return -(-tiles // min(tiles, wanted))

    @property
    def splits(self) -> int:
        """Into how many parts the columns are split."""
        return -(-self.m // (self.made.tile[1] * self.tiles_per_split))

    def operand(self) -> tuple[Any, ...]:
        """The arguments with which every kernel begins: OPERAND_ARGUMENTS in `tiles.cuh`."""
        d, scale, xp = 0, 1.0, self.on.xp
        if isinstance(self.C, DenseCost):
            x = y = self.C.matrix
            if not x.flags.c_contiguous and not x.flags.f_contiguous:
                x = y = xp.ascontiguousarray(x)
            strides = (self.m, 1) if x.flags.c_contiguous else (1, self.n)
        else:
            x, y = xp.ascontiguousarray(self.C.x), xp.ascontiguousarray(self.C.y)
            d, scale = x.shape[1], self.C.scale
            strides = (d, 1)
        sizes = (np.int64(size) for size in (self.n, self.m, d, *strides))
        return x, y, *sizes, self.k.dtype.type(scale), self.k, np.int64(self.tiles_per_split)

    def run(self, operation: str, name: str, *arguments: Any) -> None:
        """Launch the kernel `name` with the arguments after those of the operand."""
        rows, columns = self.rows_of_blocks
        kernel = self.on.kernel(operation, name, self.made)
        kernel((rows, self.splits, columns), (*self.on.threads, 1),
               (*self.operand(), *arguments))
