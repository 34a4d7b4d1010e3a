"""flash-sinkhorn (`import flash_sinkhorn`) as a subject, on a CUDA GPU only.

https://github.com/ot-triton-lab/flash-sinkhorn. Written from its source: **this adapter was not run
on a GPU by those who wrote it.** Its `SamplesLoss` looks like GeomLoss's and has other defaults.
The cost is |x - y|^2 and not half of it, eps = blur^2, and nothing is debiased. Everything is
float32, and products are rounded to TF32 unless `allow_tf32=False`. As in GeomLoss, eps is lowered
along a schedule without any stopping rule, so that potentials lag behind the last eps by about one
step.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib.metadata import version
from types import ModuleType
from typing import Any

import numpy as np

from refot.arrays import Array
from refot.conventions.convert import eps_from_refot
from refot.verification.subjects.subject import Part, Subject

from . import MissingPackageError, as_clouds, require, unsupported

HOW = "it needs a CUDA GPU; pip install git+https://github.com/ot-triton-lab/flash-sinkhorn"
"""How to get the library."""

VALUE = "flash_sinkhorn.SamplesLoss"
"""The convention of the loss without debiasing."""

DEBIASED = "flash_sinkhorn.SamplesLoss(debias=True)"
"""The convention of the debiased loss."""

ACCURATE = {"scaling": 0.99, "allow_tf32": False}
"""The options of the accurate twins: each step lowers eps by 1 %; products are in full float32."""

SQUARED_LAG = 1e-3
"""The tolerance of values and gradients: ten times the square of a step of 1 %."""

LAG = 0.1
"""The tolerance of potentials: ten steps of 1 %."""


def subject() -> Subject:
    """The losses of flash-sinkhorn. Raises ImportError without it, torch or a CUDA GPU."""
    torch = require("torch", "PyTorch")
    package = require("flash_sinkhorn", "flash-sinkhorn", HOW)
    if not torch.cuda.is_available():
        raise MissingPackageError("flash-sinkhorn needs a CUDA GPU, and torch finds none")
    solve = _solver(package, torch)
    return Subject("flash-sinkhorn", version("flash-sinkhorn"), (
        _divergence(solve, torch, "debias=True"),
        _divergence(solve, torch, f"debias=True, {_text(ACCURATE)}", **ACCURATE),
        _biased(solve, _text(ACCURATE), **ACCURATE),
    ))


def _text(options: dict[str, Any]) -> str:
    return ", ".join(f"{key}={value}" for key, value in options.items())


def _solver(package: ModuleType, torch: ModuleType) -> Callable[..., Any]:
    """The function (convention, x, a, y, b, eps) -> answer of the loss. x may be a tensor that
    carries a gradient."""

    def solve(called: str, x: Any, a: Array, y: Array, b: Array, eps: float, **options: Any) -> Any:
        loss = package.SamplesLoss("sinkhorn", blur=eps_from_refot(called, eps),
                                   debias=called == DEBIASED, **options)
        x, a, y, b = (torch.as_tensor(each, dtype=torch.float32, device="cuda")
                      for each in (x, a, y, b))
        return loss(a, x, b, y)

    return solve


def _divergence(
    solve: Callable[..., Any], torch: ModuleType, text: str, **options: Any
) -> Part:
    def loss(x: Any, a: Array, y: Array, b: Array, eps: float, cost: str) -> Any:
        if cost != "sqeuclidean":
            raise unsupported("flash_sinkhorn.SamplesLoss", cost, "sqeuclidean")
        return solve(DEBIASED, x, a, y, b, eps, **options)

    def gradient(x: Array, *others: Any) -> Array:
        points = torch.tensor(x, dtype=torch.float32, device="cuda", requires_grad=True)
        loss(points, *others).backward()
        return points.grad.cpu().numpy()

    return Part(f"SamplesLoss({text})", {"divergence": lambda *clouds: float(loss(*clouds)),
                                         "divergence_gradient": gradient},
                calls=DEBIASED, tolerance=SQUARED_LAG)


def _biased(solve: Callable[..., Any], text: str, **options: Any) -> Part:
    """The potentials of any cost, which is given as the points of `as_clouds`."""

    def potentials(C: Array, a: Array, b: Array, eps: float) -> tuple[Array, Array]:
        x, y, r = as_clouds(C)
        f, g = solve(VALUE, x, a, y, b, eps, potentials=True, **options)
        return _host(f) - r, _host(g)

    return Part(f"SamplesLoss({text}, potentials=True)", {"potentials": potentials}, calls=VALUE,
                tolerance=LAG)


def _host(tensor: Any) -> Array:
    found: Array = np.asarray(tensor.cpu().numpy(), dtype=np.float64)
    return found
