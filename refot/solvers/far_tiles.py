"""Whether a solve puts its points in order, so that groups of them are treated alike.

What that changes in a softmin is within eps u, and enters the certified gap (`plan_sums`).
"""

from __future__ import annotations

import math

from refot.costs.ground import GROUND_COSTS
from refot.costs.operands import Cost, PointCost
from refot.problem import Problem
from refot.sorted_cost import misjudged, sorted_cost

from .schedule import cost_scale

MANY = 1_500
"""Points on the smaller side from which an order pays: it takes as long as some iterations."""

FAR, MANY_FAR = 0.05, 4_000
"""Groups are looked at whether they are far from so many points on, at an eps so small that what is
left out begins at this part of the range of the cost."""


def in_order(p: Problem) -> Cost:
    """The cost of p, in order where that pays: numba, one to three dimensions, enough points."""
    if (p.backend.name != "numba" or type(p.C) is not PointCost or p.C.x.shape[1] > 3
            or p.C.ground not in GROUND_COSTS.values() or min(p.C.shape) < MANY):
        return p.C
    far = FAR * cost_scale(p) if min(p.C.shape) >= MANY_FAR else 0.0
    return sorted_cost(p.C, far / math.log(p.C.shape[1] / misjudged(p.C.dtype)))
