"""EOTGAN of L (Liu et al.) in PyTorch with autograd.

The twin takes the networks of an `EOTGAN` and does the same update on the same batch. Its plans are
found in float64, as refot's are: by the scaling form where that does not underflow, else in the log
domain.
"""

from __future__ import annotations

import math
from typing import Any

from refot.systems.base.network_system import Batch
from refot.systems.batch.losses import SCALING_RANGE
from refot.systems.eotgan import EOTGAN

from .modules import as_module


class TorchEOTGAN:
    """The `update(batch)` of an EOTGAN."""

    def __init__(self, system: EOTGAN) -> None:
        import torch

        self.torch, self.settings = torch, system.settings
        self.g, self.f = as_module(system.g), as_module(system.f)
        self.adams = {name: torch.optim.Adam(net.parameters(), lr=system.optimisers[name].lr,
                                             betas=(0.5, 0.99))
                      for name, net in (("g", self.g), ("f", self.f))}

    def update(self, batch: Batch) -> dict[str, float]:
        """Steps of f up W, then one of g down W. Returns W before the last step of f and before
        the step of g."""
        torch, losses = self.torch, {}
        *ascents, (z, x) = zip(torch.from_numpy(batch["z"]), torch.from_numpy(batch["y"]),
                               strict=True)
        for z_f, x_f in ascents:
            with torch.no_grad():
                y = self.g(z_f)
            losses["W_f"], moved = self.transport(x_f, y)
            self.descend("f", -moved)
        with torch.no_grad():
            u = self.features(x)
        losses["W"], moved = self.transport_of_features(u, self.features(self.g(z)))
        self.descend("g", moved)
        return losses

    def descend(self, name: str, loss: Any) -> None:
        """One Adam step down the loss."""
        self.adams[name].zero_grad()
        loss.backward(inputs=list({"g": self.g, "f": self.f}[name].parameters()))
        self.adams[name].step()

    def features(self, x: Any) -> Any:
        """f(x) / sqrt(p), (n, p)."""
        u = self.f(x)
        return u / math.sqrt(u.shape[1])

    def transport(self, x: Any, y: Any) -> tuple[float, Any]:
        """`transport_of_features` of data x and samples y."""
        return self.transport_of_features(self.features(x), self.features(y))

    def transport_of_features(self, u: Any, v: Any) -> tuple[float, Any]:
        """(W, <P, M>): the second is differentiated, with the plan P held fixed."""
        M = (u**2).sum(dim=1)[:, None] + (v**2).sum(dim=1) - 2 * u @ v.T
        with self.torch.no_grad():
            M64 = M.double().clamp(min=0)
            P = self.plan(M64)
            W = (P * M64).sum() + self.settings.lam * (P.xlogy(P)).sum()
        return W.item(), (P.to(M.dtype) * M).sum()

    def plan(self, M: Any) -> Any:
        """The plan of M (n, m) with uniform weights, to the marginal error `tol`."""
        torch, s, (n, m) = self.torch, self.settings, M.shape
        a, b = (torch.full((k,), 1 / k, dtype=M.dtype) for k in (n, m))
        if M.max() <= SCALING_RANGE * s.lam:
            K, v = torch.exp(-M / s.lam), b
            for _ in range(s.max_steps):
                u = a / (K @ v)
                v = b / (K.T @ u)
                if (u * (K @ v) - a).abs().sum() <= s.tol:
                    break
            return u[:, None] * K * v
        log_a, log_b, E = a.log(), b.log(), -M / s.lam
        log_u = log_a - torch.logsumexp(E + log_b, dim=1)
        for _ in range(s.max_steps):
            log_v = log_b - torch.logsumexp(E + log_u[:, None], dim=0)
            following = log_a - torch.logsumexp(E + log_v, dim=1)
            if ((log_u - following).exp() * a - a).abs().sum() <= s.tol:
                break
            log_u = following
        return (log_u[:, None] + E + log_v).exp()
