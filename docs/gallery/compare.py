"""The examples beside the same tasks in POT, OTT and GeomLoss: lines of code, and processor time.

    python docs/gallery/compare.py                 all examples: a table for docs/gallery.md
    python docs/gallery/compare.py outliers        one of them

Each example has a function `transport`, which does the task; data and pictures are apart. The files
of peers/ have a function for each library that can do the same task. Both are counted by one rule,
and run in turn on one core, with arrays of the library's own kind; a first run, which may compile,
is not timed.
"""

from __future__ import annotations

import importlib
import importlib.util
import os
import statistics
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parent))
from gallery import lines  # noqa: E402

EXAMPLES = ["colour_transfer", "domain_adaptation", "gradient_flow", "matching_shapes", "outliers",
            "distance_matrix", "torch_training", "jax_training", "entropic_map",
            "barycentric_interpolation", "flow_matching", "single_cell"]
"""In the order of the gallery."""

PEERS = ["pot", "ott", "geomloss"]

TASKS: dict[str, Callable[[Any], tuple[Any, ...]]] = {
    "colour_transfer": lambda found: (found[0].reshape(-1, 3), found[0].reshape(-1, 3)[::17].copy(),
                                      found[1].reshape(-1, 3)[::17].copy()),
    "domain_adaptation": lambda found: (found[0], found[2]),
    "distance_matrix": lambda found: ([cloud(image) for image in found[0][::5]],),
    "barycentric_interpolation": lambda found: (*found, (0, 0.5, 1)),
    "flow_matching": lambda found: (*found, 64),
    "single_cell": lambda found: (found[0], found[1][-1]),
}
"""What `transport` is given, from what `data` returns; elsewhere just that. Of the images of the
distance matrix every fifth is taken: with all of them peers take minutes."""

SHORTER: dict[str, dict[str, Any]] = {
    "gradient_flow": {"steps": 4},
    "jax_training": {"steps": 15},
    "torch_training": {"steps": 20},
}
"""Fewer steps than in the example, for refot and all peers: with all of them a peer takes minutes.
Later steps are like the first ones."""

LONG = 5.0
"""Seconds; whatever takes longer is timed once."""

COMPARED: dict[str, Callable[[Any], Any]] = {
    "torch_training": lambda values: values[:10],  # later, rounding alone leads to other batches
}
"""The part of a result that is compared; elsewhere all of it."""


def cloud(image: Any) -> Any:
    """The cloud of an image, as the example makes it."""
    return load("distance_matrix").cloud(image)


def load(name: str) -> ModuleType:
    """The module of an example."""
    if str(HERE) not in sys.path:
        sys.path.insert(0, str(HERE))
    return importlib.import_module(name)


def load_peers(name: str) -> ModuleType:
    """The module of the same task elsewhere."""
    load(name)  # a simulator is imported from the example
    spec = importlib.util.spec_from_file_location(f"peers_{name}", HERE / "peers" / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


# ------------------------------------------------------------------ lines
def lines_by_library(name: str) -> dict[str, int]:
    """The lines of a task in refot, and in each peer that can do it."""
    ours, theirs = (path.read_text(encoding="utf-8")
                    for path in (HERE / f"{name}.py", HERE / "peers" / f"{name}.py"))
    return {"refot": lines.of_function(ours, "transport"),
            **{who: lines.of_function(theirs, who) for who in PEERS if f"def {who}(" in theirs}}


# ------------------------------------------------------------------ runs
def runs(name: str) -> dict[str, Callable[[], tuple[Any, float]]]:
    """The task by refot, and by each peer that can do it: functions that return the result and the
    processor time in seconds."""
    example, peers = load(name), load_peers(name)

    def prepared(who: str) -> Callable[[], tuple[Any, float]]:
        function = example.transport if who == "refot" else getattr(peers, who)

        def run() -> tuple[Any, float]:
            given = TASKS.get(name, tuple)(example.data())
            given = converted(given, kind(name, who))
            begun = time.process_time()
            found = function(*given, **SHORTER.get(name, {}))
            # Arrays of JAX are computed when NumPy asks for them.
            parts = found if isinstance(found, list) else [found]
            return [np.asarray(part) for part in parts], time.process_time() - begun

        return run

    able = [who for who in PEERS if hasattr(peers, who)]
    return {who: prepared(who) for who in ("refot", *able)}


def kind(name: str, who: str) -> str:
    """The library of arrays in which a peer is given the task."""
    if (name, who) == ("gradient_flow", "pot"):
        return "torch"
    return {"ott": "jax", "geomloss": "torch"}.get(who, "numpy")


def converted(given: Any, library: str) -> Any:
    """The same with every NumPy array as one of that library."""
    if isinstance(given, tuple | list):
        return type(given)(converted(part, library) for part in given)
    if not isinstance(given, np.ndarray) or library == "numpy":
        return given
    if library == "torch":
        import torch

        return torch.as_tensor(given)
    from jax import numpy as jnp

    return jnp.asarray(given)


def off(name: str, found: Any, right: Any) -> float:
    """The relative distance of a result from that of refot."""
    part = COMPARED.get(name, lambda result: result)
    one, other = (np.concatenate([np.ravel(each) for each in part(result)])
                  for result in (found, right))
    return float(np.linalg.norm(one - other) / np.linalg.norm(other))


@dataclass
class Row:
    """One task: for refot and each peer that can do it, lines, seconds and the distance of its
    result from refot's."""

    name: str
    lines: dict[str, int]
    seconds: dict[str, float]
    off: dict[str, float]

    def __str__(self) -> str:
        cells = []
        for who in ("refot", *PEERS):
            if who not in self.lines:
                cells.append("-")
            elif who == "refot":
                cells.append(f"{self.lines[who]} · {1000 * self.seconds[who]:.0f} ms")
            else:
                ratio = self.seconds[who] / self.seconds["refot"]
                cells.append(f"{self.lines[who]} · {ratio:.2g} x · {self.off[who]:.0e}")
        return f"| {self.name.replace('_', ' ')} | {' | '.join(cells)} |"


def compared(name: str, repeats: int) -> Row:
    """All run in turn, `repeats` times (once if it is LONG), after a first run that is not timed.
    """
    tasks = runs(name)
    first = {who: run()[0] for who, run in tasks.items()}
    seconds: dict[str, list[float]] = {who: [] for who in tasks}
    for _ in range(repeats):
        for who, run in tasks.items():
            if max(seconds[who], default=0.0) < LONG:
                seconds[who].append(run()[1])
    return Row(name, lines_by_library(name),
               {who: statistics.median(times) for who, times in seconds.items()},
               {who: off(name, found, first["refot"]) for who, found in first.items()})


def main(names: list[str], repeats: int = 5) -> None:
    """Print the table."""
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})  # Linux; before cores are counted
    import jax
    import torch
    from threadpoolctl import threadpool_limits

    jax.config.update("jax_enable_x64", True)
    torch.set_num_threads(1)
    print("| | refot | POT | OTT | GeomLoss |\n|---|---|---|---|---|")
    # NumPy's BLAS has counted the cores already: two of its threads on one core would wait for each
    # other in circles, and the processor time would be that of waiting.
    with threadpool_limits(limits=1, user_api="blas"):
        for name in names or EXAMPLES:
            print(compared(name, repeats), flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
