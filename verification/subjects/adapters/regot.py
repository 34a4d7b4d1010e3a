"""regot (`import regot`) as a subject. https://github.com/yixuan/regot-python

Its solvers take (M, a, b, reg), M in Fortran order and float64, and return a plan, the dual
variables without the last one, which is 0, and the minimised dual after each iteration. They raise
and warn of nothing, and no flag says whether they converged.
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
"""Their one convention."""

SOLVERS = ("bcd", "apdagd", "lbfgs_dual", "newton", "sparse_newton", "ssns", "splr")
"""The functions `sinkhorn_*` of its README."""

DEFAULT = 1e-6 * math.sqrt(2 * 64)
"""Asked of the defaults: `tol` = 1e-6 is the 2-norm of the errors of n + m masses, at most 64 + 64
in profile quick, and 1-norms, which the verifier measures, are up to sqrt(n + m) times that."""

TIGHT = {"tol": 1e-8, "max_iter": 20_000}
"""Of the twins that converge: nothing is granted to them."""


CRASHES = ("sparse_newton", "splr")
"""The solvers that end the process by a segmentation fault where there is one column. All do where
there is no row or no column."""


def subject() -> Subject:
    """The Sinkhorn solvers of regot. Raises ImportError without it."""
    regot = require("regot", "regot", "pip install regot")
    return Subject("regot", version("regot"), (*_defaults(regot), *_tight(regot)))


def _defaults(regot: ModuleType) -> Iterator[Part]:
    for name in SOLVERS:
        yield Part(f"regot.sinkhorn_{name}", _result(_solver(regot, name)), calls=CALLED,
                   tolerance=DEFAULT)


def _tight(regot: ModuleType) -> Iterator[Part]:
    """What misses with the defaults and not here stopped early; what misses in both is wrong."""
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
    """What a SinkhornResult holds."""

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
