"""`refot bench --training`: a step of Info-Sinkhorn beside the same step in PyTorch, in pairs."""

from __future__ import annotations

import statistics
from collections.abc import Iterator, Sequence

from refot.arrays import lookup

PRESETS = ("gaussians25-quick", "gaussians25")
"""Presets of Info-Sinkhorn on points, which `torch_twin.py` can train in PyTorch: one with networks
of width 128, and that of Table 1 of B (Bréchet et al. 2019)."""

PAIRS = 20
"""How many steps of refot, and of PyTorch, are timed."""


def lines(presets: Sequence[str] = PRESETS, pairs: int = PAIRS, backend: str = "numba"
          ) -> Iterator[str]:
    """A line for each preset: median milliseconds of both, and the ratios of neighbouring steps."""
    from refot.systems.presets import info_sinkhorn as info_sinkhorn_presets

    from .torch_twin import paired_times

    for name in presets:
        system = lookup(info_sinkhorn_presets.PRESETS, name, "preset").make(0, backend)
        times = paired_times(system, pairs)
        ours, theirs = (1e3 * statistics.median(each) for each in (times.refot, times.torch))
        yield (f"info_sinkhorn {name}: refot {ours:.1f} ms a step, PyTorch {theirs:.1f} ms; refot "
               f"takes {times.median:.2f} ({min(times.ratios):.2f}-{max(times.ratios):.2f}) of "
               f"its time, {pairs} pairs")
