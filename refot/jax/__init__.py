"""refot's losses for JAX: values, closed-form gradients and Hessian products, under jit and vmap.

This package imports jax; the rest of refot does not. docs/torch.md shows it at work.
"""

from refot.jax.losses import (
    Solved,
    entropic_value,
    sinkhorn_divergence,
    solve,
    unbalanced_divergence,
)

__all__ = ["Solved", "entropic_value", "sinkhorn_divergence", "solve", "unbalanced_divergence"]
