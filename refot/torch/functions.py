"""The operators as functions of autograd: each is the derivative of the one before.

The Hessian product is linear in its direction and the Hessian is symmetric, so that the derivative
in the direction is a Hessian product again. In the points and weights it would be a third
derivative, which raises InputError.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from refot.arrays import InputError
from refot.torch import operators


class Batched(torch.autograd.Function):
    """A function all of whose tensors have a batch of length B as first axis. Under `torch.vmap`
    the calls become one call with a longer batch."""

    @classmethod
    def vmap(cls, info: Any, in_dims: tuple[int | None, ...], *arguments: Any) -> tuple[Any, Any]:
        """All calls of a vmap at once: their batches one after the other, as one longer batch."""

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
        """The values (B,), and for each member its potentials, one after the other, (B, k)."""
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
        """The four gradients, times `grad`, the gradient in the values (B,)."""
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
        """The gradients that are needed; 0 for the others."""
        return tuple(operators.gradient(x, a, y, b, potentials, needed, *settings))

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Any) -> None:
        """Keep the measures, the potentials and the settings."""
        ctx.save_for_backward(*inputs[:5])
        ctx.settings = inputs[6:]

    @staticmethod
    def backward(ctx: Any, *v: Tensor) -> tuple[Any, ...]:
        """The derivative of sum v . gradient: as the Hessian is symmetric, its product with v."""
        product = HessianProduct.apply(*ctx.saved_tensors, *v, *ctx.settings)
        return (*product, *[None] * (2 + len(ctx.settings)))


class HessianProduct(Batched):
    """(x, a, y, b, potentials, vx, va, vy, vb, *settings) -> the change of the four gradients."""

    @staticmethod
    def forward(x: Tensor, a: Tensor, y: Tensor, b: Tensor, potentials: Tensor, vx: Tensor,
                va: Tensor, vy: Tensor, vb: Tensor, *settings: Any) -> tuple[Tensor, ...]:
        """The Hessian times (vx, va, vy, vb)."""
        return tuple(operators.hessian_product(x, a, y, b, potentials, vx, va, vy, vb, *settings))

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Any) -> None:
        """Keep the measures, the potentials and the settings."""
        ctx.save_for_backward(*inputs[:5])
        ctx.settings = inputs[9:]

    @staticmethod
    def backward(ctx: Any, *w: Tensor) -> tuple[Any, ...]:
        """The derivative in the direction is the product with w. One in the measures is refused."""
        if any(ctx.needs_input_grad[:4]):
            raise InputError("backward", "a third derivative",
                             "first and second ones (torch.autograd.functional.hvp takes a third; "
                             "vhp gives the same without)")
        product = HessianProduct.apply(*ctx.saved_tensors, *w, *ctx.settings)
        return (*[None] * 5, *product, *[None] * len(ctx.settings))
