"""A start from a coarser problem: clouds with a quarter of the points, solved at the same eps.

Each cloud is cut into cells of neighbouring points, and a cell becomes one point, its mean, with
all its mass. The potentials of this coarser problem are defined at all points of space: g at y is
the transform (B-25) of the coarse f at y. So one pass over the pairs (lifting) gives the start g,
and the solver has only to find what differs within a cell (schmitzer2019stabilized in
docs/references.bib, section 3.3). B = Bréchet et al. 2019.
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
"""The number of points in a cell; the last cell may have fewer."""

LARGE = 16_384
"""A start is lifted if each cloud has at least this number of points: smaller problems take less
than a second."""

MOST_AXES = 3
"""The largest dimension. In more, neighbours are so far from each other that one point cannot stand
for a cell."""

ROUGH, ENOUGH = 1e-4, 500
"""The marginal error to which the coarser problem is solved, and its iterations at most. A larger
error would pass on to the start, and be of the kind that takes many sweeps to remove."""


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
    """A start g (m,) from a coarser problem, which `method` solves. The given g itself where it
    `is_warm`, or where the clouds of p are not `large_clouds`."""
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
    """The weighted mean and the mass of each cell, for points (n, d) and weights (n,). A cell
    without mass is at the unweighted mean of its points."""
    order = in_small_boxes(points)
    starts = np.arange(0, len(points), CELL)
    mass = np.add.reduceat(weights[order], starts)
    shares = np.where(np.repeat(mass > 0, CELL)[:len(points)], weights[order], 1)[:, None]
    means = (np.add.reduceat(shares * points[order], starts)
             / np.add.reduceat(shares, starts))
    return Cells(means.astype(points.dtype), mass.astype(weights.dtype))


def in_small_boxes(points: Array) -> Array:
    """An order (n,) of the points (n, d) in which each CELL in a row, from the first on, lie in a
    small box: all points are cut in two along their widest coordinate, and so is each half."""
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
