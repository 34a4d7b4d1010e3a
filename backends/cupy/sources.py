"""The CUDA source of each fused operation, and the compile options that make a kernel of it.

A kernel is compiled for one number type, one cost of points (or a matrix) and one dimension: up to
UNROLLED coordinates are unrolled, more are a loop. `kernels/` holds the source; `tiles.cuh`
there says how a block of threads goes about its work.
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
"""Cost of `refot.costs.operands` -> its name in `tiles.cuh`; that knows MATRIX too."""

UNROLLED = 4
"""The largest dimension that has a kernel of its own."""

ROWS, COLUMNS = 4, {4: 8, 8: 4}
"""Costs that a thread holds in registers: 4 rows by 8 columns in float32, by 4 in float64. With 16
by 16 threads each kernel of softmin then takes at most 126 registers (sm_90): two blocks at once on
a multiprocessor."""


@cache
def source(*operations: str) -> str:
    """The whole CUDA source of `softmin`, `plan_apply`, `plan_cost` or `plan_cost_gradient`, or of
    several.

    One text and no #include, so that a cache of compiled kernels, which goes by the text, never
    keeps a kernel whose header has changed.
    """
    files = ("arithmetic.cuh", "tiles.cuh", *(f"{operation}.cu" for operation in operations))
    return "\n".join((FOLDER / file).read_text(encoding="utf-8") for file in files)


@dataclass(frozen=True)
class Build:
    """What one compilation is for: `dimension` 0 stands for any, `values` for the columns of a
    result that a block computes at a time."""

    dtype: str
    kind: str
    dimension: int
    values: int
    threads: tuple[int, int]

    @property
    def tile(self) -> tuple[int, int]:
        """Rows and columns of the costs that a block works on at a time."""
        return ROWS * self.threads[1], COLUMNS[np.dtype(self.dtype).itemsize] * self.threads[0]

    @property
    def options(self) -> tuple[str, ...]:
        """For NVRTC, nvcc and the host's compiler alike."""
        itemsize = np.dtype(self.dtype).itemsize
        macros = {
            "REFOT_DOUBLE": int(itemsize == 8), "COST": self.kind, "DIMENSION": self.dimension,
            "ROWS": ROWS, "COLUMNS": COLUMNS[itemsize], "VALUES": self.values,
            "THREADS_X": self.threads[0], "THREADS_Y": self.threads[1],
        }
        return "-std=c++17", *(f"-D{name}={value}" for name, value in macros.items())


DEVICE_OPTIONS = ("--ftz=true",)
"""For the device alone: float32 below 2^-126 counts as 0, which makes exp2f one instruction."""


def build(C: Cost, values: int, threads: tuple[int, int]) -> Build:
    """The compilation for a cost operand. Raises UnknownNameError for a cost that is not in
    the table of `refot.costs.operands`."""
    dtype = np.dtype(C.dtype).name
    if not isinstance(C, PointCost):
        return Build(dtype, "MATRIX", 0, values, threads)
    if POINT_COSTS.get(C.ground.name) != C.ground or C.ground.name not in KINDS:
        known = ", ".join(KINDS)
        raise UnknownNameError("cost", f"{C.ground!r}",
                               f"refot's own {known} on the cupy backend; any on numpy")
    d = C.x.shape[1]
    return Build(dtype, KINDS[C.ground.name], d if d <= UNROLLED else 0, values, threads)
