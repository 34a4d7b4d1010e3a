"""The potentials of the last calls of a module, from which its next solve may start."""

from __future__ import annotations

from typing import Any

import torch

from refot.autodiff.measures import Pair

SHAPES = 4
"""Potentials are kept for this number of shapes: a loop over batches has two, for the last batch
may be smaller."""


class LastPotentials:
    """Potentials (B, k) by the shapes, the dtype and the device of the measures."""

    def __init__(self) -> None:
        self._kept: dict[Any, torch.Tensor] = {}

    def of(self, at: Pair) -> torch.Tensor | None:
        """Those of the last call like this one."""
        return None if is_traced(at.x) else self._kept.get(_kind(at))

    def keep(self, at: Pair, potentials: torch.Tensor) -> None:
        """Those of this call, for the next one. The oldest beyond SHAPES are forgotten."""
        if is_traced(potentials):
            return
        self._kept.pop(_kind(at), None)
        self._kept[_kind(at)] = potentials.detach()
        while len(self._kept) > SHAPES:
            del self._kept[next(iter(self._kept))]


def is_traced(tensor: torch.Tensor) -> bool:
    """Whether it stands for numbers that are not there, or not outside a transform of torch.func:
    such a tensor must not be kept."""
    return torch.compiler.is_compiling() or bool(
        torch._C._functorch.is_functorch_wrapped_tensor(tensor))


def _kind(at: Pair) -> Any:
    return at.x.shape, at.y.shape, at.x.dtype, at.x.device
