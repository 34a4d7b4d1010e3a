"""Measures of how good a generator is, or the codes that a model gives to samples: modes found,
codes against labels, exact transport, clusters, mixtures of real and generated samples.

The literature defines most of these in several ways; each function says which definition it takes.
Measures that need a classifier are in `refot.scores.classifier`. B = Bréchet et al. 2019,
L = Liu et al.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from refot.arrays import (
    Array,
    Codes,
    InputError,
    Points,
    ShapeError,
    TypeInputError,
    as_count,
    as_number,
    as_points,
    as_positive,
)
from refot.costs.operands import point_cost
from refot.information import mutual_information
from refot.objectives import entropy


# ------------------------------------------------------------------ modes
@dataclass(frozen=True)
class ModeCoverage:
    """The result of `mode_coverage`: how many of the `modes` were `found`, the share `high_quality`
    of the samples that are of high quality, and how many of these are at each mode, `counts`
    (modes,).
    """

    found: int
    modes: int
    high_quality: float
    counts: Array


def nearest_modes(x: Points, modes: Points) -> tuple[Array, Array]:
    """(the index of the nearest of the modes (k, d) for each point of x (n, d), (n,); its Euclidean
    distance, (n,))."""
    distances = point_cost(x, modes, "euclidean").dense()
    nearest = distances.argmin(axis=1)
    return nearest, distances[np.arange(len(nearest)), nearest]


def mode_coverage(
    x: Points, modes: Points, std: float, radius: float = 3.0, at_least: int = 1
) -> ModeCoverage:
    """How many modes samples x (n, d) find, and the share of samples of high quality, for Gaussians
    of standard deviation `std` at `modes` (k, d).

    A sample is of high quality if it is within `radius` = 3 standard deviations (Euclidean) of its
    nearest mode. A mode is found if it has `at_least` = 1 such sample. These are the definitions of
    VEEGAN and PacGAN. In two dimensions 1 - exp(-9/2) = 98.9 % of perfect samples are of high
    quality.
    """
    nearest, distances = nearest_modes(x, modes)
    close = distances <= as_positive(radius, "radius") * as_positive(std, "std")
    counts = np.bincount(nearest[close], minlength=len(modes))
    found = int((counts >= as_count(at_least, "at_least")).sum())
    return ModeCoverage(found, len(modes), float(close.mean()), counts)


# ------------------------------------------------------------------ codes against labels
def contingency(codes: Codes, labels: Codes) -> Array:
    """The joint law of code and label, (codes, labels), sum 1, from the code (n,) and the label
    (n,) of each of n samples."""
    rows, columns = _as_labels(codes, "codes"), _as_labels(labels, "labels")
    if len(rows) != len(columns):
        raise ShapeError("labels", f"{len(columns)}", f"{len(rows)}, as many as codes")
    joint = np.zeros((rows.max() + 1, columns.max() + 1))
    np.add.at(joint, (rows, columns), 1 / len(rows))
    return joint


def normalised_mutual_information(codes: Codes, labels: Codes) -> float:
    """The mutual information of code and label over the mean of their two entropies, from 0 to 1;
    as scikit-learn defines it by default.

    It is 1 if each determines the other, and, by convention, if both are constant.
    """
    P = contingency(codes, labels)
    scale = (entropy(P.sum(axis=1)) + entropy(P.sum(axis=0))) / 2
    return 1.0 if scale == 0 else max(0.0, mutual_information(P / P.sum()) / scale)


def purity(codes: Codes, labels: Codes) -> float:
    """The share of samples whose label is the commonest one among the samples with their code.

    It is 1 also if each sample has its own code. So report it together with the mutual information.
    """
    return float(contingency(codes, labels).max(axis=1).sum())


def _as_labels(values: Codes, name: str) -> Array:
    """Labels (n,), n >= 1, numbered 0, 1, ... in increasing order of their values."""
    labels = np.asarray(values)
    if labels.dtype.kind not in "iub":
        raise TypeInputError(name, f"dtype {labels.dtype}", "whole numbers")
    if labels.ndim != 1 or labels.size == 0:
        raise ShapeError(name, f"shape {labels.shape}", "one dimension, at least one label")
    return np.unique(labels, return_inverse=True)[1]


# ------------------------------------------------------------------ clusters
def within_cluster_variance(x: Points, clusters: Codes) -> float:
    """The mean over the points x (n, d) of |x_i - mean of its cluster|^2; clusters (n,). Fig. 1 of
    B.

    It is 0 if each cluster has collapsed to one point. That happens to points that descend the
    value F, which B calls W, at an eps wider than the clusters of the data, but not if they descend
    the divergence S. With the cost |x - y|^2 they collapse to a mean of the data, with |x - y|_1 to
    a median.
    """
    x, labels = as_points(x), _as_labels(clusters, "clusters")
    if len(labels) != len(x):
        raise ShapeError("clusters", f"{len(labels)}", f"{len(x)}, as many as points")
    means = np.zeros((labels.max() + 1, x.shape[1]))
    np.add.at(means, labels, x)
    means /= np.bincount(labels)[:, None]
    return float(((x - means[labels]) ** 2).sum(axis=1).mean())


# ------------------------------------------------------------------ exact transport
@dataclass(frozen=True)
class CertifiedTransport:
    """lower <= W <= upper, up to rounding, in cost units.

    W is the least cost of any plan. `upper` is the cost of one plan, `permutation` (n,), which
    sends x_i to y_permutation[i]. `lower` is the dual value mean(f) + mean(g) <= W, where
    f_i = min_j (C_ij - g_j). So from the potential `g` (n,) anybody can compute it again.
    """

    lower: float
    upper: float
    permutation: Array
    g: Array


def exact_transport(x: Points, y: Points, cost: str = "sqeuclidean") -> CertifiedTransport:
    """W between the uniform laws on x (n, d) and y (n, d), with proved bounds.

    Use it between generated points and real ones that were not trained on. A perfect generator
    would reach about the value between two real samples. O(n^3): for d = 2 it takes 0.3 s
    at n = 1000, 2 s at 2000.
    """
    from scipy.optimize import linear_sum_assignment

    C = point_cost(x, y, cost).dense().astype(np.float64)
    if C.shape[0] != C.shape[1]:
        raise ShapeError("y", f"{C.shape[1]} points", f"{C.shape[0]}, as many as x")
    rows, permutation = linear_sum_assignment(C)
    g = assignment_potential(C, permutation)
    f = (C - g).min(axis=1)
    return CertifiedTransport(float(f.mean() + g.mean()), float(C[rows, permutation].mean()),
                              permutation, g)


def assignment_potential(C: Array, permutation: Array) -> Array:
    """A dual potential g (n,) that proves an assignment s optimal: g_j - g_s(i) <= C_ij - C_is(i).

    s is `permutation` (n,). Take C_ij - C_is(i), the price of moving i from s(i) to j, as the
    length of an edge from s(i) to j; then g_j is the length of the shortest path to j, by the
    algorithm of Bellman and Ford. If s is optimal no cycle has a negative length, and n sweeps are
    enough.
    """
    step = C - C[np.arange(len(C)), permutation][:, None]
    g = np.zeros(len(C))
    for _ in range(len(C)):
        shorter = np.minimum(g, (g[permutation][:, None] + step).min(axis=0))
        if (shorter == g).all():
            break
        g = shorter
    return g


# ------------------------------------------------------------------ mixtures, L
def mixture(real: Any, generated: Any, r: float, rng: np.random.Generator) -> Array:
    """n samples, of which the share r is drawn from the `generated` ones (n, ...) and the rest from
    the `real` ones (n, ...).

    L plots IS and FID against a "mixing ratio r" that it does not define. Here r = 0 is the data
    and r = 1 the generator. r n is rounded, and both parts are drawn without replacement.
    """
    real, generated = np.asarray(real), np.asarray(generated)
    if real.shape != generated.shape:
        raise ShapeError("generated", f"shape {generated.shape}", f"{real.shape}, that of real")
    if not 0 <= as_number(r, "r") <= 1:
        raise InputError("r", f"{r}", "a share, 0 <= r <= 1")
    n = len(real)
    k = round(r * n)
    return np.concatenate([generated[rng.permutation(n)[:k]], real[rng.permutation(n)[: n - k]]])


def mixing_curve(
    measure: Callable[[Array], Mapping[str, float]], real: Any, generated: Any,
    ratios: Sequence[float], rng: np.random.Generator,
) -> dict[str, list[float]]:
    """The results of `measure` on mixtures at each of `ratios` (k,): for each name that it returns
    a list (k,). This is the one figure of L."""
    curve: dict[str, list[float]] = {}
    for r in ratios:
        for name, value in measure(mixture(real, generated, r, rng)).items():
            curve.setdefault(name, []).append(value)
    return curve
