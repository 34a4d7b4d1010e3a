"""How far a run has come, read from its folder, so that two runs can be compared."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from refot.systems.training.folder import (
    Identity,
    RunFolder,
    RunFolderError,
    held_by,
    is_number,
)


@dataclass(frozen=True)
class Standing:
    """A run: its lines of metrics.jsonl (`rows`), and of its last line the iteration, the seconds
    so far and the losses; `measures` are the last that were taken, empty if there are none."""

    identity: Identity
    rows: list[dict[str, Any]]
    iteration: int
    seconds: float
    losses: Mapping[str, float]
    measures: Mapping[str, float | None]


def standing(folder: str | Path) -> Standing:
    """How far the run in a folder has come. Raises RunFolderError if there is no run, or one
    without a line of metrics."""
    path = Path(folder)
    held = held_by(path)
    rows = [] if held is None else list(RunFolder(path, held.identity).rows())
    if held is None or not rows:
        raise RunFolderError("--compare", f"{path} holds no run that has begun",
                             "the --out of `refot train`")
    last = rows[-1]
    measured = [row["measures"] for row in rows if "measures" in row]
    seconds = last.get("seconds")
    return Standing(held.identity, rows, last["iteration"],
                    seconds if is_number(seconds) else math.nan, last["losses"],
                    measured[-1] if measured else {})
