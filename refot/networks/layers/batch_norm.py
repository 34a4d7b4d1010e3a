"""Batch normalisation, by features (n, c) or by channels (n, c, h, w).

Each of the c features has its own mean, variance, and weights gamma and beta. Batch normalisation
is "b.n." in Table 3 of B (Bréchet et al. 2019). Two variances are used, as in PyTorch. A batch is
normalised by its *biased* variance (the sum of squares divided by N, the number of entries per
feature), so that the result has variance 1 up to eps. The running variance is an estimate for all
data. So it averages the *unbiased* variances of batches (the sum divided by N - 1).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from refot.arrays import Array, ShapeError, as_positive, namespace

from .layer import Layer


class Centred(NamedTuple):
    """The cache for the backward pass: x - mean (like x), and s = 1 / sqrt(var + eps) (c,).

    xhat = (x - mean) s is never formed: s multiplies vectors (c,) instead, which saves a pass over
    the entries of x.
    """

    centred: Array
    s: Array
    by_batch: bool  # whether mean and variance were the batch's own, so that they depend on x


def batch_norm_forward(
    x: Array, gamma: Array, beta: Array, eps: float
) -> tuple[Array, Centred, Array, Array]:
    """(y, cache, mean, var): y = gamma xhat + beta, xhat = (x - mean) s, with the batch's own mean
    and biased variance.

    x (n, c) or (n, c, h, w); gamma, beta, mean, var (c,).
    """
    N = _entries(x)
    mean = _sum(x) / N
    centred = x - _along(mean, x)
    var = _dot(centred, centred) / N
    s = 1 / namespace(x).sqrt(var + eps)
    return _affine(centred, gamma * s, beta), Centred(centred, s, True), mean, var


def batch_norm_backward(dy: Array, cache: Centred, gamma: Array) -> tuple[Array, Array, Array]:
    """(dx, dgamma, dbeta): dx = gamma s (dy - mean(dy) - xhat mean(dy xhat)),
    dgamma = sum dy xhat, dbeta = sum dy."""
    centred, s, _ = cache
    N = _entries(dy)
    dgamma, dbeta = s * _dot(dy, centred), _sum(dy)
    dx = centred * _along(-s * dgamma / N, dy)
    dx += dy
    dx -= _along(dbeta / N, dy)
    dx *= _along(gamma * s, dy)
    return dx, dgamma, dbeta


def fixed_norm_forward(
    x: Array, gamma: Array, beta: Array, mean: Array, var: Array, eps: float
) -> tuple[Array, Centred]:
    """(y, cache): y = gamma (x - mean) s + beta, with a given mean and variance (c,)."""
    s = 1 / namespace(x).sqrt(var + eps)
    centred = x - _along(mean, x)
    return _affine(centred, gamma * s, beta), Centred(centred, s, False)


def fixed_norm_backward(dy: Array, cache: Centred, gamma: Array) -> tuple[Array, Array, Array]:
    """(dx, dgamma, dbeta): dx = gamma s dy, dgamma = sum dy xhat, dbeta = sum dy."""
    centred, s, _ = cache
    return dy * _along(gamma * s, dy), s * _dot(dy, centred), _sum(dy)


def update_running(running: Array, batch: Array, momentum: float) -> None:
    """running <- (1 - momentum) running + momentum batch, in place."""
    running *= 1 - momentum
    running += momentum * batch


def _affine(x: Array, scale: Array, shift: Array) -> Array:
    y = x * _along(scale, x)
    y += _along(shift, x)
    return y


def _along(v: Array, x: Array) -> Array:
    """v (c,), reshaped so that it broadcasts along axis 1 of x."""
    return v.reshape(-1, *(1,) * (x.ndim - 2))


def _sum(x: Array) -> Array:
    """The sum over all axes except axis 1, (c,)."""
    return x.sum(axis=0) if x.ndim == 2 else x.sum(axis=(0, 2, 3))


def _dot(x: Array, y: Array) -> Array:
    """The sum of x y over all axes except axis 1, (c,)."""
    return namespace(x).einsum("nc,nc->c" if x.ndim == 2 else "nchw,nchw->c", x, y)


def _entries(x: Array) -> int:
    """N, the number of entries of x per feature."""
    return int(x.size // x.shape[1])


@dataclass(frozen=True)
class BatchNorm(Layer):
    """y = gamma xhat + beta; starts at gamma = 1, beta = 0, running mean 0 and variance 1.

    With train=True it uses the mean and variance of the batch (N >= 2 entries per feature), and
    moves the running ones towards them by the share `momentum`. Else it uses the running ones. eps
    is added to the variance.
    """

    features: int
    eps: float = 1e-5
    momentum: float = 0.1

    def __post_init__(self) -> None:
        as_positive(self.eps, "eps")
        as_positive(self.momentum, "momentum")

    def initial_weights(self, rng: np.random.Generator) -> dict[str, Array]:
        return {"gamma": np.ones(self.features), "beta": np.zeros(self.features)}

    def initial_statistics(self) -> dict[str, Array]:
        return {"mean": np.zeros(self.features), "variance": np.ones(self.features)}

    def forward(
        self, x: Array, weights: tuple[Array, ...], statistics: tuple[Array, ...], train: bool
    ) -> tuple[Array, Centred]:
        self.expect(x, self.features, *(None,) * (x.ndim == 4) * 2)
        gamma, beta = weights
        running_mean, running_var = statistics
        if not train:
            return fixed_norm_forward(x, gamma, beta, running_mean, running_var, self.eps)
        N = _entries(x)
        if N < 2:
            raise ShapeError("x", f"{N} entry per feature", f"2 or more, to train {self}")
        y, cache, mean, var = batch_norm_forward(x, gamma, beta, self.eps)
        update_running(running_mean, mean, self.momentum)
        update_running(running_var, var * (N / (N - 1)), self.momentum)
        return y, cache

    def backward(
        self, dy: Array, cache: Centred, weights: tuple[Array, ...]
    ) -> tuple[Array, tuple[Array, ...]]:
        pull_back = batch_norm_backward if cache.by_batch else fixed_norm_backward
        dx, dgamma, dbeta = pull_back(dy, cache, weights[0])
        return dx, (dgamma, dbeta)
