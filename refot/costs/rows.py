"""Points that are read when they are needed, a range of rows at a time, because all of them would
not fit the memory of a process.

A `PointCost` may hold such `Rows` in place of the arrays x and y. A backend that can compute part
by part keeps them (`dask`); any other reads them whole. Readers of files are in
`refot.datasets.parts`. No equation here.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from typing import Any

import numpy as np

from refot.arrays import Array, TypeInputError

BLOCK = 1 << 16
"""Rows that are in memory at once where all are passed over one after the other."""


class NotInMemoryError(TypeInputError, AttributeError):  # type: ignore[misc]  # both have a name
    """Points in parts were used as an array: what was called has no way to compute by parts. An
    AttributeError too, so that `hasattr` says no."""

    def __init__(self) -> None:
        super().__init__("points", "in parts, which solves, values and sums over the plan can read",
                         "an array, numpy.asarray(points), where it fits the memory")

    def __reduce__(self) -> Any:
        return NotInMemoryError, ()


class Rows(ABC):
    """Points (n, d) in float64, finite, that can be read from any process."""

    dtype = np.dtype(np.float64)

    @property
    @abstractmethod
    def shape(self) -> tuple[int, int]:
        """(n, d)."""

    @property
    @abstractmethod
    def corners(self) -> Array:
        """The lowest and the highest corner of the box around all points, (2, d)."""

    @property
    @abstractmethod
    def identity(self) -> str:
        """A text by which the same points are recognised: other points have another one."""

    @abstractmethod
    def read(self, start: int, stop: int) -> Array:
        """The points `start` to `stop` - 1, (stop - start, d)."""

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, rows: Any) -> Array:
        if not isinstance(rows, slice) or rows.step not in (None, 1):
            raise NotInMemoryError
        return self.read(*rows.indices(len(self))[:2])

    def __getattr__(self, name: str) -> Any:  # of an array, such as `copy`
        raise AttributeError(name) if name.startswith("__") else NotInMemoryError

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Array:
        return np.asarray(self.read(0, len(self)), dtype=dtype)


def is_read(C: Any) -> bool:
    """Whether the points of a cost, or those of one of its sides, are `Rows`."""
    return isinstance(getattr(C, "x", None), Rows) or isinstance(getattr(C, "y", None), Rows)


def ends(points: Array | Rows) -> Array:
    """Points with the same box around them: two corners for `Rows`, else the points themselves."""
    return points.corners if isinstance(points, Rows) else points


def blocks_of(points: Array | Rows) -> Iterator[tuple[slice, Array]]:
    """(rows, points[rows]) for all rows, BLOCK at a time."""
    for start in range(0, len(points), BLOCK):
        rows = slice(start, min(start + BLOCK, len(points)))
        yield rows, points[rows]
