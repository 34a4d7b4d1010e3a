"""A small Info-Sinkhorn on four Gaussians, to test derivatives (float64) and to compare it with the
same system in PyTorch."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from refot.datasets.gaussians import GaussianGrid
from refot.systems.info_sinkhorn import InfoSinkhorn, Settings
from refot.systems.presets.info_sinkhorn import TABLE_1
from refot.systems.tasks.latent import Latent
from refot.systems.tasks.plane import GridLaw

SMALL = replace(TABLE_1, batch=24, n_D=2)


def system(settings: Settings = SMALL, dtype: Any = np.float64) -> InfoSinkhorn:
    task = GridLaw(GaussianGrid(side=2), Latent(4, 1, 3), width=8)
    return InfoSinkhorn(3, "numpy", task, settings, dtype)
