"""refot's losses for PyTorch: values, closed-form gradients and Hessian products of tensors.

This package imports torch; the rest of refot does not. docs/torch.md shows it at work.
"""

from refot.torch.losses import (
    EntropicValue,
    SinkhornDivergence,
    SolvedTensors,
    entropic_value,
    sinkhorn_divergence,
)
from refot.torch.samples_loss import SamplesLoss

__all__ = [
    "EntropicValue",
    "SamplesLoss",
    "SinkhornDivergence",
    "SolvedTensors",
    "entropic_value",
    "sinkhorn_divergence",
]
