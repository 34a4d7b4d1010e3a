"""Info-Sinkhorn, Algorithm 1 of B (Bréchet et al. 2019), in PyTorch with autograd.

This *twin* takes the weights of an `InfoSinkhorn` whose cost is l1, and does the same update on the
same batch. A test compares the numbers, and `paired_times` the time of a step. The twin
differentiates automatically; refot's gradients are written by hand.
"""

from __future__ import annotations

import math
from typing import Any

from refot.systems.base.network_system import Batch
from refot.systems.info_sinkhorn import InfoSinkhorn

from .modules import as_module


class TorchInfoSinkhorn:
    """The `update(batch)` of an InfoSinkhorn, in PyTorch. eps, lam and the learning rates are those
    of the system, without its decay of the rates."""

    def __init__(self, system: InfoSinkhorn) -> None:
        import torch

        self.torch, self.settings = torch, system.settings
        self.G, self.trunk = as_module(system.G), as_module(system.D.trunk)
        self.heads = {name: as_module(head) for name, head in system.D.heads.items()}
        rates, trunk = system.settings.rates, list(self.trunk.parameters())

        def adam(parameters: list[Any], lr: float, weight_decay: float = 0.0) -> Any:
            return torch.optim.Adam(parameters, lr=lr, betas=rates.betas,
                                    weight_decay=weight_decay)

        self.optimisers = {
            "D2": adam([*trunk, *self.heads["D2"].parameters()], rates.D),
            "D4": adam([*trunk, *self.heads["D4"].parameters()], rates.D),
            "Q": adam([*self.heads["Q"].parameters()], rates.Q, rates.weight_decay_Q),
            "G": adam([*self.G.parameters()], rates.G),
        }

    def update(self, batch: Batch) -> dict[str, float]:
        """Do lines 3 to 11 of Algorithm 1 on a batch, and return the losses of G and of Q."""
        torch = self.torch
        latents, data = torch.from_numpy(batch["z"]), torch.from_numpy(batch["y"])
        for z, y in zip(latents[:-1], data[:-1], strict=True):
            with torch.no_grad():
                x, x1, x2 = (self.G(each) for each in z)
            h = self.trunk(y)
            with torch.no_grad():
                lamQ = self.lamQ(z[0], h)
            self.descend("D2", -self.semi_dual(self.heads["D2"](h)[:, 0], self.cost(x, y) - lamQ))
            D4 = self.heads["D4"](self.trunk(x2))[:, 0]
            self.descend("D4", -self.semi_dual(D4, self.cost(x1, x2)))
        (z, z1, z2), y = latents[-1], data[-1]
        x, x1, x2 = self.G(z), self.G(z1), self.G(z2)
        C, C_self = self.cost(x, y), self.cost(x1, x2)
        with torch.no_grad():
            h = self.trunk(y)
            gamma = self.plan(self.heads["D2"](h)[:, 0], C - self.lamQ(z, h))
            eta = self.plan(self.heads["D4"](self.trunk(x2))[:, 0], C_self)
        Q = self.Q(z, h)
        loss_G = (gamma * C).sum() - (eta * C_self).sum() / 2
        loss_Q = (Q.exp() / Q.numel() - gamma * Q).sum()
        self.descend("G", loss_G)
        self.descend("Q", loss_Q)
        return {"G": loss_G.item(), "Q": loss_Q.item()}

    def descend(self, name: str, loss: Any) -> None:
        """One Adam step down the loss."""
        self.optimisers[name].zero_grad()
        loss.backward()
        self.optimisers[name].step()

    def cost(self, x: Any, y: Any) -> Any:
        """The cost |x_i - y_j|_1 of all pairs times `cost_scale`, (n, m)."""
        return self.settings.cost_scale * self.torch.cdist(x, y, p=1)

    def Q(self, z: Any, h: Any) -> Any:
        """z1_i . D_Q(y_j), (n, m): z1 is the first part of z, and D_Q the head "Q" of the network
        D, applied to h, what the trunk of D makes of y."""
        D_Q = self.heads["Q"](h)
        return z[:, : D_Q.shape[1]] @ D_Q.T

    def lamQ(self, z: Any, h: Any) -> Any:
        """lam times Q, (n, m): what the informative regularisation subtracts from the cost."""
        return self.settings.lam * self.Q(z, h)

    def transform(self, D: Any, C: Any) -> Any:
        """The transform B-25 of a potential D (m,) at the cost C (n, m), with uniform weights."""
        eps = self.settings.eps
        return -eps * (self.torch.logsumexp((D - C) / eps, dim=1) - math.log(C.shape[1]))

    def semi_dual(self, D: Any, C: Any) -> Any:
        """The semi-dual B-24 of a potential D (m,), with uniform weights; B-27 is the same of
        generated points with others."""
        return self.transform(D, C).mean() + D.mean()

    def plan(self, D: Any, C: Any) -> Any:
        """The plan of a potential D (m,) and its transform, (n, m), with uniform weights: B-29 with
        the cost C - lam Q, B-30 between two samples of generated points."""
        return ((self.transform(D, C)[:, None] + D - C) / self.settings.eps).exp() / C.numel()
