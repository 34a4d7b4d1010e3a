"""curegot (`import curegot`), regot on a CUDA GPU. https://github.com/yixuan/regot-cuda

Written from its README and source at 0.1.0: **this adapter was not run on a GPU by those who wrote
it.** The problem, the tolerance and the meaning of the dual variables are those of regot
(`adapters.regot`). But an answer is a dictionary of `plan`, `dual` with n + m numbers, and `niter`.
curegot reads a matrix row by row whatever its strides (Q1 of docs/findings-torchgw-wass.md), so it
is given in C order here.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from importlib.metadata import version
from types import ModuleType
from typing import Any

import numpy as np

from refot.arrays import Array
from refot.conventions.convert import PotentialForm, potentials_to_refot
from refot.verification.subjects.subject import Part, Subject

from . import Capabilities, MissingPackageError, in_double, once, require
from .regot import DEFAULT, TIGHT

HOW = "it needs a CUDA GPU; pip install curegot"
"""How to get the library."""

SOLVERS = ("bcd", "splr")
"""The functions `curegot.numpy.sinkhorn_*` of its README."""


def subject() -> Subject:
    """The solvers of curegot. Raises ImportError without it, or where it finds no CUDA runtime."""
    curegot = require("curegot", "curegot", HOW)
    if not hasattr(curegot, "numpy"):
        raise MissingPackageError(f"curegot has no interface for NumPy: {HOW}")
    options = ", ".join(f"{key}={value:g}" for key, value in TIGHT.items())
    return Subject("curegot", version("curegot"), (
        *(Part(f"curegot.numpy.sinkhorn_{name}", _result(_solver(curegot, name)),
               tolerance=DEFAULT) for name in SOLVERS),
        *(Part(f"curegot.numpy.sinkhorn_{name}({options})",
               _result(_solver(curegot, name, **TIGHT))) for name in SOLVERS),
    ))


def _solver(curegot: ModuleType, name: str, **options: Any) -> Callable[..., Any]:
    function = partial(getattr(curegot.numpy, f"sinkhorn_{name}"), **options)

    @once
    def solve(C: Array, a: Array, b: Array, eps: float) -> Any:
        if not (a > 0).all() or not (b > 0).all():
            raise NotImplementedError("its README asks for weights > 0")
        M = np.ascontiguousarray(C, dtype=np.float64)
        return function(M, np.ascontiguousarray(in_double(a)), np.ascontiguousarray(in_double(b)),
                        eps)

    return solve


def _result(solve: Callable[..., Any]) -> Capabilities:
    def potentials(C: Array, a: Array, b: Array, eps: float) -> tuple[Array, Array]:
        dual = solve(C, a, b, eps)["dual"]
        return potentials_to_refot(dual[: len(a)], dual[len(a) :], PotentialForm.PLAIN, a, b, eps,
                                   C=C)

    return {"plan": lambda *problem: solve(*problem)["plan"], "potentials": potentials}
