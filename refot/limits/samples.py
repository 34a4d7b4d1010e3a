"""What changes when only samples of the measures are known: the bias of a softmin over a batch, and
S between samples of n points.

A softmin over a batch drawn from b is too high on average (`softmin_batch_bias`), so that the
semi-dual on batches is no lower bound of the value. S between two samples of n points from the same
law is not 0; how fast its mean falls as n grows is its sample complexity (`sample_complexity`).

Papers: B = Bréchet et al. 2019, G = Genevay, Peyré, Cuturi 2018.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from refot.arrays import (
    Array,
    CostLike,
    InputError,
    Potential,
    ShapeError,
    Weights,
    as_count,
    as_each,
    as_positive,
    namespace,
)
from refot.backend_contract import BackendLike, get_backend
from refot.costs.named import CostName
from refot.divergences import mmd_squared, sinkhorn_divergence
from refot.solvers.memory import gibbs_matrix
from refot.transforms import transform_problem


# ------------------------------------------------------------------ the softmin over a batch
def softmin_density(
    g: Potential, C: CostLike, b: Weights, eps: float, *, backend: BackendLike = None
) -> Array:
    """r_ij = exp((g^(c,eps)_i + g_j - C_ij) / eps), (n, m): the density of the plan with respect to
    a(x)b. The mean of each row under b is 1. B-29.

    C (n, m), an array, a `PointCost` or a `DenseCost`; g (m,), b (m,). In a column with b_j = 0,
    which is never drawn, the exact density might overflow; there r is 0.
    """
    p = transform_problem(C, b, eps, backend)
    g = p.column_potential(g)
    drawn = namespace(g).where(p.b > 0, g, -np.inf)
    return gibbs_matrix(p.C, p.transform(g), drawn, p.eps)


def _log_density(
    g: Potential, C: CostLike, b: Weights, eps: float, backend: BackendLike
) -> tuple[Array, Array]:
    """(the logarithm (n, m) of `softmin_density`, -infinity where b_j = 0; b (m,)), both on the
    backend."""
    p = transform_problem(C, b, eps, backend)
    g = p.column_potential(g)
    exponents = (p.transform(g)[:, None] + g - p.C.dense()) / p.eps
    return namespace(g).where(p.b > 0, exponents, -np.inf), p.b


def softmin_batch_bias(
    g: Potential, C: CostLike, b: Weights, eps: float, B: int, *, backend: BackendLike = None
) -> Array:
    """eps Var_b(r_i) / (2 B), (n,), in cost units: by how much a softmin over a batch of size B is
    too high on average, to first order in 1/B.

    The softmin over a batch is the transform with the batch in place of the data: -eps log of the
    mean of w_j = exp((g_j - C_ij) / eps) over B draws of j from b. r is the `softmin_density`, for
    which Var_b(r) = Var(w) / mean(w)^2.
    """
    log_r, b = _log_density(g, C, b, eps, backend)
    variance = namespace(b).expm1(log_r) ** 2 @ b
    return as_positive(eps) * variance / (2 * as_count(B, "B"))


def sampled_softmin_bias(
    g: Potential, C: CostLike, b: Weights, eps: float, B: int, repeats: int,
    rng: np.random.Generator, *, backend: BackendLike = None,
) -> tuple[Array, Array]:
    """(the mean (n,), over `repeats` batches, of the softmin over a batch less the exact one; its
    standard error (n,)), in cost units.

    A batch is B columns drawn from b with replacement, the same for every row. The results are
    NumPy arrays on every backend, because the draws are NumPy's.
    """
    on = get_backend(backend)
    log_r, b = map(on.to_numpy, _log_density(g, C, b, eps, on))
    shape = (_repeats(repeats), as_count(B, "B"))
    batches = rng.choice(b.shape[0], size=shape, p=b / b.sum())
    # The softmin over a batch is the exact one less eps log of the mean of r over the batch.
    excess = -as_positive(eps) * np.stack([_log_mean_exp(row[batches]) for row in log_r])
    return excess.mean(axis=1), excess.std(axis=1, ddof=1) / math.sqrt(shape[0])


# ------------------------------------------------------------------ S of samples, against n
@dataclass(frozen=True)
class SampleComplexity:
    """The mean of S between two samples of n points of one law, for each n and each eps.

    sizes (k,) holds the numbers of points and epsilons (e,) the values of eps. divergence (e, k) is
    the mean of S of B-9. energy (k,) is that of MMD^2_{-c} / 2, the limit of S as eps -> infinity:
    half the energy distance if the cost is "euclidean". errors (e + 1, k) are the standard errors
    of these means, with the energy in the last row. All in cost units.
    """

    sizes: Array
    epsilons: Array
    divergence: Array
    energy: Array
    errors: Array


def sample_complexity(
    draw: Callable[[np.random.Generator, int], Array], sizes: Sequence[int],
    epsilons: Sequence[float], repeats: int, seed: int, cost: CostName = "euclidean", *,
    tol: float = 1e-6, backend: BackendLike = None,
) -> SampleComplexity:
    """S between two independent samples of n points, for n in `sizes` and each eps. G section 3.2.

    draw(rng, n) returns n points (n, d) of the law. There are `repeats` pairs of samples of each
    size, the same pairs for every eps. S between the law and itself is 0, so that each mean is the
    error that comes from having only n points.
    """
    repeats = _repeats(repeats)
    sizes, epsilons = as_each(sizes, "sizes", as_count), as_each(epsilons, "epsilons", as_positive)
    rng, table = np.random.default_rng(seed), []
    for n in sizes:
        a = np.full(n, 1 / n)
        pairs = [(draw(rng, n), draw(rng, n)) for _ in range(repeats)]
        table.append([
            [*(sinkhorn_divergence(x, a, y, a, eps, cost, tol=tol, backend=backend)
               for eps in epsilons),
             mmd_squared(x, a, y, a, cost) / 2]
            for x, y in pairs
        ])
    values = np.array(table)  # its axes: the size, the repeat, and each eps with the energy last
    means, errors = values.mean(axis=1).T, values.std(axis=1, ddof=1).T / math.sqrt(repeats)
    return SampleComplexity(np.array(sizes), np.array(epsilons), means[:-1], means[-1], errors)


def decay_rate(sizes: Sequence[float], values: Sequence[float]) -> float:
    """The slope of log values (k,) against log sizes (k,) by least squares: -1 for values like 1/n.

    Raises InputError unless all are positive and at least two sizes are different.
    """
    sizes, values = as_each(sizes, "sizes", as_positive), as_each(values, "values", as_positive)
    if len(values) != len(sizes):
        raise ShapeError("values", f"{len(values)} of them", f"{len(sizes)}, one for each size")
    if len(set(sizes)) < 2:
        raise InputError("sizes", f"{sizes}", "at least two different sizes, for a slope")
    return float(np.polyfit(np.log(sizes), np.log(values), 1)[0])


def _log_mean_exp(exponents: Array) -> Array:
    """log of the mean of exp along the last axis, shifted so that the largest term is 1."""
    largest = exponents.max(axis=-1)
    return largest + np.log(np.exp(exponents - largest[..., None]).mean(axis=-1))


def _repeats(repeats: int) -> int:
    """`repeats`, checked to be at least 2. Raises InputError."""
    if as_count(repeats, "repeats") < 2:
        raise InputError("repeats", f"{repeats}", "at least 2: a standard error is reported")
    return int(repeats)
