"""Whether a solve puts its points in order, so that far tiles are left out (`sorted_cost`).

What is left out of a softmin is within eps u / 2, and enters the certified gap (`gap.rounding`).
"""

from __future__ import annotations

import math

from refot.costs import Cost, PointCost
from refot.problem import Problem
from refot.sorted_cost import left_out, sorted_cost

from .schedule import cost_scale

MANY = 8_000
"""Points on the smaller side from which leaving out pays in one or two dimensions (in three it
gained 5 % at n = 50,000)..."""

FAR = 0.008
"""... at an eps so small that what is left out begins at this part of the range of the cost."""


def in_order(p: Problem) -> Cost:
    """The cost of p, in order where that pays: numba, few dimensions, many points, small eps."""
    if p.backend.name != "numba" or type(p.C) is not PointCost or p.C.x.shape[1] > 2:
        return p.C
    largest_eps = FAR * cost_scale(p) / math.log(p.C.shape[1] / left_out(p.C.dtype))
    pays = min(p.C.shape) >= MANY and p.eps <= largest_eps
    return sorted_cost(p.C, largest_eps) if pays else p.C
