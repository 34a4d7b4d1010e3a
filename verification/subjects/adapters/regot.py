"""regot (`import regot`) as a subject. https://github.com/yixuan/regot-python

Its solvers take (M, a, b, reg), with M in Fortran order and float64. They return a plan, the dual
variables except for the last one, which is 0, and the minimised (negated) dual after each
iteration. They neither raise nor warn, and no flag says whether they converged.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from functools import partial
from importlib.metadata import version
from types import ModuleType
from typing import Any

import numpy as np

from refot.arrays import Array
from refot.conventions.convert import PotentialForm, ValueKind, potentials_to_refot, value_to_refot
from refot.verification.subjects.subject import Part, Subject

from . import Capabilities, in_double, once, require

CALLED = "regot.sinkhorn"
"""The convention of all its solvers."""

SOLVERS = ("bcd", "apdagd", "lbfgs_dual", "newton", "sparse_newton", "ssns", "splr")
"""The functions `sinkhorn_*` of its README."""

DEFAULT = 1e-6 * math.sqrt(2 * 64)
"""The tolerance of the parts with default options. Their `tol` = 1e-6 bounds the 2-norm of the
errors of n + m masses. The verifier measures 1-norms, which are up to sqrt(n + m) times larger, and
in the profile quick n and m are at most 64."""

TIGHT = {"tol": 1e-8, "max_iter": 20_000}
"""The options of the twins, which must pass at refot's usual tolerance."""

CRASHES = ("sparse_newton", "splr")
"""The solvers that end the process by a segmentation fault if there is one column. If there is no
row or no column, all of them do."""


def subject() -> Subject:
    """The Sinkhorn solvers of regot. Raises ImportError without it."""
    regot = require("regot", "regot", "pip install regot")
    return Subject("regot", version("regot"), (*_defaults(regot), *_tight(regot)))


def _defaults(regot: ModuleType) -> Iterator[Part]:
    for name in SOLVERS:
        yield Part(f"regot.sinkhorn_{name}", _result(_solver(regot, name)), calls=CALLED,
                   tolerance=DEFAULT)


def _tight(regot: ModuleType) -> Iterator[Part]:
    """The twins of solvers that can converge to TIGHT."""
    options = ", ".join(f"{key}={value:g}" for key, value in TIGHT.items())
    for name in ("bcd", "lbfgs_dual", "ssns", "splr"):
        yield Part(f"regot.sinkhorn_{name}({options})", _result(_solver(regot, name, **TIGHT)),
                   calls=CALLED)


def _solver(regot: ModuleType, name: str, **options: Any) -> Callable[..., Any]:
    function = partial(getattr(regot, f"sinkhorn_{name}"), **options)

    @once
    def solve(C: Array, a: Array, b: Array, eps: float) -> Any:
        if not (a > 0).all() or not (b > 0).all():
            raise NotImplementedError("its README asks for weights > 0")
        if not C.size:
            raise NotImplementedError("not called: no atoms end the process")
        if name in CRASHES and C.shape[1] == 1:
            raise RuntimeError("not called: one column ends the process by a segmentation fault")
        M, a, b = np.asfortranarray(C, dtype=np.float64), in_double(a), in_double(b)
        return function(M, a, b, eps)

    return solve


def _result(solve: Callable[..., Any]) -> Capabilities:
    """The capabilities that can be read off a SinkhornResult of regot."""

    def potentials(C: Array, a: Array, b: Array, eps: float) -> tuple[Array, Array]:
        dual = solve(C, a, b, eps).dual
        F, G = dual[: len(a)], np.append(dual[len(a) :], 0.0)
        return potentials_to_refot(F, G, PotentialForm.PLAIN, a, b, eps, C=C)

    def value(C: Array, a: Array, b: Array, eps: float) -> float:
        minimum: float = solve(C, a, b, eps).obj_vals[-1]
        if not math.isfinite(minimum):
            return minimum
        return value_to_refot(minimum, ValueKind.NEGATED_DUAL, a=a, b=b, eps=eps)

    return {"plan": lambda *problem: solve(*problem).plan, "potentials": potentials,
            "value": value}
