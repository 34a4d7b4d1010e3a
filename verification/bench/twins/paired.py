"""Steps of a system and of its twin in PyTorch, timed in turn on the same batches."""

from __future__ import annotations

import math
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from refot.systems.base.network_system import NetworkSystem
from refot.systems.eotgan import EOTGAN
from refot.systems.info_sinkhorn import InfoSinkhorn
from refot.systems.semidual import SDOT

from .eotgan import TorchEOTGAN
from .info_sinkhorn import TorchInfoSinkhorn
from .semidual import TorchSDOT

TWINS: dict[type[NetworkSystem], Callable[[Any], Any]] = {
    InfoSinkhorn: TorchInfoSinkhorn, SDOT: TorchSDOT, EOTGAN: TorchEOTGAN}
"""By the kind of system, its twin: made of the system, with a method `update(batch)`."""


@dataclass(frozen=True)
class PairedTimes:
    """Seconds of single steps of refot and of PyTorch, which were timed in turn."""

    refot: tuple[float, ...]
    torch: tuple[float, ...]

    @property
    def ratios(self) -> tuple[float, ...]:
        """refot's time over PyTorch's, of each pair: below 1 where refot is faster."""
        return tuple(ours / theirs for ours, theirs in zip(self.refot, self.torch, strict=True))

    @property
    def median(self) -> float:
        """The median of the ratios."""
        return statistics.median(self.ratios)


def paired_times(system: NetworkSystem, pairs: int, warm_up: int = 3, seconds: float = math.inf
                 ) -> PairedTimes:
    """Time steps of the system and of its twin in turn, on the same batches: so many pairs, or at
    least one until `seconds` have passed."""
    twin = TWINS[type(system)](system)
    ours: list[float] = []
    theirs: list[float] = []
    started = time.perf_counter()
    while len(ours) < warm_up + pairs and (
            len(ours) <= warm_up or time.perf_counter() - started < seconds):
        batch = system.draw()
        for update, times in ((system.update, ours), (twin.update, theirs)):
            begun = time.perf_counter()
            update(batch)
            times.append(time.perf_counter() - begun)
    return PairedTimes(tuple(ours[warm_up:]), tuple(theirs[warm_up:]))
