"""What a user may give as a cost: a name, a name with a number, an object, or a function.

A cost with a parameter is written as a call, such as "lp(3)". So its name defines it completely,
and can stand wherever a text can: in a file, on a command line, in an operator of PyTorch.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, TypeAlias

from refot.arrays import Array, UnknownNameError
from refot.costs.cosine import Cosine
from refot.costs.function import FunctionCost
from refot.costs.gaussian import GaussianKernel
from refot.costs.ground import GROUND_COSTS, POINT_COSTS, PairCost
from refot.costs.lp import LpNorm

CostName: TypeAlias = str | PairCost | Callable[[Array, Array], Array]
"""A cost of two points: a name of POINT_COSTS, "cosine", "lp(p)", "gaussian(h)"; a `PairCost`; or a
function of x (r, d) and y (m, d) that returns the block (r, m)."""

WITH_A_NUMBER: dict[str, Callable[[float], PairCost]] = {"gaussian": GaussianKernel, "lp": LpNorm}
"""The costs that are written with a number in brackets, by the name before it."""

CALL = re.compile(r"(\w+)\(\s*([^()\s]+)\s*\)")


def as_ground(cost: CostName) -> PairCost:
    """The object for a cost that a user gave. Raises UnknownNameError, or InputError for a number
    that is out of range."""
    if isinstance(cost, PairCost):
        return cost
    if isinstance(cost, str):
        found = POINT_COSTS.get(cost) or OTHERS.get(cost) or _called(cost)
        if found is not None:
            return found
    elif callable(cost) and not isinstance(cost, type):
        return FunctionCost(cost)
    raise UnknownNameError("cost", f"{cost!r}", f"one of {', '.join(names())}, or a function of "
                           "(x, y) that returns the costs (n, m)")


def named_cost(cost: Any) -> PairCost:
    """The cost of a name. This function serves callers that can pass text only, such as an operator
    of PyTorch: an object or a function raises UnknownNameError."""
    if not isinstance(cost, str):
        raise UnknownNameError("cost", f"{cost!r}", f"one of {', '.join(names())}")
    return as_ground(cost)


OTHERS: dict[str, PairCost] = {"cosine": Cosine()}
"""Named costs that are not in POINT_COSTS, because they are not defined for all points."""


def names() -> list[str]:
    """All names of costs, as a user writes them; those with a number as "lp(p)"."""
    return sorted({*POINT_COSTS, *OTHERS, "gaussian(h)", "lp(p)"})


def as_difference(cost: CostName) -> PairCost:
    """The cost, for use where c(x, x) = 0 and c >= 0 are needed. Raises UnknownNameError unless it
    is a function of x - y (`PairCost.is_difference`)."""
    ground = as_ground(cost)
    if not ground.is_difference:
        raise UnknownNameError("cost", f"{ground.name!r}",
                               f"one of {', '.join(sorted(GROUND_COSTS))}, gaussian(h), lp(p)")
    return ground


def _called(text: str) -> PairCost | None:
    """The cost of a text like "lp(3)"; None if the text has not this form."""
    match: Any = CALL.fullmatch(text)
    if match is None or match[1] not in WITH_A_NUMBER:
        return None
    try:
        number = float(match[2])
    except ValueError:
        return None
    return WITH_A_NUMBER[match[1]](number)
