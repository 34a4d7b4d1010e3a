"""The training loop in PyTorch with POT and GeomLoss."""

import ot
import torch
from geomloss import SamplesLoss


def pot(network, points, steps=250, batch=128):
    """By its call for samples."""
    values = []
    optimiser = torch.optim.Adam(network.parameters(), lr=0.005)
    for _ in range(steps):
        drawn, seen = network(torch.randn(batch, 2)), points[torch.randperm(1000)[:batch]]
        value = ot.solve_sample(drawn, seen, reg=0.05, debias=True, tol=1e-5, max_iter=10_000).value
        optimiser.zero_grad()
        value.backward()
        optimiser.step()
        values.append(value.item())
    return values


def geomloss(network, points, steps=250, batch=128):
    """Of half the squared distance."""
    loss, values = SamplesLoss(blur=0.025**0.5, scaling=0.9, backend="tensorized"), []
    optimiser = torch.optim.Adam(network.parameters(), lr=0.005)
    for _ in range(steps):
        value = 2 * loss(network(torch.randn(batch, 2)), points[torch.randperm(1000)[:batch]])
        optimiser.zero_grad()
        value.backward()
        optimiser.step()
        values.append(value.item())
    return values
