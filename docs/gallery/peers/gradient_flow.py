"""Gradient flow in POT, OTT and GeomLoss."""

import jax
import ot
import torch
from geomloss import SamplesLoss
from jax import numpy as jnp
from ott.geometry.pointcloud import PointCloud
from ott.tools.sinkhorn_divergence import sinkhorn_divergence


def pot(x, y, steps=40, eps=0.002):
    """By PyTorch."""
    flow = [x]
    for _ in range(steps):
        points = flow[-1].clone().requires_grad_()
        S = ot.solve_sample(points, y, reg=eps, debias=True, tol=1e-6, max_iter=10_000).value
        gradient, = torch.autograd.grad(S, points)
        flow.append(flow[-1] - 0.1 * len(x) * gradient)
    return torch.stack(flow)


def ott(x, y, steps=40, eps=0.002):
    """Its divergence by JAX."""
    def divergence(points):
        return sinkhorn_divergence(PointCloud, points, y, epsilon=eps, solve_kwargs={
            "threshold": 1e-6, "max_iterations": 10_000})[0]

    flow, gradient = [x], jax.jit(jax.grad(divergence))
    for _ in range(steps):
        flow.append(flow[-1] - 0.1 * len(x) * gradient(flow[-1]))
    return jnp.array(flow)


def geomloss(x, y, steps=40, eps=0.002):
    """Of half the squared distance; its accuracy is set by `scaling`."""
    flow, loss = [x], SamplesLoss(blur=(eps / 2) ** 0.5, scaling=0.9, backend="tensorized")
    for _ in range(steps):
        points = flow[-1].clone().requires_grad_()
        gradient, = torch.autograd.grad(2 * loss(points, y), points)
        flow.append(flow[-1] - 0.1 * len(x) * gradient)
    return torch.stack(flow)
