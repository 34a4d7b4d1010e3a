"""The comparison of systems-semidual.md on digits: SDOT and SDOTNN at three lam, three seeds.

    python docs/figures/train_semidual.py RESULTS

RESULTS is a file with one JSON object a run, to which the runs are added that it does not have.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

from refot.systems.presets.semidual import perceptron
from refot.systems.semidual import SDOT, SDOTNN, NetworkSettings, VectorSettings

LAMS = (0.0, 0.01, 0.1)
COMMON: dict[str, Any] = {"K": 5, "b": 100, "rate": 1e-3}
SYSTEMS: dict[str, Any] = {
    "SDOT": (SDOT, lambda lam: VectorSettings(lam=lam, gamma=1.0, **COMMON), 1_500, 150),
    "SDOTNN": (SDOTNN, lambda lam: NetworkSettings(lam=lam, psi_rate=1e-3, **COMMON), 500, 100),
}
"""(class, settings of lam, steps, steps between two measures)."""


def run(kind: str, lam: float, seed: int, task: Any) -> dict[str, Any]:
    """One training: the distance and the score against the step and the processor's seconds."""
    make, settings, steps, every = SYSTEMS[kind]
    system, seconds, curve = make(seed, "numpy", task, settings(lam)), 0.0, []
    for k in range(1, steps + 1):
        begun = time.process_time()
        system.step()
        seconds += time.process_time() - begun
        if k % every == 0:
            found = system.evaluate(np.random.default_rng([seed, k]))
            curve.append([k, seconds, found["classifier_frechet_distance"],
                          found["classifier_score"]])
    return {"kind": kind, "lam": lam, "seed": seed, "curve": curve}


def main(results: Path) -> None:
    """300 images, a generator of widths 64, 128, 256, and psi of the same, reversed."""
    task = perceptron((64, 128, 256), 32, 300)(None)
    lines = results.read_text().splitlines() if results.exists() else []
    done = {(each["kind"], each["lam"], each["seed"]) for each in map(json.loads, lines)}
    print("the 300 images themselves:", task.scores(task.data))
    for seed in range(3):
        for lam in LAMS:
            for kind in SYSTEMS:
                if (kind, lam, seed) not in done:
                    with results.open("a", encoding="utf-8") as file:
                        print(json.dumps(run(kind, lam, seed, task)), file=file)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
