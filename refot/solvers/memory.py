"""How much memory a solve may take, and whether a cost between points is formed once and kept.

The budget is `memory=` of `solve`; else the environment variable REFOT_MEMORY (both in bytes, or as
"500M", "2G"); else a quarter of the memory that is free. Within the budget a cost that takes longer
to compute than to read becomes a matrix. A cost that does not fit is computed anew, block by block,
in every pass. Where not even the vectors and one block of rows fit, `MemoryBudgetError` says so
before any work.

A matrix that the user asks for, such as a plan, is filled in place (`gibbs_matrix`). Where such a
matrix does not fit, `MemoryBudgetError` is raised too.
"""

from __future__ import annotations

import os
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path
from typing import Any

import numpy as np

from refot.arrays import Array, InputError, as_count, namespace
from refot.backend_contract import Backend, formed_by
from refot.costs.formed import DEAR_DIMENSION
from refot.costs.operands import BLOCK_ELEMENTS, Cost, DenseCost, row_blocks
from refot.costs.rows import is_read

VARIABLE = "REFOT_MEMORY"

SHARE = 0.25
"""The part of the free memory that a solve may take where no budget is set."""

VECTORS = 32
"""A solve holds about this number of vectors: potentials, trial steps, and the points again, sorted
into groups by a backend."""

BLOCKS = 4
"""The number of arrays of the size of a block of rows that a solve holds."""


FRESH = 0.05
"""Seconds for which the number of free bytes is used again."""

_free: tuple[float, int] | None = None
"""When the free bytes were last read, and how many they were."""

_UNITS = {"": 1, "K": 10**3, "M": 10**6, "G": 10**9, "T": 10**12}

_given: ContextVar[int | None] = ContextVar("refot_memory", default=None)


class MemoryBudgetError(InputError):
    """A solve, or a result such as a plan, needs more memory than is allowed."""


# ------------------------------------------------------------------ the budget
@contextmanager
def within(memory: Any | None) -> Iterator[None]:
    """Within the `with` block the budget is `memory`, in bytes or as a text like "2G". None leaves
    it as it is."""
    if memory is None:
        yield
        return
    size = _as_bytes(memory, "memory") if isinstance(memory, str) else as_count(memory, "memory")
    token = _given.set(size)
    try:
        yield
    finally:
        _given.reset(token)


def budget() -> int:
    """Bytes that a solve may take now. Raises InputError if REFOT_MEMORY does not name a size."""
    given = _given.get()
    if given is not None:
        return given
    text = os.environ.get(VARIABLE)
    return int(SHARE * free_memory()) if not text else _as_bytes(text, VARIABLE)


def _as_bytes(text: str, name: str) -> int:
    """The number of bytes that a text means: 2,000,000,000 for "2G"."""
    found = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([KMGT]?)B?\s*", text.upper())
    if found is None or not float(found[1]) > 0:
        raise InputError(name, repr(text), "bytes, with K, M, G or T behind: 500M, 2G")
    return int(float(found[1]) * _UNITS[found[2]])


def free_memory() -> int:
    """Bytes that can be had without swapping: what the system, or a control group, leaves free.
    They are read anew after FRESH seconds: reading takes as long as a sweep of a small problem."""
    global _free
    now = time.monotonic()
    if _free is None or now - _free[0] > FRESH:
        _free = now, _read_free_memory()
    return _free[1]


def _read_free_memory() -> int:
    free = [_read_number("/proc/meminfo", r"MemAvailable:\s+(\d+) kB", 1024)]
    limit = _read_number("/sys/fs/cgroup/memory.max", r"(\d+)", 1)
    used = _read_number("/sys/fs/cgroup/memory.current", r"(\d+)", 1)
    if limit is not None and used is not None:
        free.append(max(limit - used, 0))
    known = [number for number in free if number is not None]
    # Outside Linux neither file exists; any machine of today has this much.
    return min(known) if known else 4 * 10**9


def _read_number(path: str, pattern: str, unit: int) -> int | None:
    """The number that `pattern` finds in a file of the system, times `unit`; None where there is no
    such file, or no such number in it."""
    try:
        found = re.search(pattern, Path(path).read_text(encoding="ascii"))
    except OSError:
        return None
    return None if found is None else int(found[1]) * unit


# ------------------------------------------------------------------ what fits it
def require_working_set(C: Cost) -> None:
    """Raise MemoryBudgetError unless the vectors and one block of rows fit the budget."""
    (n, m), size = C.shape, C.dtype.itemsize
    block = min(n * m, max(m, BLOCK_ELEMENTS))
    needed, allowed = size * (VECTORS * (n + m) + BLOCKS * block), budget()
    if needed > allowed:
        raise MemoryBudgetError(
            "memory", f"a budget of {allowed:,} bytes",
            f"at least {needed:,} for n = {n:,}, m = {m:,} (memory= or {VARIABLE})")


def require_result(C: Cost) -> None:
    """Raise MemoryBudgetError unless there is room for a matrix (n, m), which the user asked for,
    and two blocks of rows: in the budget where one was set, else in what is free. Both are about
    the host's memory; on a device nothing is refused."""
    if namespace(C.matrix if isinstance(C, DenseCost) else C.x) is not np:
        return
    (n, m), size = C.shape, C.dtype.itemsize
    needed = size * (n * m + 2 * min(n * m, max(m, BLOCK_ELEMENTS)))
    allowed = free_memory() if _given.get() is None and not os.environ.get(VARIABLE) else budget()
    if needed > allowed:
        raise MemoryBudgetError(
            "memory", f"{allowed:,} bytes ({VARIABLE}, or what is free)",
            f"at least {needed:,} for a matrix of {n:,} x {m:,}: `marginals`, and `plan_apply` of "
            "a backend, need none")


def gibbs_matrix(C: Cost, F: Array, G: Array, eps: float) -> Array:
    """exp((F_i + G_j - C_ij) / eps), (n, m). It is computed in place, by blocks of rows, so that no
    second array of its size is in memory. Raises MemoryBudgetError where the result does not
    fit."""
    require_result(C)
    xp = namespace(F)
    P = xp.empty(C.shape, dtype=C.dtype)
    for rows in row_blocks(C):
        block = P[rows]
        xp.add(F[rows, None], G, out=block)
        block -= C.rows(rows)
        block /= eps
        xp.exp(block, out=block)
    return P


def fits_matrix(C: Cost, copies: int = 1) -> bool:
    """Whether this number of copies of a matrix (n, m), in the dtype of C, fits the budget."""
    return bool(copies * C.shape[0] * C.shape[1] * C.dtype.itemsize <= budget())


def kept(backend: Backend, C: Cost) -> Cost:
    """C as a matrix, if it is a cost of points in many dimensions and the matrix fits the budget;
    else C itself. The budget is about the host's memory, so that a cost on a device stays as it is.
    """
    if isinstance(C, DenseCost) or is_read(C) or namespace(C.x) is not np:
        return C
    if C.x.shape[1] < DEAR_DIMENSION or not fits_matrix(C):
        return C
    return formed_by(backend, C)


