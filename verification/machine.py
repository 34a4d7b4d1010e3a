"""What this machine can do at most: its rate of multiply-adds, and the share a kernel reaches.

A vector operation on numbers (add, multiply, fused multiply-add, maximum, integer shift) takes one
slot of a unit that could do a multiply-add. So slots a second = multiply-adds a second, measured
here by code that does nothing else, and `SLOTS` per pair says how many pairs a second are possible.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np

LANES = 192
"""Independent sums of the measuring loop: 12 vectors of float32, 24 of float64, enough to hide the
latency of each."""

STEPS = 10_000
"""Multiply-adds of each sum in one run, about 0.05 ms a thousand."""

SLOTS = {
    np.dtype(np.float64): {"differences": 2, "squares": 2, "exponent": 1, "largest": 1, "clamp": 1,
                           "whole and fractional part": 3, "polynomial": 12, "power of 2": 2,
                           "sum": 1},
    np.dtype(np.float32): {"differences": 2, "squares": 2, "exponent": 1, "largest": 1, "clamp": 1,
                           "whole and fractional part": 3, "polynomial": 6, "power of 2": 2,
                           "sum": 1},
}
"""Vector operations of softmin for one pair, squared Euclidean cost in two dimensions: what the
assembly of the loop has (`tests/test_machine.py` counts it)."""


@dataclass(frozen=True)
class Share:
    """Rates of one processor: multiply-adds and pairs a second, and the slots that a pair takes."""

    multiply_adds: float
    pairs: float
    slots: int

    @property
    def reached(self) -> float:
        """slots * pairs / multiply_adds."""
        return self.slots * self.pairs / self.multiply_adds


def multiply_add_loop() -> Callable[..., None]:
    """The compiled loop s = s b + b over LANES sums, `steps` times."""
    import numba  # imported when first measured

    from refot.backends.numba_vectors import ELEMENTWISE, full_width

    def loop(s: Any, b: Any, steps: int) -> None:
        full_width()
        for _ in range(steps):
            for lane in range(LANES):
                s[lane] = s[lane] * b + b

    compiled: Callable[..., None] = numba.njit(nogil=True, **ELEMENTWISE)(loop)
    return compiled


def softmin_share(dtype: Any, *, repeats: int = 20, n: int = 256, m: int = 10_000) -> Share:
    """What softmin reaches of the multiply-adds of one processor, in float64 or float32.

    Squared Euclidean cost in two dimensions, n rows by m columns. Each run stands between two
    measurements of the peak; the pair of rates whose ratio is the median of `repeats` is returned.
    """
    from refot.backends.numba_backend import NumbaBackend
    from refot.costs import point_cost

    rng, backend, loop = np.random.default_rng(0), NumbaBackend(), multiply_add_loop()
    points = point_cost(rng.random((n, 2)).astype(dtype), rng.random((m, 2)).astype(dtype))
    h, sums, half = np.zeros(m, dtype), np.ones(LANES, dtype), np.dtype(dtype).type(0.5)

    def peak() -> float:
        return LANES * STEPS / seconds(lambda: loop(sums, half, STEPS))

    def softmin() -> float:
        with one_thread():
            return n * m / seconds(lambda: backend.softmin(points, h, 0.02))

    peak(), softmin()  # compiled
    rates = []
    for _ in range(repeats):
        before, pairs = peak(), softmin()
        rates.append(((before + peak()) / 2, pairs))
    rates.sort(key=lambda rate: rate[1] / rate[0])
    return Share(*rates[len(rates) // 2], sum(SLOTS[np.dtype(dtype)].values()))


@contextmanager
def one_thread() -> Iterator[None]:
    """Kernels run on the calling thread: two threads of one core would share its units."""
    import numba  # as above

    before = numba.config.NUMBA_NUM_THREADS
    numba.config.NUMBA_NUM_THREADS = 1
    try:
        yield
    finally:
        numba.config.NUMBA_NUM_THREADS = before


def seconds(call: Callable[[], Any]) -> float:
    """Processor time for one call, the sum over the threads of this process."""
    start = time.process_time()
    call()
    return time.process_time() - start
