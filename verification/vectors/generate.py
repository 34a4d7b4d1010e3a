"""Writes the certified vectors: `python -m refot.verification.vectors.generate [FOLDER]`.

Each file anew and whole, the same bytes every time: nothing in it depends on a clock, a machine or
a float64 solver, except which mistakes a case catches, and that is asked with a margin of 10.
Needs scikit-learn for the real data.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Iterator
from decimal import ROUND_UP, Context, Decimal
from pathlib import Path
from typing import Any

import numpy as np
from flint import arb

from refot.backend_contract import get_backend
from refot.verification.enclosures.enclose import decimals
from refot.verification.subjects.adapters.refot_itself import subject
from refot.verification.subjects.capabilities import CAPABILITIES, Role, names_of

from .answers import FOLDER
from .cases import all_cases, kinds
from .makers import DIGITS, MAKERS, Vector
from .mistakes import wrong_answers

MARGIN = 10
"""How far beyond its tolerance an answer must be for the case to count as catching the mistake."""


# ------------------------------------------------------------------ writing
def record(capability: str, vector: Vector) -> dict[str, Any]:
    """A vector as it stands in the file."""
    case, outputs = vector.case, {}
    for name, (balls, tolerance) in vector.outputs.items():
        outputs[name] = {"mid": _nested(balls, _mid), "rad": _nested(balls, _rad),
                         "tolerance": float(f"{tolerance:.1e}")}
    found = {
        "id": f"{capability}/{case.name}{vector.suffix}",
        "note": case.note,
        "kinds": kinds(case, vector.inputs),
        "catches": [],
        "inputs": {key: np.asarray(x).tolist() for key, x in vector.inputs.items()},
        "outputs": outputs,
    }
    right = subject(get_backend("numpy")).parts[0].capabilities[capability]
    answers = wrong_answers(capability, right, vector.inputs)
    found["catches"] = [name for name, answer in answers.items() if _caught(found, answer)]
    return found


def _caught(case: dict[str, Any], answer: Any) -> bool:
    """Whether a wrong answer is far outside what is allowed, or no number at all."""
    if answer is None:
        return False
    arrays = answer if isinstance(answer, tuple) else (answer,)
    for array, output in zip(arrays, case["outputs"].values(), strict=False):
        mid = np.array(output["mid"], dtype=float)  # null becomes NaN: nothing is due
        found = np.asarray(array, dtype=float)
        if found.shape != mid.shape:
            return True
        if len(arrays) == 2:
            found = found + (1 if array is arrays[0] else -1) * float(np.asarray(arrays[1])[-1])
        error = abs(found - mid)[np.isfinite(mid)]
        if not (error <= MARGIN * output["tolerance"]).all():
            return True
    return False


def _nested(balls: Any, write: Callable[[arb], str]) -> Any:
    if balls is None:
        return None
    return write(balls) if isinstance(balls, arb) else [_nested(part, write) for part in balls]


def _mid(x: arb) -> str:
    return decimals(x, DIGITS)[0]


def _rad(x: arb) -> str:
    """Three digits, rounded up."""
    return str(Decimal(decimals(x, DIGITS)[1]).normalize(Context(prec=3, rounding=ROUND_UP)))


def cases_of(capability: str, names: str = "") -> Iterator[dict[str, Any]]:
    """The records of a capability, of all its problems or of those that are named."""
    make, chosen = MAKERS[capability]
    by_name = {case.name: case for case in all_cases()}
    for name in (names or chosen).split():
        for vector in make(by_name[name]):
            yield record(capability, vector)


def text(capability: str) -> str:
    """The file of a capability: one case a line."""
    head = {"$schema": "schema.json", "capability": capability,
            "signature": CAPABILITIES[capability].signature}
    lines = ",\n".join(line(case) for case in cases_of(capability))
    return json.dumps(head, indent=0)[:-2] + ',\n"cases": [\n' + lines + "\n]\n}\n"


def line(case: dict[str, Any]) -> str:
    """One case as a line of JSON; floats as the shortest decimals that round to them."""
    return json.dumps(case, separators=(",", ":"), allow_nan=False)


def write(folder: Path) -> None:
    """Every file into the folder, each moved into place when it is whole."""
    for capability in names_of(Role.ANSWER):
        path = folder / f"{capability}.json"
        beside = path.with_name(f".{path.name}.{os.getpid()}")
        beside.write_text(text(capability), encoding="utf-8")
        os.replace(beside, path)


if __name__ == "__main__":
    write(Path(sys.argv[1]) if len(sys.argv) > 1 else FOLDER)
