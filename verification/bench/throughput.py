"""Pairs per second of one half-iteration: n^2 over its seconds, each peer beside refot in turn."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass

from .child import Child, Limits, PeerFailed
from .peers import find_peer
from .problems import Cell, Instance
from .timing import REFERENCE, Spread, ratios, refused


@dataclass(frozen=True)
class Rate:
    """Pairs per second, the ratio of refot's rate to it, or why there is none."""

    peer: str
    pairs_per_second: float | None = None
    ratio: Spread | None = None
    failure: str = ""


def rates(cell: Cell, names: Sequence[str], limits: Limits, repeats: int) -> list[Rate]:
    """A Rate for refot and for each peer that has a half-iteration of its own."""
    with_half = [name for name in names if find_peer(name).half is not None]
    instance = cell.instance()
    with Child(REFERENCE, instance, limits, solving=False) as reference:
        return [rate_of(name, reference, instance, limits, repeats)
                for name in (REFERENCE, *with_half)]


def rate_of(
    name: str, reference: Child, instance: Instance, limits: Limits, repeats: int
) -> Rate:
    """One peer's, in turn with refot's."""
    reason = refused(name, instance.n, limits)
    if reason:
        return Rate(name, failure=reason)
    ours, theirs = [], []
    try:
        with Child(name, instance, limits, solving=False) as child:
            for _ in range(repeats):
                ours.append(reference.half())
                theirs.append(child.half())
    except PeerFailed as failed:
        return Rate(name, failure=str(failed))
    return Rate(name, instance.n**2 / statistics.median(theirs), ratios(theirs, ours))
