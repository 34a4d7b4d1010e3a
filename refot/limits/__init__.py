"""Limits of the value F, the sharp value s = <C,P> and the divergence S as eps goes to 0 or to
infinity, with bounds at every eps (`bounds`); exact transport, eps = 0, in a proved interval
(`exact_transport`); F along a falling eps (`eps_path`); and what changes when only samples of the
measures are known (`samples`)."""

from refot.limits.bounds import (
    Bounds,
    CostLimits,
    DivergenceLimits,
    EpsSweep,
    cost_limits,
    divergence_limits,
    doubly_centred,
    eps_sweep,
)
from refot.limits.samples import (
    SampleComplexity,
    decay_rate,
    sample_complexity,
    sampled_softmin_bias,
    softmin_batch_bias,
    softmin_density,
)

__all__ = ["Bounds", "CostLimits", "DivergenceLimits", "EpsSweep", "SampleComplexity",
           "cost_limits", "decay_rate", "divergence_limits", "doubly_centred", "eps_sweep",
           "sample_complexity", "sampled_softmin_bias", "softmin_batch_bias", "softmin_density"]
