"""The mixture of Gaussians on a 5 x 5 grid, and its modes (the centres). B section 4.2.

B (Bréchet et al. 2019) prints neither the spacing nor the standard deviation. Here the centres are
2 apart, at -4, -2, 0, 2, 4 along each axis, and the standard deviation is .05. That is the "2D
grid" of VEEGAN (Srivastava et al. 2017) and PacGAN (Lin et al. 2018), so that scores can be
compared with published ones (`refot.scores.scores.mode_coverage`).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from refot.arrays import Array, as_count, as_positive


@dataclass(frozen=True)
class GaussianGrid:
    """A mixture of side x side Gaussians of equal weight, on a grid around 0 with this `spacing`;
    `std` is the standard deviation of each, along each axis."""

    side: int = 5
    spacing: float = 2.0
    std: float = 0.05

    def __post_init__(self) -> None:
        as_count(self.side, "side")
        as_positive(self.spacing, "spacing")
        as_positive(self.std, "std")

    @property
    def modes(self) -> Array:
        """The centres (side^2, 2); centre k is that of the points with label k."""
        t = self.spacing * (np.arange(self.side) - (self.side - 1) / 2)
        return np.stack(np.meshgrid(t, t, indexing="ij"), axis=-1).reshape(-1, 2)

    def sample(self, count: int, rng: np.random.Generator) -> tuple[Array, Array]:
        """(`count` independent points (count, 2) in float64, the index of each one's mode
        (count,))."""
        labels = rng.integers(self.side**2, size=as_count(count, "count"))
        return self.modes[labels] + self.std * rng.normal(size=(count, 2)), labels
