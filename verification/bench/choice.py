"""How the default backend compares with `numpy` and `numba`, each in fresh processes.

    python -m refot.verification.bench.choice 100,250,500 2,784

Each line is a size n and a dimension d: processor seconds of the first solve of a process, which
loads the kernels from disk, and of a later one; and those of `auto` over the smaller of the other
two. Run it twice where kernels may have to be compiled first. All have one thread.
"""

from __future__ import annotations

import multiprocessing
import sys
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor

import numpy as np

from refot.verification.runs.environment import THREAD_VARIABLES, environment

BACKENDS = ("numpy", "numba", "auto")

EPS = 0.05
"""eps, as a share of the mean squared distance."""

LATER = 0.5
"""Seconds for which solves are repeated after the first one; at least one is."""


def seconds(n: int, d: int, backend: str) -> tuple[float, float]:
    """Processor seconds of the first solve in this process, and the mean of later ones."""
    import refot

    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(n, d)), rng.normal(size=(n, d)) + 1 / np.sqrt(d)
    C, eps = refot.point_cost(x, y), EPS * (1 + 2 * d)

    def solve() -> None:
        refot.solve(C, eps=eps, tol=1e-6, backend=backend)

    begun = time.process_time()
    solve()
    first = time.process_time() - begun
    begun, count = time.process_time(), 0
    while count == 0 or time.process_time() - begun < LATER:
        solve()
        count += 1
    return first, (time.process_time() - begun) / count


def in_fresh_process(n: int, d: int, backend: str) -> tuple[float, float]:
    """`seconds`, in a process of its own with one thread."""
    with environment(dict.fromkeys(THREAD_VARIABLES, "1")), ProcessPoolExecutor(
            1, multiprocessing.get_context("spawn")) as pool:
        return pool.submit(seconds, n, d, backend).result()


def lines(sizes: Sequence[int], dimensions: Sequence[int]) -> Iterator[str]:
    """A Markdown table, each line as soon as it is measured."""
    yield "| n | d | first: numpy, numba, auto, s | ratio | later: numpy, numba, auto, s | ratio |"
    yield "|---|---|---|---|---|---|"
    for n in sizes:
        for d in dimensions:
            times = [in_fresh_process(n, d, backend) for backend in BACKENDS]
            parts = " | ".join(compared(*part) for part in zip(*times, strict=True))
            yield f"| {n} | {d} | {parts} |"


def compared(numpy: float, numba: float, auto: float) -> str:
    """Three times, and the last over the smaller of the others."""
    return f"{numpy:.4f}, {numba:.4f}, {auto:.4f} | {auto / min(numpy, numba):.2f}"


if __name__ == "__main__":
    for line in lines(*([int(number) for number in text.split(",")] for text in sys.argv[1:3])):
        print(line, flush=True)
