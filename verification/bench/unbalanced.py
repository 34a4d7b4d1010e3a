"""`refot bench --unbalanced`: seconds to a certified relative gap of 1e-6 on unbalanced problems.

The masses are 1 and 1.3, with KL on both sides. As in `refot bench`, each peer has a process, and
is run at the loosest accuracy that meets the criterion, in turn with refot. Unlike there, a peer is
stopped when it has computed TIMES as long as refot. This limit, and the times in the table, are
seconds of the processor: seconds of the clock would depend on what else the machine does.
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from refot.arrays import InputError
from refot.files import write_text

from .child import PeerFailed, RunLimits
from .criterion import UNBALANCED
from .peers.unbalanced import peers
from .problems import UnbalancedCell
from .timing import Runner, Timing, paired, refused

CELLS = [UnbalancedCell(family, n, eps, None, rho)
         for family, n in (("gaussians", 1_000), ("mnist", 1_000), ("gaussians", 10_000))
         for eps in (1e-1, 1e-2, 1e-3) for rho in (1.0, 1e2, 1e4)]
"""The problems: each family and size at each eps (in units of max C) and rho (in units of eps)."""

REFERENCE, *OTHERS = (peer.name for peer in peers())
"""refot's name in the list of unbalanced peers, and the names of the others."""

TIMES = 20.0
"""A peer is stopped after this multiple of the processor seconds that refot takes."""

LEAST = 2.0
"""Seconds of the processor that every peer has, however short refot's time is."""


@dataclass(frozen=True)
class Found:
    """The result of a peer on a cell: its times, with their ratios to refot's, or why there are
    none. `load` is the load average of the machine afterwards."""

    cell: str
    peer: str
    timing: Timing | None
    failure: str = ""
    load: float = 0.0

    @property
    def line(self) -> str:
        """A row of the table."""
        start = f"| {self.cell} | {self.peer} |"
        if self.timing is None:
            return f"{start} | | {self.failure} |"
        ratio = self.timing.processor_ratio
        times = "" if ratio is None else f"{ratio.median:.2g} ({ratio.least:.2g}-{ratio.most:.2g})"
        return f"{start} {self.timing.processor:.2g} | {times} | gap {self.timing.gap:.0e} |"


def cells_of(only: Sequence[str]) -> list[UnbalancedCell]:
    """The cells in whose name one of these texts stands as whole words; all cells if `only` is
    empty."""
    found = [cell for cell in CELLS if not only or cell.matches(tuple(only))]
    if not found:
        raise InputError("only", ", ".join(only), "part of one of " +
                         ", ".join(cell.name for cell in CELLS))
    return found


def compare(cell: UnbalancedCell, names: Sequence[str], limits: RunLimits, repeats: int
            ) -> Iterator[Found]:
    """The result of refot on a cell, and then those of the named peers, each timed in turn with
    refot."""
    instance = cell.instance()
    with Runner(REFERENCE, instance, limits) as reference:
        yield (ours := found_of(cell, REFERENCE, reference, reference, repeats))
        seconds = ours.timing.processor if ours.timing else math.inf
        theirs = replace(limits, processor=min(limits.processor, max(LEAST, TIMES * seconds)))
        for name in names:
            with Runner(name, instance, theirs) as runner:
                yield found_of(cell, name, runner, reference, repeats)


def found_of(cell: UnbalancedCell, name: str, runner: Runner, reference: Runner, repeats: int
             ) -> Found:
    """The result of one peer, or why there is none."""
    timing, failure = None, refused(name, runner.instance.n, runner.limits)
    if not failure:
        try:
            timing = paired(runner, reference, UNBALANCED, repeats)
        except PeerFailed as failed:
            failure = str(failed)
    return Found(cell.name, name, timing, failure, os.getloadavg()[0])


def lines(cells: Sequence[UnbalancedCell], names: Sequence[str], limits: RunLimits, repeats: int,
          path: Path | None = None) -> Iterator[str]:
    """The table in Markdown, each line as soon as it is measured. With `path`, all results so far
    are written there as JSON."""
    every = []
    yield "| problem | peer | seconds of the processor | times refot's (min-max) | |"
    yield "|---|---|---|---|---|"
    for cell in cells:
        for found in compare(cell, names, limits, repeats):
            every.append(asdict(found))
            if path is not None:
                write_text(path, json.dumps(every, indent=1) + "\n")
            yield found.line
