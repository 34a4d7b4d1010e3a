"""The cost "gaussian(h)": the squared distance in the space of the Gaussian kernel of width h."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np

from refot.arrays import Array, InputError, as_positive, namespace
from refot.costs.ground import DifferenceCost, sqeuclidean

WIDTHS = (1e-60, 1e60)
"""The least and the largest width: their squares stay far within the range of floats."""


@dataclass(frozen=True)
class GaussianKernel(DifferenceCost):
    """c(x, y) = k(x, x) + k(y, y) - 2 k(x, y) with k(x, y) = exp(-|x - y|^2 / (2 h^2)).

    It is about |x - y|^2 / h^2 for points much nearer than h, and nearly 2 for points that are far
    apart, so that an outlier never costs more than 2.
    """

    h: float

    name: str = field(init=False)

    def __post_init__(self) -> None:
        h = as_positive(self.h, "h")
        if not WIDTHS[0] <= h <= WIDTHS[1]:
            raise InputError("h", f"{h:g}", f"{WIDTHS[0]:g} to {WIDTHS[1]:g}")
        object.__setattr__(self, "h", h)
        object.__setattr__(self, "name", f"gaussian({h!r})")

    def matrix(self, x: Array, y: Array) -> Array:
        """-2 (exp(-z) - 1) with z = |x - y|^2 / (2 h^2), (n, m), by `expm1`, which loses no digits
        for small z."""
        return -2 * namespace(x).expm1(-self._z(x, y))

    def gradient(self, x: Array, y: Array) -> Array:
        """2 exp(-z) (x - y) / h^2. (n, m, d)."""
        k = namespace(x).exp(-self._z(x, y))[:, :, None]
        return (2 / self.h) * k * ((x[:, None, :] - y[None, :, :]) / self.h)

    def gradient_change(self, x: Array, y: Array, vx: Array, vy: Array) -> Array:
        """The derivative of `gradient` as x moves along vx (n, d) and y along vy (m, d), (n, m, d):
        2 exp(-z) (w - u (u.w)) / h^2 with u = (x - y) / h and w = vx - vy."""
        k = namespace(x).exp(-self._z(x, y))[:, :, None]
        u = (x[:, None, :] - y[None, :, :]) / self.h
        w = vx[:, None, :] - vy[None, :, :]
        return 2 * k * (w - u * (u * w).sum(axis=2)[:, :, None]) / self.h**2

    def _z(self, x: Array, y: Array) -> Array:
        """|x - y|^2 / (2 h^2), (n, m). Points are subtracted before they are divided by h: their
        difference is exact where they are near, and the division would round them first."""
        return sqeuclidean(x, y) / self.h / self.h / 2

    def bound(self, x: Array, y: Array) -> float:
        """2, which is >= max c; but infinite, so that the points are refused, if squared distances
        might leave the range of floats."""
        with np.errstate(over="ignore", invalid="ignore"):
            farthest = (abs(x).max() + abs(y).max()) / self.h
            return 2.0 if math.isfinite(float(farthest * farthest * x.shape[1])) else math.inf

    def roundings(self, d: int) -> int:
        """The error of `matrix`, in roundings of itself: d + 3 from the squared distance, 2 from
        the divisions by h, 2 from exp(-z) - 1, which does not enlarge the relative error of z; and
        a margin."""
        return d + 10
