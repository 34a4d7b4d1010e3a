"""refot's networks as torch modules, with the weights and statistics copied."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from refot.arrays import Array, TypeInputError
from refot.networks import Sequential
from refot.networks.layers import (
    BatchNorm,
    Conv4x4,
    ConvTranspose4x4,
    Dense,
    Flatten,
    Layer,
    LeakyReLU,
    Reshape,
    Sigmoid,
    Tanh,
)
from refot.systems.tasks.image_networks import Crop


def as_module(net: Sequential) -> Any:
    """The same layers as a torch.nn.Sequential."""
    import torch

    modules: list[Any] = []
    of_images = False
    for k, layer in enumerate(net.layers):
        arrays = {key.split(".")[1]: torch.from_numpy(np.array(array)) for key, array in
                  (net.weights | net.statistics).items() if key.startswith(f"{k}.")}
        of_images = isinstance(layer, Reshape) or (of_images and not isinstance(layer, Flatten))
        module = module_of(layer, of_images)
        for name, values in named(layer, arrays).items():
            setattr(module, name, torch.nn.Parameter(values))
        if isinstance(layer, BatchNorm):
            module.running_mean, module.running_var = arrays["mean"], arrays["variance"]
        modules.append(module)
    return torch.nn.Sequential(*modules)


def module_of(layer: Layer, of_images: bool) -> Any:
    """The torch module of the same kind; `of_images` says whether its input has four axes."""
    from torch import nn

    kinds: dict[type[Layer], Callable[[Any], Any]] = {
        Dense: lambda l: nn.Linear(l.d_in, l.d_out),
        BatchNorm: lambda l: (nn.BatchNorm2d if of_images else nn.BatchNorm1d)(
            l.features, eps=l.eps, momentum=l.momentum),
        LeakyReLU: lambda l: nn.LeakyReLU(l.slope),
        Tanh: lambda l: nn.Tanh(),
        Sigmoid: lambda l: nn.Sigmoid(),
        Conv4x4: lambda l: nn.Conv2d(l.c_in, l.c_out, 4, stride=2, padding=1),
        ConvTranspose4x4: lambda l: nn.ConvTranspose2d(l.c_in, l.c_out, 4, stride=2, padding=1),
        Reshape: lambda l: nn.Unflatten(1, l.shape),
        Flatten: lambda l: nn.Flatten(),
        Crop: lambda l: nn.ZeroPad2d(-l.edge),
    }
    for kind, make in kinds.items():
        if isinstance(layer, kind):
            return make(layer)
    raise TypeInputError("net", f"{layer}", ", ".join(kind.__name__ for kind in kinds))


def named(layer: Layer, arrays: dict[str, Array]) -> dict[str, Array]:
    """The weights of a layer under torch's names; a Linear's matrix is transposed there."""
    if isinstance(layer, BatchNorm):
        return {"weight": arrays["gamma"], "bias": arrays["beta"]}
    if isinstance(layer, Dense):
        return {"weight": arrays["W"].T.contiguous(), "bias": arrays["b"]}
    return {"weight": arrays["W"], "bias": arrays["b"]} if arrays else {}
