"""torchgw (`import torchgw`) as a subject: the Sinkhorn solver under its Gromov-Wasserstein loop.

https://github.com/chansigit/torchgw, which is licensed for non-commercial use only, so that no
extra of refot installs it. `_sinkhorn_torch(a, b, C, reg)` is private. The public functions change
eps and cost from step to step (T2 of docs/findings-torchgw-wass.md), so that their plan belongs to
no problem that could be given to refot. `_sinkhorn_torch` returns a plan, with log u and log v as
attributes, and stops at an error of a row, or after `max_iter` iterations, without saying which.

`semi_relaxed=True` is no part: its two marginals are of different kinds, for which there is no
capability. What it returns is finding T1.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from importlib.metadata import version
from typing import Any

import numpy as np

from refot.arrays import Array
from refot.conventions.convert import PotentialForm, potentials_to_refot
from refot.verification.subjects.subject import Part, Subject

from . import Capabilities, in_double, once, require

HOW = "pip install torchgw; its licence allows non-commercial use only"
"""How to get the library."""

DEFAULT = 5e-4 * 64
"""The tolerance of the part with default options: their `tol` bounds the error of each row, of
which no case of the profile quick has more than 64."""

TIGHT = {"tol": 1e-10, "max_iter": 20_000}
"""The options of the twin, which must pass at refot's usual tolerance."""


def subject() -> Subject:
    """The Sinkhorn solver of torchgw. Raises ImportError without it, or torch."""
    torch = require("torch", "PyTorch")
    require("torchgw", "torchgw", HOW)
    solver = require("torchgw._solver", "torchgw", HOW)._sinkhorn_torch
    options = ", ".join(f"{name}={value:g}" for name, value in TIGHT.items())
    return Subject("torchgw", version("torchgw"), (
        Part("torchgw._solver._sinkhorn_torch", _offered(torch, solver), tolerance=DEFAULT),
        Part(f"torchgw._solver._sinkhorn_torch({options})",
             _offered(torch, partial(solver, **TIGHT))),
    ))


def _offered(torch: Any, solver: Callable[..., Any]) -> Capabilities:
    @once
    def solve(C: Array, a: Array, b: Array, eps: float) -> Any:
        a, b = in_double(a), in_double(b)
        return solver(*(torch.as_tensor(np.asarray(each, dtype=np.float64)) for each in (a, b, C)),
                      eps)

    def potentials(C: Array, a: Array, b: Array, eps: float) -> tuple[Array, Array]:
        """From T = exp(log_u + log_v - C / eps)."""
        T = solve(C, a, b, eps)
        return potentials_to_refot(T._log_u.numpy(), T._log_v.numpy(), PotentialForm.LOG_SCALING,
                                   a, b, eps, C=C)

    return {"plan": lambda *problem: solve(*problem).numpy(), "potentials": potentials}
