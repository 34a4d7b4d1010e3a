"""From tensors to arrays of a backend (checked, in batches), and from arrays back to tensors."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
import torch

from refot.arrays import Array, ShapeError, TypeInputError
from refot.autodiff.measures import Pair
from refot.backend_contract import Backend


def batches(x: Any, a: Any, y: Any, b: Any) -> Pair:
    """The two measures in batches: x (B, n, d), a (B, n), y (B, m, d), b (B, m), of one dtype.

    The arguments are such batches, or one pair of clouds x (n, d) and y (m, d). Weights None are
    uniform; weights (n,) or (m,) beside a batch hold for each of its members. Raises InputError.
    """
    x, y = _floating(x, "x"), _floating(y, "y")
    if x.ndim not in (2, 3):
        raise ShapeError("x", f"shape {tuple(x.shape)}", "(n, d), or (B, n, d) for a batch")
    if y.ndim != x.ndim or y.shape[:-2] != x.shape[:-2]:
        raise ShapeError("y", f"shape {tuple(y.shape)}",
                         f"{'(m, d)' if x.ndim == 2 else f'({x.shape[0]}, m, d)'}, to fit x")
    for name, points in (("x", x), ("y", y)):
        if 0 in points.shape:
            raise ShapeError(name, f"shape {tuple(points.shape)}", "at least one point")
    if x.ndim == 2:
        x, y = x[None], y[None]
    a, b = _weights(a, x, "a"), _weights(b, y, "b")
    for name, tensor in (("y", y), ("a", a), ("b", b)):
        if tensor.dtype != x.dtype or tensor.device != x.device:
            raise TypeInputError(name, f"{tensor.dtype} on {tensor.device}",
                                 f"{x.dtype} on {x.device}, those of x")
    return Pair(x, a, y, b)


def _floating(tensor: Any, name: str) -> torch.Tensor:
    """A tensor in float64 or float32: integers become float64, float16 and bfloat16 float32."""
    if not isinstance(tensor, torch.Tensor):
        raise TypeInputError(name, type(tensor).__name__, "a torch.Tensor")
    if tensor.layout != torch.strided or tensor.is_complex():
        raise TypeInputError(name, f"a tensor of {tensor.dtype}, {tensor.layout}",
                             "a dense tensor of real numbers")
    if not tensor.is_floating_point():
        return tensor.to(torch.float64)
    return tensor if tensor.dtype in (torch.float64, torch.float32) else tensor.float()


def _weights(weights: Any, points: torch.Tensor, name: str) -> torch.Tensor:
    """Weights (B, n) for points (B, n, d)."""
    shape = points.shape[:2]
    if weights is None:
        return points.new_full(shape, 1 / shape[1])
    weights = _floating(weights, name)
    if weights.shape not in (shape, shape[1:]):
        raise ShapeError(name, f"shape {tuple(weights.shape)}",
                         f"({shape[1]},), or ({shape[0]}, {shape[1]}) for a batch")
    return weights.expand(shape)


# ------------------------------------------------------------------ from and to a backend's arrays
def array_of(tensor: torch.Tensor, backend: Backend) -> Array:
    """The tensor as an array of the backend: without a copy where both are on the same device."""
    held = tensor.detach()
    return backend.xp.asarray(held.cpu() if backend.xp is np else held)


def pairs(measures: Iterable[torch.Tensor], backend: Backend) -> Iterator[Pair]:
    """The batch x, a, y, b as arrays of the backend, one pair of measures after the other."""
    for members in zip(*(array_of(tensor, backend) for tensor in measures), strict=True):
        yield Pair(*members)


def tensor_like(x: torch.Tensor, arrays: Iterable[Array]) -> torch.Tensor:
    """The arrays one above the other, as a tensor of the dtype and on the device of x."""
    return torch.stack([torch.as_tensor(array, dtype=x.dtype, device=x.device)
                        for array in arrays])
