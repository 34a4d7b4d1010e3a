"""A coarser problem at the same eps: how it gives a start for the finer one, and corrects it.

In the coarser problem both clouds are replaced by the cells of a grid (`cells.py`). Its potentials
are known at other points too: g at any y is the transform (B-25) of the coarser f there. So its
solution gives a start for the finer problem (schmitzer2019stabilized in docs/references.bib,
section 3.3).

It also gives corrections. After a few Sinkhorn iterations (sweeps) the error that is left in the
potentials hardly differs between neighbouring points. The coarser problem can represent such an
error, and removes it at a small part of the price: this is the full approximation scheme of
multigrid methods (brandt1977multilevel). Let r = b - P'1 be the residual of the finer plan P, and
take the coarser plan of the present potentials. To its column sums the sums of r over the cells are
added, and the coarser problem is solved with these as its column weights. The change of the coarser
potentials is then added to the finer ones. Where r = 0 nothing changes, however coarse the cells
are; so the iteration ends at the solution of the finer problem. B = Bréchet et al. 2019.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass, replace

import numpy as np

from refot.arrays import Array
from refot.backend_contract import of_this_process, prepared
from refot.costs.operands import Cost, PointCost
from refot.problem import Problem
from refot.solvers.schedule import SCHEDULE_FACTOR, Iterates, Method
from refot.solvers.sinkhorn import on_support
from refot.solvers.stopping import out_of_time

from .cells import Cells, blur, cells

LARGE = 4_096
"""A problem has a coarser one if each cloud has at least this number of points: smaller ones are
solved in tenths of a second without."""

MOST_AXES = 3
"""Clouds in more dimensions have no coarser problem: most boxes of the grid would hold one
point."""

WIDTHS = (0.25, 16), (0.5, 8), (1.0, 3)
"""Pairs (width of the boxes, as a multiple of `blur`; factor), tried in this order. A width is
taken if each cloud has at least `factor` times as many points as boxes. The narrower the boxes, the
more exact the coarser problem is, and the more it costs."""

ROUGH, ENOUGH = 1e-5, 500
"""The marginal error to which the coarser problem is solved for a start, and the most iterations of
any solve of it."""

FORCING = 0.05
"""For a correction the coarser problem is solved to this part of the finer marginal error."""

LEAST_SHARE = 0.2
"""A correction leaves each column of the coarser problem at least this share of its mass, because
the weights must stay positive."""


@dataclass(frozen=True)
class Coarser:
    """A problem `fine` between large clouds, and the coarser one. The latter is solved in this
    process, even if the backend of `fine` computes on other machines."""

    fine: Problem
    problem: Problem
    """The coarser problem, between the cells of the rows and those of the columns."""

    columns: Cells
    """The cells of the columns."""

    to_columns: Cost
    """The cost between the columns of `fine` and the cells of its rows."""

    def start(self, method: Method) -> Array:
        """g (m,) from the coarser problem, which `method` solves."""
        g = self.solved(self.problem, np.zeros_like(self.problem.b), method, ROUGH)
        return self.fine.levelled(self.lifted(self.problem.transform(g)))

    def lifted(self, f: Array) -> Array:
        """f (k,) of the coarser rows as a potential of the finer columns, (m,): B-25."""
        p = self.problem
        return self.fine.backend.softmin(self.to_columns, p.F(f), p.eps)

    def correction(self, g: Array, residual: Array, method: Method) -> Array:
        """What to add to the transform of f, (m,), where f is the transform of g, and `residual`
        (m,) is b less the column sums of the plan of (f, g)."""
        p, cells_of_columns = self.problem, self.columns
        g = cells_of_columns.sums(self.fine.b * g) / np.where(p.b > 0, p.b, 1)
        f = p.transform(g)
        now = p.b * np.exp((g - p.T.transform(f)) / p.eps)  # column sums of the coarser plan
        b = np.maximum(now + cells_of_columns.sums(residual), LEAST_SHARE * now)
        b /= b.sum()
        moved = replace(p, b=b)
        with np.errstate(divide="ignore", invalid="ignore"):
            # With the new weights this potential has the plan that g has with the old ones.
            same_plan = np.where(b > 0, g + p.eps * np.log(p.b / b), 0)
        g = self.solved(moved, same_plan, method, FORCING * float(abs(residual).sum()))
        return self.lifted(moved.transform(g)) - self.lifted(f)

    @staticmethod
    def solved(p: Problem, g: Array, method: Method, tol: float) -> Array:
        """g (k,) to the marginal error `tol`, or as far as ENOUGH iterations come."""
        for _, g_next, error in itertools.islice(method(p, g), ENOUGH):
            g = g_next
            if error < tol or out_of_time():
                break
        return g


def coarser(p: Problem) -> Coarser | None:
    """The coarser problem of p, at the same eps. None where p is not between `_large_clouds`, or
    where boxes of every width of WIDTHS hold too few points."""
    C = p.C
    if not _large_clouds(p) or not isinstance(C, PointCost):
        return None
    length = blur(C, p.eps)
    for width, fewer in WIDTHS:
        rows, columns = (cells(points, weights, width * length)
                         for points, weights in ((C.x, p.a), (C.y, p.b)))
        if (fewer * len(rows.points) <= len(C.x)
                and fewer * len(columns.points) <= len(C.y)):
            between = PointCost(rows.points, columns.points, C.ground, C.scale)
            on = of_this_process(p.backend)
            of_cells = replace(p, C=prepared(on, between, rows.weights, columns.weights),
                               a=rows.weights, b=columns.weights, backend=on)
            to_columns = PointCost(C.y, rows.points, C.ground.flip, C.scale)
            return Coarser(p, of_cells, columns,
                           prepared(p.backend, to_columns, p.b, rows.weights))
    return None


def coarser_at_larger_eps(p: Problem) -> Coarser | None:
    """The coarser problem at the first of eps, 4 eps, 16 eps, ... at which there is one; `fine` has
    that eps. None if there is none below the largest difference of two costs."""
    if not _large_clouds(p):
        return None
    eps, most = p.eps, p.C.spread() if isinstance(p.C, PointCost) else 0.0
    while eps < most:
        found = coarser(replace(p, eps=eps))
        if found is not None:
            return found
        eps *= SCHEDULE_FACTOR
    return None


def _large_clouds(p: Problem) -> bool:
    """Whether p is a balanced problem between large clouds in few dimensions, in the processor's
    memory, and its cost is a function of x - y."""
    C = p.C
    return (type(p) is Problem and isinstance(C, PointCost) and C.ground.is_difference
            and p.backend.xp is np and min(C.shape) >= LARGE and C.x.shape[1] <= MOST_AXES)


def corrected_iterates(at: Coarser, g: Array, method: Method) -> Iterates:
    """Sweeps of the finer problem, each followed by a correction; `method` solves the coarser one.

    The error that is yielded is that of the column sums. The row sums are exact, because f is the
    transform of g.
    """
    p, f = at.fine, None
    while True:
        f = p.transform(g, f)
        transform = p.T.transform(f, g)
        g = on_support(p.T, g, transform)
        with np.errstate(over="ignore"):
            residual = p.b - p.b * np.exp((g - transform) / p.eps)
        yield f, g, float(abs(residual).sum())
        g = p.levelled(transform + at.correction(g, residual, method))
