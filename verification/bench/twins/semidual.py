"""SDOT, Algorithm 1 of H (Houdard et al. 2023) with a vector psi, in PyTorch with autograd.

The twin takes the generator of an `SDOT` with lam = 0 and does the same update on the same batch,
as one would write it in PyTorch: without a plan, since each sample goes to one point of the data.
"""

from __future__ import annotations

from typing import Any

from refot.arrays import InputError
from refot.systems.base.network_system import Batch
from refot.systems.semidual import SDOT

from .modules import as_module


class TorchSDOT:
    """The `update(batch)` of an SDOT at lam = 0. Raises InputError at another lam."""

    def __init__(self, system: SDOT) -> None:
        import torch

        if system.lam != 0:
            raise InputError("system", f"lam = {system.lam}", "lam = 0")
        self.torch, self.gamma, self.exponent = torch, system.gamma, system.exponent
        self.g = as_module(system.g)
        self.y, self.centre = torch.from_numpy(system.cost.y), torch.from_numpy(system.cost.centre)
        self.sizes, self.alpha = (self.y**2).sum(dim=1), system.cost.alpha
        self.psi = torch.zeros(len(self.y), dtype=self.y.dtype)
        self.adam = torch.optim.Adam(self.g.parameters(), lr=system.settings.rate,
                                     betas=system.settings.betas)

    def update(self, batch: Batch) -> dict[str, float]:
        """K steps of H-28 for psi, then one of Adam down H_lam, by H-30. Returns H_lam."""
        *ascents, last = self.torch.from_numpy(batch["z"])
        psi_tilde, total = self.psi, self.torch.zeros_like(self.psi)
        for k, z in enumerate(ascents, 1):
            with self.torch.no_grad():
                nearest = (self.cost(self.g(z)) - psi_tilde).argmin(dim=1)
            counts = self.torch.bincount(nearest, minlength=len(psi_tilde))
            shares = counts.to(psi_tilde.dtype) / len(z)
            psi_tilde = psi_tilde + self.gamma / k**self.exponent * (1 / len(self.y) - shares)
            total += psi_tilde
        self.psi = total / len(ascents)
        loss = (self.cost(self.g(last)) - self.psi).amin(dim=1).mean() + self.psi.mean()
        self.adam.zero_grad()
        loss.backward()
        self.adam.step()
        return {"H": loss.item()}

    def cost(self, x: Any) -> Any:
        """|x_i - y_j|^2 / alpha, (n, J), by one matrix product of centred points."""
        x = x - self.centre
        return ((x**2).sum(dim=1)[:, None] + self.sizes - 2 * x @ self.y.T) / self.alpha
