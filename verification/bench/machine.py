"""The most multiply-adds that this machine can do in a second, and the share that softmin reaches.

A vector operation does the same to several numbers at once: an add, a multiply, a fused
multiply-add, a maximum or an integer shift. The processor has a few units that each can begin one
such operation in a clock cycle; this chance is called a *slot*. Code that does nothing but
multiply-adds uses all slots, which measures how many there are in a second. Softmin treats a vector
of pairs of points at once, as many pairs as a vector has numbers, and needs `SLOTS` for it. Here
multiply-adds are counted by numbers and softmin by pairs, so that the length of a vector cancels:
(multiply-adds in a second) / (the sum of SLOTS) pairs in a second are possible.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np

CHAINS, STEPS, LENGTH = 8, 16, 4096
"""The measuring loop sends each of CHAINS arrays of LENGTH numbers through STEPS multiply-adds.
8 independent chains hide the latency of each operation and fit into 16 registers; 16 steps make the
one load and one store negligible."""

SLOTS = {
    np.dtype(np.float64): {"differences": 2, "squares": 2, "exponent": 1, "largest": 1, "clamp": 1,
                           "whole and fractional part": 3, "polynomial": 12, "power of 2": 2,
                           "sum": 1},
    np.dtype(np.float32): {"differences": 2, "squares": 2, "exponent": 1, "largest": 1, "clamp": 1,
                           "whole and fractional part": 3, "polynomial": 6, "power of 2": 2,
                           "sum": 1},
}
"""The operations of softmin for one vector of pairs, with the squared Euclidean cost in two
dimensions. `tests/verification/bench/test_machine.py` counts them in the assembly of the loop."""


@dataclass(frozen=True)
class Share:
    """Rates of one processor: `multiply_adds` and `pairs` in a second, and the `slots` for a vector
    of pairs."""

    multiply_adds: float
    pairs: float
    slots: int

    @property
    def reached(self) -> float:
        """The share of the possible rate that softmin reaches: slots * pairs / multiply_adds."""
        return self.slots * self.pairs / self.multiply_adds


def multiply_add_loop() -> Callable[..., None]:
    """The compiled loop a = a b + b, STEPS times for each number of a (CHAINS, LENGTH)."""
    # Imported only where it is used: it loads the compiler.
    from refot.backends.numba.compile import called, elementwise, fma, full_width

    @elementwise
    def step(x: Any, b: Any) -> Any:
        return (fma(x[0], b, b), fma(x[1], b, b), fma(x[2], b, b), fma(x[3], b, b),
                fma(x[4], b, b), fma(x[5], b, b), fma(x[6], b, b), fma(x[7], b, b))

    @elementwise
    def four_steps(x: Any, b: Any) -> Any:
        return step(step(step(step(x, b), b), b), b)

    @called
    def loop(a: Any, b: Any) -> None:
        full_width()
        for l in range(np.uintp(a.shape[1])):
            x = a[0, l], a[1, l], a[2, l], a[3, l], a[4, l], a[5, l], a[6, l], a[7, l]
            x = four_steps(four_steps(four_steps(four_steps(x, b), b), b), b)
            a[0, l], a[1, l], a[2, l], a[3, l], a[4, l], a[5, l], a[6, l], a[7, l] = x

    return loop


def softmin_share(dtype: Any, *, repeats: int = 20, n: int = 256, m: int = 10_000) -> Share:
    """The rates of multiply-adds and of softmin on one processor, in float64 or float32.

    Softmin runs on n rows and m columns, with the squared Euclidean cost in two dimensions. Each of
    `repeats` runs stands between two measurements of the multiply-adds, of which the mean is taken;
    the run with the median share is returned.
    """
    from refot.backends.numba.backend import NumbaBackend
    from refot.costs.operands import point_cost

    rng, backend, loop = np.random.default_rng(0), NumbaBackend(), multiply_add_loop()
    points = point_cost(rng.random((n, 2)).astype(dtype), rng.random((m, 2)).astype(dtype))
    h, half = np.zeros(m, dtype), np.dtype(dtype).type(0.5)
    numbers = np.ones((CHAINS, LENGTH), dtype)

    def peak() -> float:
        return 10 * STEPS * numbers.size / seconds(lambda: [loop(numbers, half) for _ in range(10)])

    def softmin() -> float:
        with one_thread():
            return n * m / seconds(lambda: backend.softmin(points, h, 0.02))

    peak(), softmin()  # first calls, which compile and are not counted
    rates = []
    for _ in range(repeats):
        before, pairs = peak(), softmin()
        rates.append(((before + peak()) / 2, pairs))
    rates.sort(key=lambda rate: rate[1] / rate[0])
    return Share(*rates[len(rates) // 2], sum(SLOTS[np.dtype(dtype)].values()))


@contextmanager
def one_thread() -> Iterator[None]:
    """Within the block, kernels run on the calling thread alone: two threads on one core would
    share its units."""
    # Imported only where it is used, as in `multiply_add_loop`.
    import numba

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
