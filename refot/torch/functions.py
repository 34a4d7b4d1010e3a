"""The operators as functions of autograd: each is the derivative of the one before.

The Hessian product is symmetric and linear in its direction, so that it is its own derivative
there; in the points and weights it has none: third derivatives raise InputError.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from refot.arrays import InputError
from refot.torch import operators


class Batched(torch.autograd.Function):
    """A function of batches, whose tensors all begin with B: `torch.vmap` makes B longer."""

    @classmethod
    def vmap(cls, info: Any, in_dims: tuple[int | None, ...], *arguments: Any) -> tuple[Any, Any]:
        """All calls at once, as one batch of batches."""

        def folded(argument: Any, dim: int | None) -> Any:
            if not isinstance(argument, Tensor):
                return argument
            rows = argument.expand(info.batch_size, *argument.shape) if dim is None else (
                argument.movedim(dim, 0))
            return rows.flatten(0, 1)

        found = cls.apply(*map(folded, arguments, in_dims))
        return tuple(each.unflatten(0, (info.batch_size, -1)) for each in found), (0,) * len(found)


class Solve(Batched):
    """(x, a, y, b, start, *settings) -> (value, potentials): the potentials carry no gradient, and
    those to start from get none."""

    @staticmethod
    def forward(x: Tensor, a: Tensor, y: Tensor, b: Tensor, start: Tensor | None, *settings: Any
                ) -> tuple[Tensor, Tensor]:
        """The value (B,) and the potentials (B, k)."""
        value, potentials = operators.solve(x, a, y, b, start, *settings)
        return value, potentials

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, Tensor]) -> None:
        """Keep the measures, the potentials and the settings."""
        ctx.mark_non_differentiable(output[1])
        ctx.save_for_backward(*inputs[:4], output[1])
        ctx.settings = inputs[5:]

    @staticmethod
    def backward(ctx: Any, grad: Tensor, _: Tensor) -> tuple[Any, ...]:
        """The gradients, times that in each value."""
        needed = list(ctx.needs_input_grad[:4])
        # torch.compile has no second derivatives, and cannot trace a function within another
        gradient = operators.gradient if torch.compiler.is_compiling() else Gradient.apply
        gradients = gradient(*ctx.saved_tensors, needed, *ctx.settings)
        through = [each * grad.reshape(-1, *[1] * (each.ndim - 1)) for each in gradients]
        return (*(each if need else None for each, need in zip(through, needed, strict=True)),
                *[None] * (1 + len(ctx.settings)))


class Gradient(Batched):
    """(x, a, y, b, potentials, needed, *settings) -> the four gradients."""

    @staticmethod
    def forward(x: Tensor, a: Tensor, y: Tensor, b: Tensor, potentials: Tensor, needed: list[bool],
                *settings: Any) -> tuple[Tensor, ...]:
        """Those that are needed; 0 for the others."""
        return tuple(operators.gradient(x, a, y, b, potentials, needed, *settings))

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Any) -> None:
        """Keep the measures, the potentials and the settings."""
        ctx.save_for_backward(*inputs[:5])
        ctx.settings = inputs[6:]

    @staticmethod
    def backward(ctx: Any, *v: Tensor) -> tuple[Any, ...]:
        """The Hessian is symmetric: its product with v is the derivative of the gradients' sum."""
        product = HessianProduct.apply(*ctx.saved_tensors, *v, *ctx.settings)
        return (*product, *[None] * (2 + len(ctx.settings)))


class HessianProduct(Batched):
    """(x, a, y, b, potentials, vx, va, vy, vb, *settings) -> the change of the four gradients."""

    @staticmethod
    def forward(x: Tensor, a: Tensor, y: Tensor, b: Tensor, potentials: Tensor, vx: Tensor,
                va: Tensor, vy: Tensor, vb: Tensor, *settings: Any) -> tuple[Tensor, ...]:
        """The product."""
        return tuple(operators.hessian_product(x, a, y, b, potentials, vx, va, vy, vb, *settings))

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Any) -> None:
        """Keep the measures, the potentials and the settings."""
        ctx.save_for_backward(*inputs[:5])
        ctx.settings = inputs[9:]

    @staticmethod
    def backward(ctx: Any, *w: Tensor) -> tuple[Any, ...]:
        """In the direction: the product with w. In the measures: an error."""
        if any(ctx.needs_input_grad[:4]):
            raise InputError("backward", "a third derivative",
                             "first and second ones (torch.autograd.functional.hvp takes a third; "
                             "vhp gives the same without)")
        product = HessianProduct.apply(*ctx.saved_tensors, *w, *ctx.settings)
        return (*[None] * 5, *product, *[None] * len(ctx.settings))
