"""The training loop in JAX with OTT."""

import jax
from jax import numpy as jnp
from jax_training import START, simulated
from ott.geometry.pointcloud import PointCloud
from ott.tools.sinkhorn_divergence import sinkhorn_divergence


def ott(seen, noise, steps=150, rate=0.3):
    """Its divergence."""
    def loss(parameters):
        return sinkhorn_divergence(
            PointCloud, simulated(parameters, noise), seen, epsilon=0.02,
            solve_kwargs={"threshold": 1e-6, "max_iterations": 10_000})[0]

    gradient, path = jax.jit(jax.grad(loss)), [START]
    for _ in range(steps):
        path.append(path[-1] - rate * gradient(path[-1]))
    return jnp.array(path)
