"""One result from those of several blocks of columns, in the order of the blocks.

A worker takes the columns of a tile in blocks (`tiles.block_starts`). The result of an operation on
all columns follows from those on each block: for sums over j it is their sum.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from refot.arrays import Array
from refot.backend_contract import Entries


def joined(operation: str, parts: list[Any], eps: float, starts: list[int]) -> Any:
    """The result of the operation on all columns. `parts` has its results on the blocks of columns,
    which start at `starts`."""
    if len(parts) == 1:
        return parts[0]
    if operation == "softmin":
        return _softmin(np.stack(parts), eps)
    if operation == "plan_cost":
        return math.fsum(parts)
    if operation == "plan_entries":
        return None if any(part is None for part in parts) else _side_by_side(parts, starts)
    return sum(parts[1:], start=parts[0])


def _softmin(parts: Array, eps: float) -> Array:
    """-eps log sum_k exp(-s_k / eps), (n,), for the softmins s_k of the blocks, (k, n)."""
    least = parts.min(axis=0)
    # Where no column has mass, all s_k are infinite, and so is the result.
    level = np.where(np.isfinite(least), least, 0)
    with np.errstate(divide="ignore"):
        return level - eps * np.log(np.exp((level - parts) / eps).sum(axis=0))


def _side_by_side(parts: list[Entries], starts: list[int]) -> Entries:
    """The matrix whose blocks of columns are the sparse `parts`."""
    values, columns, row_starts = zip(*parts, strict=True)
    lengths = [each[1:] - each[:-1] for each in row_starts]
    rows = np.concatenate([np.repeat(np.arange(len(each)), each) for each in lengths])
    by_row = np.argsort(rows, kind="stable")
    at = np.concatenate([each + start for each, start in zip(columns, starts[:-1], strict=True)])
    ends = np.cumsum(sum(lengths[1:], start=lengths[0]))
    return (np.concatenate(values)[by_row], at[by_row],
            np.concatenate([np.zeros(1, ends.dtype), ends]))
