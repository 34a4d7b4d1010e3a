"""A start from a coarser problem: clouds with a quarter of the points, solved at the same eps.

Each cloud is cut into cells of neighbours, and a cell becomes one point, its mean, with all its
mass. The potentials of that problem are known between its points too: g at y is the transform
(B-25) of the coarse f there. So they are lifted to the clouds by one pass, and what is left to do
is what the cells are too large to see (schmitzer2019stabilized in docs/references.bib, section
3.3). B = Bréchet et al. 2019.
"""

from __future__ import annotations

import itertools
from dataclasses import replace
from typing import NamedTuple

import numpy as np

from refot.arrays import Array
from refot.backend_contract import prepared
from refot.costs.operands import PointCost
from refot.problem import Problem
from refot.solvers.schedule import Method, is_warm
from refot.solvers.stopping import out_of_time

CELL = 4
"""Points in a cell."""

LARGE = 16_384
"""A start is lifted if each cloud has at least this number of points: smaller problems take less
than a second."""

MOST_AXES = 3
"""In more dimensions neighbours are far from each other, and a cell is no point."""

ROUGH, ENOUGH = 1e-4, 500
"""The marginal error of the coarser problem, and the most iterations. A larger error would be
lifted too, and it is of the kind that takes many sweeps to go."""


class Cells(NamedTuple):
    """The points (k, d) and the weights (k,) of a coarser cloud."""

    points: Array
    weights: Array


def large_clouds(p: Problem) -> PointCost | None:
    """The cost of p where both clouds are large, in the processor's memory, and in few dimensions;
    else None."""
    C = p.C
    if type(p) is not Problem or not isinstance(C, PointCost) or not C.ground.is_difference:
        return None
    suits = p.backend.xp is np and min(C.shape) >= LARGE and C.x.shape[1] <= MOST_AXES
    return C if suits else None


def lifted_start(p: Problem, g: Array, method: Method) -> Array:
    """g (m,) from a coarser problem that `method` solves; the g that is given where that is warm,
    or where p has no coarser problem."""
    C = large_clouds(p)
    if C is None or is_warm(p, g):
        return g
    coarse, cells_of_rows = coarser(p, C)
    g_coarse = np.zeros_like(coarse.b)
    for _, g_next, error in itertools.islice(method(coarse, g_coarse), ENOUGH):
        g_coarse = g_next
        if error < ROUGH or out_of_time():
            break
    f = coarse.transform(g_coarse)
    to_cells = PointCost(C.y, cells_of_rows, C.ground.flip, C.scale)
    at_points = prepared(p.backend, to_cells, p.b, coarse.a)
    return p.levelled(p.backend.softmin(at_points, coarse.F(f), p.eps))


def coarser(p: Problem, C: PointCost) -> tuple[Problem, Array]:
    """(the problem between the cells of both clouds of C; the cells of the rows, (k, d))."""
    rows, columns = cells(C.x, p.a), cells(C.y, p.b)
    between = PointCost(rows.points, columns.points, C.ground, C.scale)
    between_cells = prepared(p.backend, between, rows.weights, columns.weights)
    coarse = replace(p, C=between_cells, a=rows.weights, b=columns.weights)
    return coarse, rows.points


def cells(points: Array, weights: Array) -> Cells:
    """The mean and the mass of each CELL neighbours; a cell without mass has its middle."""
    order = in_small_boxes(points)
    starts = np.arange(0, len(points), CELL)
    mass = np.add.reduceat(weights[order], starts)
    shares = np.where(np.repeat(mass > 0, CELL)[:len(points)], weights[order], 1)[:, None]
    means = (np.add.reduceat(shares * points[order], starts)
             / np.add.reduceat(shares, starts))
    return Cells(means.astype(points.dtype), mass.astype(weights.dtype))


def in_small_boxes(points: Array) -> Array:
    """An order (n,) of the points in which each CELL neighbours, from the first on, lie in a small
    box: all points are cut in two along their widest coordinate, and so is each half in turn."""
    order, parts = np.arange(len(points)), [(0, len(points))]
    while parts:
        start, stop = parts.pop()
        if stop - start <= CELL:
            continue
        inside = points[order[start:stop]]
        widest = int(np.ptp(inside, axis=0).argmax())
        middle = CELL * (-(-(stop - start) // CELL) // 2)  # whole cells on the left
        order[start:stop] = order[start:stop][np.argpartition(inside[:, widest], middle)]
        parts += [(start, start + middle), (start + middle, stop)]
    return order
