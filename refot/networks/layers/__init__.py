"""The layers of the papers' networks: each a pair of pure functions, forward and backward.

forward computes y = f(x; w); backward computes (dx, dw), the gradients of <dy, y> in x and in the
weights w, for a given dy.
"""

from .activations import (
    Activation,
    LeakyReLU,
    ReLU,
    Sigmoid,
    Tanh,
    leaky_relu_backward,
    leaky_relu_forward,
    sigmoid_backward,
    sigmoid_forward,
    tanh_backward,
    tanh_forward,
)
from .batch_norm import (
    BatchNorm,
    batch_norm_backward,
    batch_norm_forward,
    fixed_norm_backward,
    fixed_norm_forward,
)
from .convolution import (
    Conv4x4,
    ConvTranspose4x4,
    conv4x4_backward,
    conv4x4_forward,
    conv_transpose4x4_backward,
    conv_transpose4x4_forward,
)
from .dense import Dense, dense_backward, dense_forward
from .layer import Layer
from .reshape import Flatten, Reshape

__all__ = [
    "Activation",
    "BatchNorm",
    "Conv4x4",
    "ConvTranspose4x4",
    "Dense",
    "Flatten",
    "Layer",
    "LeakyReLU",
    "ReLU",
    "Reshape",
    "Sigmoid",
    "Tanh",
    "batch_norm_backward",
    "batch_norm_forward",
    "conv4x4_backward",
    "conv4x4_forward",
    "conv_transpose4x4_backward",
    "conv_transpose4x4_forward",
    "dense_backward",
    "dense_forward",
    "fixed_norm_backward",
    "fixed_norm_forward",
    "leaky_relu_backward",
    "leaky_relu_forward",
    "sigmoid_backward",
    "sigmoid_forward",
    "tanh_backward",
    "tanh_forward",
]
