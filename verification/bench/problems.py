"""The problems of the benchmark: Gaussians in the plane or in space, and MNIST images; eps in units
of max C.

The cost is |x - y|^2 between two clouds of n points with uniform weights. All arrays are float64,
and the points are drawn from fixed seeds.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from refot.arrays import Array, InputError, as_count, as_positive, lookup, uniform
from refot.costs.formed import formed
from refot.costs.operands import Cost, DenseCost, PointCost, point_cost

EPS = (1e-1, 1e-2, 1e-3, 1e-4)
"""The values of eps of a grid, in units of max C."""

HIGH = 16
"""The dimension from which on a problem is given as its cost matrix, because its time would
otherwise be mostly that of forming the matrix."""


@dataclass(frozen=True)
class Cell:
    """A problem of the grid before its points are drawn.

    `family` is a name of FAMILIES, n the number of points on each side, eps in units of max C, and
    `data` a folder of data for the family, if it needs one."""

    family: str
    n: int
    eps: float
    data: Path | None = None

    @property
    def name(self) -> str:
        """The name in tables, in which `--only` looks for its texts."""
        return f"{self.family} n={self.n} eps={self.eps:.0e}"

    def matches(self, only: tuple[str, ...]) -> bool:
        """Whether one of these texts stands in the name, as whole words."""
        return any(f" {text.strip()} " in f" {self.name} " for text in only)

    def instance(self) -> Instance:
        """The problem with its points drawn. Raises InputError for a wrong family, n or eps."""
        draw = lookup(FAMILIES, self.family, "family")
        x, y = draw(as_count(self.n, "n"), self.data)
        C: Cost = point_cost(x, y)
        if x.shape[1] >= HIGH:
            C = formed(C)
        return Instance(x, y, C, as_positive(self.eps, "eps") * largest(C))


@dataclass(frozen=True)
class Instance:
    """Points x, y (n, d), the cost C as a `PointCost`, or from HIGH dimensions on as a `DenseCost`,
    eps in cost units."""

    x: Array
    y: Array
    C: Cost
    eps: float

    @property
    def n(self) -> int:
        """Points on each side."""
        return len(self.x)

    @cached_property
    def a(self) -> Array:
        """Uniform weights (n,), of both sides."""
        return uniform(len(self.x))

    @cached_property
    def matrix(self) -> Array:
        """C (n, n), for peers that take no points; forming it is not timed."""
        return formed(self.C).matrix


@dataclass(frozen=True)
class UnbalancedInstance(Instance):
    """An unbalanced problem with KL on both sides: rho in cost units, total masses 1 and MORE."""

    rho: float = 1.0

    @cached_property
    def b(self) -> Array:
        """Masses (n,) of the second side, all the same."""
        return MORE * self.a


MORE = 1.3
"""The mass of the second side of an unbalanced problem."""


@dataclass(frozen=True)
class UnbalancedCell(Cell):
    """A problem of the unbalanced grid: `rho` as a multiple of eps."""

    rho: float = 1.0

    @property
    def name(self) -> str:
        """Its name in tables."""
        return f"{super().name} rho={self.rho:g}eps"

    def instance(self) -> UnbalancedInstance:
        """The problem with its points drawn."""
        p = super().instance()
        return UnbalancedInstance(p.x, p.y, p.C, p.eps, as_positive(self.rho, "rho") * p.eps)


def largest(C: Cost) -> float:
    """max C. For points only the vertices of their convex hulls are tried: c(x, y) is convex in x
    and in y, so that its maximum is attained at two vertices."""
    if isinstance(C, DenseCost):
        return float(C.matrix.max())
    from scipy.spatial import ConvexHull

    x, y = (points[ConvexHull(points).vertices] for points in (C.x, C.y))
    return float(PointCost(x, y, C.ground, C.scale).dense().max())


# ------------------------------------------------------------------ the families
def gaussians(n: int, data: Path | None = None) -> tuple[Array, Array]:
    """Standard normal points in the plane, and others moved by 1 along each axis; (n, 2) each."""
    rng = np.random.default_rng(n)
    return rng.normal(size=(n, 2)), rng.normal(size=(n, 2)) + 1


def space(n: int, data: Path | None = None) -> tuple[Array, Array]:
    """The same in three dimensions, (n, 3) each."""
    rng = np.random.default_rng(n)
    return rng.normal(size=(n, 3)), rng.normal(size=(n, 3)) + 1


def mnist_images(n: int, data: Path | None = None) -> tuple[Array, Array]:
    """Pixels in [0, 1] of two sets of n images, (n, 784) each.

    The sets are disjoint if there are 2 n images (`data`, a folder of IDX files, has 60,000);
    otherwise they overlap, and the images of y are mirrored left to right.
    """
    from refot.datasets.mnist import mnist

    images = mnist(data).images
    if n > len(images):
        raise InputError("n", f"{n}", f"at most {len(images)}, the images there are")
    order = np.random.default_rng(n).permutation(len(images))
    x, y = images[order[:n]], images[order[-n:]]
    if 2 * n > len(images):
        y = y[:, :, ::-1]
    return x.reshape(n, -1) / 255.0, y.reshape(n, -1) / 255.0


FAMILIES = {"gaussians": gaussians, "space": space, "mnist": mnist_images}
"""By the name of a family, a function of n and a folder of data that draws the points x and y."""


# ------------------------------------------------------------------ the grid
GRIDS = {
    "small": (("gaussians", 1_000), ("mnist", 1_000)),
    "full": (("gaussians", 1_000), ("gaussians", 10_000), ("gaussians", 100_000),
             ("mnist", 1_000), ("mnist", 5_000)),
}
"""By the name of a grid, (family, n) of its problems; each is solved at every eps of EPS."""


def grid(name: str, data: Path | None = None, only: tuple[str, ...] = ()) -> list[Cell]:
    """The cells of a grid of GRIDS; with `only`, those that match."""
    cells = [Cell(family, n, eps, data) for family, n in lookup(GRIDS, name, "grid")
             for eps in EPS]
    kept = [cell for cell in cells if not only or cell.matches(only)]
    if not kept:
        raise InputError("only", ", ".join(only), "part of one of " +
                         ", ".join(cell.name for cell in cells))
    return kept
