"""A certificate that travels: a JSON file that holds a problem, an interval which contains its
value F, and the potential g from which anybody can prove that interval again. Two programs of 80
lines do so from the file alone: docs/checkers/check.py and docs/checkers/check.mjs. The format is
described in docs/certificates-that-travel.md.

The file states the problem by its *matrix* of costs, as float64. If the problem was given by
points, the certificate is about the matrix that refot computed from them.
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
"""The definition of F: the checkers refuse a file that does not repeat it word by word."""

MOST_ENTRIES = 250_000
"""A problem whose cost matrix has more entries than this is not written out: the file holds only
its hash."""


@dataclass(frozen=True)
class TravellingCertificate:
    """lower <= F <= upper for the costs C (n, m), weights a (n,), b (m,) and eps, in cost units,
    proven by the column potential g (m,). `method` says in a sentence how it is proven; `recipe`
    says how to make the problem again, which a reader needs where the file has only its hash."""

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
        """The content of the file. Each number is written with enough digits to give the same
        float64 when it is read."""
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
        """The SHA-256 hash of the problem: of the bytes of n and m as 64-bit integers, then of a,
        b, C row by row and eps as float64, all little-endian."""
        digest = hashlib.sha256(np.array(self.C.shape, dtype="<i8").tobytes())
        for array in (self.a, self.b, self.C, self.eps):
            digest.update(np.ascontiguousarray(array, dtype="<f8").tobytes())
        return digest.hexdigest()

    def save(self, path: str | Path) -> None:
        """Write the file. Raises InputError if a cost is infinite, which JSON cannot say."""
        if not np.isfinite(self.C).all():
            raise InputError("C", "forbidden pairs", "finite costs, in a certificate that travels")
        write_text(Path(path), json.dumps(self.document(), allow_nan=False) + "\n")


def _numbers(array: Array) -> Any:
    """The array as lists of Python floats, which JSON writes with as many digits as it takes to
    read the same floats again."""
    return np.asarray(array, dtype=np.float64).tolist()
