"""Hand-written networks: layers as forward/backward pairs, optimisers, checkpoints. No autograd.

The same code runs on arrays of NumPy and of CuPy: `refot.arrays.namespace` finds the library of an
array. The default dtype is float32, for training; float64 is for checks. docs/networks.md lists
every formula with its function.
"""

from .checkpoint import (
    CheckpointError,
    copy_into,
    generator_state,
    load_checkpoint,
    restore_generator,
    save_checkpoint,
)
from .gradient_penalty import gradient_penalty
from .gradients import add, only
from .heads import HeadCache, Heads
from .layers import (
    BatchNorm,
    Conv4x4,
    ConvTranspose4x4,
    Dense,
    Flatten,
    Layer,
    LeakyReLU,
    ReLU,
    Reshape,
    Sigmoid,
    Tanh,
)
from .optimisers import SGD, Adam, Optimiser, RMSProp, clip_weights
from .sequential import Cache, Sequential, mlp, parameter_count

__all__ = [
    "SGD",
    "Adam",
    "BatchNorm",
    "Cache",
    "CheckpointError",
    "Conv4x4",
    "ConvTranspose4x4",
    "Dense",
    "Flatten",
    "HeadCache",
    "Heads",
    "Layer",
    "LeakyReLU",
    "Optimiser",
    "RMSProp",
    "ReLU",
    "Reshape",
    "Sequential",
    "Sigmoid",
    "Tanh",
    "add",
    "clip_weights",
    "copy_into",
    "generator_state",
    "gradient_penalty",
    "load_checkpoint",
    "mlp",
    "only",
    "parameter_count",
    "restore_generator",
    "save_checkpoint",
]
