"""How a dataclass of flint's balls is pickled: flint's balls cannot be, so integers take their
place."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

from flint import arb


def reduced(record: Any) -> Any:
    """What `__reduce__` returns for a dataclass whose fields are balls, nested tuples of balls, or
    None."""
    parts = (getattr(record, part.name) for part in fields(record))
    return _rebuilt, (type(record), *map(_as_integers, parts))


def _as_integers(part: Any) -> Any:
    """The ball p 2^q +- r 2^s as (p, q, r, s); a tuple of balls, of any depth, as a list."""
    if part is None:
        return None
    if isinstance(part, tuple):
        return [_as_integers(each) for each in part]
    return tuple(int(k) for k in (*part.mid().man_exp(), *part.rad().man_exp()))


def _rebuilt(kind: type, *parts: Any) -> Any:
    """The dataclass again: midpoints are the same, and radii grow by at most 2^-28 of themselves.
    """
    def read(part: Any) -> Any:
        if isinstance(part, list):
            return tuple(read(each) for each in part)
        return part if part is None else arb(part[:2], part[2:])

    return kind(*map(read, parts))
