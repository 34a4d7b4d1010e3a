"""Writes the golden trajectories: `python -m refot.verification.trajectories.generate [FOLDER]`.

One file for each algorithm of `systems.py`, with three steps. Numbers have 13 digits: enough for
every comparison, and few enough that two BLAS libraries write the same ones.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np

from refot.arrays import Array
from refot.files import write_text
from refot.verification.vectors.cases import gridded

from .steps import FOLDER
from .systems import GOLDEN, described, golden_system, train_step, weights_of

STEPS = 3
"""Training steps in a file."""

ZERO = 1e-13
"""A gradient whose entries are all at most this is 0 in exact arithmetic. What was computed is
rounding, which differs between implementations."""


def record(algorithm: str) -> dict[str, Any]:
    """The file of an algorithm, as an object."""
    system, golden = golden_system(algorithm), GOLDEN[algorithm]
    start, settings = weights_of(system), described(algorithm)
    batches = [{name: gridded(values) for name, values in system.draw().items()}
               for _ in range(STEPS)]
    steps = train_step(algorithm, settings, start, batches)
    free = free_weights(steps)
    return {
        "$schema": "schema.json",
        "algorithm": algorithm,
        "source": golden.source,
        "about": golden.about,
        **settings,
        "free": free,
        "weights": {name: w.tolist() for name, w in start.items()},
        "steps": [
            {"batch": {name: values.tolist() for name, values in batch.items()},
             "losses": {name: _digits(loss) for name, loss in step["losses"].items()},
             "gradients": [{"optimiser": each["optimiser"],
                            "gradients": _arrays(each["gradients"], free)}
                           for each in step["gradients"]],
             "weights": _arrays(step["weights"], free)}
            for batch, step in zip(batches, steps, strict=True)],
    }


def free_weights(steps: list[dict[str, Any]]) -> list[str]:
    """The names of the weights whose gradient is 0 in exact arithmetic.

    Such are a bias in front of a batch norm, and the last bias of a network of which only
    differences count (psi, a critic, D2, D4). These weights are not compared: what is computed for
    their gradient is rounding, and an optimiser that divides by the size of the gradient makes
    whole steps of it.
    """
    largest: dict[str, float] = {}
    for step in steps:
        for each in step["gradients"]:
            for name, g in each["gradients"].items():
                largest[name] = max(largest.get(name, 0.0), float(abs(g).max()))
    return sorted(name for name, size in largest.items() if size <= ZERO)


def _arrays(arrays: dict[str, Array], free: list[str]) -> dict[str, Any]:
    return {name: _digits(array) for name, array in arrays.items() if name not in free}


def _digits(values: Any) -> Any:
    """Nested lists of floats of 13 digits."""
    found = np.asarray(values)
    if found.ndim:
        return [_digits(part) for part in found]
    return float(f"{float(found):.12e}")


def text(algorithm: str) -> str:
    """The file of an algorithm: one field a line, one step a line."""
    fields = record(algorithm)
    steps = ",\n".join(json.dumps(step, separators=(",", ":")) for step in fields.pop("steps"))
    head = ",\n".join(f"{json.dumps(key)}: {json.dumps(value, separators=(',', ':'))}"
                      for key, value in fields.items())
    return f'{{\n{head},\n"steps": [\n{steps}\n]\n}}\n'


def write(folder: Path) -> None:
    """Write the file of each algorithm into the folder."""
    for algorithm in GOLDEN:
        write_text(folder / f"{algorithm}.json", text(algorithm))


if __name__ == "__main__":
    write(Path(sys.argv[1]) if len(sys.argv) > 1 else FOLDER)
