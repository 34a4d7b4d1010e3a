"""The inputs of the certified vectors: small problems whose numbers are exact in every language.

The coordinates and costs of synthetic cases are multiples of 1/1024. Weights are multiples of 2^-16
whose sum is 1 without rounding. Real data are the floats that scikit-learn ships. For point clouds
eps is given in units of max C, and goes from 1e-3 to 1e4 of them; for matrices it is eps itself.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from refot.arrays import Array
from refot.datasets import scikit as datasets
from refot.verification.cases.case import Case, clouds

GRID = 1024
"""Coordinates and costs are multiples of 1 / GRID."""

WEIGHT_UNIT = 2.0**-16
"""Weights are multiples of this."""


def gridded(values: Array) -> Array:
    """The nearest multiples of 1/1024."""
    return np.round(values * GRID) / GRID


def exact_weights(weights: Array) -> Array:
    """Multiples of 2^-16 near `weights` with sum 1; the largest weight takes up the difference."""
    counts = np.round(weights / weights.sum() / WEIGHT_UNIT)
    counts[counts.argmax()] += 1 / WEIGHT_UNIT - counts.sum()
    return np.asarray(counts * WEIGHT_UNIT)


def drawn(n: int, m: int, d: int, seed: int) -> tuple[Array, Array, Array, Array]:
    """(x (n, d), y (m, d), a (n,), b (m,)): two Gaussian clouds whose means are one unit apart, and
    Dirichlet weights."""
    rng = np.random.default_rng(seed)
    x, y = rng.normal(size=(n, d)), rng.normal(size=(m, d)) + 1 / np.sqrt(d)
    a, b = rng.dirichlet(np.full(n, 2.0)), rng.dirichlet(np.full(m, 2.0))
    return gridded(x), gridded(y), exact_weights(a), exact_weights(b)


def point_cases() -> Iterator[Case]:
    """Problems of point clouds. Capabilities that take a matrix get that of their costs."""
    x, y, a, b = drawn(7, 5, 2, 1)
    yield clouds("gaussian", "n != m, weights not uniform", x, y, 0.1, a=a, b=b)
    yield clouds("euclidean", "the plain norm as cost", x, y, 0.1, a=a, b=b, cost="euclidean")
    yield clouds("l1", "the l1 norm as cost", x, y, 0.1, a=a, b=b, cost="l1")
    yield clouds("eps-ten", "eps = 10 max C", x, y, 10.0, a=a, b=b)
    yield clouds("huge-eps", "eps = 1e4 max C: the MMD limit", x, y, 1e4, a=a, b=b)
    yield clouds("one-by-one", "a single atom on each side", x[:1], y[:1], 0.1)
    yield clouds("one-row", "a Dirac: the plan is the product", x[:1], y, 0.1, b=b)
    yield clouds("small-eps", "eps = 1e-2 max C", x, y, 0.01, a=a, b=b)
    x, y, a, b = drawn(8, 8, 2, 2)
    yield clouds("square-uniform", "n = m, uniform weights", x, y, 0.05)
    yield clouds("duplicates", "points that coincide, within and across the clouds",
                 x[[0, 0, 1, 2]], np.concatenate([x[:2], y[[0, 0]]]), 0.1)
    a, b = a.copy(), b.copy()
    a[[1, 5]], b[2] = 0, 0
    yield clouds("zero-weights", "atoms without mass", x, y[:7], 0.1, a=exact_weights(a),
                 b=exact_weights(b[:7]))
    x, y, a, b = drawn(5, 4, 2, 3)
    yield clouds("tiny-eps", "eps = 1e-3 max C: K = exp(-C / eps) underflows", x, y, 1e-3, a=a, b=b)
    x, y, a, b = drawn(3, 12, 3, 4)
    yield clouds("wide", "3 points against 12, in R^3", x, y, 0.05, a=a, b=b)
    yield clouds("itself", "a measure against itself", y[:6], y[:6], 0.1, a=exact_weights(b[:6]),
                 b=exact_weights(b[:6]))


def real_cases() -> Iterator[Case]:
    """Iris flowers and digits; needs scikit-learn."""
    setosa, versicolor = datasets.iris("setosa"), datasets.iris("versicolor")
    yield clouds("iris", "8 setosa against 8 versicolor, in R^4", setosa[:8], versicolor[:8], 0.05)
    yield clouds("iris-l1", "4 versicolor against 8 setosa, the l1 norm", versicolor[8:12],
                 setosa[8:16], 0.02, cost="l1")
    yield clouds("digit-histograms", "a 0 and a 2 as histograms on 4 x 4 pixels",
                 datasets.pixel_grid(4), datasets.pixel_grid(4), 0.05, a=_histogram(0),
                 b=_histogram(2))


def _histogram(label: int) -> Array:
    """The first image of a digit, its 8 x 8 pixels summed to 4 x 4, as weights."""
    image = datasets.digits(label, 1)[0].reshape(4, 2, 4, 2).sum(axis=(1, 3))
    return exact_weights(image.ravel())


def matrix_cases() -> Iterator[Case]:
    """Problems given by a cost matrix, without points."""
    rng = np.random.default_rng(5)
    C = gridded(rng.uniform(0, 4, size=(6, 6)))
    *_, a, b = drawn(6, 6, 1, 6)
    yield Case("asymmetric", "n = m and a cost that is not symmetric", C, a, b, 0.5)
    yield Case("offset", "cost + 1e4: no shift in the log-sum-exp drowns", C + 1e4, a, b, 0.5)
    yield Case("negative", "costs of both signs", C[:4] - 2, exact_weights(a[:4]), b, 0.25)


def all_cases() -> list[Case]:
    """Every problem, in the order of the files."""
    return [*point_cases(), *matrix_cases(), *real_cases()]


# ------------------------------------------------------------------ further arguments
def unit(case: Case) -> float:
    """The standard deviation of the drawn potentials: the largest power of two that is at most eps
    and max C - min C (eps alone where C is constant)."""
    size = min(case.eps, case.spread) or case.eps
    return float(2.0 ** np.floor(np.log2(size)))


def potentials(case: Case) -> tuple[Array, Array]:
    """Potentials f (n,), g (m,) that are not optimal."""
    rng = np.random.default_rng(7)
    n, m = case.C.shape
    shift = gridded(np.median(case.C))  # without it exp((f + g - C) / eps) could be 0 everywhere
    return (gridded(rng.normal(size=n)) * unit(case) + shift,
            gridded(rng.normal(size=m)) * unit(case))


def table(case: Case) -> Array:
    """A table Q of the shape of C, in nats: multiples of 1/64, so that C - lam Q is exact."""
    rng = np.random.default_rng(8)
    return np.asarray(np.round(rng.normal(size=case.C.shape) * 64) / 64)


def joint(case: Case) -> Array:
    """A joint law of the shape of C: exact multiples of 2^-16 with sum 1, some of them 0."""
    rng = np.random.default_rng(9)
    mass = rng.dirichlet(np.full(case.C.size, 0.5)) * (rng.uniform(size=case.C.size) > 0.2)
    return exact_weights(mass + (mass.sum() == 0)).reshape(case.C.shape)


# ------------------------------------------------------------------ what is special about a case
def kinds(case: Case, inputs: Mapping[str, Any]) -> list[str]:
    """What is special about a case, found in its data and in the arguments."""
    n, m = case.C.shape
    points = [p for p in (case.x, case.y) if p is not None]
    found: dict[str, Any] = {
        "n-unequal-m": n != m,
        "one-by-one": n == m == 1,
        "non-uniform-weights": any(len(set(w.tolist())) > 1 for w in (case.a, case.b)),
        "zero-weights": (case.a == 0).any() or (case.b == 0).any(),
        "duplicate-points": points and len(np.unique(np.concatenate(points), axis=0)) < n + m,
        "huge-eps": case.eps >= 9.99 * case.C.max() > 0,
        "tiny-eps": case.eps <= 1.001e-3 * case.C.max(),
        "offset": case.C.min() > 1e3,
        "asymmetric-cost": case.x is None and n == m and (case.C != case.C.T).any(),
        "float32-exact": all((w == w.astype(np.float32)).all() for w in inputs.values()
                             if isinstance(w, np.ndarray)),
        **of_masses(case, inputs),
        "real-data": case.name.startswith(("iris", "digit")),
    }
    return [kind for kind, holds in found.items() if holds]


def of_masses(case: Case, inputs: Mapping[str, Any]) -> dict[str, bool]:
    """The kinds that only an unbalanced problem can have, each with whether this one is of it; none
    for a balanced problem."""
    if "rho" not in inputs:
        return {}
    masses = float(case.a.sum()), float(case.b.sum())
    shares = np.atleast_1d(inputs["rho"]) / case.eps
    return {
        "unequal-masses": masses[0] != masses[1],
        "extreme-masses": min(masses) < 1e-5 or max(masses) > 1e5,
        "tiny-rho": shares.min() < 1.01e-4,
        "huge-rho": bool((shares[shares < np.inf] > 0.99e6).any()),
        "exact-side": bool(np.isinf(shares).any()),
        "total-variation": inputs.get("penalty") == "tv",
    }
