"""Golden trajectories: reading, listing and showing them, and comparing somebody's steps with them.

Each algorithm has one JSON file in this folder, in the form of `schema.json`, written by
`generate.py`. It holds three steps from given weights on given batches: the losses, the gradients
that each optimiser gets, and the weights after each step. docs/trajectories.md explains the files.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from refot.arrays import Array, lookup

FOLDER = Path(__file__).parent
"""The folder of the JSON files."""

OF_A_MOVE = 1e-4
"""A weight may be off by this share of the largest change of its array so far; a loss or a gradient
by this share of its size. Every mistake of the zoo of
tests/verification/trajectories/test_trajectories.py is off by more."""

SMALL_LOSS = 0.01
"""A loss below this is a difference of larger terms. Its error is taken relative to this number."""


def algorithms() -> list[str]:
    """The algorithms that have a file."""
    return sorted(path.stem for path in FOLDER.glob("*.json") if path.stem != "schema")


def load(algorithm: str) -> dict[str, Any]:
    """The trajectory of an algorithm, as its file has it. Raises UnknownNameError."""
    lookup(dict.fromkeys(algorithms()), algorithm, "algorithm")
    found: dict[str, Any] = json.loads((FOLDER / f"{algorithm}.json").read_text(encoding="utf-8"))
    return found


def list_trajectories() -> list[str]:
    """One line an algorithm: its name, its source, how many weights it has."""
    lines = []
    for name in algorithms():
        file = load(name)
        weights = sum(np.size(w) for w in file["weights"].values())
        lines.append(f"{name:26} {file['source']} ({len(file['steps'])} steps, {weights} weights)")
    return lines


def show(algorithm: str) -> str:
    """One trajectory as indented JSON. Raises UnknownNameError."""
    return json.dumps(load(algorithm), indent=2)


def question(file: Mapping[str, Any]) -> tuple[str, dict[str, Any], dict[str, Array], list[Any]]:
    """The arguments of `train_step`: (algorithm, settings, weights, batches), arrays of NumPy."""
    settings = {**file["settings"], "networks": file["networks"], "optimisers": file["optimisers"],
                "constants": as_arrays(file["constants"])}
    return (file["algorithm"], settings, as_arrays(file["weights"]),
            [as_arrays(step["batch"]) for step in file["steps"]])


def as_arrays(lists: Mapping[str, Any]) -> dict[str, Array]:
    """Nested lists as float64 arrays, by name."""
    return {name: np.array(values, dtype=np.float64) for name, values in lists.items()}


# ------------------------------------------------------------------ comparing
@dataclass(frozen=True)
class Difference:
    """One comparison: the step (from 1), what was compared, its entry that is furthest off, and how
    far: relative to the size of a loss or gradient, or to the change of a weight. `name` is the
    name of a weight, and "" for losses and gradients."""

    step: int
    what: str
    measured: float
    expected: float
    relative: float
    name: str = ""


def differences(file: Mapping[str, Any], answer: Any) -> Iterator[Difference]:
    """Every comparison of somebody's steps with those of the file, in the order of the steps.

    Gradients are compared if the answer has them, in the order of the optimisers' steps. Raises
    ValueError if anything else is missing or has another shape.
    """
    if not isinstance(answer, list | tuple) or len(answer) != len(file["steps"]):
        raise ValueError(f"a list of {len(file['steps'])} steps is due")
    start = as_arrays(file["weights"])
    for k, (step, given) in enumerate(zip(file["steps"], answer, strict=True), 1):
        for name, loss in step["losses"].items():
            found = _due(given, "losses", name, k)
            yield _worst(k, f"step {k}, loss {name}", found, np.array(loss),
                         max(SMALL_LOSS, abs(loss)))
        if "gradients" in given:
            yield from _gradients(step["gradients"], given["gradients"], k)
        moves = {name: float(abs(np.array(w) - start[name]).max())
                 for name, w in step["weights"].items()}
        for name, w in step["weights"].items():
            scale = moves[name] or max(moves.values())
            yield _worst(k, f"step {k}, weight {name}", _due(given, "weights", name, k),
                         np.array(w), scale, name)


def _gradients(expected: list[Any], given: Any, k: int) -> Iterator[Difference]:
    if [each["optimiser"] for each in given] != [each["optimiser"] for each in expected]:
        raise ValueError(f"step {k}: gradients of {[each['optimiser'] for each in given]}; due: "
                         f"{[each['optimiser'] for each in expected]}, in this order")
    for n, (right, found) in enumerate(zip(expected, given, strict=True), 1):
        for name, g in right["gradients"].items():
            g = np.array(g)
            yield _worst(k, f"step {k}, {right['optimiser']}'s gradient {n}, {name}",
                         _due(found, "gradients", name, k), g, float(abs(g).max()))


def _due(given: Any, kind: str, name: str, k: int) -> Array:
    """The array `name` among the losses, gradients or weights (`kind`) of the answer to step k, in
    float64. Raises ValueError if it is missing."""
    held = given.get(kind) if isinstance(given, Mapping) else None
    if not isinstance(held, Mapping) or name not in held:
        raise ValueError(f"step {k}: no {name} among its {kind}")
    return np.asarray(held[name], dtype=np.float64)


def _worst(
    step: int, what: str, found: Array, right: Array, scale: float, name: str = ""
) -> Difference:
    """The entry that misses by most, relative to `scale`; NaN counts as infinitely far."""
    if found.shape != right.shape:
        raise ValueError(f"{what}: shape {found.shape}; due {right.shape}")
    error = np.where(np.isfinite(found), abs(found - right), math.inf).ravel()
    at = int(error.argmax())
    return Difference(step, what, float(found.ravel()[at]), float(right.ravel()[at]),
                      float(error[at]) / scale, name)
