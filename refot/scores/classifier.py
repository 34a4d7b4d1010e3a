"""The formulas of IS and FID, with a small classifier in the place of the Inception network.

The Inception score (IS) is due to Salimans et al. 2016, the Fréchet distance (FID) to Heusel et al.
2017. Here probabilities and features come from a classifier that `refot train classifier` trains.
So the numbers can be compared between runs that used the same classifier, but not with published
ones. For that reason they have other names.
"""

from __future__ import annotations

import numpy as np

from refot.arrays import Array, InputError, Matrix, Points, ShapeError, as_plan, as_points
from refot.information import mutual_information


def classifier_score(probabilities: Matrix) -> float:
    """exp of the mean over i of KL(p(label | x_i) | p(label)), from 1 to k, for the probabilities
    (n, k) of labels, whose rows sum to 1.

    This is exp of the mutual information of sample and label. It is 1 if the classifier finds no
    difference between samples, and k if it is certain of each label and all labels are equally
    frequent. Published scores are often means of the scores of several parts of the samples.
    """
    p = as_plan(probabilities, "probabilities").astype(np.float64)
    sums = p.sum(axis=1)
    if (abs(sums - 1) > 1e-5).any():
        worst = int(abs(sums - 1).argmax())
        raise InputError("probabilities", f"row {worst} sums to {sums[worst]}", "rows of sum 1")
    return float(np.exp(mutual_information(p / p.sum())))


def classifier_frechet_distance(features: Points, real_features: Points) -> float:
    """|m1 - m2|^2 + tr(S1 + S2 - 2 (S1 S2)^(1/2)) of features (n1, d) and (n2, d).

    m1, m2 are the means and S1, S2 the covariances (sums divided by n - 1). The result is the
    squared 2-Wasserstein distance between the two Gaussians with these means and covariances. For
    samples of n points it is too large by an error that falls like 1/n. So compare only values of
    the same n, among them the value between two real samples.
    """
    x, y = (as_points(each, name).astype(np.float64) for each, name in
            ((features, "features"), (real_features, "real_features")))
    if x.shape[1] != y.shape[1]:
        raise ShapeError("features", f"dimension {x.shape[1]}",
                         f"{y.shape[1]}, that of real_features")
    if min(len(x), len(y)) < 2:
        raise ShapeError("features", f"{len(x)} and {len(y)} samples", "two or more of each")
    S1, S2 = covariance(x), covariance(y)
    root = square_root(S1)
    cross = np.linalg.eigvalsh(root @ S2 @ root)  # S1 S2 has the same eigenvalues
    mixed = np.sqrt(np.maximum(cross, 0)).sum()
    difference = x.mean(axis=0) - y.mean(axis=0)
    return max(0.0, float(difference @ difference + np.trace(S1) + np.trace(S2) - 2 * mixed))


def covariance(x: Array) -> Array:
    """The covariance (d, d) of samples (n, d), unbiased: a sum over samples divided by n - 1."""
    centred = x - x.mean(axis=0)
    S: Array = centred.T @ centred / (len(x) - 1)
    return S


def square_root(S: Array) -> Array:
    """The symmetric root of a positive semi-definite matrix (d, d)."""
    values, vectors = np.linalg.eigh(S)
    return (vectors * np.sqrt(np.maximum(values, 0))) @ vectors.T
