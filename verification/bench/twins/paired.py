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


def paired_times(system: NetworkSystem, pairs: int, warm_up: int = 2, seconds: float = math.inf
                 ) -> PairedTimes:
    """Time steps of the system and of its twin in turn, on the same batches, after `warm_up` pairs
    that do not count: `pairs` of them, or at least one until `seconds` have passed."""
    twin = TWINS[type(system)](system)
    for _ in range(warm_up):
        one_pair(system, twin)
    begun, found = time.perf_counter(), [one_pair(system, twin)]
    while len(found) < pairs and time.perf_counter() - begun < seconds:
        found.append(one_pair(system, twin))
    ours, theirs = zip(*found, strict=True)
    return PairedTimes(ours, theirs)


def one_pair(system: NetworkSystem, twin: Any) -> tuple[float, float]:
    """Seconds of a step of the system, and of its twin."""
    batch = system.draw()
    begun = time.perf_counter()
    system.update(batch)
    middle = time.perf_counter()
    twin.update(batch)
    return middle - begun, time.perf_counter() - middle
