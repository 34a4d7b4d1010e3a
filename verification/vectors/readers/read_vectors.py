"""Read the certified vectors, and compare answers with them: python3 read_vectors.py FOLDER."""

import json
import math
import sys
from pathlib import Path
from typing import Any


def cases(folder: str, capability: str) -> Any:
    """(id, arguments, outputs) of each case of a capability."""
    text = (Path(folder) / f"{capability}.json").read_text(encoding="utf-8")
    for case in json.loads(text)["cases"]:
        yield case["id"], case["inputs"], case["outputs"]


def leaves(nested: Any) -> list[Any]:
    """The entries of nested lists, in order."""
    return [x for part in nested for x in leaves(part)] if isinstance(nested, list) else [nested]


def agrees(answer: Any, output: dict[str, Any]) -> bool:
    """Whether every entry is within rad + tolerance of mid; None: nothing is due."""
    entries, mids, rads = map(leaves, (answer, output["mid"], output["rad"]))
    return len(entries) == len(mids) and all(
        mid is None or abs(x - float(mid)) <= float(rad) + output["tolerance"]
        for x, mid, rad in zip(entries, mids, rads, strict=True))


def softmin(C: list[list[float]], h: list[float], eps: float) -> list[float]:
    """The function under test: -eps log sum_j exp((h_j - C_ij) / eps)."""
    rows = [[(hj - c) / eps for hj, c in zip(h, row, strict=True)] for row in C]
    return [-eps * (max(r) + math.log(sum(math.exp(t - max(r)) for t in r))) for r in rows]


if __name__ == "__main__":
    right = [agrees(softmin(**inputs), outputs["softmin"])
             for _, inputs, outputs in cases(sys.argv[1], "softmin")]
    print(f"{sum(right)} of {len(right)} right")
    sys.exit(not all(right))
