"""What a user may write for a cost: a name, a name with a number, an object, or a function.

A cost that is no function of its name alone, such as "lp(3)", is written as a call. So its name
tells all, and goes wherever a text goes: into a file, a command line, an operator of PyTorch.
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
"""The costs that are written with a number, by the name before it."""

CALL = re.compile(r"(\w+)\(\s*([^()\s]+)\s*\)")


def as_ground(cost: CostName) -> PairCost:
    """The cost that is meant. Raises UnknownNameError, InputError for a number out of range."""
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
    """The cost of a name, where no object and no function will do: in an operator of PyTorch.
    Raises InputError."""
    if not isinstance(cost, str):
        raise UnknownNameError("cost", f"{cost!r}", f"one of {', '.join(names())}")
    return as_ground(cost)


OTHERS: dict[str, PairCost] = {"cosine": Cosine()}
"""Costs that not all points have: beside POINT_COSTS."""


def names() -> list[str]:
    """All names, those with a number as they are written."""
    return sorted({*POINT_COSTS, *OTHERS, "gaussian(h)", "lp(p)"})


def as_difference(cost: CostName) -> PairCost:
    """The cost, where c(x, x) = 0 and c >= 0 are needed: a function of x - y. Raises
    UnknownNameError for any other."""
    ground = as_ground(cost)
    if not ground.is_difference:
        raise UnknownNameError("cost", f"{ground.name!r}",
                               f"one of {', '.join(sorted(GROUND_COSTS))}, gaussian(h), lp(p)")
    return ground


def _called(text: str) -> PairCost | None:
    """The cost of "name(number)"; None where the text is none of these."""
    match: Any = CALL.fullmatch(text)
    if match is None or match[1] not in WITH_A_NUMBER:
        return None
    try:
        number = float(match[2])
    except ValueError:
        return None
    return WITH_A_NUMBER[match[1]](number)
