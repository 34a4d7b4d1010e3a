"""`refot certify PROBLEM.npz`: the certified values of a problem that lies in a file.

The file holds `a` (n,), `b` (m,), `eps` and either `C` (n, m) or `x` (n, d), `y` (m, d) and
optionally `cost` (a name of GROUND_COSTS, default "sqeuclidean"); optionally `g` (m,), the column
potential to start from. Nothing pickled is ever loaded, nor what unpacks to more than 1 GiB.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from refot.arrays import InputError, as_floating
from refot.costs.operands import Cost, as_cost, point_cost
from refot.files import UnreadableError, read_arrays
from refot.problem import Problem, problem

REQUIRED = ("a", "b", "eps")

LARGEST = 1 << 30
"""Bytes of all arrays of a file together, at most: a cost of 11000 x 11000 fits."""


class FileError(ValueError):
    """The file cannot be read, or does not hold a problem: says what is missing."""


def read_problem(path: Path) -> tuple[Problem, Any | None]:
    """The problem of an .npz file, and the column potential g where it holds one."""
    if not path.is_file():
        raise FileError(f"{path}: no such file")
    try:
        arrays = read_arrays(path, LARGEST)
    except UnreadableError as error:
        raise FileError(f"{path}: not an .npz file of plain arrays ({error})") from error
    missing = [name for name in REQUIRED if name not in arrays]
    if missing:
        raise FileError(f"{path}: lacks {', '.join(missing)}; it holds {', '.join(arrays) or '-'}")
    p = problem(_cost(arrays, path), arrays["a"], arrays["b"], arrays["eps"], "numpy")
    return p, arrays.get("g")


def _cost(arrays: dict[str, Any], path: Path) -> Cost:
    if "C" in arrays:
        return as_cost(as_floating(arrays["C"], "C", 2).astype(np.float64))
    if "x" not in arrays or "y" not in arrays:
        raise FileError(f"{path}: lacks C, or x and y")
    name = arrays.get("cost", np.array("sqeuclidean"))
    if name.dtype.kind != "U" or name.ndim != 0:
        raise InputError("cost", f"an array of {name.dtype}", "the name of a ground cost")
    x, y = (as_floating(arrays[key], key, 2).astype(np.float64) for key in ("x", "y"))
    return point_cost(x, y, str(name))
