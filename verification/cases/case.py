"""Cases: the problems on which a subject is checked, synthetic, adversarial and real.

A case is data only. A derived case (transposed, scaled, shifted, with an atom split) has a name
that says what was done to it, so that anybody can make it again from the name."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from enum import StrEnum

import numpy as np

from refot.arrays import Array, lookup
from refot.costs.operands import point_cost
from refot.datasets import scikit as datasets


class Difficulty(StrEnum):
    """How much a case asks of an implementation, by which its failures are weighed.

    HARD: floating point itself is in the way (float32, a cost or eps far from 1, a weight of 0), or
    the plain Sinkhorn iteration needs thousands of steps. EXTREME: it needs about a million. On an
    extreme case a solver need not converge, as long as it says that it did not.
    """

    ORDINARY = "ordinary"
    HARD = "hard"
    EXTREME = "extreme"


@dataclass(frozen=True)
class Case:
    """A problem (C, a, b, eps), with the points from which C was computed, if it was.

    C is (n, m), a (n,), b (m,), eps in cost units. `note` says what the case tests; `cost` names
    the ground cost of x (n, d) and y (m, d).
    """

    name: str
    note: str
    C: Array
    a: Array
    b: Array
    eps: float
    x: Array | None = None
    y: Array | None = None
    cost: str | None = None
    difficulty: Difficulty = Difficulty.ORDINARY

    @property
    def matrix(self) -> tuple[Array, Array, Array, float]:
        """(C, a, b, eps)."""
        return self.C, self.a, self.b, self.eps

    @property
    def clouds(self) -> tuple[Array, Array, Array, Array, float, str]:
        """(x, a, y, b, eps, cost)."""
        assert self.x is not None
        assert self.y is not None
        assert self.cost is not None
        return self.x, self.a, self.y, self.b, self.eps, self.cost

    @property
    def has_points(self) -> bool:
        """Whether capabilities that take point clouds can be checked on this case."""
        return self.x is not None

    @property
    def well_conditioned(self) -> bool:
        """Whether (max C - min C) / eps is at most 200, so that a small marginal error means a
        small error of the plan."""
        return self.spread <= 200 * self.eps

    @property
    def plain(self) -> bool:
        """Whether invariants are checked on this case: relations between its answers and those of
        a derived case, for which small problems are enough."""
        return self.well_conditioned and self.C.size <= 600

    @property
    def spread(self) -> float:
        """max C - min C."""
        return float(self.C.max() - self.C.min())

    @property
    def unit(self) -> float:
        """What tolerances of values are proportional to, in cost units: max C - min C; max |C| if C
        is constant."""
        return self.spread or float(abs(self.C).max())

    @property
    def single(self) -> bool:
        """Whether the arrays are float32."""
        return bool(self.C.dtype == np.float32)

    # -------------------------------------------------------------- derived cases
    def transposed(self) -> Case:
        """The two measures exchanged."""
        return replace(self, name=f"{self.name}.T", C=np.ascontiguousarray(self.C.T), a=self.b,
                       b=self.a, x=self.y, y=self.x)

    def scaled(self, t: float) -> Case:
        """Cost and eps times t (a power of two, so that nothing is rounded)."""
        return replace(self, name=f"{self.name}*{t:g}", C=self.C * self.C.dtype.type(t),
                       eps=self.eps * t, x=None, y=None, cost=None)

    def shifted(self, constant: float) -> Case:
        """The case with a constant added to the cost, and without points."""
        return replace(self, name=f"{self.name}+{constant:g}", C=self.C + constant,
                       x=None, y=None, cost=None)

    def split(self) -> Case:
        """The heaviest atom of each side split into halves at the same place."""
        i, j = int(self.a.argmax()), int(self.b.argmax())
        C = np.concatenate([self.C, self.C[i : i + 1]])
        C = np.concatenate([C, C[:, j : j + 1]], axis=1)
        moved = self if self.x is None or self.y is None else replace(
            self, x=np.concatenate([self.x, self.x[i : i + 1]]),
            y=np.concatenate([self.y, self.y[j : j + 1]]))
        return replace(moved, name=f"{self.name}.split", C=C, a=_halved(self.a, i),
                       b=_halved(self.b, j))

    def translated(self, by: float) -> Case:
        """Both clouds moved by the same vector (by, ..., by)."""
        assert self.x is not None
        assert self.y is not None
        return replace(self, name=f"{self.name}>>{by:g}", x=self.x + by, y=self.y + by)

    def with_itself(self) -> Case:
        """The first cloud on both sides, with its weights. C stays as it was, so that of this case
        only `clouds` may be used."""
        return replace(self, name=f"{self.name}.self", y=self.x, b=self.a)


def _halved(weights: Array, k: int) -> Array:
    split = np.append(weights, weights[k] / 2)
    split[k] /= 2
    return split


# ------------------------------------------------------------------ synthetic
def clouds(
    name: str, note: str, x: Array, y: Array, eps: float, *, a: Array | None = None,
    b: Array | None = None, cost: str = "sqeuclidean",
) -> Case:
    """A case of two point clouds x (n, d) and y (m, d).

    `eps` is in units of the largest cost; weights a (n,), b (m,) are uniform by default."""
    a = np.full(len(x), 1 / len(x)) if a is None else a
    b = np.full(len(y), 1 / len(y)) if b is None else b
    C = point_cost(x, y, cost).dense()
    scale = float(C.max()) or 1.0
    return Case(name, note, C, a, b, eps * scale, x, y, cost)


def hard(case: Case) -> Case:
    """The case, marked as hard."""
    return replace(case, difficulty=Difficulty.HARD)


def _gaussian(n: int, m: int, d: int, seed: int) -> tuple[Array, Array, Array, Array]:
    """Two Gaussian clouds one unit apart and Dirichlet weights, all from one seed."""
    rng = np.random.default_rng(seed)
    x, y = rng.normal(size=(n, d)), rng.normal(size=(m, d)) + 1 / np.sqrt(d)
    return x, y, rng.dirichlet(np.full(n, 2.0)), rng.dirichlet(np.full(m, 2.0))


def synthetic(seed: int = 0) -> Iterator[Case]:
    """The synthetic and adversarial cases of one seed."""
    x, y, a, b = _gaussian(9, 6, 2, seed)
    yield clouds("gaussian", "n != m, non-uniform weights", x, y, 0.1, a=a, b=b)
    yield clouds("euclidean", "the plain norm as cost", x, y, 0.1, a=a, b=b, cost="euclidean")
    yield clouds("l1", "the l1 norm as cost", x, y, 0.1, a=a, b=b, cost="l1")
    yield hard(clouds("huge-eps", "eps = 1e4 max C: the MMD limit", x, y, 1e4, a=a, b=b))
    yield clouds("one-by-one", "a single atom on each side", x[:1], y[:1], 0.1)
    x, y, a, b = _gaussian(12, 12, 2, seed + 100)
    yield clouds("square-uniform", "n = m, uniform weights", x, y, 0.05)
    yield hard(replace(clouds("float32", "float32 arrays", x, y, 0.05, a=a, b=b),
                       **_single(x, y, a, b)))
    rng = np.random.default_rng(seed + 200)
    C = rng.uniform(0, 4, size=(8, 8))
    yield Case("asymmetric", "n = m and a cost that is not symmetric", C, a[:8] / a[:8].sum(),
               b[4:] / b[4:].sum(), 0.4)
    yield hard(Case("offset", "cost + 1e4: no shift in the log-sum-exp overflows or drowns",
                    C + 1e4, a[:8] / a[:8].sum(), b[4:] / b[4:].sum(), 0.4))
    yield Case("negative", "costs below 0: a value may be negative, too", C - 6,
               a[:8] / a[:8].sum(), b[4:] / b[4:].sum(), 0.4)
    a, b = a.copy(), b.copy()
    a[[1, 5]], b[7] = 0, 0
    yield hard(clouds("zero-weights", "atoms without mass", x, y, 0.1, a=a / a.sum(),
                      b=b / b.sum()))
    yield clouds("duplicates", "points that coincide, within and across the clouds",
                 x[[0, 0, 1, 2, 3]], np.concatenate([x[:2], y[[0, 0]]]), 0.1)
    x, y, a, b = _gaussian(20, 15, 2, seed + 300)
    yield hard(clouds("small-eps", "eps = 1e-3 max C", x, y, 1e-3, a=a, b=b))
    x, y, *_ = _gaussian(50, 50, 2, seed + 400)
    tiny = clouds("tiny-eps", "50 Gaussian points, eps = 1e-3: default solvers stop early",
                  x, y, 1.0)
    yield replace(tiny, eps=1e-3, difficulty=Difficulty.EXTREME)


def _single(*arrays: Array) -> dict[str, Array]:
    x, y, a, b = (array.astype(np.float32) for array in arrays)
    return {"x": x, "y": y, "a": a, "b": b, "C": point_cost(x, y).dense()}


# ------------------------------------------------------------------ real
def _iris(first: str, second: str) -> Case:
    return clouds(f"iris-{first}-{second}", "two Iris species as point clouds in R^4",
                  datasets.iris(first), datasets.iris(second), 0.05)


def _digit_clouds() -> Case:
    return clouds("digits-3-8", "images of digit 3 against digit 8, clouds in R^64",
                  datasets.digits(3, 30), datasets.digits(8, 24), 0.02)


def _digit_histograms() -> Case:
    grid = datasets.pixel_grid()
    return hard(clouds("digit-histograms",
                       "two images as histograms on the grid, many empty pixels", grid, grid, 0.01,
                       a=datasets.digit_histogram(0), b=datasets.digit_histogram(1)))


REAL: dict[str, Callable[[], Case]] = {
    "iris-setosa-versicolor": lambda: _iris("setosa", "versicolor"),
    "iris-versicolor-virginica": lambda: _iris("versicolor", "virginica"),
    "digits-3-8": _digit_clouds,
    "digit-histograms": _digit_histograms,
}
"""The cases of real data, by name. Making one raises DataUnavailableError without its data."""

SEEDS = {"quick": (0,), "full": (0, 1, 2, 3, 4)}
"""The seeds of the synthetic cases in each profile."""


def collect(profile: str, seed: int = 0) -> tuple[list[Case], dict[str, str]]:
    """The cases of a profile; and by name, why a case of real data cannot be made here.

    `seed` is added to the seeds of the profile. Raises InputError for an unknown profile.
    """
    seeds = [first + seed for first in lookup(SEEDS, profile, "profile")]
    cases = [case if k == 0 else replace(case, name=f"{case.name}#{k}")
             for k in seeds for case in synthetic(k)]
    left_out = {}
    for name, load in REAL.items():
        try:
            cases.append(load())
        except datasets.DataUnavailableError as error:
            left_out[name] = str(error)
    return cases, left_out
