"""One result from those of several blocks of columns, in the order of the blocks.

A worker takes the columns of a tile in blocks (`tiles.block_starts`). The result of an operation on
all columns follows from those on each block: for sums over j it is their sum.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from refot.arrays import Array, namespace
from refot.backend_contract import Entries


def joined(operation: str, parts: list[Any], eps: float, starts: list[int]) -> Any:
    """The result of the operation on all columns. `parts` has its results on the blocks of columns,
    which start at `starts`."""
    if len(parts) == 1:
        return parts[0]
    if operation == "softmin":
        return _softmin(namespace(parts[0]).stack(parts), eps)
    if operation == "plan_cost":
        return math.fsum(parts)
    if operation == "plan_entries":
        return None if any(part is None for part in parts) else _side_by_side(parts, starts)
    return sum(parts[1:], start=parts[0])


def _softmin(parts: Array, eps: float) -> Array:
    """-eps log sum_k exp(-s_k / eps), (n,), for the softmins s_k of the blocks, (k, n)."""
    xp = namespace(parts)
    least = parts.min(axis=0)
    level = xp.where(xp.isfinite(least), least, 0)  # infinite where no column has mass, as is
    with np.errstate(divide="ignore"):              # then the result
        return level - eps * xp.log(xp.exp((level - parts) / eps).sum(axis=0))


def _side_by_side(parts: list[Entries], starts: list[int]) -> Entries:
    """The matrix whose blocks of columns are the sparse `parts`."""
    xp = namespace(parts[0][0])
    values, columns, row_starts = zip(*parts, strict=True)
    lengths = [each[1:] - each[:-1] for each in row_starts]
    rows = xp.concatenate([xp.repeat(xp.arange(len(each)), each) for each in lengths])
    by_row = xp.argsort(rows, kind="stable")
    at = xp.concatenate([each + start for each, start in zip(columns, starts[:-1], strict=True)])
    ends = xp.cumsum(sum(lengths[1:], start=lengths[0]))
    return (xp.concatenate(values)[by_row], at[by_row],
            xp.concatenate([xp.zeros(1, ends.dtype), ends]))
