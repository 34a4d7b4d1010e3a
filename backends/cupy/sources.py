"""The CUDA source of each fused operation, and the compile options that make a kernel of it.

A kernel is compiled for one number type and for one cost of points (or for a matrix). There is one
for each dimension up to UNROLLED, in which the loops over coordinates are unrolled, and one more
for all larger dimensions. The sources are in `kernels/`; `tiles.cuh` there explains how a block of
threads divides its work.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np

from refot.arrays import UnknownNameError
from refot.costs.ground import POINT_COSTS
from refot.costs.operands import Cost, PointCost

FOLDER = Path(__file__).parent / "kernels"

KINDS = {"sqeuclidean": "SQEUCLIDEAN", "euclidean": "EUCLIDEAN", "l1": "L1", "dot": "DOT"}
"""The name of a cost -> what `tiles.cuh` calls it. (A matrix is MATRIX there.)"""

UNROLLED = 4
"""The largest dimension of points for which a kernel of its own is compiled."""

ROWS = 4
"""Each thread holds a small block of costs C_ij in registers, which has this number of rows."""

COLUMNS = {4: 8, 8: 4}
"""The number of columns of that small block, by the bytes of a float: 8 in float32, 4 in float64.
Each kernel of softmin then takes at most 126 registers for each thread (sm_90), so that two blocks
of 16 by 16 threads fit on a multiprocessor at once."""


@cache
def source(*operations: str) -> str:
    """The whole CUDA source of one or several of `softmin`, `plan_apply`, `plan_cost` and
    `plan_cost_gradient`.

    It is one text without any #include: CuPy finds a compiled kernel in its cache by this text, and
    would not notice that an included header has changed.
    """
    files = ("arithmetic.cuh", "tiles.cuh", *(f"{operation}.cu" for operation in operations))
    return "\n".join((FOLDER / file).read_text(encoding="utf-8") for file in files)


@dataclass(frozen=True)
class Build:
    """The choices for which a kernel is compiled; each set of them is one compilation."""

    dtype: str

    kind: str
    """One of KINDS, or MATRIX."""

    dimension: int
    """The dimension of the points; 0 for any dimension above UNROLLED, and for a matrix."""

    values: int
    """Columns of a result that a block computes at a time."""

    threads: tuple[int, int]
    """Threads of a block, along the columns and along the rows."""

    @property
    def tile(self) -> tuple[int, int]:
        """(rows, columns) of the costs that a block works on at a time."""
        return ROWS * self.threads[1], COLUMNS[np.dtype(self.dtype).itemsize] * self.threads[0]

    @property
    def options(self) -> tuple[str, ...]:
        """Compile options that NVRTC, nvcc and the host's compiler all understand."""
        itemsize = np.dtype(self.dtype).itemsize
        macros = {
            "REFOT_DOUBLE": int(itemsize == 8), "COST": self.kind, "DIMENSION": self.dimension,
            "ROWS": ROWS, "COLUMNS": COLUMNS[itemsize], "VALUES": self.values,
            "THREADS_X": self.threads[0], "THREADS_Y": self.threads[1],
        }
        return "-std=c++17", *(f"-D{name}={value}" for name, value in macros.items())


DEVICE_OPTIONS = ("--ftz=true",)
"""Options for a GPU that the host's compiler does not get: float32 numbers below 2^-126 become 0,
so that exp2f is a single instruction."""


def build(C: Cost, values: int, threads: tuple[int, int]) -> Build:
    """The compilation that fits the cost C. Raises UnknownNameError for a cost between points that
    is not in KINDS."""
    dtype = np.dtype(C.dtype).name
    if not isinstance(C, PointCost):
        return Build(dtype, "MATRIX", 0, values, threads)
    if POINT_COSTS.get(C.ground.name) != C.ground or C.ground.name not in KINDS:
        known = ", ".join(KINDS)
        raise UnknownNameError("cost", f"{C.ground!r}",
                               f"refot's own {known} on the cupy backend; any on numpy")
    d = C.x.shape[1]
    return Build(dtype, KINDS[C.ground.name], d if d <= UNROLLED else 0, values, threads)
