"""Writes the certified vectors: `python -m refot.verification.vectors.generate [FOLDER]`.

It writes every file as a whole, and the same bytes every time: nothing depends on a clock or on the
machine. Only the lists of mistakes that a case catches depend on a float64 solver. A mistake counts
as caught if its answer is far off (`catches.MARGIN`), so that roundings do not decide. The real
data need scikit-learn.
"""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Callable, Iterator
from decimal import ROUND_UP, Context, Decimal
from pathlib import Path
from typing import Any

import numpy as np
from flint import arb

from refot.files import write_text
from refot.verification.enclosures.enclose import decimals
from refot.verification.mistakes.catalogue import mistakes_of

from .answers import FOLDER
from .cases import all_cases, kinds
from .catches import catches
from .files import FILES
from .makers import DIGITS, MAKERS, Vector
from .unbalanced_cases import unbalanced_cases
from .unbalanced_makers import UNBALANCED_MAKERS

EVERY_MAKER: dict[str, tuple[Callable[[Any], Iterator[Vector]], str]] = {
    **MAKERS, **UNBALANCED_MAKERS}
"""By file: the function that makes vectors of a problem, and the names of its problems."""


# ------------------------------------------------------------------ writing
def record(capability: str, vector: Vector) -> dict[str, Any]:
    """A vector as an object of the file."""
    case = vector.case
    outputs = {name: {"mid": _nested(balls, _mid), "rad": _nested(balls, _rad),
                      "tolerance": float(f"{tolerance:.1e}")}
               for name, (balls, tolerance) in vector.outputs.items()}
    return {
        "id": f"{capability}/{case.name}{vector.suffix}",
        "note": case.note,
        "kinds": kinds(case, vector.inputs),
        "catches": catches(capability, vector.inputs, outputs),
        "inputs": {key: _argument(x) for key, x in vector.inputs.items()},
        "outputs": outputs,
    }


def _argument(x: Any) -> Any:
    """An argument as JSON can hold it. JSON has no infinity: that is written as "Infinity"."""
    if isinstance(x, tuple):
        return ["Infinity" if math.isinf(part) else part for part in x]
    return np.asarray(x).tolist()


def _nested(balls: Any, write: Callable[[arb], str]) -> Any:
    if balls is None:
        return None
    return write(balls) if isinstance(balls, arb) else [_nested(part, write) for part in balls]


def _mid(x: arb) -> str:
    return decimals(x, DIGITS)[0]


def _rad(x: arb) -> str:
    """The radius of a ball with three digits, rounded up."""
    return str(Decimal(decimals(x, DIGITS)[1]).normalize(Context(prec=3, rounding=ROUND_UP)))


def cases_of(capability: str, names: str = "") -> Iterator[dict[str, Any]]:
    """The records of a capability: of all its problems, or of those whose names are given,
    separated by spaces."""
    make, chosen = EVERY_MAKER[capability]
    by_name = {case.name: case for case in [*all_cases(), *unbalanced_cases()]}
    for name in (names or chosen).split():
        for vector in make(by_name[name]):
            yield record(capability, vector)


def text(capability: str) -> str:
    """The file of a capability: a note on each mistake that is caught, then one line per case."""
    cases = list(cases_of(capability))
    caught = {name for case in cases for name in case["catches"]}
    head = {"$schema": "schema.json", "capability": capability,
            "signature": FILES[capability].signature,
            "notes": {mistake.id: mistake.said for mistake in mistakes_of(capability)
                      if mistake.id in caught}}
    lines = ",\n".join(line(case) for case in cases)
    return json.dumps(head, indent=0)[:-2] + ',\n"cases": [\n' + lines + "\n]\n}\n"


def line(case: dict[str, Any]) -> str:
    """One case as a line of JSON, each float as the shortest decimal that reads back as it."""
    return json.dumps(case, separators=(",", ":"), allow_nan=False)


def write(folder: Path) -> None:
    """Write every file into the folder; each is moved into place when it is complete."""
    for capability in FILES:
        write_text(folder / f"{capability}.json", text(capability))


if __name__ == "__main__":
    write(Path(sys.argv[1]) if len(sys.argv) > 1 else FOLDER)
