"""The losses of refot as functions of tensors, and as modules.

x (n, d) and y (m, d), or batches (B, n, d) and (B, m, d); weights a (n,) or (B, n), b likewise, by
default uniform; they sum to 1. A value has the dtype and the device of x, and is differentiable in
x, y, a and b, twice. Gradients in weights have sum 0, because the mass stays 1. float16 and
bfloat16 are computed in float32, which is the dtype of the value. A solve that does not reach `tol`
warns (ConvergenceWarning).

`eps` and values are in cost units; `cost` is a name of `point_cost`; `tol` and `backend` are as for
`refot.sinkhorn_divergence_gradient`, but the default backend is the fastest for the device. For
tensors on a CUDA device a backend of the processor gets copies, and the results go back to the
device. B = Bréchet et al. 2019. U-8 is an equation of docs/equations.md.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch

from refot.arrays import TypeInputError, as_positive, lookup
from refot.autodiff.losses import Loss, SolvedLoss
from refot.autodiff.measures import Pair
from refot.costs.named import named_cost
from refot.penalties import PENALTIES
from refot.torch import operators
from refot.torch.functions import Solve
from refot.torch.last import LastPotentials
from refot.torch.tensors import batches, tensor_like


def entropic_value(
    x: torch.Tensor, y: torch.Tensor, *, eps: float, a: torch.Tensor | None = None,
    b: torch.Tensor | None = None, cost: str = "sqeuclidean", tol: float | None = None,
    backend: str | None = None,
) -> torch.Tensor:
    """F = <C,P> + eps KL(P | a(x)b) at the optimal plan: one value, or (B,). B-10.

        loss = refot.torch.entropic_value(x, y, eps=0.1); loss.backward()

    `EntropicValue` is the same as a module.
    """
    return EntropicValue(eps, cost, tol=tol, backend=backend)(x, y, a=a, b=b)


def sinkhorn_divergence(
    x: torch.Tensor, y: torch.Tensor, *, eps: float, a: torch.Tensor | None = None,
    b: torch.Tensor | None = None, cost: str = "sqeuclidean", tol: float | None = None,
    backend: str | None = None,
) -> torch.Tensor:
    """S = F_xy - F_xx / 2 - F_yy / 2: one value, or (B,); S(mu, mu) = 0. B-9.

        loss = refot.torch.sinkhorn_divergence(x, y, eps=0.1); loss.backward()

    `SinkhornDivergence` is the same as a module.
    """
    return SinkhornDivergence(eps, cost, tol=tol, backend=backend)(x, y, a=a, b=b)


def unbalanced_divergence(
    x: torch.Tensor, y: torch.Tensor, *, eps: float, rho: float, a: torch.Tensor | None = None,
    b: torch.Tensor | None = None, cost: str = "sqeuclidean", penalty: str = "kl",
    tol: float | None = None, backend: str | None = None,
) -> torch.Tensor:
    """S = U_xy - U_xx / 2 - U_yy / 2 + eps / 2 (m_a - m_b)^2: one value, or (B,). U-8.

    a and b are masses of any total, and no mean is subtracted from gradients in them. rho in cost
    units; `penalty` "kl" or "tv", of which the second has no second derivative.
    """
    return UnbalancedDivergence(eps, rho, cost, penalty, tol=tol, backend=backend)(x, y, a=a, b=b)


@dataclass(frozen=True)
class SolvedTensors:
    """A solved loss: its `value`, which is what the module returns, its potentials and its plan.

    Potentials and plan are those of (x, y), and carry no gradient; with a batch B is their first
    axis.
    """

    value: torch.Tensor
    loss: Loss
    measures: Pair
    potentials: torch.Tensor
    batched: bool

    @cached_property
    def _solved(self) -> list[SolvedLoss]:
        return operators.restored(self.loss, self.measures, self.potentials)

    @property
    def f(self) -> torch.Tensor:
        """The potential at x, (n,), in cost units."""
        return self._out([each.xy.f for each in self._solved])

    @property
    def g(self) -> torch.Tensor:
        """The potential at y, (m,), in cost units."""
        return self._out([each.xy.g for each in self._solved])

    @cached_property
    def plan(self) -> torch.Tensor:
        """P_ij = a_i b_j exp((f_i + g_j - C_ij) / eps), (n, m), without another solve."""
        return self._out([each.xy.plan() for each in self._solved])

    def _out(self, arrays: list[Any]) -> torch.Tensor:
        found = tensor_like(self.measures.x, arrays)
        return found if self.batched else found[0]


class LossModule(torch.nn.Module):
    """A loss as a module: what all of them have in common.

    With `warm_start` a solve begins with the potentials of the last call of the same shapes. They
    save iterations where the measures have moved little, as in a training loop on one batch; others
    cost some, and change no answer beyond its tolerance. Under torch.compile and within torch.func
    nothing is kept.
    """

    def __init__(self, loss: Loss, warm_start: bool = False) -> None:
        super().__init__()
        if not isinstance(warm_start, bool):
            raise TypeInputError("warm_start", repr(warm_start), "True or False")
        self.warm_start, self._last = warm_start, LastPotentials()
        named_cost(loss.cost)
        if loss.rho is not None:
            lookup(PENALTIES, loss.penalty, "penalty")
        self.loss = loss._replace(
            eps=as_positive(loss.eps, "eps"),
            rho=None if loss.rho is None else as_positive(loss.rho, "rho"),
            tol=None if loss.tol is None else as_positive(loss.tol, "tol"))

    def forward(self, x: torch.Tensor, y: torch.Tensor, *, a: torch.Tensor | None = None,
                b: torch.Tensor | None = None) -> torch.Tensor:
        """The value, or (B,) values of a batch."""
        return self.solve(x, y, a=a, b=b).value

    def solve(self, x: torch.Tensor, y: torch.Tensor, *, a: torch.Tensor | None = None,
              b: torch.Tensor | None = None) -> SolvedTensors:
        """The value with its potentials and its plan, all from one solve."""
        at = batches(x, a, y, b)
        backend = operators.backend_name(at.x.device.type, self.loss.backend)
        loss = self.loss._replace(backend=backend)
        start = self._last.of(at) if self.warm_start else None
        values, potentials = Solve.apply(*at, start, *loss)
        if self.warm_start:
            self._last.keep(at, potentials)
        batched = x.ndim == 3
        return SolvedTensors(values if batched else values[0], loss,
                             Pair(*(each.detach() for each in at)), potentials.detach(), batched)

    def extra_repr(self) -> str:
        """What `print` shows of the module."""
        rho = "" if self.loss.rho is None else f", rho={self.loss.rho:g} ({self.loss.penalty})"
        return f"eps={self.loss.eps:g}, cost={self.loss.cost!r}{rho}"


class EntropicValue(LossModule):
    """The module of `entropic_value`: `EntropicValue(eps=0.1)(x, y)`."""

    def __init__(self, eps: float, cost: str = "sqeuclidean", *, tol: float | None = None,
                 backend: str | None = None, warm_start: bool = False) -> None:
        super().__init__(Loss(eps, cost, debiased=False, tol=tol, backend=backend), warm_start)


class SinkhornDivergence(LossModule):
    """The module of `sinkhorn_divergence`: `SinkhornDivergence(eps=0.1)(x, y)`."""

    def __init__(self, eps: float, cost: str = "sqeuclidean", *, tol: float | None = None,
                 backend: str | None = None, warm_start: bool = False) -> None:
        super().__init__(Loss(eps, cost, tol=tol, backend=backend), warm_start)


class UnbalancedDivergence(LossModule):
    """The module of `unbalanced_divergence`: `UnbalancedDivergence(eps=0.1, rho=1.0)(x, y)`."""

    def __init__(self, eps: float, rho: float, cost: str = "sqeuclidean", penalty: str = "kl", *,
                 tol: float | None = None, backend: str | None = None, warm_start: bool = False
                 ) -> None:
        super().__init__(Loss(eps, cost, rho=rho, penalty=penalty, tol=tol, backend=backend),
                         warm_start)
