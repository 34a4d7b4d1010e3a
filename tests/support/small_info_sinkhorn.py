"""A small Info-Sinkhorn on four Gaussians, in float64, for derivatives and for the PyTorch port."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from refot.arrays import Array
from refot.datasets.gaussians import GaussianGrid
from refot.systems.info_sinkhorn import InfoSinkhorn
from refot.systems.presets.info_sinkhorn import TABLE_1
from refot.systems.tasks.info_sinkhorn_tasks import Points
from refot.systems.tasks.latent import Latent

SMALL = replace(TABLE_1, batch=24, n_D=2)


class Float64(InfoSinkhorn):
    """The same system with float64 networks, for derivatives."""

    def on_device(self, values: Array) -> Array:
        return np.asarray(values, dtype=np.float64)


class Points64(Points):
    """Networks of float64."""

    def generator(self, latent: Latent, rng: np.random.Generator, xp: Any) -> Any:
        return as_float64(super().generator(latent, rng, xp))

    def duals(self, latent: Latent, rng: np.random.Generator, xp: Any) -> Any:
        made = super().duals(latent, rng, xp)
        heads = {name: as_float64(head) for name, head in made.heads.items()}
        return type(made)(as_float64(made.trunk), heads)


def as_float64(net: Any) -> Any:
    net.dtype = np.dtype(np.float64)
    for arrays in (net.weights, net.statistics):
        arrays.update({name: array.astype(np.float64) for name, array in arrays.items()})
    return net


def system(settings: Any = SMALL, kind: type[InfoSinkhorn] = Float64) -> InfoSinkhorn:
    task = (Points64 if kind is Float64 else Points)(GaussianGrid(side=2), width=8)
    return kind("small", 3, "numpy", task, Latent(4, 1, 3), settings)
