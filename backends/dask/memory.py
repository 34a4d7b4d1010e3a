"""The memory of a worker: whether a problem fits it, and what an error says of it.

Dask gives each worker a limit. A worker above 80 % of it gets no new tasks, and one above 95 % is
killed and started anew, with an empty memory. Only an error that names the limit tells the user
that this, and no broken machine, is why workers are lost. No equation here.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from refot.costs.operands import DenseCost, PointCost
from refot.costs.rows import is_read

from .share import Share


def taken_by(share: Share) -> int:
    """The bytes of a worker's copy of the problem as it arrives: all points, or the matrix. What
    the worker computes of them comes on top. Points that it reads are in no copy: of these it needs
    a tile and a block of columns at once."""
    C = share.sides[0]
    if isinstance(C, PointCost) and is_read(C):
        most = max(np.diff(rows).max() + np.diff(columns).max()
                   for rows, columns in zip(share.starts, share.blocks, strict=True))
        return int(most * C.x.shape[1] * C.dtype.itemsize)
    return int(C.matrix.nbytes if isinstance(C, DenseCost) else C.x.nbytes + C.y.nbytes)


def least_limit(limits: Iterable[int | None]) -> int | None:
    """The smallest limit, in bytes; None if no worker has one. Dask says 0 or None for none."""
    return min(filter(None, limits), default=None)


def told(share: Share, limit: int) -> str:
    """In words, what a worker may take and what the problem takes."""
    return (f"a worker may take {_size(limit)} of memory, and Dask kills one that takes more; the "
            f"points or the matrix alone are {_size(taken_by(share))}. More: Client("
            'memory_limit="4GB")')


def _size(size: int) -> str:
    """A number of bytes in words."""
    return f"{size / 1e9:.2g} GB"
