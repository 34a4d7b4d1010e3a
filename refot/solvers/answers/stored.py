"""A solved problem in a file: an .npz archive of its arrays and numbers, without pickles."""

from __future__ import annotations

from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np

from refot.arrays import Array, InputError, UnknownNameError
from refot.costs.forbidden import on_host
from refot.costs.named import named_cost
from refot.costs.operands import Cost, PointCost
from refot.costs.rows import is_read
from refot.files import whole_file
from refot.penalties import as_rho
from refot.unbalanced_problem import UnbalancedProblem

from .report import ShownResult

VERSION = 1
"""The version of the layout of the file. It is written into the file, and checked on reading."""


def write(result: ShownResult, path: str | PathLike[str]) -> Path:
    """Write the file, whole or not at all, and return its path. Raises InputError for a cost that
    has no name."""
    target = Path(path)
    if not target.absolute().parent.is_dir():
        raise InputError("path", f"{str(target)!r}", "a file in a folder that exists")
    p = result.problem
    contents: dict[str, Any] = {
        "version": VERSION, "f": result.f, "g": result.g, "a": p.a, "b": p.b, "eps": p.eps,
        "tolerance": result.tolerance, "errors": np.array(result.errors),
        "stopped_by": str(result.stopped_by), "seconds": result.seconds, **_cost(p.C)}
    if isinstance(p, UnbalancedProblem):
        contents["rho"], contents["penalty"] = as_rho(p.rows, p.columns)
    if result.gap is not None:
        contents["gap"] = result.gap.relative
    with whole_file(target) as file:
        np.savez(file, allow_pickle=False,
                 **{name: np.asarray(on_host(value)) for name, value in contents.items()})
    return target


def _cost(C: Cost) -> dict[str, Any]:
    """The arrays of a cost: a matrix, or points and the name of their cost; points in parts stay
    where they are."""
    if not isinstance(C, PointCost):
        matrix: Array = C.dense()
        return {"C": matrix}
    try:
        known = named_cost(C.ground.name) == C.ground
    except UnknownNameError:
        known = False
    if not known:
        raise InputError("C", f"the cost {C.ground.name!r} of your own",
                         "a cost that its name tells, or its matrix")
    kind = {"cost": C.ground.name, "scale": C.scale}
    return kind if is_read(C) else {"x": C.x, "y": C.y, **kind}
