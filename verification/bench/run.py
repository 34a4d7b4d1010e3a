"""A whole benchmark run: the machine, half-iterations, and every peer on every cell of a grid."""

from __future__ import annotations

import os
import platform
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

import refot

from .child import RunLimits
from .peers.table import find_peer
from .problems import Cell
from .throughput import Rate, rates
from .timing import Entry, compare

HALF = Cell("gaussians", 10_000, 1e-2)
"""The problem on which half-iterations are timed."""

HALF_REPEATS = 5
"""How many half-iterations of each peer are timed."""

OURS = ("refot-float32", "refot-groups", "refot-groups-float32", "refot-log", "refot-log-float32")
"""Variants of refot whose half-iterations are timed in every run, in addition to `refot`: in
float32, on points that are sorted into groups of near neighbours, and on points in the given order
("log"), where every term of every sum is computed."""


@dataclass
class BenchReport:
    """Everything that a run measured, so far.

    `cells` has the entries by the name of the cell, `places` the cells by name, `throughput` the
    half-iterations, `shares` what `shares()` returns. `loads` are load averages of the machine: at
    the start, and after the half-iterations and each cell."""

    machine: dict[str, Any]
    limits: RunLimits
    repeats: int
    cells: dict[str, list[Entry]] = field(default_factory=dict)
    places: dict[str, Cell] = field(default_factory=dict)
    throughput: list[Rate] = field(default_factory=list)
    shares: dict[str, dict[str, float]] = field(default_factory=dict)
    loads: list[float] = field(default_factory=list)

    def as_dict(self) -> dict[str, Any]:
        """Plain data for JSON."""
        return {
            "refot": refot.__version__, "machine": self.machine, "limits": asdict(self.limits),
            "repeats": self.repeats, "loads": self.loads, "shares": self.shares,
            "throughput": [asdict(rate) for rate in self.throughput],
            "cells": [{"family": cell.family, "n": cell.n, "eps": cell.eps,
                       "entries": [asdict(entry) for entry in self.cells[name]]}
                      for name, cell in self.places.items()],
        }


def bench(
    cells: Sequence[Cell], peers: Sequence[str], limits: RunLimits, repeats: int,
    half: Cell | None = HALF, tell: Callable[[str, str], object] = lambda cell, peer: None,
    keep: Callable[[BenchReport], object] = lambda report: None,
) -> BenchReport:
    """Half-iterations on the cell `half`, then every peer on every cell.

    `tell(cell, peer)` is called before each peer, and `keep(report)` with the results so far after
    each cell. The run goes on if a peer fails or does not meet a criterion. Raises UnknownNameError
    for an unknown peer, before any work.
    """
    for name in peers:
        find_peer(name)
    report = BenchReport(machine(), limits, repeats, loads=[os.getloadavg()[0]])
    if half is not None:
        tell("half-iteration", half.name)
        report.throughput = rates(half, [*OURS, *peers], limits, HALF_REPEATS)
        tell("half-iteration", "the share of multiply-adds")
        report.shares = shares()
        report.loads.append(os.getloadavg()[0])
        keep(report)
    for cell in cells:
        report.places[cell.name] = cell
        report.cells[cell.name] = compare(cell, peers, limits, repeats, partial(tell, cell.name))
        report.loads.append(os.getloadavg()[0])
        keep(report)
    return report


def shares() -> dict[str, dict[str, float]]:
    """By dtype, at what share of the highest rate that one processor allows refot's softmin
    computes (`machine.Share`)."""
    from .machine import softmin_share

    found = {dtype: softmin_share(np.dtype(dtype)) for dtype in ("float64", "float32")}
    return {dtype: asdict(share) | {"reached": share.reached} for dtype, share in found.items()}


def machine() -> dict[str, Any]:
    """Processor, cores, memory and versions."""
    return {"processor": processor(), "cores": os.cpu_count(),
            "memory_GiB": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30),
            "system": platform.system(), "python": platform.python_version(),
            "numpy": np.__version__}


def processor() -> str:
    """The name of the processor, and whether it has AVX-512, if the system says so."""
    try:
        text = Path("/proc/cpuinfo").read_text(encoding="utf-8")
    except OSError:
        return platform.processor()
    lines = dict(line.split(":", 1) for line in text.splitlines() if ":" in line)
    fields = {key.strip(): value.strip() for key, value in lines.items()}
    name = fields.get("model name", platform.processor())
    return name + (", AVX-512" if "avx512f" in fields.get("flags", "") else "")
