"""The unbalanced problems of the certified vectors: masses of any total, rho, and a penalty.

Coordinates, costs and weights are exact as in `cases.py`. Weights are multiplied by a total mass, a
power of two times a simple fraction, so that they stay exact. For point clouds eps is given here in
units of max C. rho, the strength of the penalties, is given in units of eps.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from refot.arrays import Array
from refot.costs.operands import point_cost
from refot.datasets import scikit as datasets
from refot.verification.cases.case import Case, clouds

from .cases import drawn, exact_weights, gridded

LIGHT, HEAVY = 2.0**-20, 2.0**20
"""Total masses of about 1e-6 and 1e6."""

Sides = tuple[float, float]
"""A number for the rows and one for the columns."""


@dataclass(frozen=True)
class UnbalancedCase(Case):
    """A case whose weights have any total. `rhos` are those of the rows and of the columns; inf
    means that the marginal is exact.

    A capability that takes one rho is only asked about cases in which the two are equal.
    """

    rhos: Sides = (1.0, 1.0)
    penalty: str = "kl"

    @property
    def rho(self) -> float:
        """The one rho of both sides."""
        rows, columns = self.rhos
        assert rows == columns
        return rows

    @property
    def masses(self) -> Sides:
        """The totals of a and of b."""
        return float(self.a.sum()), float(self.b.sum())

    @property
    def with_rho(self) -> tuple[Array, Array, Array, Array, float, float, str]:
        """(x, a, y, b, eps, rho, cost)."""
        x, a, y, b, eps, cost = self.clouds
        return x, a, y, b, eps, self.rho, cost

    @property
    def exchanged(self) -> UnbalancedCase:
        """The case with its two measures exchanged."""
        return replace(self, C=np.ascontiguousarray(self.C.T), a=self.b, b=self.a, x=self.y,
                       y=self.x, rhos=self.rhos[::-1])

    @property
    def alone(self) -> UnbalancedCase:
        """The case of the first measure against itself."""
        assert self.x is not None
        assert self.cost is not None
        return replace(self, C=point_cost(self.x, self.x, self.cost).dense(), y=self.x, b=self.a)


def penalised(case: Case, rho: float | Sides, masses: Sides, penalty: str = "kl") -> UnbalancedCase:
    """The case with these total masses, and with rho given in units of eps. The product rho eps is
    rounded to a few bits."""
    rows, columns = rho if isinstance(rho, tuple) else (rho, rho)
    return UnbalancedCase(
        case.name, case.note, case.C, case.a * masses[0], case.b * masses[1], case.eps, case.x,
        case.y, case.cost, rhos=(_few_bits(rows * case.eps), _few_bits(columns * case.eps)),
        penalty=penalty)


def _few_bits(x: float) -> float:
    """x rounded to eight binary digits, so that the number in the file is short."""
    if math.isinf(x):
        return x
    unit = 2.0 ** (math.floor(math.log2(x)) - 7)
    return round(x / unit) * unit


# ------------------------------------------------------------------ the problems
def one_rho() -> Iterator[UnbalancedCase]:
    """Penalty KL, the same rho on both sides."""
    x, y, a, b = drawn(7, 5, 2, 11)

    def of(name: str, note: str, eps: float, rho: float, masses: Sides = (1.5, 0.75), *,
           cost: str = "sqeuclidean") -> UnbalancedCase:
        case = clouds(name, note, x, y, eps, a=a, b=b, cost=cost)
        return penalised(case, rho, masses)

    yield of("unequal", "masses 1.5 and .75, rho = 8 eps", 0.1, 8)
    yield of("euclidean-unequal", "the plain norm as cost", 0.1, 8, cost="euclidean")
    yield of("l1-unequal", "the l1 norm as cost", 0.1, 8, cost="l1")
    yield of("tiny-rho", "rho = eps / 1e4: the marginals are free", 0.1, 1e-4)
    yield of("huge-rho", "rho = 1e6 eps, and masses that do not match", 0.1, 1e6)
    yield of("equal-huge-rho", "rho = 1e6 eps, and equal masses: almost balanced", 0.1, 1e6,
             (1.0, 1.0))
    yield of("light", "both masses about 1e-6", 0.1, 8, (LIGHT, 0.75 * LIGHT))
    yield of("heavy", "both masses about 1e6", 0.1, 8, (HEAVY, 0.75 * HEAVY))
    yield of("light-to-heavy", "masses of about 1e-6 and 1e6", 0.1, 8, (LIGHT, HEAVY))
    yield of("heavy-to-light-stiff", "masses of about 1e6 and 1e-6, rho = 1e4 eps", 0.1, 1e4,
             (HEAVY, LIGHT))
    yield penalised(clouds("unequal-small-costs", "costs and rho below 1", x / 4, y / 4, 0.1, a=a,
                           b=b), 8, (1.5, 0.75))
    yield of("unequal-small-eps", "eps = 1e-2 max C, rho = 32 eps", 0.01, 32)
    yield of("unequal-huge-eps", "eps = 1e2 max C, rho = eps / 64", 100.0, 1 / 64)
    yield from _shapes()
    rng = np.random.default_rng(15)
    C = gridded(rng.uniform(0, 4, size=(6, 6)))
    *_, a, b = drawn(6, 6, 1, 16)
    matrix = Case("asymmetric-unequal", "n = m and a cost that is not symmetric", C, a, b, 0.5)
    yield penalised(matrix, 4, (0.75, 1.25))
    yield penalised(Case("negative-unequal", "costs of both signs: mass is made", C[:4] - 2,
                         exact_weights(a[:4]), b, 0.25), 4, (0.75, 1.25))


def _shapes() -> Iterator[UnbalancedCase]:
    """Single atoms, atoms without mass, points that coincide, tiny eps, a measure and its
    multiple."""
    x, y, a, b = drawn(8, 8, 2, 12)
    yield penalised(clouds("one-atom-each", "a single atom on each side", x[:1], y[:1], 0.1),
                    8, (1.5, 0.75))
    yield penalised(clouds("one-row-unequal", "one atom against eight", x[:1], y, 0.1, b=b),
                    8, (1.5, 0.75))
    yield penalised(
        clouds("duplicates-unequal", "points that coincide, within and across the clouds",
               x[[0, 0, 1, 2]], np.concatenate([x[:2], y[[0, 0]]]), 0.1), 8, (1.5, 0.75))
    yield penalised(clouds("multiple", "a measure against twice itself", y[:6], y[:6], 0.1,
                           a=exact_weights(b[:6]), b=exact_weights(b[:6])), 8, (1.0, 2.0))
    a, b = a.copy(), b.copy()
    a[[1, 5]], b[2] = 0, 0
    yield penalised(clouds("zero-weights-unequal", "atoms without mass", x, y[:7], 0.1,
                           a=exact_weights(a), b=exact_weights(b[:7])), 8, (1.5, 0.75))
    x, y, a, b = drawn(5, 4, 2, 13)
    yield penalised(clouds("unequal-tiny-eps", "eps = 1e-3 max C, rho = 1e3 eps", x, y, 1e-3, a=a,
                           b=b), 1e3, (1.5, 0.75))


def real_unequal() -> Iterator[UnbalancedCase]:
    """Iris flowers; needs scikit-learn."""
    setosa, versicolor = datasets.iris("setosa"), datasets.iris("versicolor")
    yield penalised(clouds("iris-unequal", "8 setosa against 6 versicolor, in R^4", setosa[:8],
                           versicolor[:6], 0.05, a=np.full(8, 0.125), b=exact_weights(np.ones(6))),
                    8, (1.0, 0.75))


def each_side() -> Iterator[UnbalancedCase]:
    """A rho for each side, one side exact, and TV."""
    x, y, a, b = drawn(6, 5, 2, 14)
    inf = math.inf

    def of(name: str, note: str, eps: float, rho: float | Sides, masses: Sides, penalty: str,
           weights: tuple[Array, Array] = (a, b)) -> UnbalancedCase:
        case = clouds(name, note, x, y, eps, a=weights[0], b=weights[1])
        return penalised(case, rho, masses, penalty)

    unequal = (1.5, 0.75)
    yield of("kl-pair", "rho of the columns is 16 times that of the rows", 0.1, (2, 32), unequal,
             "kl")
    yield of("kl-rows-exact", "the rows are exact", 0.1, (inf, 8), unequal, "kl")
    yield of("kl-columns-exact", "the columns are exact", 0.1, (8, inf), unequal, "kl")
    yield of("kl-rows-exact-tiny-rho", "the rows are exact, the columns free", 0.1, (inf, 1e-4),
             unequal, "kl")
    yield of("kl-columns-exact-huge-rho", "the columns are exact, rho of the rows is 1e6 eps", 0.1,
             (1e6, inf), unequal, "kl")
    yield of("kl-rows-exact-equal", "equal masses, the rows exact, rho = 1e6 eps", 0.1, (inf, 1e6),
             (1.0, 1.0), "kl")
    yield of("kl-rows-exact-light", "the rows are exact: masses of about 1e-6 and 1e6", 0.1,
             (inf, 8), (LIGHT, HEAVY), "kl")
    yield of("kl-columns-exact-small-eps", "the columns are exact, eps = 1e-2 max C", 0.01,
             (32, inf), unequal, "kl")
    yield of("kl-tiny-and-huge", "rho = eps / 1e4 of the rows, 1e6 eps of the columns", 0.1,
             (1e-4, 1e6), unequal, "kl")
    yield of("tv", "rho = eps / 2: mass is left behind on both sides", 0.1, 0.5, unequal, "tv")
    yield of("tv-pair", "rho of the columns is 4 times that of the rows", 0.1, (1, 4), unequal,
             "tv")
    yield of("tv-small-eps", "mass is left behind on both sides, eps = 1e-2 max C", 0.01, 6,
             unequal, "tv")
    yield of("tv-equal-left", "equal masses, and mass is left behind on both sides", 0.02, 8,
             (1.0, 1.0), "tv")
    yield of("tv-equal-huge-rho", "equal masses, rho = 1e6 eps: the balanced plan", 0.1, 1e6,
             (1.0, 1.0), "tv")
    yield of("tv-huge-rho", "rho = 1e6 eps: all of the smaller mass is moved", 0.1, 1e6, unequal,
             "tv")
    yield of("tv-tiny-rho", "rho = eps / 1e4: the plan is nearly a(x)b exp(-C / eps)", 0.1, 1e-4,
             unequal, "tv")
    yield of("tv-rows-exact", "the rows are exact", 0.1, (inf, 4), unequal, "tv")
    yield of("tv-columns-exact", "the columns are exact", 0.1, (4, inf), unequal, "tv")
    yield of("tv-light", "masses of about 1e-6 and 1e6: a(x)b makes mass", 0.1, 8, (LIGHT, HEAVY),
             "tv")
    yield of("tv-heavy", "both masses about 1e6: the columns get more than they have", 0.1, 8,
             (HEAVY, 0.75 * HEAVY), "tv")
    without = exact_weights(a * np.array([1, 0, 1, 1, 0, 1])), exact_weights(
        b * np.array([1, 1, 0, 1, 1]))
    yield of("tv-zero-weights", "atoms without mass", 0.1, 2, unequal, "tv", without)
    yield of("kl-rows-exact-zero-weights", "atoms without mass, the rows exact", 0.1, (inf, 8),
             unequal, "kl", without)
    yield penalised(clouds("tv-one-atom-each", "a single atom on each side", x[:1], y[:1], 0.1), 2,
                    unequal, "tv")


def unbalanced_cases() -> list[UnbalancedCase]:
    """Every problem, in the order of the files."""
    return [*one_rho(), *real_unequal(), *each_side()]
