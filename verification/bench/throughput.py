"""Pairs of points per second in one half-iteration: n^2 over its seconds, each peer in turn with
refot."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass

from .child import PeerFailed, RunLimits
from .peers.table import find_peer
from .problems import Cell
from .timing import REFERENCE, Range, Runner, in_turn, ratios, refused


@dataclass(frozen=True)
class Rate:
    """Pairs of points per second of a peer, and how many times as fast refot is; or why there is no
    rate."""

    peer: str
    pairs_per_second: float | None = None
    ratio: Range | None = None
    failure: str = ""


def rates(cell: Cell, names: Sequence[str], limits: RunLimits, repeats: int) -> list[Rate]:
    """A Rate for refot and for each peer that has a half-iteration of its own."""
    with_half = [name for name in names if find_peer(name).half is not None]
    with Runner(REFERENCE, cell.instance(), limits, solving=False) as reference:
        return [rate_of(name, reference, repeats) for name in (REFERENCE, *with_half)]


def rate_of(name: str, reference: Runner, repeats: int) -> Rate:
    """The rate of one peer, measured in turn with refot's."""
    instance, limits = reference.instance, reference.limits
    reason = refused(name, instance.n, limits)
    if reason:
        return Rate(name, failure=reason)
    with Runner(name, instance, limits, solving=False) as runner:
        try:
            theirs, ours = in_turn(lambda: runner.child.half(), lambda: reference.child.half(),
                                   repeats, repeats * limits.seconds)
        except PeerFailed as failed:
            return Rate(name, failure=str(failed))
    return Rate(name, instance.n**2 / statistics.median(theirs), ratios(theirs, ours))
