"""A loss as torch sees it: three operators, for its value, its gradient and its Hessian product.

    solve(x, a, y, b, start)                       -> value (B,), potentials (B, k)
    gradient(x, a, y, b, potentials)               -> dx, da, dy, db
    hessian_product(x, a, y, b, potentials, v...)  -> the change of the four gradients along v
B is the length of the batch; k is n + m, or 2 (n + m) for a divergence. Only the first operator
solves anything. torch.compile puts an operator into its graph without looking into
it; `functions` makes each the derivative of the one before.
"""

from __future__ import annotations

from itertools import repeat
from typing import Any

import torch
from torch import Tensor

from refot.autodiff.losses import Loss, SolvedLoss
from refot.autodiff.measures import Pair
from refot.backend_contract import fastest_backend, get_backend
from refot.torch.tensors import array_of, pairs, tensor_like

MEASURES = "Tensor x, Tensor a, Tensor y, Tensor b"
SETTINGS = ("float eps, str cost, float scale, bool debiased, float? rho, str penalty, float? tol, "
            "str backend")
"""The fields of a `Loss` in their order, as parameters of an operator; the backend goes by its
name."""


@torch.compiler.assume_constant_result  # it is looked up when torch.compile traces, and kept
def backend_name(device: str, backend: str | None) -> str:
    """The name of the backend that was chosen, or of the fastest for the device. It is passed on to
    backward passes, which may run in another thread, where a choice by `use_backend` is unseen."""
    return fastest_backend(device, backend).name


def restored(loss: Loss, measures: tuple[Tensor, ...], potentials: Tensor) -> list[SolvedLoss]:
    """The solved losses of a batch, from their potentials."""
    backend = get_backend(loss.backend)
    return [loss.restored(at, own) for at, own in
            zip(pairs(measures, backend), array_of(potentials, backend), strict=True)]


# ------------------------------------------------------------------ the value
@torch.library.custom_op("refot::solve", mutates_args=(),
                         schema=f"({MEASURES}, Tensor? start, {SETTINGS}) -> (Tensor, Tensor)")
def solve(x: Tensor, a: Tensor, y: Tensor, b: Tensor, start: Tensor | None, *settings: Any
          ) -> tuple[Tensor, Tensor]:
    """The values of a batch (B,), and the potentials of each member one after the other, (B, k).
    `start`: potentials to start from, or None."""
    loss = Loss(*settings)
    backend = get_backend(loss.backend)
    starts = repeat(None) if start is None else array_of(start, backend)
    solved = [loss.solved(at, near)
              for at, near in zip(pairs((x, a, y, b), backend), starts, strict=False)]
    return (tensor_like(x, (each.value() for each in solved)),
            tensor_like(x, (each.potentials for each in solved)))


@solve.register_fake
def _(x: Tensor, a: Tensor, y: Tensor, b: Tensor, start: Tensor | None, *settings: Any
      ) -> tuple[Tensor, Tensor]:
    copies = 2 if Loss(*settings).debiased else 1
    return (x.new_empty(x.shape[:1]),
            x.new_empty((x.shape[0], copies * (x.shape[1] + y.shape[1]))))


# ------------------------------------------------------------------ its gradient
@torch.library.custom_op(
    "refot::gradient", mutates_args=(),
    schema=f"({MEASURES}, Tensor potentials, bool[] needed, {SETTINGS}) -> "
           "(Tensor, Tensor, Tensor, Tensor)")
def gradient(x: Tensor, a: Tensor, y: Tensor, b: Tensor, potentials: Tensor, needed: list[bool],
             *settings: Any) -> tuple[Tensor, ...]:
    """The gradients in x (B, n, d), a (B, n), y (B, m, d), b (B, m); 0 where none is needed."""
    solved = restored(Loss(*settings), (x, a, y, b), potentials)
    found = []
    for name, tensor, need in zip(Pair._fields, (x, a, y, b), needed, strict=True):
        found.append(tensor_like(x, (getattr(each, f"gradient_{name}")() for each in solved))
                     if need else torch.zeros_like(tensor))
    return tuple(found)


# ------------------------------------------------------------------ its Hessian
@torch.library.custom_op(
    "refot::hessian_product", mutates_args=(),
    schema=f"({MEASURES}, Tensor potentials, Tensor vx, Tensor va, Tensor vy, Tensor vb, "
           f"{SETTINGS}) -> (Tensor, Tensor, Tensor, Tensor)")
def hessian_product(x: Tensor, a: Tensor, y: Tensor, b: Tensor, potentials: Tensor, vx: Tensor,
                    va: Tensor, vy: Tensor, vb: Tensor, *settings: Any) -> tuple[Tensor, ...]:
    """How the gradients change along (vx, va, vy, vb)."""
    solved = restored(Loss(*settings), (x, a, y, b), potentials)
    directions = pairs((vx, va, vy, vb), get_backend(Loss(*settings).backend))
    found = [each.hessian_product(v) for each, v in zip(solved, directions, strict=True)]
    return tuple(tensor_like(x, members) for members in zip(*found, strict=True))


@gradient.register_fake
@hessian_product.register_fake
def _(x: Tensor, a: Tensor, y: Tensor, b: Tensor, *_: Any) -> tuple[Tensor, ...]:
    return tuple(torch.empty_like(each, memory_format=torch.contiguous_format)
                 for each in (x, a, y, b))
