"""A certificate that travels: a problem, a potential and the interval that it proves, in one JSON
file. Two checkers of 80 lines, docs/checkers/check.py and check.mjs, prove the interval again from
the file alone; docs/certificates-that-travel.md describes the format.

The problem in the file is the one of its *matrix* of costs, as floats: where it was given by
points, that is the matrix which refot computes from them.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from refot.arrays import Array, InputError
from refot.files import write_text

FORMAT, VERSION = "refot-certificate", 1
"""The first two fields of every file."""

CONVENTION = "F = min <C,P> + eps KL(P | a(x)b), marginals a / sum(a) and b / sum(b)"
"""What the interval is about, in the words that the checkers ask for."""

MOST_ENTRIES = 250_000
"""Costs with at most so many entries are written out. Of a larger problem the file holds a hash."""


@dataclass(frozen=True)
class TravellingCertificate:
    """lower <= F <= upper for the costs C (n, m), weights a (n,), b (m,) and eps, in cost units,
    proven by the column potential g (m,). `method` says in a sentence how; `recipe` where the
    problem comes from."""

    C: Array
    a: Array
    b: Array
    eps: float
    g: Array
    lower: float
    upper: float
    method: str
    recipe: str = ""

    def document(self) -> dict[str, Any]:
        """What the file holds; every number is that float64 exactly."""
        return {
            "format": FORMAT,
            "version": VERSION,
            "convention": CONVENTION,
            "problem": self._problem(),
            "potentials": {"g": _numbers(self.g)},
            "interval": {"lower": self.lower, "upper": self.upper},
            "method": self.method,
            "made_with": {"refot": version("refot"), "NumPy": np.__version__},
        }

    def _problem(self) -> dict[str, Any]:
        written = {"sha256": self.sha256, "recipe": self.recipe, "eps": self.eps}
        if self.C.size > MOST_ENTRIES:
            return written
        return {**written, "C": _numbers(self.C), "a": _numbers(self.a), "b": _numbers(self.b)}

    @property
    def sha256(self) -> str:
        """Of n and m as 64-bit whole numbers and then a, b, C row by row and eps as float64, all
        with the low byte first."""
        digest = hashlib.sha256(np.array(self.C.shape, dtype="<i8").tobytes())
        for array in (self.a, self.b, self.C, self.eps):
            digest.update(np.ascontiguousarray(array, dtype="<f8").tobytes())
        return digest.hexdigest()

    def save(self, path: str | Path) -> None:
        """Write the file. Raises InputError where a cost is infinite: the format has none."""
        if not np.isfinite(self.C).all():
            raise InputError("C", "forbidden pairs", "finite costs, in a certificate that travels")
        write_text(Path(path), json.dumps(self.document(), allow_nan=False) + "\n")


def _numbers(array: Array) -> Any:
    """Lists of Python floats, which JSON writes with as many digits as they need to be exact."""
    return np.asarray(array, dtype=np.float64).tolist()
