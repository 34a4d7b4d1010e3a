"""`refot bench --training`: steps of the systems beside the same steps in PyTorch, in pairs."""

from __future__ import annotations

import os
import statistics
from collections.abc import Iterator, Sequence

from refot.systems.base.network_system import NetworkSystem
from refot.systems.registry import make_system

PRESETS = (("info_sinkhorn", "gaussians25-quick"), ("info_sinkhorn", "gaussians25"),
           ("info_sinkhorn", "mnist"), ("semidual", "sdot-gaussians25"),
           ("semidual", "sdot-mnist"), ("eotgan", "mnist-quick"), ("eotgan", "mnist"))
"""Systems and presets that `twins/` can train in PyTorch."""

PAIRS = 20
"""How many steps of refot, and of PyTorch, are timed at most."""

SECONDS = 20.0
"""No further pair is begun after this time."""


def lines(presets: Sequence[tuple[str, str]] = PRESETS, pairs: int = PAIRS,
          backend: str = "numba", seconds: float = SECONDS) -> Iterator[str]:
    """A line for each preset: median milliseconds of both, and the ratios of neighbouring steps.

    Both use the threads that the process has: set OPENBLAS_NUM_THREADS, OMP_NUM_THREADS and
    NUMBA_NUM_THREADS to the same number for another one."""
    import torch

    from .twins.paired import paired_times

    threads = int(os.environ.get("OPENBLAS_NUM_THREADS", os.cpu_count() or 1))
    torch.set_num_threads(threads)
    for name, preset in presets:
        system = make_system(name, preset, 0, backend)
        assert isinstance(system, NetworkSystem)
        times = paired_times(system, pairs, seconds=seconds)
        ours, theirs = (1e3 * statistics.median(each) for each in (times.refot, times.torch))
        yield (f"{name} {preset}, {threads} threads: refot {ours:.1f} ms a step, PyTorch "
               f"{theirs:.1f} ms; refot takes {times.median:.2f} "
               f"({min(times.ratios):.2f}-{max(times.ratios):.2f}) of its time, "
               f"{len(times.ratios)} pairs")
