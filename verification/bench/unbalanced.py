"""Time to a certified relative gap of 1e-6 on unbalanced problems, refot beside its peers.

    python -m refot.verification.bench.unbalanced --json found.json "gaussians n=1000"

prints a line for each cell whose name has one of the texts; without a text, for all of CELLS. It
measures as `refot bench` does: each peer in its process, at the loosest accuracy that meets the
criterion, in pairs with refot.
"""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from .child import PeerFailed, RunLimits
from .criterion import UNBALANCED
from .peers.unbalanced import peers
from .problems import UnbalancedCell
from .timing import Runner, paired, refused

CELLS = [UnbalancedCell(family, n, eps, None, rho)
         for family, n in (("gaussians", 1_000), ("mnist", 1_000), ("gaussians", 10_000))
         for eps in (1e-1, 1e-2, 1e-3) for rho in (1.0, 1e2, 1e4)]


def compare(cell: UnbalancedCell, names: list[str], limits: RunLimits, repeats: int
            ) -> Iterator[dict[str, Any]]:
    """For refot and each peer: seconds and the ratio to refot's of the same pairs, or why not."""
    instance = cell.instance()
    with Runner(peers()[0].name, instance, limits) as reference:
        for name in names:
            line: dict[str, Any] = {"cell": cell.name, "peer": name}
            with Runner(name, instance, limits) as runner:
                try:
                    if reason := refused(name, instance.n, limits):
                        raise PeerFailed(reason)
                    found = paired(runner, reference, UNBALANCED, repeats)
                    line |= {"seconds": found.seconds, "gap": found.gap,
                             "residual": found.marginal_error, "pairs": found.pairs,
                             "accuracy": found.accuracy,
                             "ratio": found.ratio and found.ratio.median,
                             "processor": found.processor, "processor_ratio":
                             found.processor_ratio and found.processor_ratio.median}
                except PeerFailed as failed:
                    line["failure"] = str(failed)
            yield line


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("only", nargs="*", help="words of names of cells")
    parser.add_argument("--json", type=Path, help="write every line to this file")
    parser.add_argument("--peers", default=",".join(peer.name for peer in peers()))
    parser.add_argument("--seconds", type=float, default=30.0, help="limit of one run")
    parser.add_argument("--repeats", type=int, default=3, help="pairs of runs")
    asked = parser.parse_args()
    limits, lines = RunLimits(seconds=asked.seconds, threads=os.cpu_count() or 1), []
    for cell in CELLS:
        if asked.only and not cell.matches(tuple(asked.only)):
            continue
        for line in compare(cell, asked.peers.split(","), limits, asked.repeats):
            print(json.dumps(line), flush=True)
            lines.append(line | {"load": os.getloadavg()[0]})
            if asked.json:
                asked.json.write_text(json.dumps(lines, indent=1), encoding="utf-8")


if __name__ == "__main__":
    main()
