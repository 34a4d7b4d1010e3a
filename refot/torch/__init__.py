"""refot's losses for PyTorch: values, closed-form gradients and Hessian products of tensors.

This package imports torch; the rest of refot does not. docs/torch.md shows it at work.
"""

from refot.torch.losses import (
    EntropicValue,
    SinkhornDivergence,
    SolvedTensors,
    UnbalancedDivergence,
    entropic_value,
    sinkhorn_divergence,
    unbalanced_divergence,
)
from refot.torch.samples_loss import SamplesLoss

__all__ = [
    "EntropicValue",
    "SamplesLoss",
    "SinkhornDivergence",
    "SolvedTensors",
    "UnbalancedDivergence",
    "entropic_value",
    "sinkhorn_divergence",
    "unbalanced_divergence",
]
